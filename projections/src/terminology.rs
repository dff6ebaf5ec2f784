//! Terminology that is stored: CodeSystem, ValueSet and ConceptMap resources, found by their canonical addresses.
//!
//! - [`TerminologyProjection`] notes which definitions there are, and writes the concepts of large code systems, which
//!   come as many fragments, into tables of their own.
//! - [`TerminologyIndex`] puts questions to the engine of `anamnesis_fhir`: a stored definition goes before the one of
//!   R4 with the same address. The engine says what it lacks, that is fetched, and the question is put again.
//!
//! The projection does not read the whole log: [`crate::OfTypes`] gives it the events of the three types alone, so that the
//! many writes of a busy server cost it nothing.

mod audit;
mod fetch;
mod fragments;
mod index;
mod order;
mod orders;
mod picked;
mod projection;
mod rows;
mod snapshot;
mod tables;

pub use audit::{Audited, audit};
pub use fetch::places::{Place, Places};
pub use fragments::{
    FRAGMENT_BYTES_MAX, FRAGMENT_CONCEPTS_MAX, FRAGMENT_MEMBERS, FRAGMENT_NESTING_MAX, fragment_name,
};
pub use index::{Session, TerminologyIndex};
pub use projection::{TerminologyProjection, TerminologyRows};

/// Concepts of a code system that is kept in memory whole; of a larger one those that a question is about.
pub(crate) const WHOLE_MAX: usize = 5_000;
