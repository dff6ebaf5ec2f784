//! What is checked of one event after the other, as they are stored: order, hashes, times, transactions, versions.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;

use super::guards::InForce;
use super::{Faults, Positions};
use crate::log::ring::Ring;
use crate::log::row;
use crate::{Event, LogError, Position, Transaction, Version, envelope};

/// The columns behind those of the event, in a row of the walk: the version that the event says was before it.
const PREVIOUS_VERSION: usize = 19;
const PREVIOUS_TYPE: usize = 20;
const PREVIOUS_ID: usize = 21;
/// Whether an event that the event erases still has a body.
const LEFT: usize = 22;
/// Whether the event that erased this one's body is there, and of a kind and resource that can have.
const ERASED_RIGHTLY: usize = 23;

/// Where the check stands. Works on a thread of its own, because hashing and unpacking are most of the work.
pub(super) struct Chain {
    /// The position of the last event.
    at: Position,
    /// Its hash; `None` where it could not be read, so that the next one cannot be checked against it.
    hash: Option<[u8; 32]>,
    time: Option<DateTime<Utc>>,
    /// The transaction that the last event was of, if more of it must come.
    open: Option<Transaction>,
    /// The first event may be in the middle of a transaction.
    begins_inside: bool,
    pub(super) events: u64,
    pub(super) bytes: u64,
    pub(super) erased: u64,
    /// What is in force on compartments by the events so far.
    pub(super) in_force: InForce,
    /// The events that a later one follows.
    pub(super) superseded: Positions,
    pub(super) faults: Faults,
}

impl Chain {
    pub(super) fn new(after: Position, until: Position, hash: Option<[u8; 32]>) -> Self {
        Self {
            at: after,
            hash,
            time: None,
            open: None,
            begins_inside: after > Position::ZERO,
            events: 0,
            bytes: 0,
            erased: 0,
            in_force: InForce::default(),
            superseded: Positions::new(after, until),
            faults: Faults::default(),
        }
    }

    /// The hash at the last position, where it could be read.
    pub(super) fn hash(&self) -> Option<[u8; 32]> {
        self.hash
    }

    /// Checks the next row.
    pub(super) fn take(&mut self, row: &Row, ring: &Ring) -> Result<(), LogError> {
        let position = Position::from_sql(row.try_get(0)?);
        self.pass_hole(position);
        self.events = self.events.saturating_add(1);
        match row::stored(row, ring) {
            Ok(event) => {
                self.check_hash(&event);
                self.check_order(&event);
                self.check_versions(&event, row)?;
                self.check_erasure(&event, row)?;
                self.in_force.take(&event);
                self.bytes = self.bytes.saturating_add(event.payload.len() as u64);
                self.hash = Some(event.hash);
                self.time = Some(event.recorded_at);
            }
            Err(LogError::Broken { reason, .. }) => {
                self.faults.add(position, reason);
                self.pass_unreadable(row)?;
            }
            Err(error @ LogError::UnknownKind { .. }) => {
                self.faults.add(position, error.to_string());
                self.pass_unreadable(row)?;
            }
            Err(error) => return Err(error),
        }
        self.at = position;
        Ok(())
    }

    /// After the last row: whether the log reaches as far as it must, and no transaction is cut.
    pub(super) fn finish(&mut self, until: Position, may_cut: bool) {
        if self.at < until {
            self.pass_hole(until.next());
        }
        if let (Some(open), false) = (self.open, may_cut) {
            let reason = format!(
                "the log ends in the middle of a transaction: {} of {} events",
                open.index + 1,
                open.size
            );
            self.faults.add(self.at, reason);
        }
    }

    fn pass_hole(&mut self, position: Position) {
        let expected = self.at.next();
        if position == expected {
            return;
        }
        let last = position.get().saturating_sub(1);
        let reason = match last == expected.get() {
            true => "the event is missing".to_owned(),
            false => format!("the events up to {last} are missing"),
        };
        self.faults.add(expected, reason);
        self.hash = None;
        self.open = None;
        self.begins_inside = true;
    }

    /// The next event is checked against the hash that is stored, although this one could not be read.
    fn pass_unreadable(&mut self, row: &Row) -> Result<(), LogError> {
        self.hash = row.try_get::<_, &[u8]>(16)?.try_into().ok();
        self.open = None;
        self.begins_inside = true;
        if let Some(previous) = row.try_get::<_, Option<i64>>(14)? {
            self.superseded.insert(Position::from_sql(previous));
        }
        Ok(())
    }

    fn check_hash(&mut self, event: &Event) {
        let Some(previous) = self.hash else { return };
        if envelope::chain(&previous, event) != event.hash {
            self.faults.add(event.position, "its hash does not follow from the event and the hash before it");
        }
    }

    fn check_order(&mut self, event: &Event) {
        if self.time.is_some_and(|time| time >= event.recorded_at) {
            self.faults.add(event.position, "it was not recorded later than the event before it");
        }
        let begins_inside = std::mem::take(&mut self.begins_inside);
        let open = self.open.take();
        let continues = |open: &Transaction, next: &Transaction| {
            (open.id, open.size, open.index + 1) == (next.id, next.size, next.index)
        };
        let is_whole = match (open, &event.transaction) {
            (Some(open), Some(next)) => continues(&open, next),
            (Some(_), None) => false,
            (None, Some(next)) => next.index == 0 || begins_inside,
            (None, None) => true,
        };
        if !is_whole {
            self.faults
                .add(event.position, "a transaction is not whole, or its events do not stand together");
        }
        if event.transaction.is_some_and(|transaction| transaction.index >= transaction.size) {
            self.faults.add(event.position, "its place is beyond the end of its transaction");
        }
        self.open = event.transaction.filter(|transaction| !transaction.is_last());
    }

    fn check_versions(&mut self, event: &Event, row: &Row) -> Result<(), LogError> {
        let Some(previous) = event.previous else {
            if event.version != Version::new(1) {
                self.faults.add(event.position, "it is not version 1, but names no version before it");
            }
            return Ok(());
        };
        let makes_version = event.operation.makes_version();
        let before = if makes_version { event.version.previous() } else { event.version };
        let version = row.try_get::<_, Option<i32>>(PREVIOUS_VERSION)?;
        let resource_type: Option<&str> = row.try_get(PREVIOUS_TYPE)?;
        let id: Option<&str> = row.try_get(PREVIOUS_ID)?;
        let is_same = (resource_type, id) == (Some(&*event.key.resource_type), Some(event.key.id.as_str()));
        let is_before = previous < event.position && version == Some(before.to_sql()) && is_same;
        if !is_before {
            let reason = format!("the event at {previous} is not the version before it, as it says");
            self.faults.add(event.position, reason);
        }
        // An event without a version stands at no head, and nothing follows it.
        let followed = if makes_version { previous } else { event.position };
        if !self.superseded.insert(followed) {
            let reason = format!("another event follows the same version, that at {previous}");
            self.faults.add(event.position, reason);
        }
        if !event.operation.has_body() && !event.payload.is_empty() {
            self.faults.add(event.position, format!("it is a {}, but has a body", event.operation));
        }
        Ok(())
    }

    fn check_erasure(&mut self, event: &Event, row: &Row) -> Result<(), LogError> {
        if row.try_get::<_, Option<bool>>(LEFT)? == Some(true) {
            self.faults.add(event.position, "a body that it erases is still there");
        }
        if let Some(erased) = event.erased {
            self.erased = self.erased.saturating_add(1);
            if row.try_get::<_, Option<bool>>(ERASED_RIGHTLY)? != Some(true) {
                let reason = format!("its body is gone, but the event at {} does not erase it", erased.by);
                self.faults.add(event.position, reason);
            }
        }
        Ok(())
    }
}
