//! The log of facts: what happened, in which order, kept for ever.
//!
//! One [`Log`] per workspace. Its positions are **dense, start at 1 and are given out in commit
//! order**: whoever reads page after page sees every event once, and never finds a number turning up
//! behind the place that it has already passed. An event is written by [`Log::append`], which answers
//! only when the event is durable; nothing that was appended is ever changed, but that a later event may take the body of
//! an earlier one of its resource away (see [`Erases`]): its place, envelope and hash stay.
//!
//! - [`Draft`] and [`Group`]: what a writer proposes. A group wins or loses whole.
//!   Its [`Idempotency`] key, if it has one, makes it safe to append it again when the answer was lost.
//! - [`Event`]: what was recorded. [`envelope`] says how the hash chain over the log is computed, so
//!   that an auditor can do it again; [`codec`] says how bodies are stored.
//! - [`Feed`]: events after a position, in order; [`PostgresFeed`] reads them from the log itself,
//!   [`JetStreamFeed`] listens to the broker and reads the log where the broker has nothing.
//! - [`audit`] checks a whole store, as auditors do.
//! - [`seal`] and [`keys`]: bodies encrypted at rest, each with the key of its home compartment.
//! - [`relay`] carries the log into a JetStream [`stream`] under the same numbers; [`message`] says how.
//!
//! The crate knows no HTTP and no FHIR: a body is bytes, a resource is a type and an id.

pub mod audit;
pub mod codec;
mod draft;
pub mod envelope;
mod error;
mod event;
mod feed;
mod idempotency;
pub mod keys;
mod kind;
mod log;
pub mod message;
mod options;
mod position;
pub mod relay;
pub mod seal;
pub mod stream;
pub mod upcast;

pub use draft::{Draft, Group, Recorded, STAMP_LENGTH, STAMP_PLACEHOLDER};
pub use error::{AppendError, ConflictKind, FeedError, LogError};
pub use event::{Erased, Event, Head, Identifier, ResourceKey, Transaction};
pub use feed::{Feed, JetStreamFeed, PostgresFeed};
pub use idempotency::{Idempotency, NOTE_BYTES_MAX, Remembered};
pub use kind::{Erases, Kind, Operation};
pub use log::{
    Claim, ClaimError, CompartmentAt, HeadsPlace, HistoryPage, HistoryRange, HistoryScope, Hold, KeyStatus,
    Living, LivingAt, Log, Mentions, OpenPurge, Packed, Period, PurgeError, PurgeReport, PurgeRequest,
    READ_EVENTS_MAX, SealedStep, Stand, Stored, Verified,
};
pub use options::{Clock, LogOptions};
pub use position::{Position, Version};
