//! A resource that has concepts of a code system, taken apart and put together again.

use std::collections::{HashMap, HashSet};

use anamnesis_fhir::json::{Document, Value};
use anamnesis_projections::terminology::FRAGMENT_MEMBERS;

use super::concept::{object, quoted};

/// A fragment, or a whole code system.
#[derive(Debug, Default)]
pub(super) struct Fragment {
    /// All members but the concepts.
    head: Vec<(String, String)>,
    /// Code and JSON of each concept, in order.
    concepts: Vec<(String, String)>,
    at: HashMap<String, usize>,
    /// Codes of concepts that are nested in others.
    nested: HashSet<String>,
    pub(super) bytes: usize,
    pub(super) is_changed: bool,
}

impl Fragment {
    pub(super) fn of(document: &Document) -> Self {
        let mut fragment = Self::default();
        for (name, value) in document.root().members() {
            if name != "concept" {
                fragment.head.push((name.into_owned(), value.raw().to_owned()));
            }
        }
        for row in document.root().get("concept").into_iter().flat_map(Value::items) {
            let code = row.get("code").and_then(Value::as_str).unwrap_or_default().into_owned();
            fragment.push(code, row.raw().to_owned());
            nested(row, &mut fragment.nested, 0);
        }
        fragment.is_changed = false;
        fragment
    }

    /// An empty one, of a system that says this about itself.
    pub(super) fn begin(about: &[(String, String)]) -> Self {
        let mut head = vec![("resourceType".to_owned(), quoted("CodeSystem"))];
        head.extend(about.iter().filter(|(name, _)| FRAGMENT_MEMBERS.contains(&name.as_str())).cloned());
        if !about.iter().any(|(name, _)| name == "status") {
            head.push(("status".to_owned(), quoted("active")));
        }
        head.push(("content".to_owned(), quoted("fragment")));
        Self { head, ..Self::default() }
    }

    /// What it says about the system.
    pub(super) fn about(&self) -> &[(String, String)] {
        &self.head
    }

    pub(super) fn len(&self) -> usize {
        self.concepts.len() + self.nested.len()
    }

    pub(super) fn has_nested(&self, code: &str) -> bool {
        self.nested.contains(code)
    }

    pub(super) fn get(&self, code: &str) -> Option<&str> {
        self.at.get(code).and_then(|at| self.concepts.get(*at)).map(|(_, raw)| raw.as_str())
    }

    pub(super) fn push(&mut self, code: String, raw: String) {
        self.bytes += raw.len() + 1;
        self.at.entry(code.clone()).or_insert(self.concepts.len());
        self.concepts.push((code, raw));
        self.is_changed = true;
    }

    pub(super) fn replace(&mut self, code: &str, raw: String) {
        let Some((_, known)) = self.at.get(code).and_then(|at| self.concepts.get_mut(*at)) else { return };
        self.bytes = self.bytes.saturating_sub(known.len()) + raw.len();
        *known = raw;
        self.is_changed = true;
    }

    /// Where it says how many concepts there are, says it again.
    pub(super) fn count_again(&mut self) {
        let count = self.len().to_string();
        self.head
            .iter_mut()
            .filter(|(name, _)| name == "count")
            .for_each(|(_, value)| value.clone_from(&count));
    }

    /// The resource.
    pub(super) fn json(&self) -> String {
        let concepts: Vec<&str> = self.concepts.iter().map(|(_, raw)| raw.as_str()).collect();
        let mut members = self.head.clone();
        if !concepts.is_empty() {
            members.push(("concept".to_owned(), format!("[{}]", concepts.join(","))));
        }
        object(&members)
    }
}

fn nested(row: Value<'_>, found: &mut HashSet<String>, depth: usize) {
    // Deeper ones are read by nobody.
    if depth > 32 {
        return;
    }
    for inner in row.get("concept").into_iter().flat_map(Value::items) {
        found.extend(inner.get("code").and_then(Value::as_str).map(std::borrow::Cow::into_owned));
        nested(inner, found, depth + 1);
    }
}
