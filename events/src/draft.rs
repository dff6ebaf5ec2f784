//! What a writer proposes to record, and what it gets back.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Identifier, Operation, Position, ResourceKey, Version};

/// Stands in a draft's payload where the time of recording belongs; the log overwrites it, because the
/// time is known only when the event is recorded.
pub const STAMP_PLACEHOLDER: &str = "0000-00-00T00:00:00.000000Z";

/// The length of a time of recording in a payload, in bytes.
pub const STAMP_LENGTH: usize = STAMP_PLACEHOLDER.len();

/// A proposed event.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The resource.
    pub key: ResourceKey,
    /// What the write does.
    pub operation: Operation,
    /// The version that this write makes. The resource must stand at the version before it; version 1
    /// means that it must never have existed.
    pub version: Version,
    /// The compartment that the resource lives in, such as `Patient/1` or `Organization/~17`.
    pub home: String,
    /// Every compartment that is concerned, also those that the resource leaves by this write. The home
    /// is added if it is missing.
    pub touches: Vec<String>,
    /// The whole resource as it will be served; empty for a delete.
    pub payload: Vec<u8>,
    /// Where in the payload [`STAMP_PLACEHOLDER`] stands, in bytes.
    pub stamp_at: Option<usize>,
    /// All identifiers that the resource has after this write; none for a delete.
    pub identifiers: Vec<Identifier>,
    /// Identifiers that no *other* living resource of this type may hold when the write is recorded:
    /// what makes conditional creates and updates free of races.
    pub require_no_identifier: Vec<Identifier>,
    /// Who writes.
    pub agent: Arc<str>,
    /// Where it comes from or why.
    pub source: Option<Arc<str>>,
}

/// Drafts that are recorded together or not at all, at consecutive positions.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// The drafts in the order in which they are to be recorded.
    pub drafts: Vec<Draft>,
    /// Names the transaction bundle that the group is, if it is one.
    pub transaction: Option<Uuid>,
}

impl Group {
    /// A group of one draft that is no transaction bundle.
    pub fn single(draft: Draft) -> Group {
        Group { drafts: vec![draft], transaction: None }
    }

    /// The bytes of the group's payloads.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.drafts.iter().map(|draft| draft.payload.len()).sum()
    }
}

/// What became of a draft that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its place in the log.
    pub position: Position,
    /// The version it made.
    pub version: Version,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// The payload with the time of recording in it, as it is served.
    pub payload: Bytes,
}
