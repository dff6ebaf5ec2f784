//! Validation of resources against base R4: structure, types, formats, required codes, references.
//!
//! All faults are reported, not only the first, each with the FHIRPath expression of its place and where it
//! stands in the client's text. What is checked follows R4's own rules for JSON (json.html), data types
//! (datatypes.html), references and contained resources (references.html) and narrative (narrative.html).
//!
//! ```
//! use anamnesis_fhir::json::{Document, Limits};
//! use anamnesis_fhir::validate::{Options, validate};
//! let body = r#"{"resourceType": "Patient", "birthDate": "2024-02-30"}"#;
//! let document = Document::parse(body, &Limits::default())?;
//! let issues = validate(document.root(), &Options::default());
//! assert_eq!(issues.len(), 1);
//! assert_eq!(issues[0].expression, "Patient.birthDate");
//! assert_eq!(issues[0].code.code(), "value");
//! # Ok::<(), anamnesis_fhir::json::ParseError>(())
//! ```

mod binding;
mod hint;
mod invariants;
mod issues;
pub(crate) mod narrative;
mod path;
mod primitive;
pub mod profile;
mod reference;
mod rules;
mod scope;
mod walk;

pub use issues::{Issue, IssueCode, Severity};

use crate::json::Value;

/// What to check and how much to say.
#[derive(Clone, Debug)]
pub struct Options {
    /// Most issues that are listed; one more says how many there are beyond. 100 is what a person can read.
    pub issues_max: usize,
    /// Deepest nesting of objects. R4's deepest published example needs 21; the parser's own bound is 100.
    pub depth_max: usize,
    /// Whether `Patient?identifier=…` is a reference. Inside transaction and batch bundles it always is
    /// (R4 http.html#trules).
    pub conditional_references: bool,
    /// Whether the invariants of R4 that are errors are evaluated as FHIRPath. The rules of the commonest
    /// types are always checked; the others cost a microsecond or two each.
    pub invariants: bool,
    /// Whether broken invariants that are only warnings (`dom-6`: a narrative) are told as well.
    pub warnings: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            issues_max: 100,
            depth_max: 100,
            conditional_references: false,
            invariants: true,
            warnings: false,
        }
    }
}

/// Checks a resource. It is acceptable where no issue is an error; see [`Severity::is_error`].
///
/// Issues stand in the order in which they are found, which is that of the text but for what is missing.
#[must_use]
pub fn validate(resource: Value<'_>, options: &Options) -> Vec<Issue> {
    walk::run(resource, options)
}

#[cfg(test)]
mod tests;
