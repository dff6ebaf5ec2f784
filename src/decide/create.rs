//! Create: a resource under an id that the server gave.

use anamnesis_events::{Draft, Erases, Identifier, Operation, Version};

use super::{Candidate, Current, Decision, Provenance, Refusal, stamp};

pub(super) fn decide(
    candidate: &Candidate,
    current: Option<&Current>,
    unless_held: &[Identifier],
    provenance: &Provenance,
) -> Result<Decision, Refusal> {
    if current.is_some() {
        return Err(Refusal::IdInUse);
    }
    Ok(Decision::Append(Box::new(draft(candidate, Version::NONE.next(), unless_held, provenance))))
}

/// The first version of a resource, or the first after a delete.
pub(super) fn draft(
    candidate: &Candidate,
    version: Version,
    unless_held: &[Identifier],
    provenance: &Provenance,
) -> Draft {
    let stamped = stamp::stamp(&candidate.document, &candidate.key.id, version);
    Draft {
        key: candidate.key.clone(),
        operation: Operation::Create,
        erases: Erases::Nothing,
        version,
        home: candidate.placement.home.clone(),
        touches: candidate.placement.touches.clone(),
        payload: stamped.payload,
        stamp_at: Some(stamped.stamp_at),
        identifiers: candidate.identifiers.clone(),
        require_no_identifier: unless_held.to_vec(),
        agent: provenance.agent.clone(),
        source: provenance.source.clone(),
    }
}
