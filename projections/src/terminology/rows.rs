//! From a resource to its rows: pure.

use anamnesis_events::Event;
use anamnesis_fhir::json::{Document, Limits, Value, quote};
use anamnesis_fhir::terminology::words;
use sha2::{Digest, Sha256};

use super::WHOLE_MAX;
use super::fragments::FRAGMENT_NESTING_MAX;
use crate::Poison;

/// The types that are terminology.
pub(super) const TYPES: [&str; 3] = ["CodeSystem", "ConceptMap", "ValueSet"];

/// What one resource is found by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(super) kind: String,
    pub(super) url: String,
    pub(super) version: Option<String>,
    pub(super) content: Option<String>,
    /// How many concepts the code system says that it has.
    pub(super) declared: Option<i64>,
    /// How many this resource has.
    pub(super) count: i64,
    pub(super) value_set: Option<String>,
    pub(super) source: Option<String>,
    pub(super) target: Option<String>,
    /// Concepts for the tables; none of a small system, which is read from the log.
    pub(super) concepts: Vec<ConceptRow>,
    pub(super) edges: Vec<(String, String)>,
}

/// A concept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ConceptRow {
    pub(super) code: String,
    pub(super) body: String,
    pub(super) words: String,
}

/// The rows of an event; nothing for other types, for what has no body, and where there is no address to be found by.
pub(crate) fn definition(log: i16, event: &Event) -> Result<Option<Definition>, Poison> {
    let kind = &*event.key.resource_type;
    if !event.has_body() || !TYPES.contains(&kind) {
        return Ok(None);
    }
    let document = Document::parse(event.payload.to_vec(), &Limits::default())
        .map_err(|error| Poison::new(error.to_string()))?;
    let root = document.root();
    let Some(url) = text(root, "url") else { return Ok(None) };
    let either = |uri, canonical| text(root, canonical).or_else(|| text(root, uri));
    let mut found = Definition {
        kind: kind.to_owned(),
        version: text(root, "version"),
        content: text(root, "content"),
        declared: root.get("count").and_then(Value::number).and_then(|count| count.parse().ok()),
        value_set: text(root, "valueSet").filter(|_| kind == "CodeSystem"),
        source: either("sourceUri", "sourceCanonical"),
        target: either("targetUri", "targetCanonical"),
        ..Definition::default()
    };
    if kind == "CodeSystem" {
        let mark = mark(system(log, &url));
        found.add(root, None, &mark, 0);
        found.count = i64::try_from(found.concepts.len()).unwrap_or(i64::MAX);
        let is_part = found.content.as_deref() == Some("fragment");
        if !is_part && found.concepts.len() <= WHOLE_MAX {
            found.concepts.clear();
            found.edges.clear();
        }
    }
    found.url = url;
    Ok(Some(found))
}

impl Definition {
    fn add(&mut self, parent: Value<'_>, above: Option<&str>, mark: &str, depth: usize) {
        if depth > FRAGMENT_NESTING_MAX {
            return;
        }
        for row in parent.get("concept").into_iter().flat_map(Value::items) {
            let Some(code) = text(row, "code") else { continue };
            let display = text(row, "display").unwrap_or_default();
            let designations = row.get("designation").into_iter().flat_map(Value::items);
            let mut all: Vec<String> = words(&display);
            all.extend(words(&code));
            all.extend(designations.filter_map(|row| text(row, "value")).flat_map(|text| words(&text)));
            all.push(mark.to_owned());
            self.concepts.push(ConceptRow { code: code.clone(), body: body(row), words: all.join(" ") });
            self.edges.extend(above.map(|above| (above.to_owned(), code.clone())));
            for property in row.get("property").into_iter().flat_map(Value::items) {
                let Some(other) = text(property, "valueCode") else { continue };
                match text(property, "code").as_deref() {
                    Some("parent" | "subsumedBy") => self.edges.push((other, code.clone())),
                    Some("child") => self.edges.push((code.clone(), other)),
                    _ => {}
                }
            }
            self.add(row, Some(&code), mark, depth + 1);
        }
    }
}

/// The concept without those nested in it.
fn body(row: Value<'_>) -> String {
    let members = row.members().filter(|(name, _)| name != "concept");
    let members: Vec<String> =
        members.map(|(name, value)| format!("{}:{}", quoted(&name), value.raw())).collect();
    format!("{{{}}}", members.join(","))
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    String::from_utf8(quote(text)).unwrap_or_default()
}

fn text(value: Value<'_>, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(std::borrow::Cow::into_owned)
}

/// Names a code system of a log in the tables: the first eight bytes of a hash, so that nobody can make two meet.
pub(super) fn system(log: i16, url: &str) -> i64 {
    let mut hash = Sha256::new();
    hash.update(log.to_be_bytes());
    hash.update(url);
    let digest: [u8; 32] = hash.finalize().into();
    i64::from_be_bytes(digest.first_chunk().copied().unwrap_or_default())
}

/// The word that all concepts of a system have, so that one index serves a filter and the system.
pub(super) fn mark(system: i64) -> String {
    format!("_{system:016x}")
}
