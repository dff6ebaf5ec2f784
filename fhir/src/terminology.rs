//! Terminology: which codes a value set has, and which concepts lie above and below another.
//!
//! [`Terminology`] is what validation (bindings) and search (`:in`, `:below`, `:above`) ask. It is pure and
//! answers at once; who has to fetch something first puts a snapshot behind it. [`Published`] answers from
//! R4's own definitions alone.
//!
//! ```
//! use anamnesis_fhir::terminology::{Membership, Published, Terminology};
//! let genders = "http://hl7.org/fhir/ValueSet/administrative-gender";
//! let system = Some("http://hl7.org/fhir/administrative-gender");
//! assert_eq!(Published.validate_code(genders, system, "female"), Membership::Member);
//! assert_eq!(Published.validate_code(genders, system, "blue"), Membership::NotMember);
//! assert_eq!(Published.validate_code("http://example.org/none", None, "a"), Membership::Unknown);
//! ```

pub mod grammar;
mod published;

pub use published::Published;

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
    /// No code system has this address, or only some of its concepts are known.
    #[error("the code system {0} is not known")]
    UnknownCodeSystem(String),
    /// The code system has no such concept.
    #[error("the code system {0} has no such code")]
    UnknownCode(String),
    /// The codes follow a grammar (UCUM, language tags), so that there is no list of them.
    #[error("the codes of {0} follow a grammar and cannot be listed")]
    NotEnumerable(String),
    /// There are more than were asked for.
    #[error("there are more than {0} codes")]
    TooCostly(usize),
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

    /// All codes of a value set, sorted, each once.
    ///
    /// # Errors
    /// Where the set is not known, cannot be listed, or has more than `codes_max` codes.
    fn codes(&self, value_set: &str, codes_max: usize) -> Result<Vec<SystemCode>, ListError>;

    /// The concept itself and all those below or above it, sorted.
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
