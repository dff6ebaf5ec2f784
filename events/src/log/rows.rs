//! The rows that a batch writes, column by column, as `unnest` wants them.

use chrono::{DateTime, Utc};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::decide::HeadState;
use super::erase::Erasure;
use super::guard::Change;
use super::holder;
use crate::{Event, Idempotency, Position, Recorded};

/// One statement parameter.
pub(crate) type Sql<'a> = &'a (dyn ToSql + Sync);

/// Statement parameters after the log's number; `None` when there is nothing to write.
pub(crate) type Parameters<'a> = Option<Vec<Sql<'a>>>;

/// Rows of `anamnesis.event`.
#[derive(Default)]
pub(crate) struct EventRows {
    seq: Vec<i64>,
    recorded_at: Vec<DateTime<Utc>>,
    prev_seq: Vec<Option<i64>>,
    version: Vec<i32>,
    transaction_index: Vec<Option<i32>>,
    transaction_size: Vec<Option<i32>>,
    kind: Vec<i16>,
    kind_version: Vec<i16>,
    transaction_id: Vec<Option<Uuid>>,
    resource_type: Vec<String>,
    id: Vec<String>,
    home: Vec<String>,
    touches: Vec<Option<String>>,
    agent: Vec<String>,
    source: Vec<Option<String>>,
    hash: Vec<Vec<u8>>,
    payload: Vec<Vec<u8>>,
}

impl EventRows {
    /// Adds an event with the stored form of its payload.
    pub(crate) fn push(&mut self, event: &Event, payload: Vec<u8>) {
        let small = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        self.seq.push(event.position.to_sql());
        self.recorded_at.push(event.recorded_at);
        self.prev_seq.push(event.previous.map(|position| position.to_sql()));
        self.version.push(event.version.to_sql());
        self.transaction_index.push(event.transaction.map(|transaction| small(transaction.index)));
        self.transaction_size.push(event.transaction.map(|transaction| small(transaction.size)));
        self.kind.push(event.kind.code());
        self.kind_version.push(i16::try_from(event.kind_version).unwrap_or(i16::MAX));
        self.transaction_id.push(event.transaction.map(|transaction| transaction.id));
        self.resource_type.push(event.key.resource_type.to_string());
        self.id.push(event.key.id.clone());
        let others = event.touches.get(1..).unwrap_or_default();
        self.touches.push((!others.is_empty()).then(|| others.join("\n")));
        self.home.push(event.home.clone());
        self.agent.push(event.agent.to_string());
        self.source.push(event.source.as_ref().map(|source| source.to_string()));
        self.hash.push(event.hash.to_vec());
        self.payload.push(payload);
    }

    pub(crate) fn parameters(&self) -> Parameters<'_> {
        (!self.seq.is_empty()).then(|| {
            let columns: [Sql<'_>; 17] = [
                &self.seq,
                &self.recorded_at,
                &self.prev_seq,
                &self.version,
                &self.transaction_index,
                &self.transaction_size,
                &self.kind,
                &self.kind_version,
                &self.transaction_id,
                &self.resource_type,
                &self.id,
                &self.home,
                &self.touches,
                &self.agent,
                &self.source,
                &self.hash,
                &self.payload,
            ];
            columns.to_vec()
        })
    }
}

/// Bodies that go from rows of `anamnesis.event`.
#[derive(Default)]
pub(crate) struct ErasedRows {
    seq: Vec<i64>,
    commitment: Vec<Vec<u8>>,
    erased_by: Vec<i64>,
}

impl ErasedRows {
    pub(crate) fn push(&mut self, erasure: &Erasure, by: Position) {
        self.seq.push(erasure.position.to_sql());
        self.commitment.push(erasure.commitment.to_vec());
        self.erased_by.push(by.to_sql());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.seq.is_empty()
    }

    pub(crate) fn parameters(&self) -> Parameters<'_> {
        let columns: [Sql<'_>; 3] = [&self.seq, &self.commitment, &self.erased_by];
        (!self.is_empty()).then(|| columns.to_vec())
    }
}

/// Guards that change: at most one in a batch, because such a draft is alone in its own.
#[derive(Default)]
pub(crate) struct GuardRows {
    compartment: Vec<Uuid>,
    purge: Vec<Option<i64>>,
    hold: Vec<Option<i64>>,
    held_at: Vec<Option<DateTime<Utc>>>,
    /// The compartments whose data keys are destroyed, and by which events.
    keyless: Vec<Uuid>,
    destroyed_by: Vec<i64>,
}

impl GuardRows {
    /// A guard that changes with the event at a position.
    pub(crate) fn push(&mut self, change: Change, at: Position) {
        self.compartment.push(change.compartment);
        self.purge.push(change.after.purge.map(Position::to_sql));
        self.hold.push(change.after.hold.map(|(position, _)| position.to_sql()));
        self.held_at.push(change.after.hold.map(|(_, since)| since));
        if change.destroys_key {
            self.keyless.push(change.compartment);
            self.destroyed_by.push(at.to_sql());
        }
    }

    pub(crate) fn parameters(&self) -> Parameters<'_> {
        (!self.compartment.is_empty()).then(|| {
            let columns: [Sql<'_>; 4] = [&self.compartment, &self.purge, &self.hold, &self.held_at];
            columns.to_vec()
        })
    }

    /// Those of the keys that are destroyed.
    pub(crate) fn key_parameters(&self) -> Parameters<'_> {
        (!self.keyless.is_empty()).then(|| {
            let columns: [Sql<'_>; 2] = [&self.keyless, &self.destroyed_by];
            columns.to_vec()
        })
    }
}

/// Rows of `anamnesis.head`.
#[derive(Default)]
pub(crate) struct HeadRows {
    key: Vec<Uuid>,
    seq: Vec<i64>,
    version: Vec<i32>,
    deleted: Vec<bool>,
    identifiers: Vec<Option<Vec<u8>>>,
}

impl HeadRows {
    pub(crate) fn push(&mut self, key: Uuid, after: &HeadState) {
        self.key.push(key);
        self.seq.push(after.position.to_sql());
        self.version.push(after.version.to_sql());
        self.deleted.push(after.deleted);
        self.identifiers.push(bytes_of(&after.identifiers));
    }

    pub(crate) fn parameters(&self) -> Parameters<'_> {
        (!self.key.is_empty()).then(|| {
            let columns: [Sql<'_>; 5] =
                [&self.key, &self.seq, &self.version, &self.deleted, &self.identifiers];
            columns.to_vec()
        })
    }
}

/// Identifiers as a head keeps them: 16 bytes each, one after the other; nothing where there are none.
fn bytes_of(identifiers: &[Uuid]) -> Option<Vec<u8>> {
    (!identifiers.is_empty()).then(|| identifiers.iter().flat_map(|key| *key.as_bytes()).collect())
}

/// The identifiers that a head keeps.
pub(crate) fn identifiers_of(bytes: &[u8]) -> Vec<Uuid> {
    bytes.chunks_exact(16).filter_map(|key| Uuid::from_slice(key).ok()).collect()
}

/// Rows of `anamnesis.link`.
#[derive(Default)]
pub(crate) struct LinkRows {
    seq: Vec<i64>,
    compartment: Vec<Uuid>,
}

impl LinkRows {
    pub(crate) fn push(&mut self, seq: i64, compartment: Uuid) {
        self.seq.push(seq);
        self.compartment.push(compartment);
    }

    pub(crate) fn parameters(&self) -> Parameters<'_> {
        (!self.seq.is_empty()).then(|| {
            let columns: [Sql<'_>; 2] = [&self.seq, &self.compartment];
            columns.to_vec()
        })
    }
}

/// Rows of `anamnesis.identifier`.
#[derive(Default)]
pub(crate) struct IdentifierRows {
    key: Vec<Uuid>,
    holder: Vec<Vec<u8>>,
}

impl IdentifierRows {
    pub(crate) fn push(&mut self, key: Uuid, id: &str) {
        self.key.push(key);
        self.holder.push(holder::to_bytes(id));
    }

    pub(crate) fn parameters(&self) -> Parameters<'_> {
        (!self.key.is_empty()).then(|| {
            let columns: [Sql<'_>; 2] = [&self.key, &self.holder];
            columns.to_vec()
        })
    }
}

/// Rows of `anamnesis.idempotency`.
#[derive(Default)]
pub(crate) struct RequestRows {
    key: Vec<Uuid>,
    fingerprint: Vec<Vec<u8>>,
    first_seq: Vec<i64>,
    events: Vec<i32>,
    recorded_at: Vec<DateTime<Utc>>,
    note: Vec<Option<Vec<u8>>>,
}

impl RequestRows {
    /// Adds the key of a group that was recorded.
    pub(crate) fn push(&mut self, asked: &Idempotency, recorded: &[Recorded]) {
        let Some(first) = recorded.first() else { return };
        self.key.push(asked.key);
        self.fingerprint.push(asked.fingerprint.to_vec());
        self.first_seq.push(first.position.to_sql());
        self.events.push(i32::try_from(recorded.len()).unwrap_or(i32::MAX));
        self.recorded_at.push(first.recorded_at);
        self.note.push((!asked.note.is_empty()).then(|| asked.note.clone()));
    }

    pub(crate) fn parameters(&self) -> Parameters<'_> {
        (!self.key.is_empty()).then(|| {
            let columns: [Sql<'_>; 6] =
                [&self.key, &self.fingerprint, &self.first_seq, &self.events, &self.recorded_at, &self.note];
            columns.to_vec()
        })
    }
}
