//! What searches ask of code systems and value sets: `:in`, `:not-in`, `:above` and `:below` of tokens.

use std::fmt::Debug;

/// Which codes are meant by a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// Those that subsume it, and itself.
    Above,
    /// Those that it subsumes, and itself.
    Below,
}

/// Lists codes. Each list is whole: where it would be too long to be asked for in one search, that is an error, because a
/// part of it would answer another question.
pub trait CodeSets: Debug + Send + Sync {
    /// The codes of a value set: pairs of system and code, at most some thousand.
    ///
    /// # Errors
    /// What is wrong, for a person to read and without the value that was asked for: it is unknown, or too long.
    fn value_set(&self, url: &str) -> Result<Vec<(String, String)>, String>;

    /// The codes that are above or below a code of a code system, and the code itself: pairs of system and code.
    ///
    /// # Errors
    /// As with [`CodeSets::value_set`].
    fn related(&self, system: &str, code: &str, relation: Relation) -> Result<Vec<(String, String)>, String>;
}
