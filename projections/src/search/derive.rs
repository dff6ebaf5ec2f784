//! What the search index has to be after some events, computed without a database.
//!
//! The second way to the same digest: what the runner writes batch by batch, and Postgres keeps, must come to this.

use std::collections::{BTreeMap, HashMap};

use anamnesis_events::{Event, Position, ResourceKey};

use super::contained::Whole;
use super::digest::Digests;
use super::extract::Extractor;
use super::key::type_number;
use super::parameters::CustomParameters;
use crate::Parked;
use crate::checkpoint::number;
use crate::parked::BEHIND_ANOTHER;

/// Keys of the index depend on the log's number; recordings are those of the first log of a database.
pub const LOG_OF_RECORDINGS: i16 = 1;

/// An index that was computed.
#[derive(Debug, Clone)]
pub struct Derived {
    /// What [`super::digest()`] gives for it.
    pub digest: [u8; 32],
    /// How many resources are in it.
    pub resources: u64,
    /// The events that it could not take, in order.
    pub parked: Vec<Parked>,
}

/// The index that these events, from the first one of a log on, come to by R4's search parameters. Everything is in memory.
#[must_use]
pub fn derive(events: &[Event], log: i16) -> Derived {
    derive_by(&CustomParameters::none(), events, log)
}

/// The same, made from these.
#[must_use]
pub fn derive_by(parameters: &CustomParameters, events: &[Event], log: i16) -> Derived {
    let extractor = Extractor::of(parameters, log);
    let mut standing: HashMap<&ResourceKey, Option<(&Event, Whole)>> = HashMap::new();
    let mut parked: Vec<Parked> = Vec::new();
    let mut refused: HashMap<&ResourceKey, Position> = HashMap::new();
    for event in events {
        if !event.operation.makes_version() {
            continue;
        }
        let mut park = |reason: String| {
            parked.push(Parked { position: event.position, key: event.key.clone(), reason });
        };
        if refused.contains_key(&event.key) {
            park(BEHIND_ANOTHER.to_owned());
            continue;
        }
        if !event.has_body() {
            standing.insert(&event.key, None);
            continue;
        }
        match extractor.whole(&event.key.resource_type, &event.key.id, &event.payload) {
            Ok(whole) => drop(standing.insert(&event.key, Some((event, whole)))),
            Err(poison) => {
                refused.insert(&event.key, event.position);
                park(poison.reason);
            }
        }
    }
    let rows: BTreeMap<(i32, i64), (&Event, Whole)> = standing
        .into_values()
        .flatten()
        .map(|(event, whole)| {
            ((type_number(&event.key.resource_type), number(event.position)), (event, whole))
        })
        .collect();
    let mut digests = Digests::default();
    for (event, whole) in rows.values() {
        digests.add_resource(event, whole);
    }
    Derived { digest: digests.finish(), resources: rows.len() as u64, parked }
}
