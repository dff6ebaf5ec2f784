//! The canonical bytes of an event's envelope, and the hash that chains the events of a log.
//!
//! An auditor who has the events can compute every hash again:
//!
//! ```text
//! hash(0) = SHA-256("anamnesis log 1\n" ‖ name of the workspace)
//! hash(n) = SHA-256( hash(n-1) ‖ envelope(n) ‖ SHA-256(payload(n)) )
//! ```
//!
//! `payload(n)` is the resource exactly as it is served, uncompressed (no bytes for a delete or a purge); of a body that
//! was erased the log keeps `SHA-256(payload(n))`. And
//! `envelope(n)` is these fields, one after the other, with nothing between them:
//!
//! | field | form |
//! |---|---|
//! | `anamnesis event 1` | string |
//! | position | 8-byte number |
//! | kind, such as `ResourceCreated` | string |
//! | version of the kind's schema | 2-byte number |
//! | operation: `create`, `update`, `delete` or `purge` | string |
//! | resource type, resource id | two strings |
//! | version of the resource | 4-byte number |
//! | home compartment | string |
//! | count of touched compartments, home included | 4-byte number |
//! | the touched compartments: home first, then the others in byte order | strings |
//! | transaction: `00`; or `01`, the 16 bytes of its UUID, index, size | byte, bytes, two 4-byte numbers |
//! | recorded at: microseconds since 1970-01-01T00:00:00Z | 8-byte number, signed |
//! | agent | string |
//! | source: `00`; or `01` and the source | byte, string |
//! | position of the resource's previous version, 0 if none | 8-byte number |
//! | key of the payload's encryption: `00`, there is none yet | byte |
//!
//! Numbers are big-endian. A string is its length in bytes as a 4-byte number, then its UTF-8 bytes;
//! so no two different envelopes have the same bytes.

use sha2::{Digest, Sha256};

use crate::Event;

const GENESIS_TAG: &[u8] = b"anamnesis log 1\n";
const ENVELOPE_TAG: &str = "anamnesis event 1";

/// The hash before the first event of a workspace's log.
pub fn genesis(workspace: &str) -> [u8; 32] {
    Sha256::new().chain_update(GENESIS_TAG).chain_update(workspace.as_bytes()).finalize().into()
}

/// The canonical bytes of the event's envelope. Neither the payload nor the hash are part of them.
pub fn encode(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(320);
    put_text(&mut bytes, ENVELOPE_TAG);
    bytes.extend_from_slice(&event.position.get().to_be_bytes());
    put_text(&mut bytes, event.kind.name());
    bytes.extend_from_slice(&event.kind_version.to_be_bytes());
    put_text(&mut bytes, event.operation.name());
    put_text(&mut bytes, &event.key.resource_type);
    put_text(&mut bytes, &event.key.id);
    bytes.extend_from_slice(&event.version.get().to_be_bytes());
    put_text(&mut bytes, &event.home);
    put_count(&mut bytes, event.touches.len());
    for compartment in &event.touches {
        put_text(&mut bytes, compartment);
    }
    match &event.transaction {
        None => bytes.push(0),
        Some(transaction) => {
            bytes.push(1);
            bytes.extend_from_slice(transaction.id.as_bytes());
            bytes.extend_from_slice(&transaction.index.to_be_bytes());
            bytes.extend_from_slice(&transaction.size.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&event.recorded_at.timestamp_micros().to_be_bytes());
    put_text(&mut bytes, &event.agent);
    match &event.source {
        None => bytes.push(0),
        Some(source) => {
            bytes.push(1);
            put_text(&mut bytes, source);
        }
    }
    bytes.extend_from_slice(&event.previous.map_or(0, |position| position.get()).to_be_bytes());
    bytes.push(0);
    bytes
}

/// What the hash chain takes of a body, and what is kept of one that is erased: its SHA-256.
pub fn commitment(payload: &[u8]) -> [u8; 32] {
    Sha256::digest(payload).into()
}

/// The hash of the event, given the hash of the event before it.
pub fn chain(previous: &[u8; 32], event: &Event) -> [u8; 32] {
    let payload = match &event.erased {
        Some(erased) => erased.commitment,
        None => commitment(&event.payload),
    };
    Sha256::new().chain_update(previous).chain_update(encode(event)).chain_update(payload).finalize().into()
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_count(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

/// Lengths beyond `u32::MAX` are refused long before, by the limits of a draft.
fn put_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
}

#[cfg(test)]
pub(crate) mod tests;
