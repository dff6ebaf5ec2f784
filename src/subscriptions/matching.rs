//! Which events concern which subscription: one event after the other, as the subscriptions stood at its position.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anamnesis_events::{Event, Log, LogError, Operation, Position, ResourceKey, Version};
use anamnesis_fhir::json::{Document, Limits};
use anamnesis_projections::search::{Evaluator, Found, Subject};
use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::definition::{Asks, Definition, Reader, Status};
use super::store::{Matched, Numbered, Standing};

/// The type of the resources that make up the set.
pub(super) const TYPE: &str = "Subscription";

/// A subscription as it stands.
#[derive(Debug)]
pub(super) struct Entry {
    /// `None` where the server cannot serve it any more, because its configuration has changed.
    pub(super) definition: Option<Arc<Definition>>,
    /// The version that is read here, and its bytes.
    pub(super) version: Version,
    pub(super) payload: Bytes,
    pub(super) standing: Standing,
    /// Something is on its way to the receiver, or to the actor.
    pub(super) is_busy: bool,
    /// When something was sent last, or tried to be.
    pub(super) sent_at: DateTime<Utc>,
    /// A status was written, and its version has not come back through the log yet.
    pub(super) quiet_until: Option<DateTime<Utc>>,
}

/// All subscriptions of a log that are not off, at a position.
#[derive(Debug)]
pub(super) struct Matching {
    pub(super) reader: Reader,
    pub(super) evaluator: Arc<Evaluator>,
    pub(super) entries: BTreeMap<String, Entry>,
    /// The ids by the type that they ask about; made anew where the set has changed.
    by_type: HashMap<String, Vec<String>>,
}

impl Matching {
    /// No subscriptions.
    pub(super) fn new(reader: Reader, evaluator: Arc<Evaluator>) -> Self {
        Self { reader, evaluator, entries: BTreeMap::new(), by_type: HashMap::new() }
    }

    /// Takes up a subscription whose newest version this is, with how it stands.
    pub(super) fn resume(&mut self, event: &Event, standing: Standing) {
        let entry = self.entry(event, standing);
        self.entries.insert(event.key.id.clone(), entry);
        self.sort();
    }

    fn entry(&self, event: &Event, standing: Standing) -> Entry {
        let definition = Document::parse(event.payload.to_vec(), &Limits::default())
            .map_err(|error| error.to_string())
            .and_then(|document| {
                let read = self.reader.read(document.root(), event.recorded_at);
                read.map_err(|unusable| unusable.to_string())
            });
        if let Err(reason) = &definition {
            tracing::warn!(subscription = %event.key.id, %reason, "A subscription cannot be served as this server is set up.");
        }
        Entry {
            definition: definition.ok().map(Arc::new),
            version: event.version,
            payload: event.payload.clone(),
            standing,
            is_busy: false,
            sent_at: event.recorded_at,
            quiet_until: None,
        }
    }

    fn sort(&mut self) {
        self.by_type.clear();
        for (id, entry) in &self.entries {
            if let Some(definition) = &entry.definition {
                let of_type = self.by_type.entry(definition.resource_type().to_owned()).or_default();
                of_type.push(id.clone());
            }
        }
    }

    /// Takes events in, and says what has to be recorded.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(super) async fn take(&mut self, log: &Log, events: &[Event]) -> Result<Matched, LogError> {
        let mut matched = Matched::default();
        let before = self.versions_before(log, events).await?;
        for event in events {
            self.match_one(event, event.previous.and_then(|position| before.get(&position)), &mut matched);
            if &*event.key.resource_type == TYPE {
                self.change(event, &mut matched);
            }
        }
        Ok(matched)
    }

    /// The versions before those events that a topic compares with them.
    async fn versions_before(
        &self,
        log: &Log,
        events: &[Event],
    ) -> Result<HashMap<Position, Event>, LogError> {
        let needs = |event: &&Event| {
            let of_type = self.by_type.get(&*event.key.resource_type).into_iter().flatten();
            let mut definitions = of_type.filter_map(|id| self.entries.get(id)?.definition.as_ref());
            definitions.any(|definition| definition.topic().is_some_and(|topic| topic.needs_previous()))
        };
        let positions: Vec<Position> =
            events.iter().filter(needs).filter_map(|event| event.previous).collect();
        let mut found = HashMap::with_capacity(positions.len());
        let mut rest = positions.as_slice();
        while !rest.is_empty() {
            let read = log.fetch_page(rest).await?.events;
            if read.is_empty() {
                break;
            }
            rest = rest.get(read.len()..).unwrap_or_default();
            found.extend(read.into_iter().map(|event| (event.position, event)));
        }
        Ok(found)
    }

    fn match_one(&mut self, event: &Event, before: Option<&Event>, matched: &mut Matched) {
        let Some(ids) = self.by_type.get(&*event.key.resource_type) else { return };
        let now = self.take_apart(event);
        let before = before.and_then(|before| self.take_apart(before));
        for id in ids {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            let Some(definition) = &entry.definition else { continue };
            if !concerns(definition, event.operation, now.as_ref(), before.as_ref()) {
                continue;
            }
            entry.standing.events += 1;
            let numbered = Numbered { number: entry.standing.events, position: event.position };
            matched.events.push((id.clone(), numbered));
            matched.standing.insert(id.clone(), entry.standing.clone());
        }
    }

    /// `None` for a delete, and for what cannot be read: nobody can tell what it matches.
    fn take_apart(&self, event: &Event) -> Option<Found> {
        if event.payload.is_empty() {
            return None;
        }
        let ResourceKey { resource_type, id } = &event.key;
        let recorded_at = event.recorded_at;
        let subject = Subject { resource_type, id, payload: &event.payload, recorded_at };
        let found = self.evaluator.take_apart(&subject);
        if found.is_err() {
            tracing::error!(position = %event.position, "An event cannot be taken apart; no subscription is told of it.");
        }
        found.ok()
    }

    /// A subscription was written: what it says counts from here on.
    fn change(&mut self, event: &Event, matched: &mut Matched) {
        // A purge leaves it as it is.
        if !event.operation.makes_version() {
            return;
        }
        let id = &event.key.id;
        let known = self.entries.remove(id);
        if event.operation == Operation::Delete {
            return self.end(id, matched);
        }
        let is_busy = known.as_ref().is_some_and(|known| known.is_busy);
        let mut entry = self.entry(event, known.map(|known| known.standing).unwrap_or_default());
        entry.is_busy = is_busy;
        let status = entry.definition.as_ref().map(|definition| definition.status);
        if status == Some(Status::Off) {
            return self.end(id, matched);
        }
        if entry.standing == Standing::default() {
            entry.standing.since = i64::try_from(event.position.get()).unwrap_or(i64::MAX);
        }
        if status == Some(Status::Requested) {
            let Standing { since, events, delivered, .. } = entry.standing;
            entry.standing = Standing { since, events, delivered, ..Standing::default() };
        }
        matched.standing.insert(id.clone(), entry.standing.clone());
        self.entries.insert(id.clone(), entry);
        self.sort();
    }

    /// What was not delivered to it is dropped.
    fn end(&mut self, id: &str, matched: &mut Matched) {
        matched.ended.push(id.to_owned());
        matched.standing.remove(id);
        matched.events.retain(|(of, _)| of != id);
        self.sort();
    }
}

/// Whether a subscription is to be told of a write.
fn concerns(
    definition: &Definition,
    operation: Operation,
    now: Option<&Found>,
    before: Option<&Found>,
) -> bool {
    let (topic, filters) = match &definition.asks {
        // R4 tells of what was created or updated so that it matches.
        Asks::Criteria(query) => return now.is_some_and(|now| now.matches(query)),
        Asks::Topic { topic, filters } => (topic, filters),
    };
    // What was not there before, or is not there any more, is not compared with criteria.
    let was = topic.previous.as_ref().is_none_or(|query| {
        operation == Operation::Create || before.is_some_and(|before| before.matches(query))
    });
    let is = topic
        .current
        .as_ref()
        .is_none_or(|query| operation == Operation::Delete || now.is_some_and(|now| now.matches(query)));
    let subject = if operation == Operation::Delete { before } else { now };
    let is_wanted = filters.iter().all(|query| subject.is_some_and(|subject| subject.matches(query)));
    topic.on.contains(&operation) && was && is && is_wanted
}
