//! Purge: all versions before the current one are taken away. The resource stays as it is, and gets no new version.

use anamnesis_events::{Draft, Erases, Operation, ResourceKey};

use super::precondition::Expected;
use super::{Current, Decision, Provenance, Refusal, without_body};

pub(super) fn decide(
    key: &ResourceKey,
    expected: &Expected,
    current: Option<&Current>,
    provenance: &Provenance,
) -> Result<Decision, Refusal> {
    expected.check(current)?;
    // Where no version is left, there is none to take away.
    let Some(current) = current.filter(|current| !current.erased) else { return Ok(Decision::Absent) };
    Ok(Decision::Append(Box::new(Draft {
        operation: Operation::Purge,
        erases: Erases::Earlier,
        version: current.version,
        ..without_body(key, current, provenance)
    })))
}
