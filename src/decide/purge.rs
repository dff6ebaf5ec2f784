//! Purge: all versions before the current one are taken away. The resource stays as it is, and gets no new version.

use anamnesis_events::{Draft, Erases, Operation, ResourceKey};

use super::{Current, Decision, Provenance};

pub(super) fn decide(key: &ResourceKey, current: Option<&Current>, provenance: &Provenance) -> Decision {
    // Where no version is left, there is none to take away.
    let Some(current) = current.filter(|current| !current.erased) else { return Decision::Absent };
    Decision::Append(Box::new(Draft {
        key: key.clone(),
        operation: Operation::Purge,
        erases: Erases::Earlier,
        version: current.version,
        home: current.home.clone(),
        touches: vec![current.home.clone()],
        payload: Vec::new(),
        stamp_at: None,
        identifiers: Vec::new(),
        require_no_identifier: Vec::new(),
        agent: provenance.agent.clone(),
        source: provenance.source.clone(),
    }))
}
