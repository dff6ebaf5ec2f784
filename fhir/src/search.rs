//! Search parameters: which they are, and what values a resource has for them.
//!
//! Each expression of a SearchParameter is compiled once into a small tree of JSON member names that
//! walks [`crate::json::Value`]s: types, choices (`valueQuantity`), casts and filters are decided while compiling, by
//! the definitions. A tree that holds all parameters of a resource type is walked once per resource.
//!
//! ```
//! use anamnesis_fhir::json::{Document, Limits};
//! use anamnesis_fhir::search::SearchRegistry;
//! let document = Document::parse(r#"{"resourceType":"Patient","birthDate":"1974-12-25"}"#, &Limits::default())?;
//! let registry = SearchRegistry::r4();
//! let birthdate = registry.get("Patient", "birthdate").ok_or("unknown")?;
//! let found = birthdate.extract(document.root());
//! assert_eq!((found[0].value.raw(), found[0].fhir_type), ("\"1974-12-25\"", "date"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compile;
pub mod custom;
mod filter;
mod general;
mod moments;
mod parameter;
mod registry;
mod walker;

pub use crate::definitions::SearchParameterKind;
pub use moments::intervals;
pub use parameter::{Component, ParameterDefinition, SearchParameter, SearchParameterError};
pub use registry::SearchRegistry;

use crate::json::Value;

/// A value that a resource has for a search parameter.
#[derive(Debug, Clone, Copy)]
pub struct Extracted<'a> {
    /// The value: an array is given item by item, `null` never. A parameter whose expression computes a truth
    /// value (`Patient.deceased`) gives a boolean that stands in no resource.
    pub value: Value<'a>,
    /// The FHIR type: `CodeableConcept`, `dateTime`, `Reference`. For an element with content of its own the path
    /// of its definition (`Observation.component`), for a resource its type, or `Resource` where it is any.
    pub fhir_type: &'static str,
}

/// The values of one parameter: few, so mostly without an allocation.
pub type Found<'a> = smallvec::SmallVec<[Extracted<'a>; 4]>;

#[cfg(test)]
mod tests;
