//! What was recorded: an event with its envelope and body, and the head of a resource.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Kind, Operation, Position, Version};

/// Names a resource within a workspace: its type and its id.
///
/// ```
/// let key = anamnesis_events::ResourceKey::new("Patient", "1");
/// assert_eq!(key.to_string(), "Patient/1");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKey {
    /// The resource type, such as `Observation`.
    pub resource_type: Arc<str>,
    /// The logical id.
    pub id: String,
}

impl ResourceKey {
    /// The key of the resource `resource_type/id`.
    pub fn new(resource_type: impl Into<Arc<str>>, id: impl Into<String>) -> ResourceKey {
        ResourceKey { resource_type: resource_type.into(), id: id.into() }
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.resource_type, self.id)
    }
}

/// A business identifier of a resource (FHIR `Identifier.system` and `Identifier.value`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier {
    /// The namespace; empty where the identifier has none.
    pub system: String,
    /// The value within the namespace.
    pub value: String,
}

/// The place of an event in the transaction bundle that it came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Transaction {
    /// Names the transaction; the same on all of its events.
    pub id: Uuid,
    /// The place of this event in the transaction, from 0.
    pub index: u32,
    /// How many events the transaction has. They have consecutive positions.
    pub size: u32,
}

impl Transaction {
    /// Whether the transaction ends with this event.
    pub fn is_last(&self) -> bool {
        self.index.saturating_add(1) >= self.size
    }
}

/// One recorded fact: who did what to which resource, when, and the resource as it was from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the log.
    pub position: Position,
    /// The kind of fact.
    pub kind: Kind,
    /// The version of the kind's schema, after upcasting.
    pub kind_version: u16,
    /// What it did to the resource.
    pub operation: Operation,
    /// The resource.
    pub key: ResourceKey,
    /// The version of the resource that it made.
    pub version: Version,
    /// The compartment that the resource lives in, such as `Patient/1`.
    pub home: String,
    /// Every compartment that is concerned: the home first, the others sorted. An update also names
    /// those that the resource left.
    pub touches: Vec<String>,
    /// The transaction bundle it belongs to, if any.
    pub transaction: Option<Transaction>,
    /// When it was recorded: microseconds, strictly increasing along the log.
    pub recorded_at: DateTime<Utc>,
    /// Who wrote it.
    pub agent: Arc<str>,
    /// Where it came from or why, if the writer said so.
    pub source: Option<Arc<str>>,
    /// The position of the resource's previous version, if it had one.
    pub previous: Option<Position>,
    /// The resource exactly as it is served; empty for what has no body, and where it was erased.
    pub payload: Bytes,
    /// That the body was taken away, if it was.
    pub erased: Option<Erased>,
    /// The hash that chains the event to all before it, see [`crate::envelope`].
    pub hash: [u8; 32],
}

/// What is left of a body that was taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Erased {
    /// The position of the event that took it away.
    pub by: Position,
    /// SHA-256 of the body: what the hash chain needs of it.
    pub commitment: [u8; 32],
}

impl Event {
    /// Whether nothing of this version is to be shown: its body was erased, or it is the end of a resource of which no
    /// version is left.
    pub fn is_gone(&self) -> bool {
        self.erased.is_some() || self.kind == Kind::ResourceErased
    }

    /// Whether there is a resource in it: not in the end of one, not in an erasure, and not where it was erased.
    pub fn has_body(&self) -> bool {
        self.erased.is_none() && matches!(self.operation, Operation::Create | Operation::Update)
    }

    /// Whether a reader may stop after this event without having seen half a transaction bundle.
    pub fn ends_group(&self) -> bool {
        self.transaction.is_none_or(|transaction| transaction.is_last())
    }
}

/// Where a resource stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its newest version.
    pub version: Version,
    /// The position of the event that made this version.
    pub position: Position,
    /// Whether the newest version is a delete.
    pub deleted: bool,
    /// The compartment that the resource lives in.
    pub home: String,
}
