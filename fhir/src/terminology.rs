//! Terminology: which codes a value set has, and which concepts lie above and below another.
//!
//! [`Terminology`] is what validation (bindings) and search (`:in`, `:below`, `:above`) ask. It is pure and
//! answers at once. The [`Engine`] answers from a [`Library`] of definitions; [`Published`] is the one of R4 itself.
//! A library that has to fetch something first says so ([`Found::Pending`]), fetches it, and is asked again.
//!
//! ```
//! use anamnesis_fhir::terminology::{Membership, Published, Terminology};
//! let genders = "http://hl7.org/fhir/ValueSet/administrative-gender";
//! let system = Some("http://hl7.org/fhir/administrative-gender");
//! assert_eq!(Published.validate_code(genders, system, "female"), Membership::Member);
//! assert_eq!(Published.validate_code(genders, system, "blue"), Membership::NotMember);
//! assert_eq!(Published.validate_code("http://example.org/none", None, "a"), Membership::Unknown);
//! ```

mod budget;
mod code_system;
mod concept_map;
mod engine;
mod expand;
pub mod grammar;
mod hierarchy;
mod letters;
mod library;
mod part;
mod published;
#[cfg(test)]
mod tests;
mod validate;
mod value_set;

pub use budget::{Budget, WORK_MAX};
pub use code_system::{
    CONCEPT_NESTING_MAX, CodeSystem, Concept, ConceptId, Designation, PageTotal, Property,
};
pub use concept_map::{ConceptMap, Dependency, Match, Translation, translate};
pub use engine::Engine;
pub use expand::{Contained, EXPANSION_CODES_MAX, Expansion, ExpansionRequest, words};
pub use hierarchy::{Looked, Subsumption};
pub use letters::{folded, is_same_folded};
pub use library::{Branch, Canonical, Extent, Found, Library, MapQuery, Page, by_version, grammar_of};
pub use published::Published;
pub use validate::{Coded, Terms, Verdict};
pub use value_set::{Filter, Listed, Part, ValueSet};

/// Whether a code belongs to a value set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It does.
    Member,
    /// It does not.
    NotMember,
    /// Nobody knows: the value set, or a code system that it draws from, is not at hand.
    Unknown,
}

/// A code with the address of its system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemCode {
    /// Canonical address of the code system, without version.
    pub system: String,
    /// The code.
    pub code: String,
}

/// Which way to walk a hierarchy of concepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The concepts that this one subsumes (`:below`).
    Below,
    /// The concepts that subsume this one (`:above`).
    Above,
}

/// Why codes cannot be listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// No value set has this address.
    #[error("the value set {0} is not known")]
    UnknownValueSet(String),
    /// No concept map fits.
    #[error("no concept map is known for {0}")]
    UnknownConceptMap(String),
    /// No code system has this address, or none of its concepts are known.
    #[error("the code system {0} is not known")]
    UnknownCodeSystem(String),
    /// Only some concepts of the code system are known, and the code is none of them.
    #[error("of the code system {0} only a part is known, which does not have this code")]
    PartOfCodeSystem(String),
    /// The code system has no such concept.
    #[error("the code system {0} has no such code")]
    UnknownCode(String),
    /// The codes follow a grammar (UCUM, language tags), so that there is no list of them.
    #[error("the codes of {0} follow a grammar and cannot be listed")]
    NotEnumerable(String),
    /// There are more than were asked for.
    #[error("there are more than {0} codes")]
    TooCostly(usize),
    /// More would have to be looked at than one question may.
    #[error("it takes too much work to find this out")]
    TooMuchWork,
    /// Something has to be fetched first; then the question is to be put again.
    #[error("definitions are being fetched")]
    Pending,
    /// The definition asks for something that is not understood; it is said what.
    #[error("{0}")]
    Unsupported(String),
}

/// What is known of code systems and value sets.
///
/// Addresses of value sets may end in `|version`. All answers are bounded by the caller's `codes_max`.
pub trait Terminology {
    /// Whether a code is in a value set. Without a system (elements of type `code`) any system of the set
    /// counts.
    fn validate_code(&self, value_set: &str, system: Option<&str>, code: &str) -> Membership;

    /// All codes of a value set, sorted, each once. Those of a code system that does not tell letters apart
    /// (`caseSensitive: false`) in several spellings: as they are listed, as the system defines them, in lower case, and in
    /// upper case.
    ///
    /// # Errors
    /// Where the set is not known, cannot be listed, or has more than `codes_max` codes, spellings counted.
    fn codes(&self, value_set: &str, codes_max: usize) -> Result<Vec<SystemCode>, ListError>;

    /// The concept itself and all those below or above it, sorted; in several spellings as above.
    ///
    /// # Errors
    /// Where system or code are not known, or there are more than `codes_max`.
    fn related(
        &self,
        system: &str,
        code: &str,
        direction: Direction,
        codes_max: usize,
    ) -> Result<Vec<String>, ListError>;
}
