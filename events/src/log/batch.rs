//! A batch on its way into the log: groups with their waiting writers, and the rows they become.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Duration, Utc};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::decide::{Lost, NotWritten, Span, Verdict, Won, compartment_key, resource_key, without};
use super::erase::Erasure;
use super::guard::{self, Guarded};
use super::transaction::{Tail, Writes};
use crate::codec::{CodecError, Encoder};
use crate::seal::{DataKey, Place, SealError};
use crate::{AppendError, Draft, Event, Group, Kind, Recorded, STAMP_LENGTH, Transaction, Version, envelope};

pub(crate) type Answer = Result<Done, AppendError>;

/// What became of a group that was not refused.
#[derive(Debug)]
pub(crate) enum Done {
    /// It was recorded now.
    Recorded(Vec<Recorded>),
    /// It was recorded before, under the same idempotency key. Its writer reads the events itself: the appender does
    /// not wait for that.
    Before(Span),
}

/// A group whose writer waits.
pub(crate) struct Pending {
    pub(crate) group: Group,
    /// The keys that its bodies are sealed with, by the home compartments; none where bodies are not sealed.
    pub(crate) keys: HashMap<String, Arc<DataKey>>,
    /// The bodies that it takes away.
    pub(crate) erasures: Vec<Erasure>,
    pub(crate) bytes: usize,
    pub(crate) reply: oneshot::Sender<Answer>,
    /// Its share of the queue's memory, given back with the answer.
    pub(crate) permit: OwnedSemaphorePermit,
}

impl Pending {
    /// Answers the writer; one that went away does not matter, the append stands.
    pub(crate) fn answer(self, answer: Answer) {
        drop(self.permit);
        let _ = self.reply.send(answer);
    }
}

/// A batch ready to be written.
#[derive(Default)]
pub(crate) struct Prepared {
    pub(crate) writes: Writes,
    /// What is written, for those who follow the log.
    pub(crate) events: Vec<Event>,
    /// The answer to each group, in order, once the transaction is committed.
    pub(crate) answers: Vec<Answer>,
    /// The end of the log after the batch; the old end if nothing won.
    pub(crate) tail: Option<Tail>,
}

/// How bodies get their stored form.
pub(crate) struct Storing<'a> {
    pub(crate) encoder: &'a mut Encoder,
    /// The log's genesis, where bodies are sealed.
    pub(crate) sealing: Option<&'a [u8; 32]>,
}

impl Storing<'_> {
    /// Compressed, and sealed where bodies are: one for which there is no key then is refused.
    fn form(&mut self, event: &Event, keys: &HashMap<String, Arc<DataKey>>) -> Result<Vec<u8>, CodecError> {
        let frame = self.encoder.encode(&event.payload)?;
        let Some(log) = self.sealing.filter(|_| !event.payload.is_empty()) else { return Ok(frame) };
        let key = keys.get(&event.home).ok_or(SealError::Failed)?;
        let place = Place { log, position: event.position, key: &event.key, version: event.version };
        Ok(key.seal(&place, &frame, event.payload.len())?)
    }
}

/// Stamps, compresses and chains the winners. Payloads are stamped in place; so that a batch that has to
/// be tried again can be prepared again, the stamp's place is kept.
pub(crate) fn prepare(
    groups: &mut [Pending],
    verdict: Verdict,
    end: (Option<Tail>, [u8; 32]),
    now: DateTime<Utc>,
    mut store: Storing<'_>,
) -> Result<Prepared, CodecError> {
    let (tail, genesis) = end;
    let mut hash = tail.map_or(genesis, |tail| tail.hash);
    let mut next = next_time(tail.map(|tail| tail.recorded_at), now);
    let mut prepared = Prepared { tail, ..Prepared::default() };
    for (pending, judged) in groups.iter_mut().zip(verdict.groups) {
        let won = match judged {
            Ok(won) => won,
            Err(not_written) => {
                prepared.answers.push(answer_of(not_written));
                continue;
            }
        };
        let mut answer = Vec::with_capacity(won.len());
        let group = &mut pending.group;
        let (id, size) = (group.transaction, u32::try_from(group.drafts.len()).unwrap_or(u32::MAX));
        for (index, (draft, won)) in (0..).zip(group.drafts.iter_mut().zip(won)) {
            stamp(draft, next);
            let transaction = id.map(|id| Transaction { id, index, size });
            let mut event = event(draft, won, transaction, next);
            event.hash = envelope::chain(&hash, &event);
            hash = event.hash;
            prepared.tail = Some(Tail { position: won.position, hash, recorded_at: next });
            next += Duration::microseconds(1);
            answer.push(Recorded {
                position: won.position,
                version: event.version,
                recorded_at: event.recorded_at,
                payload: event.payload.clone(),
                replayed: false,
            });
            if let Some(change) = guard::change(&verdict.guards, draft, (won.position, event.recorded_at)) {
                prepared.writes.guards.push(change, won.position);
            }
            for compartment in event.touches.iter().skip(1) {
                prepared.writes.links.push(won.position.to_sql(), compartment_key(compartment));
            }
            let stored = store.form(&event, &pending.keys)?;
            prepared.writes.events.push(&event, stored);
            prepared.events.push(event);
        }
        for erasure in &pending.erasures {
            if let Some(by) = answer.get(erasure.draft) {
                prepared.writes.erased.push(erasure, by.position);
            }
        }
        if let Some(asked) = &group.idempotency {
            prepared.writes.requests.push(asked, &answer);
        }
        prepared.answers.push(Ok(Done::Recorded(answer)));
    }
    for (key, before, after) in verdict.moved {
        for gone in without(&before.identifiers, &after.identifiers) {
            prepared.writes.identifiers_left.push(*gone, &key.id);
        }
        for taken in without(&after.identifiers, &before.identifiers) {
            prepared.writes.identifiers_taken.push(*taken, &key.id);
        }
        let heads = match before.version {
            Version::NONE => &mut prepared.writes.heads_new,
            before => {
                let versions = after.version.to_sql().saturating_sub(before.to_sql());
                prepared.writes.heads_moved.entry(versions).or_default()
            }
        };
        heads.push(resource_key(&key), &after);
    }
    Ok(prepared)
}

/// The answer to a group that is not written.
fn answer_of(not_written: NotWritten) -> Answer {
    match not_written {
        NotWritten::Lost(Lost { index, kind }) => Err(AppendError::Conflict { index, kind }),
        NotWritten::Guarded(index, Guarded::Held(since)) => Err(AppendError::Held { index, since }),
        NotWritten::Guarded(index, Guarded::Purging) => Err(AppendError::Purging { index }),
        NotWritten::Guarded(index, Guarded::NotBegun) => Err(AppendError::NotBegun { index }),
        NotWritten::Repeated(span) => Ok(Done::Before(span)),
        NotWritten::KeyReused => Err(AppendError::KeyReused),
    }
}

/// Times strictly increase along the log, in whole microseconds, also when the clock jumps back.
fn next_time(last: Option<DateTime<Utc>>, now: DateTime<Utc>) -> DateTime<Utc> {
    let now = DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now);
    last.map_or(now, |last| now.max(last + Duration::microseconds(1)))
}

fn stamp(draft: &mut Draft, time: DateTime<Utc>) {
    let Some(at) = draft.stamp_at else { return };
    let text = time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    if let Some(place) = draft.payload.get_mut(at..at + STAMP_LENGTH)
        && text.len() == STAMP_LENGTH
    {
        place.copy_from_slice(text.as_bytes());
    }
}

fn event(draft: &Draft, won: Won, transaction: Option<Transaction>, recorded_at: DateTime<Utc>) -> Event {
    // Checked before the group was queued.
    let kind = Kind::of(draft.operation, draft.erases).unwrap_or(Kind::ResourceUpdated);
    Event {
        position: won.position,
        kind,
        kind_version: kind.current_version(),
        operation: draft.operation,
        key: draft.key.clone(),
        version: draft.version,
        home: draft.home.clone(),
        touches: touches(draft),
        transaction,
        recorded_at,
        agent: draft.agent.clone(),
        source: draft.source.clone(),
        previous: won.previous,
        payload: Bytes::copy_from_slice(&draft.payload),
        erased: None,
        hash: [0; 32],
    }
}

/// The home first, then the others sorted, each once.
fn touches(draft: &Draft) -> Vec<String> {
    let mut others: Vec<&String> = draft.touches.iter().filter(|one| **one != draft.home).collect();
    others.sort_unstable();
    others.dedup();
    std::iter::once(&draft.home).chain(others).cloned().collect()
}

#[cfg(test)]
mod tests;
