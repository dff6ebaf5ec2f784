//! Which groups of a batch win: a pure function of what is recorded and what is proposed.
//!
//! It runs under the log's lock. Groups are judged in the order in which they came; a later group sees
//! what the earlier winners of its batch write. A group wins or loses whole, and a loser neither takes a
//! position nor stands in the way of its neighbours.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::guard::{Guarded, Guards};
use crate::{ConflictKind, Draft, Group, Idempotency, Identifier, Operation, Position, ResourceKey, Version};

/// Where a resource stands, as the decision needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HeadState {
    pub(crate) version: Version,
    pub(crate) deleted: bool,
    pub(crate) position: Position,
    /// The keys under which it stands in the identifier table.
    pub(crate) identifiers: Vec<Uuid>,
}

/// What is recorded about the resources and identifiers that a batch names.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) heads: HashMap<ResourceKey, HeadState>,
    /// The ids of the living resources that hold an identifier.
    pub(crate) holders: HashMap<Uuid, Vec<String>>,
    /// What was recorded under idempotency keys.
    pub(crate) requests: HashMap<Uuid, Request>,
    /// Those of the data keys that were destroyed.
    pub(crate) destroyed_keys: Vec<u32>,
    /// Whether there are guards on any compartments of the log.
    pub(crate) is_guarded: bool,
    /// Those on the compartments that were asked for.
    pub(crate) guards: Guards,
    /// The groups that guards are against, by their places in the batch: which draft, and why.
    pub(crate) refused: HashMap<usize, (usize, Guarded)>,
}

/// What a batch has to be compared with.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Every resource that the groups name, by its key in the head table.
    pub(crate) heads: HashMap<Uuid, ResourceKey>,
    /// Every identifier that the groups require to be free, once.
    pub(crate) required_free: Vec<Uuid>,
    /// The idempotency keys of the groups.
    pub(crate) requests: Vec<Uuid>,
    /// The data keys that the groups are to be sealed with.
    pub(crate) data_keys: Vec<i32>,
    /// The compartments whose guards are to be known; none where there are no guards.
    pub(crate) compartments: Vec<Uuid>,
}

/// A request that was recorded under an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) fingerprint: [u8; 32],
    pub(crate) span: Span,
}

/// Consecutive positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) first: Position,
    pub(crate) events: u32,
}

/// Why a group of a batch is not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotWritten {
    /// A draft conflicts.
    Lost(Lost),
    /// A guard is against the draft with this place.
    Guarded(usize, Guarded),
    /// The request was recorded before, here.
    Repeated(Span),
    /// The idempotency key stands for another request.
    KeyReused,
}

/// A draft that lost, and its group with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) index: usize,
    pub(crate) kind: ConflictKind,
}

/// What a winning draft gets: its position and the resource's previous one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Won {
    pub(crate) position: Position,
    pub(crate) previous: Option<Position>,
}

/// The verdict on a batch: one entry per group, and the heads that the winners move.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) groups: Vec<Result<Vec<Won>, NotWritten>>,
    /// Each moved head once: what it was, and what it becomes.
    pub(crate) moved: Vec<(ResourceKey, HeadState, HeadState)>,
    /// The last position given out.
    pub(crate) tail: Position,
    /// The guards as they were.
    pub(crate) guards: Guards,
}

/// Judges the groups. `tail` is the log's last position.
pub(crate) fn decide<'a>(
    recorded: &Recorded,
    tail: Position,
    groups: impl Iterator<Item = &'a Group>,
) -> Verdict {
    let mut batch =
        Batch { recorded, heads: HashMap::new(), holders: HashMap::new(), requests: HashMap::new() };
    let mut verdict = Verdict { tail, guards: recorded.guards.clone(), ..Verdict::default() };
    for (place, group) in groups.enumerate() {
        // Before the heads: a request that was recorded has moved them itself.
        if let Some(repeated) = group.idempotency.as_ref().and_then(|key| batch.recognise(key)) {
            verdict.groups.push(Err(repeated));
            continue;
        }
        if let Some((index, why)) = recorded.refused.get(&place) {
            verdict.groups.push(Err(NotWritten::Guarded(*index, *why)));
            continue;
        }
        let mut trial = Trial { batch: &batch, heads: HashMap::new(), holders: HashMap::new() };
        let mut position = verdict.tail;
        let judged: Result<Vec<Won>, NotWritten> = (group.drafts.iter().enumerate())
            .map(|(index, draft)| {
                position = position.next();
                trial.write(draft, position).map_err(|kind| NotWritten::Lost(Lost { index, kind }))
            })
            .collect();
        if judged.is_ok() {
            let Trial { heads, holders, .. } = trial;
            batch.heads.extend(heads);
            batch.holders.extend(holders);
            batch.remember(group, verdict.tail.next());
            verdict.tail = position;
        }
        verdict.groups.push(judged);
    }
    let heads = batch.heads;
    verdict.moved = heads
        .into_iter()
        .map(|(key, after)| {
            let before = recorded.heads.get(&key).cloned().unwrap_or_default();
            (key, before, after)
        })
        .collect();
    // Always the same order, so that the tables are always written in the same order.
    verdict.moved.sort_by(|left, right| left.0.cmp(&right.0));
    verdict
}

/// The key of an identifier: the first 16 bytes of a SHA-256 over type, system and value, each after its
/// length. Short, unmistakable, and no name of anybody.
pub(crate) fn identifier_key(resource_type: &str, identifier: &Identifier) -> Uuid {
    let mut hash = Sha256::new();
    for text in [resource_type, &identifier.system, &identifier.value] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    short_hash(hash)
}

/// The key of a resource in the head table: the first 16 bytes of the SHA-256 of `type/id`. No type has a
/// slash, so no two resources have the same text.
pub(crate) fn resource_key(key: &ResourceKey) -> Uuid {
    let hash = Sha256::new().chain_update(key.resource_type.as_bytes());
    short_hash(hash.chain_update(b"/").chain_update(key.id.as_bytes()))
}

/// The key of a compartment in the link table: the first 16 bytes of the SHA-256 of its name.
pub(crate) fn compartment_key(compartment: &str) -> Uuid {
    short_hash(Sha256::new().chain_update(compartment.as_bytes()))
}

fn short_hash(hash: Sha256) -> Uuid {
    let hash: [u8; 32] = hash.finalize().into();
    let (short, _) = hash.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
    Uuid::from_bytes(*short)
}

/// What is recorded, with the winners so far on top.
struct Batch<'a> {
    recorded: &'a Recorded,
    heads: HashMap<ResourceKey, HeadState>,
    holders: HashMap<Uuid, Vec<String>>,
    requests: HashMap<Uuid, Request>,
}

impl Batch<'_> {
    /// What became of the request before, in the log or earlier in this batch.
    fn recognise(&self, asked: &Idempotency) -> Option<NotWritten> {
        let known = self.requests.get(&asked.key).or_else(|| self.recorded.requests.get(&asked.key))?;
        Some(match known.fingerprint == asked.fingerprint {
            true => NotWritten::Repeated(known.span),
            false => NotWritten::KeyReused,
        })
    }

    /// The group wins, from this position on.
    fn remember(&mut self, group: &Group, first: Position) {
        if let Some(Idempotency { key, fingerprint, .. }) = &group.idempotency {
            let events = u32::try_from(group.drafts.len()).unwrap_or(u32::MAX);
            self.requests.insert(*key, Request { fingerprint: *fingerprint, span: Span { first, events } });
        }
    }
}

/// A group on trial, on top of its batch.
struct Trial<'a> {
    batch: &'a Batch<'a>,
    heads: HashMap<ResourceKey, HeadState>,
    holders: HashMap<Uuid, Vec<String>>,
}

impl Trial<'_> {
    fn head(&self, key: &ResourceKey) -> HeadState {
        (self.heads.get(key))
            .or_else(|| self.batch.heads.get(key))
            .or_else(|| self.batch.recorded.heads.get(key))
            .cloned()
            .unwrap_or_default()
    }

    fn holders(&self, key: &Uuid) -> &[String] {
        (self.holders.get(key))
            .or_else(|| self.batch.holders.get(key))
            .or_else(|| self.batch.recorded.holders.get(key))
            .map_or(&[], Vec::as_slice)
    }

    fn write(&mut self, draft: &Draft, position: Position) -> Result<Won, ConflictKind> {
        let head = self.head(&draft.key);
        let makes_version = draft.operation.makes_version();
        let expected = if makes_version { head.version.next() } else { head.version };
        if expected != draft.version {
            return Err(ConflictKind::HeadMoved { found: head.version, deleted: head.deleted });
        }
        for identifier in &draft.require_no_identifier {
            let key = identifier_key(&draft.key.resource_type, identifier);
            if let Some(id) = self.holders(&key).iter().find(|id| **id != draft.key.id) {
                return Err(ConflictKind::IdentifierTaken { id: id.clone() });
            }
        }
        if !makes_version {
            return Ok(Won { position, previous: Some(head.position) });
        }
        let mut identifiers: Vec<Uuid> =
            draft.identifiers.iter().map(|one| identifier_key(&draft.key.resource_type, one)).collect();
        identifiers.sort_unstable();
        identifiers.dedup();
        self.hand_over(&draft.key.id, &head.identifiers, &identifiers);
        let previous = (head.version != Version::NONE).then_some(head.position);
        let deleted = draft.operation == Operation::Delete;
        let after = HeadState { version: draft.version, deleted, position, identifiers };
        self.heads.insert(draft.key.clone(), after);
        Ok(Won { position, previous })
    }

    /// Moves a resource from the identifiers that it had to those that it has now.
    fn hand_over(&mut self, id: &str, before: &[Uuid], after: &[Uuid]) {
        for key in without(before, after) {
            let mut holders = self.take_holders(key);
            holders.retain(|holder| holder != id);
            self.holders.insert(*key, holders);
        }
        for key in without(after, before) {
            let mut holders = self.take_holders(key);
            holders.push(id.to_owned());
            self.holders.insert(*key, holders);
        }
    }

    /// The holders, copied only the first time that the group moves them.
    fn take_holders(&mut self, key: &Uuid) -> Vec<String> {
        self.holders.remove(key).unwrap_or_else(|| self.holders(key).to_vec())
    }
}

/// Those of `these` that are not among `those`, in their order. A resource may have thousands of identifiers, and the
/// log is locked meanwhile: nothing here may grow faster than they do.
pub(crate) fn without<'a>(these: &'a [Uuid], those: &[Uuid]) -> impl Iterator<Item = &'a Uuid> {
    let those: HashSet<Uuid> = those.iter().copied().collect();
    these.iter().filter(move |key| !those.contains(key))
}

impl Wanted {
    /// What is to be read for these groups.
    pub(crate) fn of<'a>(groups: impl Iterator<Item = &'a Group>) -> Wanted {
        let mut wanted = Wanted::default();
        for group in groups {
            wanted.requests.extend(group.idempotency.as_ref().map(|idempotency| idempotency.key));
            for draft in &group.drafts {
                wanted.heads.entry(resource_key(&draft.key)).or_insert_with(|| draft.key.clone());
                let of_type = |one| identifier_key(&draft.key.resource_type, one);
                wanted.required_free.extend(draft.require_no_identifier.iter().map(of_type));
            }
        }
        wanted.required_free.sort_unstable();
        wanted.required_free.dedup();
        wanted
    }
}

#[cfg(test)]
mod tests;
