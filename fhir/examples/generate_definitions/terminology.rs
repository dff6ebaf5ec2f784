//! Gathers CodeSystem, ValueSet and ConceptMap, without what no terminology operation needs.

use serde_json::{Map, Value};

use crate::package::{Package, text};

/// Members of the resource itself that say who made it and for whom; the operations need none of them.
const DROPPED: [&str; 21] = [
    "resourceType",
    "id",
    "meta",
    "text",
    "identifier",
    "contact",
    "publisher",
    "date",
    "useContext",
    "jurisdiction",
    "experimental",
    "copyright",
    "purpose",
    "immutable",
    "description",
    "language",
    "contained",
    "lockedDate",
    "implicitRules",
    "requirements",
    "count",
];

/// One resource a line: type, address and JSON, with tabs between. Definitions of single concepts are left out: they are half of all
/// bytes, and what a code means to a program is its display and its place.
pub(crate) fn lines(package: &Package) -> Result<Vec<u8>, serde_json::Error> {
    let mut lines = Vec::new();
    for resource_type in ["CodeSystem", "ConceptMap", "ValueSet"] {
        for resource in package.of_type(resource_type) {
            let url = text(resource, "url").unwrap_or_default();
            lines.extend_from_slice(format!("{resource_type}\t{url}\t").as_bytes());
            serde_json::to_writer(&mut lines, &slim(resource))?;
            lines.push(b'\n');
        }
    }
    Ok(lines)
}

fn slim(resource: &Value) -> Value {
    let Value::Object(members) = resource else { return resource.clone() };
    let kept = members.iter().filter(|(name, _)| !DROPPED.contains(&name.as_str()));
    kept.map(|(name, value)| (name.clone(), below(value))).filter(|(name, _)| is_kept(name)).collect()
}

fn below(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(below).collect()),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(name, _)| is_kept(name) && *name != "definition")
                .map(|(name, value)| (name.clone(), below(value)))
                .collect::<Map<_, _>>(),
        ),
        other => other.clone(),
    }
}

fn is_kept(name: &str) -> bool {
    name != "extension" && !name.starts_with('_')
}
