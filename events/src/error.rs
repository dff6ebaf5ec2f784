//! What can go wrong with the log: refusals that a writer branches on, and failures.

use chrono::{DateTime, Utc};

use crate::keys::MasterKeyError;
use crate::{Position, Version};

/// Why a draft cannot follow what is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConflictKind {
    /// The resource does not stand at the version before the draft's.
    HeadMoved {
        /// Where it stands; [`Version::NONE`] if it has never existed.
        found: Version,
        /// Whether that version is a delete.
        deleted: bool,
    },
    /// Another living resource of the type holds an identifier that the draft requires to be free.
    IdentifierTaken {
        /// The id of that resource.
        id: String,
    },
}

/// Why a group was not recorded. Only [`AppendError::OutcomeUnknown`] leaves open whether it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The group does not follow what is recorded; nothing of it was.
    #[error("draft {index} conflicts with the log: {kind:?}")]
    Conflict {
        /// The first draft of the group that conflicts, from 0.
        index: usize,
        /// What is in the way.
        kind: ConflictKind,
    },
    /// The draft takes something away from a compartment on which there is a legal hold, or places a second one; nothing
    /// was recorded.
    #[error("draft {index} takes away what is under a legal hold since {since}")]
    Held {
        /// The draft, from 0.
        index: usize,
        /// When the hold was recorded.
        since: DateTime<Utc>,
    },
    /// The draft touches a compartment whose purge has begun and not ended; nothing was recorded.
    #[error("draft {index} touches a compartment that is being purged")]
    Purging {
        /// The draft, from 0.
        index: usize,
    },
    /// The draft ends a purge or a hold that there is not; nothing was recorded.
    #[error("draft {index} ends what has not begun")]
    NotBegun {
        /// The draft, from 0.
        index: usize,
    },
    /// The group's idempotency key stands for another request; nothing was recorded.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Too much is queued; try again later.
    #[error("the log's queue is full")]
    Overloaded,
    /// The database cannot be reached or refused; nothing was recorded.
    #[error("the log is not available: {0}")]
    Unavailable(String),
    /// The connection was lost while committing and the database did not come back in time: the group
    /// may or may not have been recorded.
    #[error("the connection was lost while committing; the outcome is not known")]
    OutcomeUnknown,
    /// The draft breaks a rule of the log; a mistake of the caller.
    #[error("draft {index} is not valid: {reason}")]
    Invalid {
        /// The draft, from 0.
        index: usize,
        /// The rule.
        reason: &'static str,
    },
    /// The draft has more of something than one event may have.
    #[error("draft {index} has more than {limit} {what}")]
    TooMany {
        /// The draft, from 0.
        index: usize,
        /// Of what.
        what: &'static str,
        /// How many it may have.
        limit: usize,
    },
    /// The group is larger than one append may be.
    #[error("the group is too large: {events} events, {bytes} bytes")]
    TooLarge {
        /// How many drafts it has.
        events: usize,
        /// The bytes of its payloads.
        bytes: usize,
    },
    /// The log was found broken; it takes no more writes until an operator has looked at it.
    #[error("the log is broken at position {position}: {reason}; it takes no writes")]
    Broken {
        /// Where.
        position: Position,
        /// What was found.
        reason: String,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

/// Why the log could not be opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The database refused or failed.
    #[error("database: {}", describe(.0))]
    Database(#[from] tokio_postgres::Error),
    /// No connection could be had in time.
    #[error("no database connection: {0}")]
    Pool(String),
    /// The address of the database cannot be understood.
    #[error("database address: {0}")]
    Address(String),
    /// The database's schema is newer than this program.
    #[error("the database has schema version {found}, this program knows {known}")]
    SchemaTooNew {
        /// The version of the database.
        found: i32,
        /// The newest version that this program knows.
        known: i32,
    },
    /// The database's schema is older than this program, and it was opened for reading only.
    #[error(
        "the database has schema version {found}, this program knows {known}: start a server of this version once, \
         which brings it up to date, or use the program of the server's version"
    )]
    SchemaTooOld {
        /// The version of the database.
        found: i32,
        /// The version of this program.
        known: i32,
    },
    /// The database has no schema of this program, and it was opened for reading only.
    #[error("the database holds no log: no server has ever used it")]
    NoSchema,
    /// There is no log of this workspace, and the database was opened for reading only.
    #[error("there is no workspace `{workspace}`; there are: {known}")]
    UnknownWorkspace {
        /// The name asked for.
        workspace: String,
        /// Those that there are, with commas between them.
        known: String,
    },
    /// A master key is missing, is another one than it was, or cannot be asked for.
    #[error("encryption: {0}")]
    MasterKey(#[from] MasterKeyError),
    /// The payload codec cannot be set up.
    #[error("payload codec: {0}")]
    Codec(String),
    /// A workspace's name is not usable.
    #[error("workspace name: {0}")]
    Workspace(&'static str),
    /// A stored event cannot be read: its chain, order, kind or body is not as it was written.
    #[error("the log is broken at position {position}: {reason}")]
    Broken {
        /// Where.
        position: Position,
        /// What was found.
        reason: String,
    },
    /// An event is of a kind or of a kind's version that this program does not know.
    #[error("event {position} has kind {kind}, version {kind_version}, which this program does not know")]
    UnknownKind {
        /// Where.
        position: Position,
        /// The number of the kind.
        kind: i16,
        /// The version of the kind.
        kind_version: i16,
    },
    /// A page that was asked for is larger than allowed.
    #[error("a read of {asked} events is beyond the limit of {limit}")]
    PageTooLarge {
        /// How many were asked for.
        asked: usize,
        /// How many one read may give.
        limit: usize,
    },
    /// The events that were asked for are larger than one answer may be.
    #[error("the resources are larger than {limit} bytes together")]
    TooManyBytes {
        /// How many bytes of bodies one read may give.
        limit: usize,
    },
}

/// Says what the database answered: `tokio_postgres::Error` alone prints only "db error".
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(answer) => format!("{} ({})", answer.message(), answer.code().code()),
        None => error.to_string(),
    }
}

/// Why a feed could not give its next events. The feed keeps its place: calling again is safe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The transport failed.
    #[error("feed transport: {0}")]
    Transport(String),
    /// The log was closed; no more events will come.
    #[error("the log is closed")]
    Closed,
}
