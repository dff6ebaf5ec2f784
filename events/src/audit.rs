//! Checking a store as an auditor does: the log by itself, then what is derived from it against the log.
//!
//! - [`log`] walks the log: no position missing, the hash chain, times, whole transactions, versions that lead to the
//!   ones before, and links to compartments.
//! - [`heads`] compares where each resource stands with what the log says, both ways.
//! - [`stream`] compares the messages that JetStream still has with the events of the same numbers.
//! - [`trail`] follows the versions of one resource, without reading the rest of the log.
//!
//! Nothing is locked and no snapshot is kept: a check covers what the log had when it began, and looks again at what
//! has moved meanwhile. A fault is told and the check goes on behind it.

mod bits;
mod chain;
mod fault;
mod guards;
mod heads;
mod log;
mod stream;
mod trail;

use crate::{Log, LogError, Position};

pub use bits::Positions;
pub use fault::{FAULTS_KEPT_MAX, Fault, Faults, Part};
pub use heads::{Heads, heads};
pub use log::{Range, Walked, log};
pub use stream::{Streamed, stream};
pub use trail::{Trail, TrailRange, trail};

/// Bytes of bodies, as they are stored and unpacked, that a page has at most, but for a single larger one. Some pages are in
/// memory at a time.
const PAGE_BYTES_MAX: usize = 32 << 20;

/// The last position of a page behind another: so many events at most, and none behind `until`.
async fn end_of_page(
    log: &Log,
    after: Position,
    until: Position,
    events_max: u64,
) -> Result<Position, LogError> {
    log.end_within(after, after.plus(events_max).min(until), PAGE_BYTES_MAX).await
}
