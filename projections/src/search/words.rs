//! Texts as words: without regard to case, accents and punctuation.

use super::string::{fold, fold_all};

/// The words of a text, each of letters and digits, with single spaces between them. What is no letter and no digit parts
/// words, but for an apostrophe: `O'Neil` is one word, `non-small` are two. A text that has no word is as
/// [`fold`] gives it.
pub(super) fn joined(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    each(text, &mut |word| {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    });
    if words.is_empty() { fold(text) } else { words }
}

/// Hands over each word of a text, in order.
pub(super) fn each(text: &str, word: &mut impl FnMut(&str)) {
    let is_apostrophe = |character: char| matches!(character, '\'' | '’' | '\u{2bc}');
    let folded = match text.contains(is_apostrophe) {
        true => fold_all(&text.replace(is_apostrophe, "")),
        false => fold_all(text),
    };
    folded.split(|character: char| !character.is_alphanumeric()).filter(|one| !one.is_empty()).for_each(word);
}

#[cfg(test)]
mod tests {
    use super::joined;

    #[test]
    fn punctuation_parts_words_and_apostrophes_do_not() {
        assert_eq!(joined(" Severe, O'Neil–type  (non-small) Cell "), "severe oneil type non small cell");
        assert_eq!(joined("Straße 8.5 mg"), "strasse 8 5 mg");
        assert_eq!(joined("Müller’s"), joined("MULLERS"));
    }

    #[test]
    fn what_has_no_words_is_still_a_text() {
        assert_eq!((joined(" ++ "), joined("--"), joined("  ")), ("++".into(), "--".into(), String::new()));
    }
}
