//! Which events concern which subscription: one event after the other, as the subscriptions stood at its position.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anamnesis_events::{Erases, Event, Log, LogError, Operation, Position, ResourceKey};
use anamnesis_projections::search::{Evaluator, Found, Subject};
use chrono::{DateTime, Utc};

use super::definition::{Asks, Definition, Status};
use super::reading::{Reading, Said, Served};
use super::store::{Matched, Numbered, Standing};
use crate::search_parameters;

/// The type of the resources that make up the set.
pub(super) const TYPE: &str = "Subscription";

/// A subscription as it stands.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) status: Status,
    /// Why the server cannot serve it any more, where its configuration has changed; holds no value.
    pub(super) served: Result<Served, String>,
    /// The version that is read here.
    pub(super) event: Event,
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
    reading: Reading,
    pub(super) entries: BTreeMap<String, Entry>,
    /// The ids by the type that they ask about; made anew where the set has changed.
    by_type: HashMap<String, Vec<String>>,
}

impl Matching {
    /// No subscriptions.
    pub(super) fn new(reading: Reading) -> Self {
        Self { reading, entries: BTreeMap::new(), by_type: HashMap::new() }
    }

    /// Takes up subscriptions whose newest versions these are, with how they stand.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(super) async fn resume(&mut self, log: &Log, newest: Vec<(Event, Standing)>) -> Result<(), LogError> {
        for (event, standing) in newest {
            let entry = self.entry(log, &event, standing).await?;
            self.entries.insert(event.key.id, entry);
        }
        self.sort();
        Ok(())
    }

    async fn entry(&mut self, log: &Log, event: &Event, standing: Standing) -> Result<Entry, LogError> {
        let Said { status, served } = self.reading.read(log, event).await?;
        Ok(Entry {
            status,
            served,
            event: event.clone(),
            standing,
            is_busy: false,
            sent_at: event.recorded_at,
            quiet_until: None,
        })
    }

    fn sort(&mut self) {
        self.by_type.clear();
        for (id, entry) in &self.entries {
            if let Ok(served) = &entry.served {
                let resource_type = served.definition.resource_type().to_owned();
                let of_type = self.by_type.entry(resource_type).or_default();
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
        let mut rest = events;
        while !rest.is_empty() {
            // Which versions before are needed, the subscriptions say: so up to the next one that is written.
            let is_one = |event: &Event| &*event.key.resource_type == TYPE;
            let end = rest.iter().position(is_one).map_or(rest.len(), |at| at + 1);
            let (some, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            rest = behind;
            let before = self.versions_before(log, some).await?;
            for event in some {
                let previous = event.previous.and_then(|position| before.get(&position));
                self.match_one(event, previous, &mut matched);
                if is_one(event) {
                    self.change(log, event, &mut matched).await?;
                } else if &*event.key.resource_type == search_parameters::TYPE
                    && event.kind.erases() != Erases::Nothing
                {
                    self.read_again(log).await?;
                }
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
            let mut served = of_type.filter_map(|id| self.entries.get(id)?.served.as_ref().ok());
            served.any(|served| served.definition.topic().is_some_and(|topic| topic.needs_previous()))
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
        // What makes no version says nothing of its resource; the body of a hold is not that of the patient.
        if !event.operation.makes_version() {
            return;
        }
        let Some(ids) = self.by_type.get(&*event.key.resource_type) else { return };
        // Once for all that mean the same search parameters.
        let mut taken: Vec<(Arc<Evaluator>, [Option<Found>; 2])> = Vec::new();
        for id in ids {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            let Ok(Served { definition, evaluator }) = &entry.served else { continue };
            let known = taken.iter().position(|(by, _)| Arc::ptr_eq(by, evaluator));
            let known = known.unwrap_or_else(|| {
                let apart = |event| take_apart(evaluator, event);
                taken.push((Arc::clone(evaluator), [apart(event), before.and_then(apart)]));
                taken.len() - 1
            });
            let Some((_, [now, before])) = taken.get(known) else { continue };
            if !concerns(definition, event.operation, now.as_ref(), before.as_ref()) {
                continue;
            }
            entry.standing.events += 1;
            let numbered = Numbered { number: entry.standing.events, position: event.position };
            matched.events.push((id.clone(), numbered));
            matched.standing.insert(id.clone(), entry.standing.clone());
        }
    }

    /// A subscription was written: what it says counts from here on.
    async fn change(&mut self, log: &Log, event: &Event, matched: &mut Matched) -> Result<(), LogError> {
        // A purge leaves it as it is.
        if !event.operation.makes_version() {
            return Ok(());
        }
        let id = &event.key.id;
        let known = self.entries.remove(id);
        if event.operation == Operation::Delete {
            self.end(id, matched);
            return Ok(());
        }
        let is_busy = known.as_ref().is_some_and(|known| known.is_busy);
        let standing = known.map(|known| known.standing).unwrap_or_default();
        let mut entry = self.entry(log, event, standing).await?;
        entry.is_busy = is_busy;
        if entry.status == Status::Off {
            self.end(id, matched);
            return Ok(());
        }
        if entry.standing == Standing::default() {
            entry.standing.since = i64::try_from(event.position.get()).unwrap_or(i64::MAX);
        }
        if entry.status == Status::Requested {
            let Standing { since, events, delivered, .. } = entry.standing;
            entry.standing = Standing { since, events, delivered, ..Standing::default() };
        }
        matched.standing.insert(id.clone(), entry.standing.clone());
        self.entries.insert(id.clone(), entry);
        self.sort();
        Ok(())
    }

    /// Something of a SearchParameter was erased. What only that had said of criteria nobody knows any more, on this server
    /// as on one that starts now.
    async fn read_again(&mut self, log: &Log) -> Result<(), LogError> {
        self.reading.forget();
        for entry in self.entries.values_mut() {
            if entry.served.as_ref().is_ok_and(|served| !self.reading.is_of_r4(served)) {
                entry.served = self.reading.read(log, &entry.event).await?.served;
            }
        }
        self.sort();
        Ok(())
    }

    /// What was not delivered to it is dropped.
    fn end(&mut self, id: &str, matched: &mut Matched) {
        matched.ended.push(id.to_owned());
        matched.standing.remove(id);
        matched.events.retain(|(of, _)| of != id);
        self.sort();
    }
}

/// What a version is found by. `None` for a delete, for what was erased, and for what cannot be read: nobody can tell what
/// it matches.
fn take_apart(evaluator: &Evaluator, event: &Event) -> Option<Found> {
    if event.payload.is_empty() {
        return None;
    }
    let ResourceKey { resource_type, id } = &event.key;
    let recorded_at = event.recorded_at;
    let found = evaluator.take_apart(&Subject { resource_type, id, payload: &event.payload, recorded_at });
    if found.is_err() {
        tracing::error!(position = %event.position, "An event cannot be taken apart; no subscription is told of it.");
    }
    found.ok()
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
    // What was not there before, or is not there any more, is not compared with criteria. Nor is a version before that was
    // erased, as it is at once of types without versions: better told once more than not at all.
    let was = topic.previous.as_ref().is_none_or(|query| {
        operation == Operation::Create || before.is_none_or(|before| before.matches(query))
    });
    let is = topic
        .current
        .as_ref()
        .is_none_or(|query| operation == Operation::Delete || now.is_some_and(|now| now.matches(query)));
    let subject = if operation == Operation::Delete { before } else { now };
    let is_wanted = filters.iter().all(|query| subject.is_some_and(|subject| subject.matches(query)));
    topic.on.contains(&operation) && was && is && is_wanted
}
