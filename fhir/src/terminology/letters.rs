//! Codes whose letters are not told apart: those of code systems with `caseSensitive: false` (R4 codesystem-definitions.html).

use std::borrow::Cow;

/// A code in lower case, letter by letter: the same for all spellings of it.
#[must_use]
pub fn folded(code: &str) -> String {
    code.chars().flat_map(char::to_lowercase).collect()
}

/// Whether two codes are spellings of the same one.
#[must_use]
pub fn is_same_folded(left: &str, right: &str) -> bool {
    left == right || left.chars().flat_map(char::to_lowercase).eq(right.chars().flat_map(char::to_lowercase))
}

/// A code as it is compared in a system.
pub(super) fn key(code: &str, is_case_sensitive: bool) -> Cow<'_, str> {
    if is_case_sensitive { Cow::Borrowed(code) } else { Cow::Owned(folded(code)) }
}

/// The spellings of a code that are looked for where it cannot be looked for by its letters: as it is written, as its
/// system defines it, all lower case, all upper case. The first one is left out.
pub(super) fn other_spellings(code: &str, defined: &str) -> Vec<String> {
    let upper = code.chars().flat_map(char::to_uppercase).collect();
    let mut others = vec![defined.to_owned(), folded(code), upper];
    others.sort_unstable();
    others.dedup();
    others.retain(|other| other != code);
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_code_are_the_same() {
        for (left, right, is_same) in [
            ("aBc-1", "Abc-1", true),
            ("ÄÖ", "äö", true),
            ("ΑΣ", "ας", false),
            ("ΑΣ", "ασ", true),
            ("abc", "ab", false),
            ("", "", true),
            ("a", "á", false),
        ] {
            assert_eq!(is_same_folded(left, right), is_same, "{left} {right}");
            assert_eq!(folded(left) == folded(right), is_same, "{left} {right}");
        }
        assert_eq!((key("Ab", true), key("Ab", false)), ("Ab".into(), "ab".into()));
    }

    #[test]
    fn each_other_spelling_is_there_once() {
        assert_eq!(other_spellings("aB", "Ab"), ["AB", "Ab", "ab"]);
        assert_eq!(other_spellings("ab", "ab"), ["AB"]);
        assert_eq!(other_spellings("12-3", "12-3"), Vec::<String>::new());
    }
}
