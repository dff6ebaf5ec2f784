//! Writes the profiles and extensions of the package: what they ask for beyond R4's types, one definition a line.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::package::{Package, flag, items, text};
use crate::structures::is_base;

/// What is kept of a definition, behind its address.
const OF_DEFINITION: &[&str] = &["version", "name", "type", "baseDefinition", "context", "contextInvariant"];
/// What is kept of an element.
const OF_ELEMENT: &[&str] = &["id", "path", "sliceName", "slicing", "min", "max", "type", "maxLength"];
/// Choices that are kept of an element.
const CHOICES_OF_ELEMENT: &[&str] = &["fixed", "pattern", "minValue", "maxValue"];

/// The lines, sorted by address.
pub(crate) fn lines(package: &Package) -> String {
    let definitions = package.of_type("StructureDefinition");
    let base: HashMap<&str, &Value> = definitions
        .iter()
        .filter(|definition| is_base(definition))
        .flat_map(elements)
        .filter_map(|element| Some((text(element, "path")?, element)))
        .collect();
    let types: HashSet<&str> =
        definitions.iter().filter(|row| is_base(row)).filter_map(|row| text(row, "url")).collect();
    let mut lines = String::new();
    for definition in definitions.iter().filter(|row| text(row, "derivation") == Some("constraint")) {
        let Some(url) = text(definition, "url") else { continue };
        let kept = kept(definition, &base, &types);
        if kept.is_empty() {
            continue;
        }
        let mut row: Map<String, Value> = Map::new();
        for name in OF_DEFINITION {
            row.extend(definition.get(*name).map(|value| ((*name).to_owned(), value.clone())));
        }
        row.insert("snapshot".to_owned(), serde_json::json!({ "element": kept }));
        // The address stands first: it is what the reader looks for.
        let rest = Value::Object(row).to_string();
        lines.push_str(&format!("{{\"url\":{},{}\n", Value::from(url), rest.trim_start_matches('{')));
    }
    lines
}

fn elements(definition: &Value) -> &[Value] {
    definition.get("snapshot").map(|snapshot| items(snapshot, "element")).unwrap_or_default()
}

/// The elements that say something, and the root.
fn kept(definition: &Value, base: &HashMap<&str, &Value>, types: &HashSet<&str>) -> Vec<Value> {
    let elements = elements(definition).iter().enumerate();
    let rows = elements.filter_map(|(index, element)| {
        let row = compact(element, index == 0, types);
        let is_telling = index == 0 || says_more(element, &row, base);
        is_telling.then_some(Value::Object(row))
    });
    rows.collect()
}

fn compact(element: &Value, is_root: bool, types: &HashSet<&str>) -> Map<String, Value> {
    let mut row = Map::new();
    for (name, value) in element.as_object().into_iter().flatten() {
        let is_choice = CHOICES_OF_ELEMENT.iter().any(|choice| {
            name.strip_prefix(choice)
                .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase()))
        });
        if is_choice || OF_ELEMENT.contains(&name.as_str()) {
            row.insert(name.clone(), value.clone());
        }
    }
    if is_root && flag(element, "isModifier") {
        row.insert("isModifier".to_owned(), Value::Bool(true));
    }
    if let Some(binding) = element.get("binding") {
        let mut kept = binding.clone();
        if let Some(members) = kept.as_object_mut() {
            members.retain(|name, _| matches!(name.as_str(), "strength" | "valueSet" | "extension"));
        }
        row.insert("binding".to_owned(), kept);
    }
    let own = |constraint: &&Value| text(constraint, "source").is_none_or(|source| !types.contains(source));
    let constraints: Vec<Value> = items(element, "constraint")
        .iter()
        .filter(own)
        .map(|constraint| {
            let mut kept = constraint.clone();
            if let Some(members) = kept.as_object_mut() {
                members.retain(|name, _| {
                    matches!(name.as_str(), "key" | "severity" | "human" | "expression" | "source")
                });
            }
            kept
        })
        .collect();
    if !constraints.is_empty() {
        row.insert("constraint".to_owned(), Value::Array(constraints));
    }
    row
}

/// Whether an element asks for more than the element of R4 that it is.
fn says_more(element: &Value, row: &Map<String, Value>, base: &HashMap<&str, &Value>) -> bool {
    let of_base = element.get("base").and_then(|row| text(row, "path")).and_then(|path| base.get(path));
    let Some(of_base) = of_base else { return true };
    let differs = |name: &str| row.get(name).is_some_and(|own| of_base.get(name) != Some(own));
    let binding = |value: Option<&Value>| {
        let value = value?;
        Some((text(value, "strength")?.to_owned(), text(value, "valueSet")?.to_owned()))
    };
    let has_choice = row.keys().any(|name| CHOICES_OF_ELEMENT.iter().any(|choice| name.starts_with(choice)));
    has_choice
        || ["sliceName", "constraint", "maxLength"].iter().any(|name| row.contains_key(*name))
        || ["min", "max", "type"].iter().any(|name| differs(name))
        || (row.contains_key("slicing")
            && text(element, "path").is_some_and(|path| !path.ends_with("xtension")))
        || binding(row.get("binding")) != binding(of_base.get("binding"))
}
