//! Patches: JSON Patch (RFC 6902) and FHIRPath Patch (R4 fhirpatch.html), applied to the bytes of a document.
//!
//! A [`Patch`] is read once and may be applied to any number of documents. Every change is a splice: what no operation
//! touches stays byte for byte, number literals included. A patch that fails has changed nothing, since it never writes
//! into the document it is given. Whether what comes out is a valid resource is for the caller to check.
//!
//! ```
//! use anamnesis_fhir::json::{Document, Limits};
//! use anamnesis_fhir::patch::Patch;
//! let parse = |text: &str| Document::parse(text, &Limits::default()).unwrap();
//! let patch = Patch::json(&parse(r#"[{ "op": "replace", "path": "/active", "value": true }]"#))?;
//! let patched = patch.apply(&parse(r#"{"resourceType":"Patient", "active":false}"#))?;
//! assert_eq!(patched.text(), r#"{"resourceType":"Patient", "active":true}"#);
//! # Ok::<(), anamnesis_fhir::patch::PatchError>(())
//! ```

mod edit;
mod equal;
mod error;
mod fhirpath_patch;
mod json_patch;
mod pointer;

pub use error::{PatchError, PatchErrorKind};

use crate::json::{Document, Limits, ParseErrorKind};
use fhirpath_patch::FhirPathOperation;
use json_patch::JsonOperation;

/// Operations of one patch. Each one reads the document that the one before left, so work grows with their number; real
/// patches have a handful.
pub const OPERATIONS_MAX: usize = 1000;

/// Largest document that an operation may leave, in bytes: that of a request's body. `copy` could double a document with
/// every operation.
pub const RESULT_BYTES_MAX: usize = 32 << 20;

/// Bytes of documents that all operations of a patch may read together, about a second of work.
pub const WORK_BYTES_MAX: usize = 256 << 20;

/// A patch that has been read and is well formed.
#[derive(Debug, Clone)]
pub struct Patch(Operations);

#[derive(Debug, Clone)]
enum Operations {
    Json(Vec<JsonOperation>),
    FhirPath(Vec<FhirPathOperation>),
}

impl Patch {
    /// Reads a JSON Patch: an array of operations (RFC 6902 section 3).
    ///
    /// # Errors
    /// [`PatchError`] where it is none, with the operation from 0.
    pub fn json(patch: &Document) -> Result<Self, PatchError> {
        json_patch::read(patch.root()).map(|operations| Self(Operations::Json(operations)))
    }

    /// Reads a FHIRPath Patch: Parameters whose parameters are named `operation` (R4 fhirpatch.html).
    ///
    /// # Errors
    /// [`PatchError`] where it is none, with the operation from 0.
    pub fn fhirpath(parameters: &Document) -> Result<Self, PatchError> {
        fhirpath_patch::read(parameters.root()).map(|operations| Self(Operations::FhirPath(operations)))
    }

    /// How many operations it has.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Operations::Json(operations) => operations.len(),
            Operations::FhirPath(operations) => operations.len(),
        }
    }

    /// Whether it has no operation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Carries out all operations in their order.
    ///
    /// # Errors
    /// [`PatchError`] of the first operation that cannot be carried out.
    pub fn apply(&self, document: &Document) -> Result<Document, PatchError> {
        match &self.0 {
            Operations::Json(operations) => {
                apply_all(document, operations, |operation, current| operation.apply(current))
            }
            Operations::FhirPath(operations) => {
                let steps_max = fhirpath_patch::STEPS_MAX / (operations.len() as u64).max(1);
                apply_all(document, operations, |operation, current| operation.apply(current, steps_max))
            }
        }
    }
}

/// What one operation came to: the new text, or nothing to change.
type Applied = Result<Option<Vec<u8>>, PatchErrorKind>;

/// An operation of either kind, as errors name it.
trait Described {
    /// The operation's path, without anything that could be data of a patient.
    fn path(&self) -> String;
}

fn apply_all<O: Described>(
    document: &Document,
    operations: &[O],
    apply: impl Fn(&O, &Document) -> Applied,
) -> Result<Document, PatchError> {
    let mut work = 0_usize;
    let mut patched: Option<Document> = None;
    for (index, operation) in operations.iter().enumerate() {
        let failed = |kind| PatchError { operation: Some(index), path: operation.path(), kind };
        let current = patched.as_ref().unwrap_or(document);
        work = work.saturating_add(current.text().len());
        if work > WORK_BYTES_MAX {
            return Err(failed(PatchErrorKind::TooCostly));
        }
        if let Some(text) = apply(operation, current).map_err(failed)? {
            patched = Some(parse(text).map_err(failed)?);
        }
    }
    Ok(patched.unwrap_or_else(|| document.clone()))
}

/// Reads the text that an edit left. Splices keep JSON whole, so only the bounds can be broken.
fn parse(text: Vec<u8>) -> Result<Document, PatchErrorKind> {
    let limits = Limits { bytes_max: RESULT_BYTES_MAX, ..Limits::default() };
    Document::parse(text, &limits).map_err(|error| match error.kind {
        ParseErrorKind::TooLong => PatchErrorKind::TooLarge,
        ParseErrorKind::TooDeep => PatchErrorKind::TooDeep,
        _ => PatchErrorKind::Broken,
    })
}

#[cfg(test)]
mod tests;
