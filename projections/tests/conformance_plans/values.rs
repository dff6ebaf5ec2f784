//! What is asked of a parameter: a value that one of the resources has, or else one that none has.

use anamnesis_fhir::search::{SearchParameter, SearchParameterKind as Kind, SearchRegistry};
use serde_json::Value;

use crate::naive::{Resource, Typed, labels, texts};

/// `None` for parameters that have no expression, and composites of which no resource has all parts.
pub(crate) fn of(parameter: &SearchParameter, resources: &[&Resource]) -> Option<String> {
    match (parameter.code(), parameter.kind()) {
        ("_id", _) => return Some(resources.first()?.id().to_owned()),
        ("_lastUpdated", _) => return Some("gt2100".to_owned()),
        _ if !parameter.has_expression() => return None,
        (_, Kind::Composite) => return resources.iter().find_map(|resource| composite(parameter, resource)),
        _ => {}
    }
    let of_resource = |resource: &&Resource| one(parameter, resource);
    resources.iter().find_map(of_resource).or_else(|| nobodys(parameter).map(str::to_owned))
}

/// A text that a code or a reference of one of the resources has.
pub(crate) fn label(parameter: &SearchParameter, resources: &[&Resource]) -> Option<String> {
    let has_labels = matches!(parameter.kind(), Kind::Token | Kind::Reference) && !parameter.is_primitive();
    if !has_labels || !parameter.has_expression() || parameter.code() == "_id" {
        return None;
    }
    let of_resource = |resource: &&Resource| resource.values(parameter).iter().flat_map(labels).next();
    resources.iter().find_map(of_resource).map(|label| escaped(&label))
}

fn one(parameter: &SearchParameter, resource: &Resource) -> Option<String> {
    resource.values(parameter).iter().find_map(|value| text(parameter.kind(), value))
}

fn composite(parameter: &SearchParameter, resource: &Resource) -> Option<String> {
    let parts = parameter.components().iter().map(|part| {
        let part = SearchRegistry::r4().get(&resource.resource_type, part.code())?;
        one(part, resource)
    });
    Some(parts.collect::<Option<Vec<_>>>()?.join("$"))
}

/// What no resource has.
fn nobodys(parameter: &SearchParameter) -> Option<&'static str> {
    Some(match parameter.kind() {
        Kind::Token | Kind::String => "nobodys",
        Kind::Date => "1850-01-01",
        Kind::Number => "123456.789",
        Kind::Quantity => "123456.789|http://unitsofmeasure.org|mg",
        Kind::Reference => "Patient/nobodys",
        Kind::Uri => "http://example.org/nobodys",
        Kind::Special => "10|10|1|km",
        Kind::Composite => return None,
    })
}

fn text(kind: Kind, typed: &Typed) -> Option<String> {
    let (name, value) = typed;
    let plain = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    match kind {
        Kind::Token => {
            let coded = if name == "CodeableConcept" { &value["coding"][0] } else { value };
            let code = plain(coded).or_else(|| plain(&coded["code"])).or_else(|| plain(&coded["value"]))?;
            Some(escaped(&code))
        }
        Kind::String => texts(typed).first().map(|text| escaped(text)),
        Kind::Date if name == "string" => None,
        Kind::Date => plain(value).or_else(|| plain(&value["start"])).or_else(|| plain(&value["event"][0])),
        Kind::Number => plain(value),
        Kind::Quantity => quantity(value),
        Kind::Reference => plain(value).or_else(|| plain(&value["reference"])).map(|text| escaped(&text)),
        Kind::Uri => plain(value).map(|text| escaped(&text)),
        Kind::Special => {
            let degrees = |name: &str| value[name].as_f64().filter(|degrees| degrees.abs() <= 90.0);
            Some(format!("{}|{}|1|km", degrees("latitude")?, degrees("longitude")?))
        }
        Kind::Composite => None,
    }
}

fn quantity(value: &Value) -> Option<String> {
    let number = value["value"].as_f64()?;
    let part = |name: &str| value[name].as_str();
    Some(match (part("system"), part("code")) {
        (Some(system), Some(code)) => format!("{number}|{system}|{code}"),
        _ => return None,
    })
}

fn escaped(text: &str) -> String {
    ['\\', ',', '|', '$'].iter().fold(text.to_owned(), |text, one| text.replace(*one, &format!("\\{one}")))
}
