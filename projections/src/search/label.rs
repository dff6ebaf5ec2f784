//! The texts of codes and references, for `:text` (R4 search.html#modifiers): displays and texts of concepts, displays
//! of references, texts of the types of identifiers.
//!
//! Thousands of resources share such a text. So it stands once in a table of labels, and a resource has a token of it among
//! its others. A query looks up the labels that are meant and asks for their tokens. A label counts the rows that have its
//! token, and goes with the last of them: of what was erased nothing may stay readable.

use std::collections::BTreeMap;

use anamnesis_fhir::json::Value;
use sha2::{Digest, Sha256};

use super::atom::{Atom, Criterion, Yield};
use super::entries::{Entries, LabelEntry};
use super::key::{Class, ParameterKey, key_of};
use super::string::BEYOND;
use super::target::TARGET_MIN;
use super::value::{Asked, Refusal, unescape};
use super::words;

/// Tokens of labels begin here and end before [`TARGET_MIN`]. Other tokens may lie there too, one in eight: it only spares
/// most of them the look at the table.
pub(super) const LABEL_MIN: i64 = 3 << 60;
/// Characters of a label; it is also what a B-tree's page takes.
const LENGTH_MAX: usize = 200;
/// The first words of a label can be what is asked for. Each is a row of the table.
const WORDS_MAX: usize = 32;

/// Some labels: those with a word from which on they begin like this.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LabelsAtom {
    /// The family of the parameter's labels.
    pub(crate) key: i64,
    /// Words with single spaces between them; the last may go on.
    pub(crate) text: String,
}

impl LabelsAtom {
    /// What is greater than all that begins so.
    pub(super) fn beyond(&self) -> String {
        format!("{}{BEYOND}", self.text)
    }

    /// Whether a label is one of those.
    pub(super) fn has(&self, label: &LabelEntry) -> bool {
        label.key == self.key && beginnings(&label.text).any(|rest| rest.starts_with(&self.text))
    }
}

/// Adds the texts of a code: of a concept, a coding or an identifier.
pub(super) fn index_code(key: &ParameterKey, fhir_type: &str, value: Value<'_>, entries: &mut Entries) {
    let mut add = |holder: Value<'_>, name: &str| {
        if let Some(text) = holder.get(name).and_then(Value::as_str) {
            index(key, &text, entries);
        }
    };
    match fhir_type {
        "Coding" => add(value, "display"),
        "CodeableConcept" => {
            add(value, "text");
            value.get("coding").into_iter().flat_map(Value::items).for_each(|coding| add(coding, "display"));
        }
        "Identifier" => value.get("type").into_iter().for_each(|of_type| add(of_type, "text")),
        _ => {}
    }
}

/// Adds the text of a reference.
pub(super) fn index_reference(key: &ParameterKey, reference: Value<'_>, entries: &mut Entries) {
    if let Some(text) = reference.get("display").and_then(Value::as_str) {
        index(key, &text, entries);
    }
}

fn index(key: &ParameterKey, text: &str, entries: &mut Entries) {
    let text: String = words::joined(text).chars().take(LENGTH_MAX).collect();
    if !text.is_empty() {
        let key = key.of(Class::Label, &[]);
        entries.labels.push(LabelEntry { key, token: token(key, &text), text });
    }
}

/// The token of resources that have this label.
fn token(key: i64, text: &str) -> i64 {
    let mut hash = Sha256::new();
    hash.update("label");
    hash.update(key.to_be_bytes());
    hash.update(text);
    LABEL_MIN | (key_of(hash) & (TARGET_MIN - 1 - LABEL_MIN))
}

/// What is left of a label from each of its first words on.
pub(super) fn beginnings(text: &str) -> impl Iterator<Item = &str> {
    let later = text.match_indices(' ').filter_map(|(at, _)| text.get(at + 1..));
    std::iter::once(text).chain(later).take(WORDS_MAX)
}

/// What a query asks with `:text`: how a text begins, or from one of its words on.
pub(super) fn criterion(asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    if asked.parameter.is_primitive() {
        return Err(Refusal::Modifier("its values have no texts for the modifier :text".to_owned()));
    }
    let key = asked.key.of(Class::Label, &[]);
    let mut any = Vec::with_capacity(asked.values.len());
    for value in asked.values {
        let text = words::joined(&unescape(value));
        if text.is_empty() {
            return Err(Refusal::BadValue("a text of more than spaces is wanted".to_owned()));
        }
        if text.chars().count() > LENGTH_MAX {
            return Err(Refusal::BadValue(format!("texts are searched up to {LENGTH_MAX} characters")));
        }
        any.push(Atom::Labels(LabelsAtom { key, text }));
    }
    Ok(Criterion::any(any, Yield::Many))
}

/// Labels and how many rows have each, by token: always in the same order, so that no two writers wait for each other.
#[derive(Debug, Default)]
pub(super) struct Uses<'a>(BTreeMap<i64, (&'a LabelEntry, i64)>);

impl<'a> Uses<'a> {
    /// Counts a row.
    pub(super) fn add(&mut self, entries: &'a Entries) {
        for label in &entries.labels {
            self.0.entry(label.token).or_insert((label, 0)).1 += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a LabelEntry, i64)> {
        self.0.values().copied()
    }

    pub(super) fn get(&self, token: i64) -> Option<&'a LabelEntry> {
        self.0.get(&token).map(|(label, _)| *label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_labels_have_their_range() {
        for number in 0..200 {
            let token = token(number, "heart rate");
            assert!((LABEL_MIN..TARGET_MIN).contains(&token), "{token}");
        }
        assert_ne!(token(1, "a"), token(2, "a"));
    }

    #[test]
    fn a_label_begins_with_each_of_its_first_words() {
        assert_eq!(beginnings("a bc d").collect::<Vec<_>>(), ["a bc d", "bc d", "d"]);
        assert_eq!(beginnings(&"a ".repeat(100)).count(), WORDS_MAX);
    }
}
