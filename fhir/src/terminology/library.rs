//! Where the engine finds definitions by their canonical addresses.

use std::sync::Arc;

use super::{CodeSystem, ConceptMap, ListError, ValueSet};
use crate::definitions::Grammar;

/// What came of asking for a definition.
#[derive(Clone, Debug)]
pub enum Found<T> {
    /// It is at hand.
    Here(Arc<T>),
    /// There is none.
    Absent,
    /// It has to be fetched first; the question is to be put again then.
    Pending,
}

impl<T> Found<T> {
    /// What is at hand, or why it is not.
    pub(super) fn required(self, absent: impl FnOnce() -> ListError) -> Result<Arc<T>, ListError> {
        match self {
            Self::Here(found) => Ok(found),
            Self::Absent => Err(absent()),
            Self::Pending => Err(ListError::Pending),
        }
    }
}

/// How much of a code system a question needs. A library may always give more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Extent {
    /// One concept, if it exists, and all above it.
    Code(String),
    /// A concept and all below it.
    Below(String),
    /// All concepts, or those whose displays have words that begin like all of these.
    All(Option<String>),
    /// A page.
    Page(Page),
}

/// Some concepts of a code system in the order of the library, of which so many are passed over and so many are wanted; see
/// [`CodeSystem::page_total`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Page {
    /// They lie in all of these branches.
    pub within: Vec<Branch>,
    /// They lie in none of these.
    pub without: Vec<Branch>,
    /// They are none of these.
    pub without_codes: Vec<String>,
    /// They have words that begin so.
    pub text: Option<String>,
    /// They are not inactive.
    pub active_only: bool,
    /// They are to be chosen themselves, not only to group others.
    pub selectable_only: bool,
    /// Concepts to pass over.
    pub offset: usize,
    /// Concepts on the page.
    pub count: usize,
}

/// What lies below a concept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Branch {
    /// The concept.
    pub code: String,
    /// Whether it is meant as well.
    pub with_itself: bool,
}

/// The canonical address of a definition, with a version or without one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Canonical {
    /// The address.
    pub url: String,
    /// The version, where one is asked for.
    pub version: Option<String>,
}

impl Canonical {
    /// Reads `url` or `url|version`.
    pub fn parse(text: &str) -> Self {
        match text.split_once('|') {
            Some((url, version)) if !version.is_empty() => {
                Self { url: url.to_owned(), version: Some(version.to_owned()) }
            }
            _ => Self { url: text.trim_end_matches('|').to_owned(), version: None },
        }
    }

    /// From the two parts.
    pub fn new(url: impl Into<String>, version: Option<String>) -> Self {
        Self { url: url.into(), version }
    }

    /// Whether a definition of this version is meant.
    pub fn takes(&self, version: Option<&str>) -> bool {
        self.version.is_none() || self.version.as_deref() == version
    }
}

impl std::fmt::Display for Canonical {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.version {
            Some(version) => write!(formatter, "{}|{version}", self.url),
            None => formatter.write_str(&self.url),
        }
    }
}

/// The definitions that the engine works on.
pub trait Library {
    /// Finds a value set.
    fn value_set(&self, canonical: &Canonical) -> Found<ValueSet>;

    /// Finds a code system, at least this much of it.
    fn code_system(&self, canonical: &Canonical, extent: &Extent) -> Found<CodeSystem>;

    /// Finds concept maps: the one with this address, or all that the condition is for (see [`MapQuery`]).
    fn concept_maps(&self, query: &MapQuery) -> Found<Vec<Arc<ConceptMap>>>;
}

/// Which concept maps are wanted; every part that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MapQuery {
    /// The map's address.
    pub url: Option<String>,
    /// The map's version.
    pub version: Option<String>,
    /// The value set that it maps from.
    pub source: Option<String>,
    /// The value set that it maps to.
    pub target: Option<String>,
}

/// The grammar that a code system is defined by, where it is one.
pub fn grammar_of(system: &str) -> Option<Grammar> {
    [Grammar::Language, Grammar::MimeType, Grammar::Currency, Grammar::Unit]
        .into_iter()
        .find(|grammar| grammar.system() == system)
}

/// Versions by their parts: numbers as numbers, so that 10 comes behind 9; a preliminary one (`1.0.0-ballot`) before what
/// it leads to.
#[must_use]
pub fn by_version(a: &str, b: &str) -> std::cmp::Ordering {
    let parts = |text: &str| {
        let (main, preliminary) = match text.split_once('-') {
            Some((main, rest)) => (main.to_owned(), Some(rest.to_owned())),
            None => (text.to_owned(), None),
        };
        let numbers: Vec<(u64, String)> =
            main.split('.').map(|part| (part.parse().unwrap_or(0), part.to_owned())).collect();
        (numbers, preliminary.is_none(), preliminary)
    };
    parts(a).cmp(&parts(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cmp::Ordering;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let ordered = ["", "1.0.0-ballot", "1.0.0", "1.9.0", "1.10.0", "3.1.1", "2020.1"];
        for pair in ordered.windows(2) {
            assert_eq!(by_version(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
        assert_eq!(by_version("3.1.1", "3.1.1"), Ordering::Equal);
    }
}
