//! Token parameters (R4 search.html#token): codes, codings, identifiers, contact points, booleans.

use anamnesis_fhir::json::{Kind, Value};
use anamnesis_fhir::search::Extracted;

use super::Modifier;
use super::atom::{Atom, Criterion, Yield};
use super::entries::Entries;
use super::key::{Class, ParameterKey};
use super::value::{Asked, Refusal, split, unescape};

/// Codes of parameters whose values belong to one resource, or to few.
const SELECTIVE: [&str; 5] = ["_id", "identifier", "telecom", "email", "phone"];

/// Adds what a value is found by.
pub(super) fn index(key: &ParameterKey, extracted: Extracted<'_>, entries: &mut Entries) {
    let value = extracted.value;
    match extracted.fhir_type {
        "Coding" => coded(key, value, "system", "code", entries),
        "Identifier" => coded(key, value, "system", "value", entries),
        "CodeableConcept" => {
            let codings = value.get("coding").into_iter().flat_map(Value::items);
            codings.for_each(|coding| coded(key, coding, "system", "code", entries));
        }
        // A contact point has a kind of contact, but no code system (R4 search.html#token).
        "ContactPoint" => {
            if let Some(value) = value.get("value").and_then(Value::as_str) {
                uncoded(key, &value, entries);
            }
        }
        _ => match (value.kind(), value.as_str()) {
            (_, Some(text)) => uncoded(key, &text, entries),
            (Kind::Bool | Kind::Number, None) => uncoded(key, value.raw(), entries),
            _ => {}
        },
    }
}

fn coded(key: &ParameterKey, value: Value<'_>, system: &str, code: &str, entries: &mut Entries) {
    let system = value.get(system).and_then(Value::as_str);
    let code = value.get(code).and_then(Value::as_str);
    match (system, code) {
        (Some(system), Some(code)) => {
            entries.token(key, Class::Code, &[&code]);
            entries.token(key, Class::SystemCode, &[&system, &code]);
            entries.token(key, Class::System, &[&system]);
        }
        (None, Some(code)) => uncoded(key, &code, entries),
        (Some(system), None) => entries.token(key, Class::System, &[&system]),
        (None, None) => {}
    }
}

fn uncoded(key: &ParameterKey, code: &str, entries: &mut Entries) {
    entries.token(key, Class::Code, &[code]);
    entries.token(key, Class::NoSystem, &[code]);
}

/// What a query asks: `code`, `system|code`, `|code` or `system|`; with `:not` none of them.
pub(super) fn criterion(asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    if !matches!(asked.modifier, Modifier::None | Modifier::Not) {
        return Err(asked.unsupported_modifier());
    }
    let atoms = asked.values.iter().map(|value| atom(asked.key, value)).collect::<Result<Vec<_>, _>>()?;
    if *asked.modifier == Modifier::Not {
        return Ok(Criterion::none_of(atoms));
    }
    let selective = SELECTIVE.contains(&asked.parameter.code());
    Ok(Criterion::any(atoms, if selective { Yield::Few } else { Yield::Many }))
}

fn atom(key: &ParameterKey, value: &str) -> Result<Atom, Refusal> {
    let parts: Vec<_> = split(value, '|').into_iter().map(unescape).collect();
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    let token = match parts.as_slice() {
        [code] => key.of(Class::Code, &[code]),
        ["", ""] => return Err(Refusal::BadValue("a token needs a system or a code".to_owned())),
        ["", code] => key.of(Class::NoSystem, &[code]),
        [system, ""] => key.of(Class::System, &[system]),
        [system, code] => key.of(Class::SystemCode, &[system, code]),
        _ => return Err(Refusal::BadValue("a token has at most one unescaped '|'".to_owned())),
    };
    Ok(Atom::Token(token))
}
