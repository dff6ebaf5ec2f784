//! Expressions that a walker cannot do, left to the FHIRPath engine: slower by a factor of a hundred.

use super::filter::truth;
use super::{Extracted, walker::Walker};
use crate::fhirpath::{
    Checking, CompileError, Compiled, Context, Expression, ExpressionKind, Item, TypeOperator,
};
use crate::json::Value;

/// How the values of a parameter are found.
#[derive(Debug)]
pub(super) enum Finder {
    /// By a walk. All parameters of R4 are found so.
    Walker(Walker),
    /// By the engine.
    General(Box<Compiled>),
}

impl Finder {
    /// The engine for an expression of which a walker cannot be made.
    pub(super) fn general(mut expression: Expression) -> Result<Self, CompileError> {
        cast_collections(&mut expression);
        Compiled::from_expression(&expression, None, Checking::Lenient)
            .map(|compiled| Self::General(Box::new(compiled)))
    }

    /// Hands over the values of a resource.
    pub(super) fn find<'a>(&self, root: Value<'a>, mut each: impl FnMut(Extracted<'a>)) {
        match self {
            Self::Walker(walker) => walker.walk(root, root, &mut |_, extracted| each(extracted)),
            Self::General(compiled) => evaluate(compiled, root, each),
        }
    }
}

/// Hands over the elements that an expression finds, and the truth values that it computes. What else it computes
/// stands in no resource, and an expression that fails on a resource finds nothing there.
fn evaluate<'a>(compiled: &Compiled, root: Value<'a>, mut each: impl FnMut(Extracted<'a>)) {
    let Ok(found) = compiled.evaluate(root, &Context::of(root)) else { return };
    for item in found.iter() {
        match item {
            Item::Node(node) => {
                let value = node.value().and_then(|value| root.counterpart(value));
                if let (Some(value), Some(structure)) = (value, node.structure()) {
                    each(Extracted { value, fhir_type: structure.name });
                }
            }
            Item::Boolean(outcome) => each(Extracted { value: truth(*outcome), fhir_type: "boolean" }),
            _ => {}
        }
    }
}

/// Search parameters say `as` of whole collections, where FHIRPath 2.0.0 section 6.3.3 demands a single item: R5 says
/// `ofType()` in its place, and so it is read.
fn cast_collections(expression: &mut Expression) {
    match &mut expression.kind {
        ExpressionKind::Member { base: Some(base), .. } | ExpressionKind::Item { base, .. } => {
            cast_collections(base)
        }
        ExpressionKind::Binary { left, right, .. } => {
            cast_collections(left);
            cast_collections(right);
        }
        ExpressionKind::Call { base, function, arguments } => {
            base.iter_mut().for_each(|base| cast_collections(base));
            arguments.iter_mut().for_each(cast_collections);
            if &**function == "as" {
                *function = "ofType".into();
            }
        }
        ExpressionKind::Type { operator: TypeOperator::As, operand, type_name } => {
            cast_collections(operand);
            let offset = expression.offset;
            let name = |base, name: &str| Expression {
                offset,
                kind: ExpressionKind::Member { base, name: name.into() },
            };
            let namespace = type_name.namespace.as_deref().map(|namespace| Box::new(name(None, namespace)));
            let arguments = vec![name(namespace, &type_name.name)];
            let base = Some(operand.clone());
            expression.kind = ExpressionKind::Call { base, function: "ofType".into(), arguments };
        }
        _ => {}
    }
}
