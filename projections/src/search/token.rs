//! Token parameters (R4 search.html#token): codes, codings, identifiers, contact points, booleans.

use anamnesis_fhir::json::{Kind, Value};
use anamnesis_fhir::search::{Extracted, SearchParameter};
use anamnesis_fhir::terminology::{Direction, SystemCode, Terminology};

use super::Modifier;
use super::atom::{Atom, Criterion, Yield};
use super::code_sets;
use super::entries::Entries;
use super::implied;
use super::key::{Class, ParameterKey};
use super::label;
use super::special;
use super::value::{Asked, Refusal, split, unescape};

/// Codes of parameters whose values belong to one resource, or to few.
const SELECTIVE: [&str; 5] = ["_id", "identifier", "telecom", "email", "phone"];

/// Adds what a value is found by.
pub(super) fn index(
    key: &ParameterKey,
    parameter: &SearchParameter,
    extracted: Extracted<'_>,
    entries: &mut Entries,
) {
    each_code(extracted, &mut |system, code| match (system, code) {
        (Some(system), Some(code)) => {
            entries.token(key, Class::Code, &[code]);
            entries.token(key, Class::SystemCode, &[system, code]);
            entries.token(key, Class::System, &[system]);
        }
        (None, Some(code)) => {
            entries.token(key, Class::Code, &[code]);
            // What never has a system needs no token that says so.
            if !parameter.is_primitive() {
                entries.token(key, Class::NoSystem, &[code]);
            } else if let Some((kind, _)) = code.split_once('/') {
                entries.token(key, Class::MediaType, &[kind]);
            }
        }
        (Some(system), None) => entries.token(key, Class::System, &[system]),
        (None, None) => {}
    });
    if extracted.fhir_type == "Identifier" {
        index_of_type(key, extracted.value, entries);
    }
    label::index_code(key, extracted.fhir_type, extracted.value, entries);
}

/// Adds the codes of a value, each with its system and alone: what parts of composites are found by.
pub(super) fn index_codes(key: &ParameterKey, extracted: Extracted<'_>, entries: &mut Entries) {
    each_code(extracted, &mut |system, code| {
        let Some(code) = code else { return };
        entries.token(key, Class::Code, &[code]);
        match system {
            Some(system) => entries.token(key, Class::SystemCode, &[system, code]),
            None => entries.token(key, Class::NoSystem, &[code]),
        }
    });
}

/// Adds the keys of the codes of a value alone, whatever their systems.
pub(super) fn codes_alone(key: &ParameterKey, extracted: Extracted<'_>, keys: &mut Vec<i64>) {
    each_code(extracted, &mut |_, code| keys.extend(code.map(|code| key.of(Class::Code, &[code]))));
}

/// Type and value of an identifier, for each code of the type.
fn index_of_type(key: &ParameterKey, identifier: Value<'_>, entries: &mut Entries) {
    let Some(value) = identifier.get("value").and_then(Value::as_str) else { return };
    let codings = identifier.get("type").and_then(|of_type| of_type.get("coding"));
    for coding in codings.into_iter().flat_map(Value::items) {
        let part = |name| coding.get(name).and_then(Value::as_str);
        if let (Some(system), Some(code)) = (part("system"), part("code")) {
            entries.token(key, Class::OfType, &[&system, &code, &value]);
        }
    }
}

/// Hands over each system and code of a value.
fn each_code(extracted: Extracted<'_>, each: &mut impl FnMut(Option<&str>, Option<&str>)) {
    let value = extracted.value;
    let mut coded = |value: Value<'_>, code: &str| {
        let system = value.get("system").and_then(Value::as_str);
        each(system.as_deref(), value.get(code).and_then(Value::as_str).as_deref());
    };
    match extracted.fhir_type {
        "Coding" => coded(value, "code"),
        "Identifier" => coded(value, "value"),
        "CodeableConcept" => {
            let codings = value.get("coding").into_iter().flat_map(Value::items);
            codings.for_each(|coding| coded(coding, "code"));
        }
        // What a contact point is used for stands in place of a system (R4 search.html#token).
        "ContactPoint" => {
            let part = |name| value.get(name).and_then(Value::as_str);
            each(part("use").as_deref(), part("value").as_deref());
        }
        _ => match (value.kind(), value.as_str()) {
            (_, Some(text)) => each(None, Some(&text)),
            (Kind::Bool | Kind::Number, None) => each(None, Some(value.raw())),
            _ => {}
        },
    }
}

/// What a query asks: `code`, `system|code`, `|code` or `system|`; with `:not` none of them; with `:of-type` an identifier
/// as `type system|type code|value`; with `:in`, `:not-in`, `:above` and `:below` what code systems and value sets say; with `:text`
/// how a text of the code begins.
pub(super) fn criterion(asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    if *asked.modifier == Modifier::Text {
        return label::criterion(asked);
    }
    let mut atoms = Vec::new();
    for value in asked.values {
        match asked.modifier {
            Modifier::None | Modifier::Not => atoms.push(atom(asked, value)?),
            Modifier::OfType => atoms.push(of_type(asked, value)?),
            Modifier::Below if asked.parameter.is_primitive() => {
                atoms.push(Atom::Token(asked.key.of(Class::MediaType, &[&unescape(value)])));
                atoms.push(atom(asked, value)?);
            }
            Modifier::In | Modifier::NotIn => of_value_set(asked, value, &mut atoms)?,
            Modifier::Above => related(asked, value, Direction::Above, &mut atoms)?,
            Modifier::Below => related(asked, value, Direction::Below, &mut atoms)?,
            _ => return Err(asked.unsupported_modifier()),
        }
    }
    if matches!(asked.modifier, Modifier::Not | Modifier::NotIn) {
        return Ok(Criterion::none_of(atoms));
    }
    let selective = SELECTIVE.contains(&asked.parameter.code());
    Ok(Criterion::any(atoms, if selective { Yield::Few } else { Yield::Many }))
}

fn atom(asked: &Asked<'_>, value: &str) -> Result<Atom, Refusal> {
    let key = asked.key;
    let parts: Vec<_> = split(value, '|').into_iter().map(unescape).collect();
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    let token = match parts.as_slice() {
        [code] => key.of(Class::Code, &[code]),
        ["", ""] => return Err(Refusal::BadValue("a token needs a system or a code".to_owned())),
        ["", code] if asked.parameter.is_primitive() => key.of(Class::Code, &[code]),
        ["", code] => key.of(Class::NoSystem, &[code]),
        [system, ""] if implied::is_system_of(asked.parameter, system) => return any_value(asked),
        [system, ""] => key.of(Class::System, &[system]),
        [system, code] if implied::is_system_of(asked.parameter, system) => key.of(Class::Code, &[code]),
        [system, code] => key.of(Class::SystemCode, &[system, code]),
        _ => return Err(Refusal::BadValue("a token has at most one unescaped '|'".to_owned())),
    };
    Ok(Atom::Token(token))
}

/// Whatever has a value.
fn any_value(asked: &Asked<'_>) -> Result<Atom, Refusal> {
    let asked = Asked { modifier: &Modifier::Missing, values: &["false"], ..*asked };
    Ok(Atom::All(vec![special::missing(&asked)?]))
}

fn of_type(asked: &Asked<'_>, value: &str) -> Result<Atom, Refusal> {
    let parts: Vec<_> = split(value, '|').into_iter().map(unescape).collect();
    match parts.as_slice() {
        [system, code, value] if [system, code, value].iter().all(|part| !part.is_empty()) => {
            Ok(Atom::Token(asked.key.of(Class::OfType, &[system, code, value])))
        }
        _ => Err(Refusal::BadValue("with modifier :of-type it is type system|type code|value".to_owned())),
    }
}

fn of_value_set(asked: &Asked<'_>, value: &str, atoms: &mut Vec<Atom>) -> Result<(), Refusal> {
    // A canonical address, or where the value set is: relative, or absolute on this server (R4 search.html#modifiers).
    let named = unescape(value);
    let base = asked.options.base_url.as_deref();
    let local = base.and_then(|base| named.strip_prefix(base)?.strip_prefix('/'));
    let codes = code_sets::of_value_set(terminology(asked)?, local.unwrap_or(&named))?;
    add_codes(asked, &codes, atoms);
    Ok(())
}

fn related(
    asked: &Asked<'_>,
    value: &str,
    direction: Direction,
    atoms: &mut Vec<Atom>,
) -> Result<(), Refusal> {
    let parts: Vec<_> = split(value, '|').into_iter().map(unescape).collect();
    let [system, code] = parts.as_slice() else {
        return Err(Refusal::BadValue(format!("with modifier :{} it is system|code", asked.modifier)));
    };
    let codes = code_sets::related(terminology(asked)?, (system, code), direction)?;
    add_codes(asked, &codes, atoms);
    Ok(())
}

fn terminology<'a>(asked: &Asked<'a>) -> Result<&'a dyn Terminology, Refusal> {
    match &asked.options.terminology {
        Some(terminology) => Ok(&**terminology),
        None => Err(Refusal::Modifier(format!(
            "modifier :{} asks for the codes of value sets and code systems, which are not looked up here",
            asked.modifier
        ))),
    }
}

/// A value without a system of its own has the one that its element is bound to: the code tells.
fn add_codes(asked: &Asked<'_>, codes: &[SystemCode], atoms: &mut Vec<Atom>) {
    atoms.extend(codes.iter().map(|SystemCode { system, code }| {
        Atom::Token(match asked.parameter.is_primitive() || system.is_empty() {
            true => asked.key.of(Class::Code, &[code]),
            false => asked.key.of(Class::SystemCode, &[system, code]),
        })
    }));
}
