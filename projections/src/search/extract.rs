//! From a resource to what it is found by: every search parameter's values, each to the file of its type.

use std::collections::HashMap;

use anamnesis_fhir::definitions;
use anamnesis_fhir::json::{Document, Limits};
use anamnesis_fhir::search::{Extracted, SearchParameter, SearchParameterKind, SearchRegistry};

use super::alias::Aliases;
use super::entries::Entries;
use super::key::{Class, ParameterKey};
use super::{date, number, quantity, reference, string, token, uri};
use crate::Poison;

/// Parameters that are indexed with every resource.
const SPECIAL: [&str; 2] = ["_id", "_lastUpdated"];

/// Knows the keys of all parameters of a log that are indexed.
#[derive(Debug)]
pub(crate) struct Extractor {
    registry: SearchRegistry,
    log: i16,
    keys: HashMap<&'static str, HashMap<String, ParameterKey>>,
}

impl Extractor {
    pub(crate) fn new(registry: SearchRegistry, log: i16) -> Self {
        let aliases = Aliases::of(&registry);
        let of_type = |name: &&'static str| {
            let indexed = registry.parameters(name).iter();
            let indexed = indexed.filter(|parameter| aliases.get(name, parameter.code()).is_none());
            let key = |parameter: &std::sync::Arc<SearchParameter>| {
                (parameter.code().to_owned(), ParameterKey::new(log, name, parameter.code()))
            };
            (*name, indexed.map(key).collect())
        };
        let keys = definitions::r4().resource_types().iter().map(of_type).collect();
        Self { registry, log, keys }
    }

    /// What the resource is found by.
    ///
    /// # Errors
    /// [`Poison`] where the payload is no resource of the type.
    pub(crate) fn entries(&self, resource_type: &str, id: &str, payload: &[u8]) -> Result<Entries, Poison> {
        let document =
            Document::parse(payload, &Limits::default()).map_err(|error| Poison::new(error.to_string()))?;
        let root = document.root();
        if root.get("resourceType").and_then(|name| name.as_str()).as_deref() != Some(resource_type) {
            return Err(Poison::new(format!("the payload is no {resource_type}")));
        }
        let keys = self.keys.get(resource_type);
        let keys = keys.ok_or_else(|| Poison::new(format!("{resource_type} is no resource type of R4")))?;
        let mut entries = Entries::default();
        reference::index_targets(self.log, resource_type, id, root, &mut entries);
        self.registry.extract_all(resource_type, root, |parameter, extracted| {
            if let Some(key) = keys.get(parameter.code()) {
                index(key, parameter, extracted, &mut entries);
            }
        });
        entries.finish();
        Ok(entries)
    }
}

fn index(key: &ParameterKey, parameter: &SearchParameter, extracted: Extracted<'_>, entries: &mut Entries) {
    if SPECIAL.contains(&parameter.code()) {
        return;
    }
    match parameter.kind() {
        SearchParameterKind::Date => return date::index(key, extracted, entries),
        SearchParameterKind::Number => return number::index(key, extracted, entries),
        SearchParameterKind::Quantity => return quantity::index(key, extracted, entries),
        SearchParameterKind::Token => token::index(key, extracted, entries),
        SearchParameterKind::Reference => reference::index(key, extracted, entries),
        SearchParameterKind::String => string::index(key, extracted, entries),
        SearchParameterKind::Uri => uri::index(key, parameter.code(), extracted, entries),
        SearchParameterKind::Composite | SearchParameterKind::Special => return,
    }
    entries.token(key, Class::Present, &[]);
}
