//! The words of texts, for `_text` and `_content` (R4 search.html#text): each is a token among the others of its resource.
//!
//! They are there only in versions of the index that were made with them ([`super::CustomParameters::with_full_text`]). A word
//! has one token: as one of the narrative, or else as one of the rest. `_content` asks for either.

use std::collections::HashSet;

use anamnesis_fhir::json::Value;
use anamnesis_fhir::texts::{Text, each_text};

use super::entries::Entries;
use super::key::{Class, ParameterKey};
use super::words;

/// Words of the narrative.
const TEXT: &str = "_text";
/// Words of the whole resource.
const CONTENT: &str = "_content";
/// Different words of a narrative, and of the rest, that are found; the largest book of medicine has some more, and a row
/// would be too large with all words that a body of 64 MiB can have.
const WORDS_MAX: usize = 10_000;

/// Whether the parameter with this code asks for words of texts: `_text` and `_content` do.
#[must_use]
pub fn asks_for_words(code: &str) -> bool {
    matches!(code, TEXT | CONTENT)
}

/// Makes the tokens of the words of one resource type in one log.
pub(super) struct WordKeys {
    narrative: ParameterKey,
    rest: ParameterKey,
}

impl WordKeys {
    pub(super) fn new(log: i16, resource_type: &str) -> Self {
        let key = |code| ParameterKey::new(log, resource_type, code);
        Self { narrative: key(TEXT), rest: key(CONTENT) }
    }

    /// The tokens by which a parameter asks for a word.
    pub(super) fn tokens(&self, code: &str, word: &str) -> Vec<i64> {
        let keys = if code == TEXT { vec![&self.narrative] } else { vec![&self.narrative, &self.rest] };
        keys.into_iter().map(|key| key.of(Class::Word, &[word])).collect()
    }

    /// Adds the words of a resource.
    pub(super) fn index(&self, resource_type: &str, root: Value<'_>, entries: &mut Entries) {
        let (mut narrative, mut rest) = (HashSet::new(), HashSet::new());
        each_text(root, resource_type, &mut |text| {
            let (text, into) = match &text {
                Text::Narrative(text) => (text.as_str(), &mut narrative),
                Text::Element(text) => (&**text, &mut rest),
            };
            words::each(text, &mut |word| {
                if into.len() < WORDS_MAX && !into.contains(word) {
                    into.insert(word.to_owned());
                }
            });
        });
        narrative.iter().for_each(|word| entries.token(&self.narrative, Class::Word, &[word]));
        let rest = rest.iter().filter(|word| !narrative.contains(*word));
        rest.for_each(|word| entries.token(&self.rest, Class::Word, &[word]));
    }
}

#[cfg(test)]
mod tests {
    use anamnesis_fhir::json::{Document, Limits};

    use super::*;

    fn tokens(text: &str) -> Vec<i64> {
        let document = Document::parse(text, &Limits::default()).unwrap();
        let mut entries = Entries::default();
        WordKeys::new(1, "Patient").index("Patient", document.root(), &mut entries);
        entries.finish();
        entries.tokens
    }

    #[test]
    fn a_word_has_one_token_and_the_narrative_comes_first() {
        let found = tokens(
            r#"{"resourceType":"Patient","name":[{"text":"Ann ANN"},{"text":"Bo"}],"text":{"div":"<p>ann's</p> <b>Ann</b>"}}"#,
        );
        let keys = WordKeys::new(1, "Patient");
        let mut expected =
            [keys.tokens(TEXT, "ann"), keys.tokens(TEXT, "anns"), keys.tokens(CONTENT, "bo")].concat();
        // Of what `_content` asks for only that of the rest is there.
        expected.retain(|token| !keys.tokens(TEXT, "bo").contains(token));
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn words_are_bounded() {
        let text: String = (0..2 * WORDS_MAX).map(|number| format!("{number} ")).collect();
        assert_eq!(tokens(&format!(r#"{{"name":[{{"text":"{text}"}}]}}"#)).len(), WORDS_MAX);
    }
}
