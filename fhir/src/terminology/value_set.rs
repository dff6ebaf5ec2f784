//! A value set as it is defined: what it includes and excludes (R4 valueset.html#compositions).

use super::code_system::{Designation, designations, text};
use crate::json::Value;

/// A value set.
#[derive(Clone, Debug, Default)]
pub struct ValueSet {
    /// Canonical address, without version.
    pub url: String,
    /// Business version.
    pub version: Option<String>,
    /// Name of the definition.
    pub name: Option<String>,
    /// Title of the definition.
    pub title: Option<String>,
    /// `draft`, `active`, `retired` or `unknown`.
    pub status: String,
    /// Whether inactive codes belong to it; they do where nothing is said.
    pub has_inactive: bool,
    /// Whether anything says which codes it has.
    pub is_defined: bool,
    /// What it has.
    pub include: Vec<Part>,
    /// What of that it has not.
    pub exclude: Vec<Part>,
}

/// A part of a composition: all conditions of it hold at the same time.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// The code system.
    pub system: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Codes, where they are listed.
    pub concepts: Vec<Listed>,
    /// Conditions on the concepts of the system.
    pub filters: Vec<Filter>,
    /// Value sets that a code must be in as well.
    pub value_sets: Vec<String>,
}

/// A listed code.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// The code.
    pub code: String,
    /// The display in this value set.
    pub display: Option<String>,
    /// Other words in this value set.
    pub designations: Vec<Designation>,
}

/// A condition on concepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// `concept`, or the code of a property.
    pub property: String,
    /// The operation, as R4 writes it.
    pub op: String,
    /// What it is compared with.
    pub value: String,
}

impl ValueSet {
    /// All codes of a system.
    pub fn of_system(url: &str, system: &str) -> Self {
        let part = Part { system: Some(system.to_owned()), ..Part::default() };
        Self {
            url: url.to_owned(),
            status: "active".to_owned(),
            has_inactive: true,
            is_defined: true,
            include: vec![part],
            ..Self::default()
        }
    }

    /// All codes of a system, in the version that is asked for.
    pub fn of_version(canonical: &super::Canonical, system: &str) -> Self {
        let mut set = Self::of_system(&canonical.url, system);
        set.version.clone_from(&canonical.version);
        set.include.iter_mut().for_each(|part| part.version.clone_from(&canonical.version));
        set
    }

    /// Reads a ValueSet resource. One without a composition has the codes of its stored expansion.
    pub fn read(resource: Value<'_>) -> Self {
        let compose = resource.get("compose");
        let parts = |name| {
            let rows = compose.and_then(|compose| compose.get(name));
            rows.into_iter().flat_map(Value::items).map(part).collect::<Vec<_>>()
        };
        let inactive = compose.and_then(|compose| compose.get("inactive")).and_then(Value::as_bool);
        let include = match compose {
            Some(_) => parts("include"),
            None => expanded(resource),
        };
        Self {
            url: text(resource, "url").unwrap_or_default(),
            version: text(resource, "version"),
            name: text(resource, "name"),
            title: text(resource, "title"),
            status: text(resource, "status").unwrap_or_else(|| "unknown".to_owned()),
            has_inactive: inactive != Some(false),
            is_defined: compose.is_some() || resource.get("expansion").is_some(),
            include,
            exclude: parts("exclude"),
        }
    }
}

fn part(row: Value<'_>) -> Part {
    let items = |name| row.get(name).into_iter().flat_map(Value::items);
    Part {
        system: text(row, "system"),
        version: text(row, "version"),
        concepts: items("concept").filter_map(listed).collect(),
        filters: items("filter")
            .map(|filter| Filter {
                property: text(filter, "property").unwrap_or_default(),
                op: text(filter, "op").unwrap_or_default(),
                value: text(filter, "value").unwrap_or_default(),
            })
            .collect(),
        value_sets: items("valueSet").filter_map(Value::as_str).map(std::borrow::Cow::into_owned).collect(),
    }
}

fn listed(row: Value<'_>) -> Option<Listed> {
    Some(Listed { code: text(row, "code")?, display: text(row, "display"), designations: designations(row) })
}

/// Levels of nested entries of a stored expansion that are read.
const NESTING_MAX: usize = 32;

fn expanded(resource: Value<'_>) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    if let Some(expansion) = resource.get("expansion") {
        add_expanded(expansion, &mut parts, 0);
    }
    parts
}

fn add_expanded(parent: Value<'_>, parts: &mut Vec<Part>, depth: usize) {
    if depth > NESTING_MAX {
        return;
    }
    for row in parent.get("contains").into_iter().flat_map(Value::items) {
        let is_abstract = row.get("abstract").and_then(Value::as_bool) == Some(true);
        if let (Some(system), Some(listed), false) = (text(row, "system"), listed(row), is_abstract) {
            match parts.iter_mut().find(|part| part.system.as_ref() == Some(&system)) {
                Some(part) => part.concepts.push(listed),
                None => {
                    parts.push(Part { system: Some(system), concepts: vec![listed], ..Part::default() });
                }
            }
        }
        add_expanded(row, parts, depth + 1);
    }
}
