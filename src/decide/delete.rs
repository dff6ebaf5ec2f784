//! Delete: the end of a resource. Its versions stay in the history; an update brings it back.

use anamnesis_events::{Draft, Operation, ResourceKey};
use anamnesis_fhir::json::{Document, Limits};

use super::precondition::Expected;
use super::{Current, Decision, Provenance, Refusal, Rules, placement};

pub(super) fn decide(
    key: &ResourceKey,
    expected: &Expected,
    current: Option<&Current>,
    rules: &Rules,
    provenance: &Provenance,
) -> Result<Decision, Refusal> {
    expected.check(current)?;
    let current = match current {
        // R4 http.html section 3.1.0.7: a delete of what is not there succeeds.
        None => return Ok(Decision::Absent),
        Some(current) if current.deleted => return Ok(Decision::Absent),
        Some(current) => current,
    };
    let recorded = Document::parse(current.payload.to_vec(), &Limits::default())
        .map_err(|_broken| Refusal::Unreadable)?;
    let mut touches = placement::place(key, recorded.root(), &rules.bases).touches;
    placement::join(&mut touches, vec![current.home.clone()]);
    Ok(Decision::Append(Box::new(Draft {
        key: key.clone(),
        operation: Operation::Delete,
        version: current.version.next(),
        home: current.home.clone(),
        touches,
        payload: Vec::new(),
        stamp_at: None,
        identifiers: Vec::new(),
        require_no_identifier: Vec::new(),
        agent: provenance.agent.clone(),
        source: provenance.source.clone(),
    })))
}
