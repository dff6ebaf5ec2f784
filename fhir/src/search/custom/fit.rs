//! Whether what an expression finds can be compared as the parameter's type says (R4 search.html#ptypes, the table of data
//! types by search parameter type).

use super::{FaultKind, Faults};
use crate::definitions::{Structure, r4};
use crate::fhirpath::{BinaryOperator, Expression, ExpressionKind};
use crate::search::compile::Compiler;
use crate::search::general::Finder;
use crate::search::registry::is_for;
use crate::search::walker::Walker;
use crate::search::{ParameterDefinition, SearchParameterKind};

/// The types whose values a kind of parameters finds.
pub(super) fn allowed(kind: SearchParameterKind) -> &'static [&'static str] {
    match kind {
        SearchParameterKind::Number => &["integer", "decimal", "positiveInt", "unsignedInt", "Range"],
        SearchParameterKind::Date => &["date", "dateTime", "instant", "Period", "Timing"],
        SearchParameterKind::String => &["string", "markdown", "HumanName", "Address"],
        SearchParameterKind::Token => &[
            "code",
            "boolean",
            "id",
            "string",
            "uri",
            "Coding",
            "CodeableConcept",
            "Identifier",
            "ContactPoint",
        ],
        SearchParameterKind::Reference => &["Reference", "canonical", "uri"],
        SearchParameterKind::Quantity => {
            &["Quantity", "Age", "Count", "Distance", "Duration", "Money", "Range", "SampledData"]
        }
        SearchParameterKind::Uri => &["uri", "url", "canonical", "oid", "uuid"],
        SearchParameterKind::Composite | SearchParameterKind::Special => &[],
    }
}

/// What to say where no type fits.
pub(super) fn misfit(code: &str, expression: &str, kind: SearchParameterKind, found: &[&str]) -> String {
    let hint = if found == ["Extension"] { " The value of an extension is its element value." } else { "" };
    format!(
        "The search parameter {code} is of type {}, but {expression} finds {}; of this type are values of {}.{hint}",
        kind.code(),
        found.join(", "),
        allowed(kind).join(", ")
    )
}

/// Whether values of one of these types can be found.
pub(super) fn fits(kind: SearchParameterKind, found: &[&str]) -> bool {
    found.iter().any(|one| allowed(kind).contains(one))
}

/// Checks the expression: that it is FHIRPath, that each of its alternatives finds something in the types that it is
/// for, and that each finds what fits. Where only the FHIRPath engine can tell what is found, it is not known.
pub(super) fn check(definition: &ParameterDefinition, faults: &mut Faults) {
    let text = definition.expression.as_deref().unwrap_or_default();
    let code = &definition.code;
    let parsed = match Expression::parse(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let text = format!("The expression of {code} cannot be read: {error}.");
            faults.add(FaultKind::Invalid, "expression", text);
            return;
        }
    };
    let types: Vec<&'static Structure> = r4()
        .resource_types()
        .iter()
        .filter(|name| is_for(definition, name))
        .filter_map(|name| r4().structure(name))
        .collect();
    let mut alternatives = Vec::new();
    split(&parsed, &mut alternatives);
    let mut is_walked = true;
    for alternative in alternatives {
        match found(alternative, &types) {
            Some(found) => check_found(definition, alternative, &found, faults),
            None => is_walked = false,
        }
    }
    if is_walked {
        return;
    }
    if definition.kind == SearchParameterKind::Composite {
        let text = format!(
            "The expression of the composite {code} is more than a path with filters: what its parts are in cannot be known."
        );
        faults.add(FaultKind::Unsupported, "expression", text);
    } else if let Err(error) = Finder::general(parsed) {
        faults.add(
            FaultKind::Invalid,
            "expression",
            format!("The expression of {code} cannot be used: {error}."),
        );
    }
}

fn check_found(
    definition: &ParameterDefinition,
    alternative: &Expression,
    found: &[&str],
    faults: &mut Faults,
) {
    let code = &definition.code;
    if found.is_empty() {
        // A union may have alternatives for types that this parameter is not for.
        let is_of_others = leading_type(alternative).is_some_and(|name| {
            !r4().resource_types().iter().any(|one| is_for(definition, one) && r4().is_a(one, name))
        });
        if !is_of_others || found_nowhere(definition) {
            let bases = definition.bases.join(", ");
            let text = format!(
                "The expression {alternative} of {code} finds nothing in resources of type {bases}: R4 has no such elements."
            );
            faults.add(FaultKind::Invalid, "expression", text);
        }
        return;
    }
    let kind = definition.kind;
    if kind != SearchParameterKind::Composite && !fits(kind, found) {
        let text = misfit(code, &alternative.to_string(), kind, found);
        faults.add(FaultKind::Invalid, "expression", text);
    }
}

/// Whether the whole expression is about other types than the parameter.
fn found_nowhere(definition: &ParameterDefinition) -> bool {
    let Some(Ok(parsed)) = definition.expression.as_deref().map(Expression::parse) else { return false };
    let mut alternatives = Vec::new();
    split(&parsed, &mut alternatives);
    alternatives
        .iter()
        .filter_map(|one| leading_type(one))
        .all(|name| !r4().resource_types().iter().any(|one| is_for(definition, one) && r4().is_a(one, name)))
}

/// The alternatives that an expression joins by `|`.
pub(super) fn split<'e>(expression: &'e Expression, alternatives: &mut Vec<&'e Expression>) {
    match &expression.kind {
        ExpressionKind::Binary { operator: BinaryOperator::Union, left, right } => {
            split(left, alternatives);
            split(right, alternatives);
        }
        _ => alternatives.push(expression),
    }
}

/// The types that an expression finds in resources of any of these types, sorted; `None` where no walker can do it.
fn found(expression: &Expression, types: &[&'static Structure]) -> Option<Vec<&'static str>> {
    let mut all = Vec::new();
    for structure in types {
        let mut walker = Walker::new();
        let mut compiler = Compiler::new(r4(), structure, &mut walker);
        let start = [compiler.start()];
        let places = compiler.add(expression, &start, 0).ok()?;
        all.extend(compiler.types_at(&places));
    }
    all.sort_unstable();
    all.dedup();
    Some(all)
}

/// The name of a type that a path begins with.
fn leading_type(expression: &Expression) -> Option<&str> {
    match &expression.kind {
        ExpressionKind::Member { base: None, name } => {
            Some(name).filter(|name| r4().is_resource(name)).map(|name| &**name)
        }
        ExpressionKind::Member { base: Some(base), .. }
        | ExpressionKind::Call { base: Some(base), .. }
        | ExpressionKind::Item { base, .. } => leading_type(base),
        ExpressionKind::Type { operand, .. } => leading_type(operand),
        ExpressionKind::Binary { left, .. } => leading_type(left),
        _ => None,
    }
}
