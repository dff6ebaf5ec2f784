//! Idempotency keys: a request that is sent again under its key is recorded once.

use uuid::Uuid;

use crate::Event;

/// Names a request of a writer, so that its repetition is recognised. The log remembers it with the group's events, in
/// the same transaction, for [`crate::LogOptions::idempotency_retention`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// A hash of the key's text and of whose key it is. Two requests with the same value are the same request.
    pub key: Uuid,
    /// A hash of all of the request that matters. The same key with another fingerprint is refused.
    pub fingerprint: [u8; 32],
    /// What the writer needs beside the events to give the same answer again; at most [`NOTE_BYTES_MAX`] bytes.
    pub note: Vec<u8>,
}

/// The largest note, in bytes: it is read and written while the log is locked. A transaction of 10,000 entries that
/// notes twenty bytes of each stays well below.
pub const NOTE_BYTES_MAX: usize = 1 << 20;

/// What was recorded under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// The fingerprint of the request that was recorded.
    pub fingerprint: [u8; 32],
    /// The note of its writer.
    pub note: Vec<u8>,
    /// Its events, in the order of its drafts.
    pub events: Vec<Event>,
}
