//! The chain: how the hash of a record follows from the one before, so that anybody can do it again.
//!
//! `hash = SHA-256(hash of the record before ‖ number ‖ time ‖ record)`, with the number as 8 bytes and the time in
//! microseconds since 1970 as 8 bytes, both big-endian, and the record's JSON as it is stored. Before the first record stands
//! [`genesis`].

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use crate::Number;

/// A hash of the chain.
pub type Hash = [u8; 32];

/// What stands before the first record of a workspace: `SHA-256("anamnesis-audit" ‖ 0 ‖ workspace)`.
///
/// ```
/// # use anamnesis_audit::chain::genesis;
/// assert_ne!(genesis("a"), genesis("b"));
/// ```
#[must_use]
pub fn genesis(workspace: &str) -> Hash {
    Sha256::new().chain_update(b"anamnesis-audit\0").chain_update(workspace).finalize().into()
}

/// The hash of a record.
#[must_use]
pub fn next(before: &Hash, number: Number, recorded_at: DateTime<Utc>, record: &[u8]) -> Hash {
    Sha256::new()
        .chain_update(before)
        .chain_update(number.get().to_be_bytes())
        .chain_update(recorded_at.timestamp_micros().to_be_bytes())
        .chain_update(record)
        .finalize()
        .into()
}
