//! Time and identifiers: the only place that reads a clock or makes something random.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// The time of day, UTC.
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Time since the first call in this process; never goes back. For idle times and durations.
#[must_use]
pub fn elapsed() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// A new logical id for a resource: a UUID that begins with the time (version 7), so that the indexes of the log
/// grow at their end. Fits R4's `id` (`[A-Za-z0-9\-\.]{1,64}`).
#[must_use]
pub fn new_resource_id() -> String {
    Uuid::now_v7().to_string()
}

/// Whether an id looks like one that [`new_resource_id`] made: what tells a create from an update that created.
#[must_use]
pub fn is_server_made(id: &str) -> bool {
    Uuid::parse_str(id).is_ok_and(|id| id.get_version_num() == 7)
}

/// A new id for a request: tells nothing but itself.
#[must_use]
pub fn new_request_id() -> String {
    Uuid::new_v4().to_string()
}

/// A new name for a transaction.
#[must_use]
pub fn new_transaction_id() -> Uuid {
    Uuid::now_v7()
}
