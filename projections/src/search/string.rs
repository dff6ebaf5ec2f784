//! String parameters (R4 search.html#string): beginnings of texts without regard to case, accents and punctuation.

use anamnesis_fhir::json::Value;
use anamnesis_fhir::search::Extracted;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::Modifier;
use super::atom::{Atom, Criterion, Yield};
use super::entries::Entries;
use super::key::{Class, ParameterKey, pieces_of};
use super::value::{Asked, Refusal, unescape};

/// Texts are sorted by up to this many characters, and asked for by as many; many more would not fit a B-tree's page.
const TEXT_LENGTH_MAX: usize = 200;
/// What is longer is also kept in pieces of twice that length, each of which begins in the middle of the one before: what
/// is asked for stands in one of them as a whole.
const PIECE_LENGTH: usize = 2 * TEXT_LENGTH_MAX;
/// Pieces of one text, of some 13,000 characters: beyond that nothing is found.
const PIECES_MAX: usize = 64;
/// Follows every text that begins with a given one.
pub(super) const BEYOND: char = '\u{10ffff}';
/// From this many characters on the beginning of a text is expected to leave few resources.
const SELECTIVE_LENGTH_MIN: usize = 3;

/// The parts of a name and of an address that are searched.
const NAME_PARTS: [&str; 5] = ["family", "given", "prefix", "suffix", "text"];
const ADDRESS_PARTS: [&str; 7] = ["line", "city", "district", "state", "postalCode", "country", "text"];

/// Adds what a value is found by.
pub(super) fn index(key: &ParameterKey, extracted: Extracted<'_>, entries: &mut Entries) {
    let value = extracted.value;
    let family = key.of(Class::Folded, &[]);
    let mut add = |text: Value<'_>| {
        if let Some(text) = text.as_str() {
            entries.token(key, Class::Exact, &[&text]);
            let folded: Vec<char> = fold(&text).chars().collect();
            entries.text(family, folded.iter().take(TEXT_LENGTH_MAX).collect());
            if folded.len() > TEXT_LENGTH_MAX {
                pieces(&folded).for_each(|piece| entries.text(pieces_of(family), piece));
            }
        }
    };
    match extracted.fhir_type {
        "HumanName" => parts(value, &NAME_PARTS, &mut add),
        "Address" => parts(value, &ADDRESS_PARTS, &mut add),
        _ => add(value),
    }
}

fn pieces(text: &[char]) -> impl Iterator<Item = String> {
    let beginnings = (0..text.len().saturating_sub(TEXT_LENGTH_MAX)).step_by(TEXT_LENGTH_MAX);
    beginnings.take(PIECES_MAX).map(|begin| text.iter().skip(begin).take(PIECE_LENGTH).collect())
}

fn parts(value: Value<'_>, names: &[&str], add: &mut impl FnMut(Value<'_>)) {
    for part in names.iter().filter_map(|name| value.get(name)) {
        part.items().for_each(&mut *add);
        add(part);
    }
}

/// What a query asks: how a text begins; with `:exact` the very text, with `:contains` a piece of it.
pub(super) fn criterion(asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    let family = family(asked.key);
    let mut atoms = Vec::new();
    let mut expected = Yield::Some;
    for value in asked.values {
        let value = unescape(value);
        let text = fold(&value);
        let length = text.chars().count();
        if matches!(asked.modifier, Modifier::None | Modifier::Contains) {
            if text.is_empty() {
                // Every text begins with nothing: what is meant for some would be done to all.
                return Err(Refusal::BadValue("a text of more than spaces is wanted".to_owned()));
            }
            if length > TEXT_LENGTH_MAX {
                let most = format!("texts are searched up to {TEXT_LENGTH_MAX} characters");
                return Err(Refusal::BadValue(most));
            }
        }
        match asked.modifier {
            Modifier::None => {
                expected = if length < SELECTIVE_LENGTH_MIN { Yield::Many } else { expected };
                atoms.push(Atom::Starts { key: family, text });
            }
            Modifier::Contains => {
                expected = Yield::Most;
                atoms.push(Atom::Contains { key: family, text });
            }
            Modifier::Exact => {
                expected = Yield::Few;
                atoms.push(Atom::Token(asked.key.of(Class::Exact, &[&value])));
            }
            _ => return Err(asked.unsupported_modifier()),
        }
    }
    Ok(Criterion::any(atoms, expected))
}

/// The family of a parameter's folded texts, by which results are sorted too.
pub(super) fn family(key: &ParameterKey) -> i64 {
    key.of(Class::Folded, &[])
}

/// A text as it is compared: no case, no accents, no punctuation, single spaces, none at the ends. A text of nothing
/// but punctuation keeps it.
#[must_use]
pub fn fold(text: &str) -> String {
    let plain: String = text.chars().filter(|character| !is_punctuation(*character)).collect();
    let folded = fold_all(&plain);
    if folded.is_empty() { fold_all(text) } else { folded }
}

/// Hyphens, apostrophes, stops, quotation marks, brackets and their like; not the signs of sums and money.
fn is_punctuation(character: char) -> bool {
    match character {
        '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~' => false,
        '¡' | '§' | '«' | '¶' | '·' | '»' | '¿' => true,
        '\u{2010}'..='\u{2027}'
        | '\u{2030}'..='\u{205e}'
        | '\u{3001}'..='\u{3003}'
        | '\u{3008}'..='\u{3011}' => true,
        other => other.is_ascii_punctuation(),
    }
}

/// The same with its punctuation.
pub(super) fn fold_all(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        if word.is_ascii() {
            folded.extend(word.chars().map(|letter| letter.to_ascii_lowercase()));
        } else {
            let letters = word.nfkd().filter(|letter| !is_combining_mark(*letter));
            letters.flat_map(char::to_lowercase).for_each(|letter| push_base(letter, &mut folded));
        }
    }
    // Postgres takes no NUL in a text.
    if folded.contains('\0') { folded.replace('\0', "\u{fffd}") } else { folded }
}

/// Letters that carry a stroke or are two in one have no decomposition in Unicode.
fn push_base(letter: char, folded: &mut String) {
    match letter {
        'ß' => folded.push_str("ss"),
        'æ' => folded.push_str("ae"),
        'œ' => folded.push_str("oe"),
        'ø' => folded.push('o'),
        'ł' => folded.push('l'),
        'đ' | 'ð' => folded.push('d'),
        'þ' => folded.push_str("th"),
        'ı' => folded.push('i'),
        'ς' => folded.push('σ'),
        other => folded.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn case_accents_and_spaces_do_not_count() {
        assert_eq!(fold("  Müller-LÜDENSCHEIDT\t Ångström "), "mullerludenscheidt angstrom");
        assert_eq!(fold("Straße"), "strasse");
        assert_eq!(fold("Łódź Øre İstanbul"), "lodz ore istanbul");
        assert_eq!(fold("ΟΔΟΣ"), fold("οδος"));
        assert_eq!(fold("e\u{301}"), fold("é"));
    }

    #[test]
    fn punctuation_does_not_count() {
        assert_eq!(fold("O'Neil"), fold("ONEIL"));
        assert_eq!(fold("O’Neil, St. John - Smith"), "oneil st john smith");
        assert_eq!(fold("+ 5 < 6"), "+ 5 < 6");
        assert_eq!(fold(" -- "), "--");
    }
}
