//! The parts of a composite search parameter (R4 search.html#composite): whether the index can hold them together.

use std::sync::Arc;

use super::fit;
use super::{FaultKind, Faults};
use crate::definitions::r4;
use crate::fhirpath::{Expression, ExpressionKind};
use crate::search::registry::is_for;
use crate::search::{
    Component, ParameterDefinition, SearchParameter, SearchParameterKind as Kind, SearchRegistry,
};

/// Checks the parts of a composite; nothing for other kinds.
pub(super) fn check(definition: &ParameterDefinition, known: &SearchRegistry, faults: &mut Faults) {
    if definition.kind != Kind::Composite || !faults.0.is_empty() {
        return;
    }
    for (index, (url, _)) in definition.components.iter().enumerate() {
        let element = format!("component[{index}].definition");
        match known.by_url(url) {
            None => {
                let text = format!("No search parameter is known by the address {url}: store it first.");
                faults.add(FaultKind::Invalid, &element, text);
            }
            Some(part) if matches!(part.kind, Kind::Composite | Kind::Special) => {
                let text = format!("A part of type {} cannot be searched by.", part.kind.code());
                faults.add(FaultKind::Unsupported, &element, text);
            }
            Some(_) => {}
        }
    }
    if !faults.0.is_empty() {
        return;
    }
    let shared = Arc::new(definition.clone());
    for name in r4().resource_types().iter().filter(|name| is_for(definition, name)) {
        match known.compiled(&shared, name) {
            Ok(compiled) => check_type(&compiled, known, faults),
            Err(error) => faults.add(FaultKind::Invalid, "component", format!("It cannot be used: {error}.")),
        }
    }
}

/// Checks a composite as it is compiled for one type.
fn check_type(composite: &SearchParameter, known: &SearchRegistry, faults: &mut Faults) {
    let resource_type = composite.resource_type();
    for (index, part) in composite.components().iter().enumerate() {
        let expression =
            composite.definition().components.get(index).map_or("", |(_, expression)| expression);
        let (code, kind) = (part.code(), part.kind());
        if !fit::fits(kind, part.fhir_types()) {
            let element = format!("component[{index}].expression");
            let text = if part.fhir_types().is_empty() {
                format!("The expression {expression} of the part {code} finds nothing.")
            } else {
                fit::misfit(code, expression, kind, part.fhir_types())
            };
            faults.add(FaultKind::Invalid, &element, text);
        }
        // Values are asked for as those of the part's own parameter.
        let own = known.get(resource_type, code).filter(|own| own.url() == part.definition().url);
        if own.is_none() {
            let element = format!("component[{index}].definition");
            let text = format!("The search parameter {code} is not one of {resource_type}.");
            faults.add(FaultKind::Invalid, &element, text);
        }
    }
    match of_whole(composite) {
        Some(true) => check_whole(composite, known, faults),
        Some(false) => check_element(composite, faults),
        None => {
            let text = format!(
                "A composite is about {resource_type} itself, or about elements of it, not about both."
            );
            faults.add(FaultKind::Unsupported, "expression", text);
        }
    }
}

/// Whether the parts are those of the whole resource; `None` where that cannot be said of all of them.
fn of_whole(composite: &SearchParameter) -> Option<bool> {
    let resource_type = composite.resource_type();
    let parsed = Expression::parse(composite.definition().expression.as_deref()?).ok()?;
    let mut alternatives = Vec::new();
    fit::split(&parsed, &mut alternatives);
    let names_type = |one: &&Expression| matches!(&one.kind, ExpressionKind::Member { base: None, name } if **name == *resource_type);
    let found = composite.fhir_types()?;
    match (found.contains(&resource_type), found.len()) {
        (true, 1) if alternatives.iter().any(names_type) => Some(true),
        (false, _) => Some(false),
        _ => None,
    }
}

/// Over the whole resource the parts are searched by their own parameters, so they have to find the same.
fn check_whole(composite: &SearchParameter, known: &SearchRegistry, faults: &mut Faults) {
    let resource_type = composite.resource_type();
    for (index, part) in composite.components().iter().enumerate() {
        let Some(own) = known.get(resource_type, part.code()) else { continue };
        if own.ways().is_none_or(|own| own != part.ways()) {
            let element = format!("component[{index}].expression");
            let text = format!(
                "Over the whole resource a part is searched by its own parameter, and {} finds something else than this expression.",
                part.code()
            );
            faults.add(FaultKind::Unsupported, &element, text);
        }
    }
}

/// In elements the first part is a code or a reference, which is joined with one other, or with two numbers.
fn check_element(composite: &SearchParameter, faults: &mut Faults) {
    let kinds: Vec<Kind> = composite.components().iter().map(Component::kind).collect();
    let is_served = match kinds.as_slice() {
        [Kind::Token | Kind::Reference, second] => {
            matches!(second, Kind::Token | Kind::Reference | Kind::Date | Kind::Number | Kind::Quantity)
        }
        [Kind::Token | Kind::Reference, Kind::Number, Kind::Number] => true,
        _ => false,
    };
    if !is_served {
        let text = "Of elements two parts can be searched together: a token or reference, and a token, reference, date, \
            number or quantity; or a token or reference and two numbers, where something begins and ends.";
        faults.add(FaultKind::Unsupported, "component", text);
    }
}
