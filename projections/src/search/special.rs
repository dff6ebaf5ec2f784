//! What every resource has: `_id`, `_lastUpdated`, whether a parameter has a value, and compartments.

use anamnesis_fhir::definitions;
use anamnesis_fhir::references::is_id;
use anamnesis_fhir::search::{SearchParameter, SearchParameterKind, SearchRegistry};

use super::Modifier;
use super::atom::{Atom, Criterion, Yield};
use super::date;
use super::key::{Class, ParameterKey};
use super::reference::target_token;
use super::span::{Family, SpanBox};
use super::target::Target;
use super::value::{Asked, Refusal, unescape};

/// `_id`: one of the ids; with `:not` none of them.
pub(super) fn id(asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    let (log, resource_type) = (asked.key.log(), asked.parameter.resource_type());
    let token = |value: &&str| {
        let id = unescape(value);
        let bad = || Refusal::BadValue("an id is wanted: up to 64 letters, digits, - and .".to_owned());
        is_id(&id).then(|| Atom::Token(Target::resource(log, resource_type, &id).own())).ok_or_else(bad)
    };
    let any = asked.values.iter().map(token).collect::<Result<_, _>>()?;
    match asked.modifier {
        Modifier::None => Ok(Criterion::any(any, Yield::Few)),
        Modifier::Not => Ok(Criterion::none_of(any)),
        _ => Err(asked.unsupported_modifier()),
    }
}

/// `_lastUpdated`: the time at which the current version was recorded.
pub(super) fn last_updated(asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    if *asked.modifier != Modifier::None {
        return Err(asked.unsupported_modifier());
    }
    let family = Family::new(0, false);
    let mut atoms = Vec::new();
    for value in asked.values {
        let (prefix, span, around) = date::parse(value, asked.options.now.timestamp_micros())?;
        let boxes = date::boxes(asked, prefix, family, span, around);
        // A point in time is both ends of its span.
        atoms.extend(boxes.into_iter().map(|SpanBox { low, high, .. }| Atom::Recorded {
            low: low.0.max(high.0),
            high: low.1.min(high.1),
        }));
    }
    Ok(Criterion::any(atoms, Yield::Most))
}

/// Parameters that clinical resources nearly always have a value for, though R4 does not demand it.
const USUAL: [&str; 2] = ["subject", "patient"];

/// Whether nearly every resource has a value: then those that have none get a token that says so, and the others none.
pub(super) fn is_usual(parameter: &SearchParameter) -> bool {
    use SearchParameterKind as Kind;
    let has_token = matches!(parameter.kind(), Kind::Token | Kind::Reference | Kind::String | Kind::Uri);
    has_token && (parameter.is_mandatory() || USUAL.contains(&parameter.code()))
}

/// `:missing`: whether the resource has a value for the parameter.
pub(super) fn missing(asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    let wanted = match asked.values {
        ["true"] => false,
        ["false"] => true,
        _ => return Err(Refusal::BadValue("with modifier :missing the value is true or false".to_owned())),
    };
    if matches!(asked.parameter.code(), "_id" | "_lastUpdated") {
        // Every resource has them: all are found, or none.
        return Ok(if wanted {
            Criterion::none_of(Vec::new())
        } else {
            Criterion::any(Vec::new(), Yield::Few)
        });
    }
    use SearchParameterKind as Kind;
    let present = match asked.parameter.kind() {
        Kind::Date | Kind::Number | Kind::Quantity => {
            let key = asked.key.of(Class::Span, &[]);
            Atom::Span(SpanBox {
                key,
                in_table: false,
                scale: None,
                low: (i64::MIN, i64::MAX),
                high: (i64::MIN, i64::MAX),
            })
        }
        _ if is_usual(asked.parameter) => {
            let any = vec![Atom::Token(asked.key.of(Class::Absent, &[]))];
            return Ok(if wanted { Criterion::none_of(any) } else { Criterion::any(any, Yield::Some) });
        }
        Kind::Token | Kind::Reference | Kind::String | Kind::Uri => {
            Atom::Token(asked.key.of(Class::Present, &[]))
        }
        Kind::Composite | Kind::Special => return Err(asked.unsupported_modifier()),
    };
    let any = vec![present];
    Ok(if wanted { Criterion::any(any, Yield::Most) } else { Criterion::none_of(any) })
}

/// The resources of a type that a compartment holds (R4 compartmentdefinition.html): those that point at its owner
/// by one of the definition's parameters, and the owner itself. No atoms where the type is in no such compartment.
pub(super) fn compartment(
    registry: &SearchRegistry,
    log: i16,
    (owner_type, owner_id): (&str, &str),
    resource_type: &str,
) -> Vec<Atom> {
    let mut atoms = Vec::new();
    if resource_type == owner_type {
        atoms.push(Atom::Token(Target::resource(log, resource_type, owner_id).own()));
    }
    let definition = definitions::r4().compartment(owner_type);
    let parameters = definition.and_then(|definition| definition.parameters(resource_type));
    let known =
        parameters.unwrap_or_default().iter().filter(|code| registry.get(resource_type, code).is_some());
    atoms.extend(known.map(|code| {
        let key = ParameterKey::new(log, resource_type, code);
        Atom::Token(target_token(&key, owner_type, owner_id))
    }));
    atoms
}
