//! What can go wrong. No error tells anything of a record's content.

use crate::Number;

/// Why a record was not written.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendError {
    /// Too much waits to be written.
    #[error("too many audit records wait to be written")]
    Overloaded,
    /// One record, or those of one access, are larger than what is taken.
    #[error("the audit records of one access have {0} bytes, which is too much")]
    TooLarge(usize),
    /// The database could not be written to. Nothing was recorded.
    #[error("the audit log cannot be written: {0}")]
    Unavailable(String),
    /// The connection was lost, and it could not be found out whether it was recorded.
    #[error("it is not known whether the audit record was written")]
    OutcomeUnknown,
    /// The log is not as it was left; it takes no more records.
    #[error("the audit log is broken at {number}: {reason}")]
    Broken {
        /// The last record that was seen whole.
        number: Number,
        /// What is wrong.
        reason: String,
    },
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
}

/// Why the log cannot be opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The address is none.
    #[error("the database's address cannot be used: {0}")]
    Address(String),
    /// No connection is to be had.
    #[error("no connection to the database: {0}")]
    Pool(String),
    /// The database refused.
    #[error("the database failed: {}", describe(.0))]
    Database(#[from] tokio_postgres::Error),
    /// The schema was made by a newer program.
    #[error("the audit log's schema has version {found}; this program knows {known}")]
    SchemaTooNew {
        /// In the database.
        found: i32,
        /// Of this program.
        known: i32,
    },
    /// The schema is not there, or from an older program.
    #[error("the database has no audit log of this program's version")]
    NoSchema,
    /// No records were ever kept for this workspace.
    #[error("there is no audit log of this workspace")]
    NoLog,
    /// A block cannot be read.
    #[error("the records up to {number} cannot be read: {reason}")]
    Damaged {
        /// The last record of the block.
        number: Number,
        /// What is wrong.
        reason: String,
    },
    /// A program of the system failed.
    #[error("{0}")]
    Codec(String),
}

/// What the database says, without what it was sent.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{} ({})", error.message(), error.code().code()),
        None => error.to_string(),
    }
}
