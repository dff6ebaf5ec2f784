//! The reads of a transaction. One that fails fails the whole (R4 http.html#trules: every entry has to come to 2xx or
//! 3xx), so each is tried before anything is recorded; and it is done again when everything is, so that it shows what
//! was written. Where nothing is to be recorded its first answer is the answer.
//!
//! All of them see one state of the log: where the transaction stands in it, whatever others write meanwhile.

use std::collections::HashMap;

use anamnesis_events::{Position, ResourceKey};
use anamnesis_fhir::references;

use super::batch;
use super::entry::{Entry, Method};
use super::plan::Step;
use super::response::Answer;
use super::target::Target;
use crate::api::{Call, route};
use crate::decide::Command;
use crate::error::{Failure, FailureKind, IssueCode};

/// The answers of the reads of a transaction that writes nothing, by the place of their entries.
pub(super) type Foreseen = HashMap<usize, Answer>;

/// Tries all reads of a transaction that is about to be recorded.
///
/// # Errors
/// What the first read that fails is refused with, at its entry.
pub(super) async fn foresee(call: &Call, entries: &[Entry<'_>], steps: &[Step]) -> Result<Foreseen, Failure> {
    let written: HashMap<&ResourceKey, &Command> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Write(command) => Some((command.key(), command)),
            _ => None,
        })
        .collect();
    let mut foreseen = Foreseen::new();
    // Where nothing is written: where the log stands now.
    let mut at = None;
    for (index, (entry, step)) in entries.iter().zip(steps).enumerate() {
        let Step::Read(path, query) = step else { continue };
        if written.is_empty() && at.is_none() {
            at = Some(call.service.compartments.reads().head().await?);
        }
        let about = about(path);
        let writer = about.as_ref().and_then(|about| written.get(&about.key));
        let answered = match (&about, writer) {
            (Some(About { is_instance: true, .. }), Some(Command::Delete { .. })) => Err(deleted()),
            _ => read(call, entry, (path, query), at).await,
        };
        match (answered, about, writer) {
            // What is not there yet will be.
            (Err(failure), _, Some(Command::Create { .. } | Command::Update { .. }))
                if matches!(failure.kind(), FailureKind::NotFound | FailureKind::Gone) => {}
            (Err(failure), ..) => return Err(failure.at(entry.path())),
            (Ok(answer), ..) if written.is_empty() => {
                foreseen.insert(index, answer);
            }
            (Ok(_), ..) => {}
        }
    }
    Ok(foreseen)
}

/// Carries out a read, or an operation that reads, as of a position.
///
/// # Errors
/// Those of the interaction.
pub(super) async fn read(
    call: &Call,
    entry: &Entry<'_>,
    (path, query): (&str, &str),
    at: Option<Position>,
) -> Result<Answer, Failure> {
    debug_assert!(matches!(entry.method, Method::Get | Method::Head | Method::Post), "only reads are left");
    let mut entry = entry.clone();
    entry.target = Target::Other(path.to_owned(), query.to_owned());
    Ok(batch::answered(call, entry.method, batch::dispatch(call, &entry, at).await?))
}

/// The resource that a read is about.
struct About {
    key: ResourceKey,
    /// It reads that very resource as it is.
    is_instance: bool,
}

fn about(path: &str) -> Option<About> {
    let path = path.trim_matches('/');
    let mut parts = path.splitn(3, '/');
    let (kind, id) = (parts.next()?, parts.next()?);
    if !references::is_id(id) {
        return None;
    }
    let key = ResourceKey::new(route::resource_type(kind).ok()?, id);
    Some(About { key, is_instance: parts.next().is_none() })
}

fn deleted() -> Failure {
    let text = "Another entry of the transaction deletes what this one reads.";
    Failure::new(FailureKind::Gone, IssueCode::Deleted, text)
}
