//! Pure FHIR R4: no I/O, no clock, no randomness.
//!
//! Resources are read as JSON with the spans of the client's bytes ([`json`]), because what was accepted is
//! stored and served byte for byte; R4's definitions are data ([`definitions`]), not generated types.

pub mod compartment;
pub mod datetime;
pub mod definitions;
pub mod fhirpath;
pub mod json;
pub mod patch;
pub mod references;
pub mod search;
pub mod terminology;
pub mod texts;
pub mod validate;
pub mod xml;
