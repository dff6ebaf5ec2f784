//! From events to changes: one for each resource, and what is to be parked.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use anamnesis_events::{Erases, Event, Position, ResourceKey};

use crate::parked::BEHIND_ANOTHER;
use crate::{Change, Erasing, Passed, Poison, Projection};

/// Events after which other tasks of the runtime get their turn: about a millisecond.
const EVENTS_IN_A_TURN: usize = 32;

/// What a batch of events comes to.
pub(super) struct Batch<'a, R> {
    /// One for each resource, in the order of their first events.
    pub(super) changes: Vec<Change<R>>,
    /// Events that are not taken, and why.
    pub(super) parked: Vec<(&'a Event, String)>,
    /// What is erased, in order.
    pub(super) erasing: Vec<Erasing>,
}

impl<'a, R> Batch<'a, R> {
    /// Of several events of a resource the last one counts, and the others have passed. Every one of them is looked at, so that what is parked
    /// does not depend on how the events were cut into batches.
    pub(super) async fn of<P: Projection<Rows = R>>(
        projection: &P,
        events: &'a [Event],
        parked_before: &HashSet<ResourceKey>,
    ) -> Self {
        let mut changes: Vec<Change<R>> = Vec::with_capacity(events.len());
        let mut known: HashMap<&'a ResourceKey, usize> = HashMap::with_capacity(events.len());
        let mut parked: Vec<(&'a Event, String)> = Vec::new();
        let mut parked_now: HashSet<&'a ResourceKey> = HashSet::new();
        let mut erasing = Vec::new();
        for (at, event) in events.iter().enumerate() {
            if at % EVENTS_IN_A_TURN == EVENTS_IN_A_TURN - 1 {
                tokio::task::yield_now().await;
            }
            let is_parked = parked_before.contains(&event.key) || parked_now.contains(&event.key);
            if !event.operation.makes_version() {
                erasing.extend(erases(event, is_parked));
                continue;
            }
            let rows = match is_parked {
                true => Err(Poison::new(BEHIND_ANOTHER)),
                false => rows(projection, event),
            };
            // What is parked by this very event still stands as it was, with what the event erases.
            erasing.extend(erases(event, rows.is_err()));
            let rows = match rows {
                Ok(rows) => rows,
                Err(poison) => {
                    parked_now.insert(&event.key);
                    parked.push((event, poison.reason));
                    continue;
                }
            };
            match known.get(&event.key).and_then(|index| changes.get_mut(*index)) {
                Some(change) => change.passed.push(Passed {
                    position: std::mem::replace(&mut change.position, event.position),
                    recorded_at: std::mem::replace(&mut change.recorded_at, event.recorded_at),
                    rows: std::mem::replace(&mut change.rows, rows),
                    until: event.position,
                    until_at: event.recorded_at,
                }),
                None => {
                    known.insert(&event.key, changes.len());
                    changes.push(Change {
                        key: event.key.clone(),
                        position: event.position,
                        recorded_at: event.recorded_at,
                        replaces: event.previous,
                        rows,
                        passed: Vec::new(),
                    });
                }
            }
        }
        Self { changes, parked, erasing }
    }

    /// Parks resources whose changes the database does not take.
    pub(super) fn park(&mut self, events: &'a [Event], refused: &HashMap<ResourceKey, String>) {
        self.changes.retain(|change| !refused.contains_key(&change.key));
        let left = self.erasing.iter_mut().filter(|one| refused.contains_key(&one.key));
        left.for_each(|one| one.is_parked = true);
        let already: HashSet<_> = self.parked.iter().map(|(event, _)| event.position).collect();
        let mut seen: HashSet<&ResourceKey> = HashSet::new();
        for event in events {
            let Some(reason) = refused.get(&event.key) else { continue };
            let reason = if seen.insert(&event.key) { reason.clone() } else { BEHIND_ANOTHER.to_owned() };
            if !already.contains(&event.position) {
                self.parked.push((event, reason));
            }
        }
    }
}

/// What an event erases: of a purge the version that it names stays.
fn erases(event: &Event, is_parked: bool) -> Option<Erasing> {
    let kind = event.kind.erases();
    // What is left at the end of a purge is no version of a resource: those have gone by events of their own.
    if matches!(kind, Erases::Nothing | Erases::Home) {
        return None;
    }
    let named = event.previous?;
    let last =
        if event.operation.makes_version() { named } else { Position::new(named.get().saturating_sub(1)) };
    let all = kind == Erases::Earlier;
    Some(Erasing { key: event.key.clone(), by: event.position, last, all, is_parked })
}

/// The rows of an event. A projection that panics over an event cannot take it, and is not stopped by it.
fn rows<P: Projection>(projection: &P, event: &Event) -> Result<P::Rows, Poison> {
    let rows = catch_unwind(AssertUnwindSafe(|| projection.rows(event)));
    rows.unwrap_or_else(|_| Err(Poison::new("the projection panicked")))
}
