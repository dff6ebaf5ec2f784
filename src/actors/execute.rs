//! Carrying out a command: decide, append, and once more where somebody else was quicker.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use anamnesis_events::{AppendError, ConflictKind, Draft, Erases, Group, Operation, ResourceKey};

use super::{Outcome, Surroundings, Work, WriteError};
use crate::decide::{self, Current, Decision, Refusal};

/// How often a command is decided and appended. Each round means that another node or a bundle was quicker.
const TRIES_MAX: u32 = 5;

/// What a command left behind: the answer, and the newest version where it is known now.
pub(super) struct Done {
    pub(super) answer: Result<Outcome, WriteError>,
    pub(super) newest: Option<Arc<Current>>,
}

/// Carries out a command. `cached` may be stale.
pub(super) async fn execute(
    surroundings: Arc<Surroundings>,
    mut work: Work,
    mut cached: Option<Arc<Current>>,
) -> Done {
    let key = work.command.key().clone();
    let mut newest = None;
    let answer = async {
        for _ in 0..TRIES_MAX {
            let is_fresh = cached.is_none();
            let current = match cached.take() {
                Some(current) => Some(current),
                None if work.command.needs_current() => load(&surroundings, &mut work).await?,
                None => None,
            };
            let decision = match decide_safely(&surroundings, &work, current.as_deref()) {
                // Not checked by the log, so only a fresh version can be the ground for it.
                Ok(Decision::Unchanged | Decision::Absent | Decision::Hidden)
                | Err(WriteError::Refused(_))
                    if !is_fresh =>
                {
                    continue;
                }
                other => other?,
            };
            newest = current.clone();
            let draft = match (decision, current.clone()) {
                (Decision::Append(draft), _) => *draft,
                (Decision::Unchanged, Some(current)) => return Ok(Outcome::Unchanged(current)),
                (Decision::Unchanged, None) => return Err(WriteError::Refused(Refusal::Unreadable)),
                (Decision::Absent, current) => return Ok(Outcome::Absent(current)),
                (Decision::Hidden, _) => return Ok(Outcome::Absent(None)),
            };
            newest = None;
            let (operation, home, touches) = (draft.operation, draft.home.clone(), draft.touches.clone());
            let erased = operation == Operation::Delete && draft.erases == Erases::Earlier;
            let group = Group { idempotency: work.terms.idempotency.clone(), ..Group::single(draft) };
            match surroundings.log.append(group).await {
                Ok(recorded) => {
                    let recorded = recorded.into_iter().next().ok_or(WriteError::Interrupted)?;
                    if recorded.replayed {
                        return Err(WriteError::AlreadyRecorded);
                    }
                    if !operation.makes_version() {
                        newest = current;
                        return Ok(Outcome::Written { key: key.clone(), operation, recorded, touches });
                    }
                    newest = Some(Arc::new(Current {
                        version: recorded.version,
                        position: recorded.position,
                        deleted: operation == Operation::Delete,
                        recorded_at: recorded.recorded_at,
                        home,
                        erased,
                        payload: recorded.payload.clone(),
                    }));
                    return Ok(Outcome::Written { key: key.clone(), operation, recorded, touches });
                }
                Err(AppendError::Conflict { kind: ConflictKind::IdentifierTaken { id }, .. }) => {
                    return Ok(Outcome::Held { id });
                }
                // The next round loads what is there now and decides on that.
                Err(AppendError::Conflict { .. }) if work.command.needs_current() => {}
                Err(AppendError::Conflict { .. }) => return Err(WriteError::Refused(Refusal::IdInUse)),
                Err(other) => return Err(WriteError::Log(other)),
            }
        }
        Err(WriteError::Contended { tries: TRIES_MAX })
    }
    .await;
    Done { answer, newest }
}

/// Reads the newest version of the command's resource from the log. It counts as part of the command from now on.
async fn load(surroundings: &Surroundings, work: &mut Work) -> Result<Option<Arc<Current>>, WriteError> {
    let event = surroundings.reads.current(work.command.key().clone()).await?;
    if event.as_ref().is_some_and(|event| !work.share.grow(event.payload.len())) {
        surroundings.counts.refused_for_memory();
        return Err(WriteError::Crowded);
    }
    Ok(event.map(|event| Arc::new(Current::from(&*event))))
}

/// A decision that breaks down must not take the actors of its thread along.
fn decide_safely(
    surroundings: &Surroundings,
    work: &Work,
    current: Option<&Current>,
) -> Result<Decision, WriteError> {
    let decision = std::panic::catch_unwind(AssertUnwindSafe(|| {
        decide::decide(&work.command, current, &surroundings.rules, &work.provenance)
    }));
    match decision {
        Ok(decision) => Ok(decision?),
        Err(_panic) => {
            tracing::error!(resource.r#type = %work.command.key().resource_type, "A decision panicked.");
            Err(WriteError::Panicked)
        }
    }
}

/// The keys of a group's drafts, which caches forget when the group is recorded.
pub(super) fn keys(drafts: &[Draft]) -> Vec<ResourceKey> {
    drafts.iter().map(|draft| draft.key.clone()).collect()
}
