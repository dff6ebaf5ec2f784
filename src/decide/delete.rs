//! Delete: the end of a resource. An update brings it back. Its versions stay in the history, unless the client wants none
//! to be kept, or the type's versioning keeps none.

use anamnesis_events::{Draft, Erases, ResourceKey};
use anamnesis_fhir::definitions::r4;
use anamnesis_fhir::json::{Document, Limits};

use super::precondition::Expected;
use super::{Current, Decision, Provenance, Refusal, Rules, Versioning, placement, without_body};

pub(super) struct Delete<'a> {
    pub(super) key: &'a ResourceKey,
    pub(super) expected: &'a Expected,
    pub(super) hard: bool,
}

pub(super) fn decide(
    delete: &Delete<'_>,
    current: Option<&Current>,
    rules: &Rules,
    provenance: &Provenance,
) -> Result<Decision, Refusal> {
    let Delete { key, expected, hard } = *delete;
    expected.check(current)?;
    let current = match current {
        // R4 http.html section 3.1.0.7: a delete of what is not there succeeds.
        None => return absent(key),
        // What was deleted before can still be erased.
        Some(current) if current.erased || current.deleted && !hard => return absent(key),
        Some(current) => current,
    };
    let mut touches = Vec::new();
    if !current.deleted {
        let recorded = Document::parse(current.payload.to_vec(), &Limits::default())
            .map_err(|_broken| Refusal::Unreadable)?;
        touches = placement::place(key, recorded.root(), &rules.bases).touches;
    }
    placement::join(&mut touches, vec![current.home.clone()]);
    let erases = match rules.versioning_of(&key.resource_type) {
        _ if hard => Erases::Earlier,
        Versioning::NoVersion => Erases::Previous,
        Versioning::Versioned | Versioning::VersionedUpdate => Erases::Nothing,
    };
    Ok(Decision::Append(Box::new(Draft { erases, touches, ..without_body(key, current, provenance) })))
}

/// There is nothing to delete; what R4 defines is there without being stored, and stays.
fn absent(key: &ResourceKey) -> Result<Decision, Refusal> {
    let of_r4 = |id: &str| r4().search_parameter_by_url(&format!("http://hl7.org/fhir/SearchParameter/{id}"));
    match &*key.resource_type == "SearchParameter" && of_r4(&key.id).is_some() {
        true => Err(Refusal::OfR4),
        false => Ok(Decision::Absent),
    }
}
