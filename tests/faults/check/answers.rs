//! The log against what the clients were told: nothing acknowledged is missing, nothing refused is there (I1, I6).

use std::collections::{HashMap, HashSet};

use anamnesis_events::{Event, Operation, ResourceKey};

use super::{Story, identifier_of, named, token_of};
use crate::records::{Asked, CONDITION, Outcome, Record, Told, Verb};

/// Compares the whole log with everything that clients did.
pub(crate) fn check(story: &Story, records: &[Record]) -> Vec<String> {
    let mut violations = Vec::new();
    for record in records {
        for (asked, outcome) in &record.entries {
            violations.extend(entry(story, record, asked, outcome));
        }
        if record.is_transaction {
            violations.extend(transaction(story, record));
        }
    }
    violations.extend(strangers(story, records));
    violations.extend(twins(story));
    violations
}

/// One request, or one entry of a bundle.
fn entry(story: &Story, record: &Record, asked: &Asked, outcome: &Outcome) -> Option<String> {
    let found = story.with_token(&asked.token);
    let wrong = |what: &str| {
        let found: Vec<String> = found.iter().map(|event| named(event)).collect();
        Some(format!("I1: {what}: {asked} was told {outcome}; the log has {found:?}"))
    };
    match outcome {
        Outcome::Unknown if found.len() > 1 => wrong("recorded more than once"),
        Outcome::Unknown => None,
        Outcome::Refused if !found.is_empty() => wrong("recorded although refused"),
        Outcome::Refused => None,
        Outcome::Done(told) => done(story, record, asked, told, &found).and_then(wrong),
    }
}

/// What is wrong with something that was acknowledged.
fn done(
    story: &Story,
    record: &Record,
    asked: &Asked,
    told: &Told,
    found: &[&Event],
) -> Option<&'static str> {
    let Some(version) = told.version else {
        // Nothing was ever there.
        let is_absent = matches!(asked.verb, Verb::Read | Verb::Delete) && matches!(told.status, 404 | 204);
        return (!is_absent).then_some("acknowledged without a version");
    };
    let Some(id) = &told.id else { return Some("acknowledged without an id") };
    let Some(event) = story.version(asked.resource_type, id, version) else {
        return Some("an acknowledged version is not in the log");
    };
    if record.entries.len() == 1 && record.position.is_some_and(|told| told != event.position.get()) {
        return Some("acknowledged with another position");
    }
    let is_deleted = event.operation == Operation::Delete;
    let body_is_same = || told.body.as_ref() == Some(&event.payload);
    match asked.verb {
        Verb::Delete if !is_deleted => Some("an acknowledged delete is not one"),
        Verb::Delete => None,
        Verb::Read if told.status == 410 => (!is_deleted).then_some("read as deleted while it was there"),
        Verb::Read => (is_deleted || !body_is_same()).then_some("a read gave something else"),
        Verb::ConditionalCreate if told.status == 200 => {
            (!found.is_empty() || !body_is_same()).then_some("found by its condition and yet recorded")
        }
        _ if !found.iter().any(|found| found.position == event.position) => {
            Some("an acknowledged write is lost")
        }
        _ if found.len() > 1 => Some("recorded more than once"),
        _ if !body_is_same() => Some("answered with another content"),
        _ if asked.if_match.is_some_and(|before| before + 1 != version) => {
            Some("written over another version")
        }
        _ => None,
    }
}

/// All of a transaction is there, side by side, or nothing of it.
fn transaction(story: &Story, record: &Record) -> Option<String> {
    let tokens = || record.entries.iter().map(|(asked, _)| asked.token.as_str());
    let mut events: Vec<&Event> = tokens().flat_map(|token| story.with_token(token)).collect();
    events.sort_by_key(|event| event.position);
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return None };
    let expected = record.entries.len() as u64;
    let spread = last.position.get() - first.position.get() + 1;
    let is_one = events.iter().all(|event| {
        event.transaction.map(|own| (own.id, u64::from(own.size)))
            == first.transaction.map(|own| (own.id, expected))
    });
    let is_where_told = record.position.is_none_or(|told| told == last.position.get());
    (events.len() as u64 != expected || spread != expected || !is_one || !is_where_told).then(|| {
        let found: Vec<String> = events.iter().map(|event| named(event)).collect();
        let tokens: Vec<&str> = tokens().collect();
        format!("I6: a transaction is not there as one: {tokens:?} told {:?}; {found:?}", record.position)
    })
}

/// Every event is explained by a request that was sent, and by no more deletes than were sent.
fn strangers(story: &Story, records: &[Record]) -> Vec<String> {
    let asked = || records.iter().flat_map(|record| &record.entries);
    let sent: HashMap<&str, &Asked> = asked().map(|(asked, _)| (asked.token.as_str(), asked)).collect();
    let mut told: HashSet<(ResourceKey, u32)> = HashSet::new();
    let mut unknown: HashMap<ResourceKey, usize> = HashMap::new();
    for (asked, outcome) in asked().filter(|(asked, _)| asked.verb == Verb::Delete) {
        let key = ResourceKey::new(asked.resource_type, asked.id.clone().unwrap_or_default());
        match outcome {
            Outcome::Done(Told { version: Some(version), .. }) => drop(told.insert((key, *version))),
            Outcome::Unknown => *unknown.entry(key).or_default() += 1,
            _ => {}
        }
    }
    let mut violations = Vec::new();
    for event in &story.events {
        let is_explained = if event.operation == Operation::Delete {
            told.contains(&(event.key.clone(), event.version.get()))
                || unknown.get_mut(&event.key).is_some_and(|left| {
                    let some = *left > 0;
                    *left = left.saturating_sub(1);
                    some
                })
        } else {
            token_of(event).and_then(|token| sent.get(token.as_str()).copied()).is_some_and(|asked| {
                *event.key.resource_type == *asked.resource_type
                    && asked.id.as_ref().is_none_or(|id| *id == event.key.id)
            })
        };
        if !is_explained {
            violations.push(format!("I1: nobody asked for the {}", named(event)));
        }
    }
    violations
}

/// Of the resources that conditional creates make, one at most has each identifier.
fn twins(story: &Story) -> Vec<String> {
    let mut holders: HashMap<String, &Event> = HashMap::new();
    let mut violations = Vec::new();
    for event in story.events.iter().filter(|event| event.operation == Operation::Create) {
        let Some(condition) = identifier_of(event, CONDITION) else { continue };
        if let Some(first) = holders.insert(condition, event) {
            violations.push(format!(
                "I1: one condition, two creates: the {} and the {}",
                named(first),
                named(event)
            ));
        }
    }
    violations
}
