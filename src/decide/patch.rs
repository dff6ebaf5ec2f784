//! Patch: what a patch makes of the version that is there, for an update of exactly that version.

use std::borrow::Cow;

use anamnesis_events::Version;
use anamnesis_fhir::json::{Document, Limits, Value};
use anamnesis_fhir::patch::{Patch, PatchError};

use super::{Current, Expected, Refusal, Versioning};

/// A patched resource. It still has to be validated, and is to be written as an update of that version or not at all.
#[derive(Debug, Clone)]
pub struct Patched {
    /// What came out.
    pub document: Document,
    /// The version that was patched.
    pub of: Version,
}

/// Why a patch is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchRefusal {
    /// As for an update.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There never was such a resource.
    #[error("there is no such resource")]
    NotFound,
    /// The resource was deleted.
    #[error("the resource was deleted")]
    Gone {
        /// The version that is the delete.
        current: Version,
    },
    /// The patch does not fit the resource.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// The patch changes what only the server sets.
    #[error("a patch cannot change {element}")]
    ServerSet {
        /// The element, as FHIRPath below the resource.
        element: &'static str,
    },
}

/// Applies a patch to the version that is there.
///
/// # Errors
/// [`PatchRefusal`]; 404 where the resource never was, 410 where it was deleted.
pub fn decide(
    patch: &Patch,
    current: Option<&Current>,
    expected: &Expected,
    versioning: Versioning,
) -> Result<Patched, PatchRefusal> {
    let current = current.filter(|current| !current.erased).ok_or(PatchRefusal::NotFound)?;
    if current.deleted {
        return Err(PatchRefusal::Gone { current: current.version });
    }
    expected.check(Some(current))?;
    if versioning == Versioning::VersionedUpdate && !expected.names_versions() {
        return Err(Refusal::VersionRequired.into());
    }
    let recorded = Document::parse(current.payload.to_vec(), &Limits::default())
        .map_err(|_broken| Refusal::Unreadable)?;
    let document = patch.apply(&recorded)?;
    keeps_what_the_server_sets(recorded.root(), document.root())?;
    Ok(Patched { document, of: current.version })
}

/// The identity of a resource and of its versions is not the client's to change. A `meta` without version and time is
/// no change: the server sets them again.
fn keeps_what_the_server_sets(before: Value<'_>, after: Value<'_>) -> Result<(), PatchRefusal> {
    for element in ["resourceType", "id"] {
        if text(before.get(element)) != text(after.get(element)) {
            return Err(PatchRefusal::ServerSet { element });
        }
    }
    for (element, name) in [("meta.versionId", "versionId"), ("meta.lastUpdated", "lastUpdated")] {
        let (old, new) = (of_meta(before, name), of_meta(after, name));
        if new.is_some_and(|new| old.is_none_or(|old| old.raw() != new.raw())) {
            return Err(PatchRefusal::ServerSet { element });
        }
    }
    Ok(())
}

fn of_meta<'a>(resource: Value<'a>, name: &str) -> Option<Value<'a>> {
    resource.get("meta")?.get(name)
}

fn text(value: Option<Value<'_>>) -> Option<Cow<'_, str>> {
    value.and_then(Value::as_str)
}
