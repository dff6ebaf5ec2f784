//! Expressions of search parameters for the FHIRPath engine: R4 publishes some in ways that FHIRPath does not allow.

use anamnesis_fhir::fhirpath::{Checking, Compiled, Expression, ExpressionKind, TypeOperator};

/// Search parameters say `as` of collections, where FHIRPath 2.0.0 section 6.3.3 demands one item; R5 has put
/// `ofType()` in its place. One misspells `dateTime`, one uses a function that R4 does not have.
pub(crate) fn general(text: &str) -> Compiled {
    let text = text.replace("(DateTime)", "(dateTime)");
    let text = text.replace("hasExtension('", "extension('").replace("isSubject')", "isSubject').exists()");
    let mut expression = Expression::parse(&text).unwrap();
    cast_collections(&mut expression);
    Compiled::from_expression(&expression, None, Checking::Lenient).unwrap()
}

fn cast_collections(expression: &mut Expression) {
    match &mut expression.kind {
        ExpressionKind::Member { base: Some(base), .. } | ExpressionKind::Item { base, .. } => {
            cast_collections(base)
        }
        ExpressionKind::Binary { left, right, .. } => {
            cast_collections(left);
            cast_collections(right);
        }
        ExpressionKind::Call { base, function, .. } => {
            base.iter_mut().for_each(|base| cast_collections(base));
            if &**function == "as" {
                *function = "ofType".into();
            }
        }
        ExpressionKind::Type { operator: TypeOperator::As, operand, type_name } => {
            cast_collections(operand);
            let name = ExpressionKind::Member { base: None, name: type_name.name.clone() };
            let arguments = vec![Expression { offset: 0, kind: name }];
            let base = Some(operand.clone());
            expression.kind = ExpressionKind::Call { base, function: "ofType".into(), arguments };
        }
        _ => {}
    }
}
