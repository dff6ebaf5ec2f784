//! The audit log: who did what to what, when, from where, and what came of it.
//!
//! One [`AuditLog`] per workspace, apart from the clinical one. Its records have dense numbers that start at 1, and each
//! one's hash covers the hash of the one before (see [`chain`]), so that nothing in it can be changed, taken away or put in
//! between without being seen. A record is written by [`AuditLog::append`], which answers only when it is durable.
//!
//! - [`Record`]: what is told of an access. The crate knows the names that FHIR's AuditEvent gives these things, and no more
//!   of FHIR; it knows no HTTP.
//! - [`Search`]: what an auditor asks for. A page costs no more than its bound of blocks, however many match.
//! - [`AuditLog::verify`] walks the chain and names the first break.
//! - [`AuditLog::drop_before`] drops whole months; the chain goes on from where they ended.
//! - [`rules`] tells what is unusual, from the records alone.
//!
//! Records that are committed together are one row, a block: see [`block`].

pub mod block;
pub mod chain;
mod error;
mod log;
mod number;
mod options;
mod record;
pub mod rules;
mod search;
mod token;

pub use error::{AppendError, AuditError};
pub use log::{AuditLog, Break, Head, Kept, READ_RECORDS_MAX, Verified, Watch};
pub use number::Number;
pub use options::{AuditOptions, Clock};
pub use record::{Action, Agent, Entity, Kind, Outcome, Record, Recorded};
pub use search::{Criterion, Page, Search, SearchOrder};
