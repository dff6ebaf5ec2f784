//! The reads of a transaction. One that fails fails the whole (R4 http.html#trules: every entry has to come to 2xx or
//! 3xx), so each is tried before anything is recorded; and it is done again when everything is, so that it shows what
//! was written. Where nothing is to be recorded, or nothing that it can see, its first answer is the answer.
//!
//! Whether a search can see what is recorded, its criteria alone do not tell (chains, lists, included resources), and what
//! other clients write meanwhile stands before what is recorded: so it is done twice in every transaction that writes.

use std::collections::HashMap;

use anamnesis_events::ResourceKey;
use anamnesis_fhir::references;

use super::batch;
use super::entry::{Entry, Method};
use super::plan::Step;
use super::response::Answer;
use super::target::Target;
use crate::api::{Call, route};
use crate::decide::Command;
use crate::error::{Failure, FailureKind, IssueCode};

/// The answers of reads that nothing in the transaction can change, by the place of their entries.
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
    for (index, (entry, step)) in entries.iter().zip(steps).enumerate() {
        let Step::Read(path, query) = step else { continue };
        let about = about(path);
        let writer = about.as_ref().and_then(|about| written.get(&about.key));
        let answered = match (&about, writer) {
            (Some(About { is_instance: true, .. }), Some(Command::Delete { .. })) => Err(deleted()),
            _ => read(call, entry, path, query).await,
        };
        match (answered, about, writer) {
            // What is not there yet will be.
            (Err(failure), _, Some(Command::Create { .. } | Command::Update { .. }))
                if matches!(failure.kind(), FailureKind::NotFound | FailureKind::Gone) => {}
            (Err(failure), ..) => return Err(failure.at(entry.path())),
            (Ok(answer), about, None)
                if written.is_empty() || about.as_ref().is_some_and(|about| about.is_version) =>
            {
                foreseen.insert(index, answer);
            }
            (Ok(_), ..) => {}
        }
    }
    Ok(foreseen)
}

/// Carries out a read, or an operation that reads.
///
/// # Errors
/// Those of the interaction.
pub(super) async fn read(call: &Call, entry: &Entry<'_>, path: &str, query: &str) -> Result<Answer, Failure> {
    debug_assert!(matches!(entry.method, Method::Get | Method::Head | Method::Post), "only reads are left");
    let mut entry = entry.clone();
    entry.target = Target::Other(path.to_owned(), query.to_owned());
    Ok(batch::answered(call, entry.method, batch::dispatch(call, &entry).await?))
}

/// The resource that a read is about.
struct About {
    key: ResourceKey,
    /// It reads that very resource as it is.
    is_instance: bool,
    /// It reads nothing but versions of it.
    is_version: bool,
}

fn about(path: &str) -> Option<About> {
    let path = path.trim_matches('/');
    let mut parts = path.splitn(3, '/');
    let (kind, id) = (parts.next()?, parts.next()?);
    if !references::is_id(id) {
        return None;
    }
    let key = ResourceKey::new(route::resource_type(kind).ok()?, id);
    let rest = parts.next();
    let is_version = rest.is_none_or(|rest| rest.starts_with("_history"));
    Some(About { key, is_instance: rest.is_none(), is_version })
}

fn deleted() -> Failure {
    let text = "Another entry of the transaction deletes what this one reads.";
    Failure::new(FailureKind::Gone, IssueCode::Deleted, text)
}
