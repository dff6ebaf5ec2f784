//! The checker: compares the log, the stream, the index and the answers over HTTP with what the clients were told.

pub(crate) mod answers;
pub(crate) mod heads;
pub(crate) mod http;
pub(crate) mod register;
pub(crate) mod search;
pub(crate) mod shape;
pub(crate) mod stream;
mod tests;

use std::collections::HashMap;

use anamnesis_events::{Event, Log, Position, READ_EVENTS_MAX, ResourceKey};
use serde_json::Value;

use crate::records::ATTEMPT;

/// The whole log, read once, with ways to find events.
pub(crate) struct Story {
    pub(crate) events: Vec<Event>,
    /// The events that carry an attempt's token, by place.
    pub(crate) of_token: HashMap<String, Vec<usize>>,
    /// The events of a resource, by place, in order.
    pub(crate) of_key: HashMap<ResourceKey, Vec<usize>>,
}

impl Story {
    pub(crate) fn new(events: Vec<Event>) -> Story {
        let mut of_token: HashMap<String, Vec<usize>> = HashMap::new();
        let mut of_key: HashMap<ResourceKey, Vec<usize>> = HashMap::new();
        for (place, event) in events.iter().enumerate() {
            of_key.entry(event.key.clone()).or_default().push(place);
            if let Some(token) = token_of(event) {
                of_token.entry(token).or_default().push(place);
            }
        }
        Story { events, of_token, of_key }
    }

    /// Reads the log and checks its chain on the way (I2).
    pub(crate) async fn read(log: &Log, violations: &mut Vec<String>) -> Story {
        let head = log.head().await.unwrap();
        let mut verified = Position::ZERO;
        while verified < head {
            match log.verify(verified, READ_EVENTS_MAX).await {
                Ok(part) if part.events > 0 => verified = part.position,
                Ok(_) => {
                    violations.push(format!("I2: the log ends at {head}, but nothing follows {verified}"));
                    break;
                }
                Err(error) => {
                    violations.push(format!("I2: the log does not verify behind {verified}: {error}"));
                    break;
                }
            }
        }
        let mut events = Vec::new();
        let mut after = Position::ZERO;
        while after < head {
            match log.read(after, READ_EVENTS_MAX).await {
                Ok(page) if !page.is_empty() => {
                    after = page.last().unwrap().position;
                    events.extend(page);
                }
                Ok(_) => break,
                Err(error) => {
                    violations.push(format!("I2: the log cannot be read behind {after}: {error}"));
                    break;
                }
            }
        }
        Story::new(events)
    }

    pub(crate) fn head(&self) -> u64 {
        self.events.last().map_or(0, |event| event.position.get())
    }

    /// The event that made this version of a resource.
    pub(crate) fn version(&self, resource_type: &str, id: &str, version: u32) -> Option<&Event> {
        let places = self.of_key.get(&ResourceKey::new(resource_type, id))?;
        places.iter().map(|place| &self.events[*place]).find(|event| event.version.get() == version)
    }

    pub(crate) fn with_token(&self, token: &str) -> Vec<&Event> {
        self.of_token.get(token).into_iter().flatten().map(|place| &self.events[*place]).collect()
    }
}

/// The token of the attempt that wrote the event; a delete has none.
pub(crate) fn token_of(event: &Event) -> Option<String> {
    identifier_of(event, ATTEMPT)
}

/// The value of the event's identifier of this system.
pub(crate) fn identifier_of(event: &Event, system: &str) -> Option<String> {
    let resource: Value = serde_json::from_slice(&event.payload).ok()?;
    let identifiers = resource["identifier"].as_array()?;
    let own = identifiers.iter().find(|identifier| identifier["system"] == system)?;
    own["value"].as_str().map(str::to_owned)
}

/// An event's name in a complaint.
pub(crate) fn named(event: &Event) -> String {
    format!("{} of {} version {} at position {}", event.operation, event.key, event.version, event.position)
}
