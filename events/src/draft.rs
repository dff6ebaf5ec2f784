//! What a writer proposes to record, and what it gets back.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    AppendError, Erases, Idempotency, Identifier, Kind, NOTE_BYTES_MAX, Operation, Position, ResourceKey,
    Version,
};

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
    /// Which bodies of earlier versions it takes away.
    pub erases: Erases,
    /// The version that this write makes. The resource must stand at the version before it; version 1
    /// means that it must never have existed. A purge, a hold and its release make none: the resource must stand at this
    /// version.
    pub version: Version,
    /// The compartment that the resource lives in, such as `Patient/1` or `Organization/~17`.
    pub home: String,
    /// Every compartment that is concerned, also those that the resource leaves by this write. The home
    /// is added if it is missing.
    pub touches: Vec<String>,
    /// The whole resource as it will be served, and what is to be known of a hold; empty for all others.
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

impl Draft {
    /// Whether its event says of the home compartment what may be written there from then on.
    pub(crate) fn guards(&self) -> bool {
        Kind::of(self.operation, self.erases).is_some_and(Kind::guards)
    }
}

/// Drafts that are recorded together or not at all, at consecutive positions.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// The drafts in the order in which they are to be recorded.
    pub drafts: Vec<Draft>,
    /// Names the transaction bundle that the group is, if it is one.
    pub transaction: Option<Uuid>,
    /// Under which it is recorded once, however often it is appended.
    pub idempotency: Option<Idempotency>,
}

impl Group {
    /// A group of one draft that is no transaction bundle.
    pub fn single(draft: Draft) -> Group {
        Group { drafts: vec![draft], ..Group::default() }
    }

    /// The bytes of the group's payloads, and of the note to its idempotency key.
    pub(crate) fn bytes(&self) -> usize {
        let note = self.idempotency.as_ref().map_or(0, |idempotency| idempotency.note.len());
        self.drafts.iter().map(|draft| draft.payload.len()).sum::<usize>() + note
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
    /// Whether an earlier append under the same idempotency key recorded it, and this one recorded nothing. The
    /// resource may be another one than that of the draft: see [`crate::Log::remembered`].
    pub replayed: bool,
}

/// The longest type, id and compartment, in bytes: all are parts of index keys. FHIR's own limit for an
/// id is 64 (R4 datatypes, `id`).
const NAME_BYTES_MAX: usize = 255;
/// The longest agent and source, in bytes.
const AGENT_BYTES_MAX: usize = 1024;
/// The most compartments that one event may touch.
const TOUCHES_MAX: usize = 10_000;
/// The most identifiers that one resource may have, and that one draft may require to be free: each is a row, written
/// while the log is locked.
const IDENTIFIERS_MAX: usize = 10_000;

/// Whether the log can store the group and read it back as it is.
pub(crate) fn check(group: &Group) -> Result<(), AppendError> {
    if group.idempotency.as_ref().is_some_and(|idempotency| idempotency.note.len() > NOTE_BYTES_MAX) {
        return Err(AppendError::Invalid { index: 0, reason: "the note to its idempotency key is too long" });
    }
    let is_alone = group.drafts.len() == 1 && group.idempotency.is_none();
    for (index, draft) in group.drafts.iter().enumerate() {
        if draft.guards() && !is_alone {
            let reason = "what says what may be written in a compartment must be alone in its group";
            return Err(AppendError::Invalid { index, reason });
        }
        check_counts(index, draft)?;
        check_draft(draft).map_err(|reason| AppendError::Invalid { index, reason })?;
    }
    Ok(())
}

/// What a client can cause, by sending an unusual resource.
fn check_counts(index: usize, draft: &Draft) -> Result<(), AppendError> {
    let counts = [
        (draft.touches.len(), TOUCHES_MAX, "compartments"),
        (draft.identifiers.len(), IDENTIFIERS_MAX, "identifiers"),
        (draft.require_no_identifier.len(), IDENTIFIERS_MAX, "identifiers required to be free"),
    ];
    match counts.into_iter().find(|(count, limit, _)| count > limit) {
        Some((_, limit, what)) => Err(AppendError::TooMany { index, what, limit }),
        None => Ok(()),
    }
}

fn check_draft(draft: &Draft) -> Result<(), &'static str> {
    if draft.version == Version::NONE {
        return Err("the version must be 1 or more");
    }
    let names = [&*draft.key.resource_type, &draft.key.id, &draft.home];
    let compartments = draft.touches.iter().map(String::as_str);
    if !names.into_iter().chain(compartments).all(is_name) {
        return Err("types, ids and compartments must have 1 to 255 bytes without control characters");
    }
    if draft.key.resource_type.contains('/') {
        return Err("a type must not have a slash");
    }
    if !std::iter::once(&draft.agent).chain(&draft.source).all(|text| is_agent(text)) {
        return Err("agent and source must have at most 1024 bytes without control characters");
    }
    if Kind::of(draft.operation, draft.erases).is_none() {
        return Err("there is no kind of event that does this and erases so much");
    }
    if !(draft.operation.has_body() || draft.payload.is_empty()) {
        return Err("only creates, updates and holds have a payload");
    }
    if !(matches!(draft.operation, Operation::Create | Operation::Update) || draft.identifiers.is_empty()) {
        return Err("only creates and updates have identifiers");
    }
    if draft.payload.len() > crate::codec::PAYLOAD_BYTES_MAX {
        return Err("the payload is too large");
    }
    let stamped = |at: usize| draft.payload.get(at..at.checked_add(STAMP_LENGTH)?);
    if draft.stamp_at.is_some_and(|at| stamped(at) != Some(STAMP_PLACEHOLDER.as_bytes())) {
        return Err("the placeholder of the time is not where the draft says");
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)
}

fn is_agent(text: &str) -> bool {
    text.len() <= AGENT_BYTES_MAX && !text.chars().any(char::is_control)
}
