//! A transaction that was recorded under an idempotency key, answered again.
//!
//! What was recorded is in its events. A note that is kept with the key says which entry each event is of, and what
//! became of the entries that recorded nothing. Reads are done again: they show what is there now, all of them one state.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::http::StatusCode;
use anamnesis_events::{Event, NOTE_BYTES_MAX, Recorded, Remembered, ResourceKey, Version};
use serde::{Deserialize, Serialize};

use super::entry::{Entry, Method};
use super::own::Own;
use super::plan::Step;
use super::response::Answer;
use super::target::Target;
use super::{Outcome, transaction};
use crate::api::Call;
use crate::decide::{Command, Current};
use crate::error::{Failure, FailureKind, IssueCode};

/// What an entry came to, without what is in its event.
#[derive(Debug, Serialize, Deserialize)]
enum Noted {
    /// The event with this place in the group.
    #[serde(rename = "e")]
    Event(usize),
    /// Nothing was there to be deleted, or this delete was the last that happened.
    #[serde(rename = "n")]
    Nothing(Option<u32>),
    /// This version was there already: type, id, version.
    #[serde(rename = "c")]
    Current(String, String, u32),
    /// A read: whether of the head only, path, query, `ifNoneMatch`, `ifModifiedSince`.
    #[serde(rename = "r")]
    Read(bool, String, String, Option<String>, Option<String>),
}

/// The note on a transaction: what the steps of its entries come to, if the entries in `of_draft`, in this order, are
/// recorded.
///
/// # Errors
/// 400 for what cannot be done again from a note; 413 where the reads among the entries are longer than is kept.
pub(super) fn note(
    entries: &[Entry<'_>],
    steps: &[Step],
    of_draft: impl Iterator<Item = usize>,
    current: &HashMap<ResourceKey, Arc<Current>>,
) -> Result<Vec<u8>, Failure> {
    let posted =
        |(entry, step): &(&Entry<'_>, &Step)| matches!(step, Step::Read(..)) && entry.method == Method::Post;
    if let Some((entry, _)) = entries.iter().zip(steps).find(posted) {
        let text = "An operation or a search by POST is not kept under an Idempotency-Key.";
        let failure = Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text);
        return Err(failure.at(format!("{}.request", entry.path())));
    }
    let event_of: HashMap<usize, usize> = of_draft.enumerate().map(|(event, entry)| (entry, event)).collect();
    let version = |key: &ResourceKey| current.get(key).map(|current| current.version.get());
    let standing = |key: &ResourceKey| {
        Noted::Current(key.resource_type.to_string(), key.id.clone(), version(key).unwrap_or_default())
    };
    let noted = entries.iter().zip(steps).enumerate().map(|(index, (entry, step))| match step {
        Step::Write(_) if event_of.contains_key(&index) => {
            Noted::Event(event_of.get(&index).copied().unwrap_or_default())
        }
        Step::Write(Command::Delete { key, .. } | Command::Purge { key, .. }) => Noted::Nothing(version(key)),
        Step::Write(command) => standing(command.key()),
        Step::Found(key) => standing(key),
        Step::Patch(patching) => standing(&patching.key),
        Step::Nothing => Noted::Nothing(None),
        Step::Read(path, query) => Noted::Read(
            entry.method == Method::Head,
            path.clone(),
            query.clone(),
            entry.if_none_match.clone(),
            entry.if_modified_since.clone(),
        ),
    });
    let note = serde_json::to_vec(&noted.collect::<Vec<_>>()).map_err(|_never| Failure::internal())?;
    if note.len() > NOTE_BYTES_MAX {
        let text = "The reads in this transaction are too long to be kept under an Idempotency-Key.";
        return Err(Failure::new(FailureKind::TooLarge, IssueCode::TooLong, text));
    }
    Ok(note)
}

/// The answers to a transaction that was recorded before.
///
/// # Errors
/// The log cannot be read.
pub(super) async fn answers(call: &Call, remembered: Remembered) -> Result<Outcome, Failure> {
    let Remembered { note, events, .. } = remembered;
    if note.is_empty() {
        let text = "What this request has recorded was erased since, and with it what would be answered.";
        return Err(Failure::new(FailureKind::Gone, IssueCode::Deleted, text));
    }
    let noted: Vec<Noted> = serde_json::from_slice(&note).map_err(|error| {
        tracing::error!(%error, "The note to an idempotency key cannot be read.");
        Failure::internal()
    })?;
    let last = events.last().map(|event| event.position);
    let now = call.service.compartments.reads().head().await?;
    let mut answers = Vec::with_capacity(noted.len());
    for (index, noted) in noted.into_iter().enumerate() {
        answers.push(match noted {
            Noted::Event(place) => recorded(call, events.get(place).ok_or_else(Failure::internal)?),
            Noted::Nothing(version) => {
                Answer { version: version.map(Version::new), ..Answer::new(StatusCode::NO_CONTENT) }
            }
            Noted::Current(resource_type, id, version) => {
                let key = ResourceKey::new(resource_type, id);
                let event = call.service.log.version(&key, Version::new(version)).await?;
                let standing = event.map(|event| (key.clone(), Arc::new(Current::from(&event))));
                transaction::unchanged(call, &key, &standing.into_iter().collect())
            }
            Noted::Read(is_head, path, query, if_none_match, if_modified_since) => {
                let entry = Entry {
                    index,
                    full_url: None,
                    method: if is_head { Method::Head } else { Method::Get },
                    target: Target::Other(path.clone(), query.clone()),
                    own: Own::NOTHING,
                    resource: None,
                    if_match: None,
                    if_none_match,
                    if_modified_since,
                    if_none_exist: None,
                };
                transaction::read(call, &entry, (&path, &query), now).await
            }
        });
    }
    Ok((answers, last))
}

fn recorded(call: &Call, event: &Event) -> Answer {
    let recorded = Recorded {
        position: event.position,
        version: event.version,
        recorded_at: event.recorded_at,
        payload: event.payload.clone(),
        replayed: true,
    };
    transaction::recorded_answer(call, &event.key, event.operation, recorded)
}
