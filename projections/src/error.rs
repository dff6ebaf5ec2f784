//! What can go wrong with a read model.

use anamnesis_events::{FeedError, LogError, Position};

use crate::State;

/// Why a projection could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProjectionError {
    /// The database refused or failed.
    #[error("database: {}", describe(.0))]
    Database(#[from] tokio_postgres::Error),
    /// No connection could be had in time.
    #[error("no database connection: {0}")]
    Pool(String),
    /// The address of the database cannot be understood.
    #[error("database address: {0}")]
    Address(String),
    /// The feed failed.
    #[error("feed: {0}")]
    Feed(#[from] FeedError),
    /// The log could not be read.
    #[error("log: {0}")]
    Log(#[from] LogError),
    /// The projection took longer than was allowed to reach the wanted position.
    #[error("the projection has reached position {reached}, not yet {wanted}")]
    Late {
        /// What was waited for.
        wanted: Position,
        /// How far it has come.
        reached: Position,
    },
    /// Another process has written the projection meanwhile.
    #[error("the projection was moved on by another process")]
    MovedOn,
    /// The projection is not there in this version: it has never run on this database.
    #[error("projection {name} version {version} does not exist for log {log}")]
    Unknown {
        /// Its name.
        name: &'static str,
        /// The number of the version.
        version: i32,
        /// The log's number.
        log: i16,
    },
    /// The rows have a form that this program does not write, or is to be written.
    #[error("projection {name} version {version} has rows of form {found}, this program has form {own}")]
    OtherSchema {
        /// Its name.
        name: &'static str,
        /// The number of the version.
        version: i32,
        /// The form of its rows.
        found: i32,
        /// The form that this program writes and reads.
        own: i32,
    },
    /// No version can be read now: the one there is has rows of a form that this program does not know, of an older
    /// program, and is being built again, or of a later one.
    #[error("no version of projection {name} can be read by this program now")]
    NotReadable {
        /// Its name.
        name: &'static str,
    },
    /// The version is in a state in which this cannot be done.
    #[error("projection version {version} is {state}")]
    WrongState {
        /// The number of the version.
        version: i32,
        /// What it is.
        state: State,
    },
    /// Another version is being built already, and from other inputs: it has to be done or given up first.
    #[error("projection version {version} is being built from other inputs")]
    BeingBuilt {
        /// The number of that version.
        version: i32,
    },
    /// What the version is made from ([`crate::Inputs`]) cannot be read by this program, or is not what it is to be
    /// written from.
    #[error("projection version {version} cannot be made from its inputs: {reason}")]
    Inputs {
        /// The number of the version.
        version: i32,
        /// The reason.
        reason: String,
    },
    /// Readers were sent to another version after the query was read, and there it would ask for something else.
    #[error("the search parameters have changed while the search was under way")]
    ParametersChanged,
    /// The search takes longer than is allowed.
    #[error("the search was stopped because it took too long")]
    TooCostly,
    /// The runner is at work on something else for too long: the database may not take what it writes.
    #[error("the projection's runner does not answer")]
    Busy,
    /// A question would take more work than one may.
    #[error("it takes too much work to find this out")]
    TooMuchWork,
    /// Too many others are at long work.
    #[error("the server is at work on too many long questions")]
    Crowded,
    /// The runner has ended.
    #[error("the projection's runner has ended")]
    Stopped,
}

impl From<deadpool_postgres::PoolError> for ProjectionError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => Self::Database(error),
            other => Self::Pool(other.to_string()),
        }
    }
}

/// Says what the database answered: `tokio_postgres::Error` alone prints only "db error".
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(answer) => format!("{} ({})", answer.message(), answer.code().code()),
        None => error.to_string(),
    }
}
