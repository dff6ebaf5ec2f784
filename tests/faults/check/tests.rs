//! The checker notices: made-up stories with one fault each, so that a run without complaints means something.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anamnesis_events::{Event, Kind, Operation, Position, ResourceKey, Transaction, Version};
use bytes::Bytes;
use chrono::DateTime;
use serde_json::json;

use super::{Story, answers, register, shape};
use crate::records::{ATTEMPT, Asked, CONDITION, Outcome, Record, Told, Verb};

/// The event that an attempt makes of `Patient/a`; a delete where there is no token.
fn event(position: u64, version: u32, previous: Option<u64>, token: Option<&str>) -> Event {
    let kind = match (version, token) {
        (_, None) => Kind::ResourceDeleted,
        (1, _) => Kind::ResourceCreated,
        _ => Kind::ResourceUpdated,
    };
    let payload = token.map_or(Bytes::new(), |token| {
        json!({"identifier": [{"system": ATTEMPT, "value": token}]}).to_string().into()
    });
    Event {
        position: Position::new(position),
        kind,
        kind_version: 1,
        operation: kind.operation(),
        key: ResourceKey::new("Patient", "a"),
        version: Version::new(version),
        home: "Patient/a".into(),
        touches: vec!["Patient/a".into()],
        transaction: None,
        recorded_at: DateTime::from_timestamp(position.cast_signed(), 0).unwrap(),
        agent: Arc::from("anonymous"),
        source: None,
        previous: previous.map(Position::new),
        payload,
        erased: None,
        hash: [0; 32],
    }
}

/// Created by `one`, updated by `two`, deleted.
fn events() -> Vec<Event> {
    vec![event(1, 1, None, Some("one")), event(2, 2, Some(1), Some("two")), event(3, 3, Some(2), None)]
}

/// One request, from the second `from` to the second `to` of the test's time.
fn record(since: Instant, (from, to): (u64, u64), verb: Verb, token: &str, outcome: Outcome) -> Record {
    let (token, resource_type) = (token.to_owned(), "Patient");
    let id = (verb != Verb::Create).then(|| "a".to_owned());
    Record {
        started: since + Duration::from_secs(from),
        ended: since + Duration::from_secs(to),
        is_transaction: false,
        position: None,
        entries: vec![(Asked { verb, token, resource_type, id, if_match: None }, outcome)],
    }
}

fn done(status: u16, version: u32, body: Option<&Event>) -> Outcome {
    let body = body.map(|event| event.payload.clone());
    Outcome::Done(Told { status, id: Some("a".into()), version: Some(version), body })
}

/// What the clients of [`events`] were told.
fn records(since: Instant) -> Vec<Record> {
    let events = events();
    vec![
        record(since, (0, 1), Verb::Create, "one", done(201, 1, Some(&events[0]))),
        record(since, (2, 3), Verb::Update, "two", done(200, 2, Some(&events[1]))),
        record(since, (4, 5), Verb::Delete, "three", done(204, 3, None)),
        record(since, (6, 7), Verb::Read, "four", done(410, 3, None)),
    ]
}

fn complaints(events: Vec<Event>, records: &[Record]) -> Vec<String> {
    let story = Story::new(events);
    let mut all = shape::check(&story.events);
    all.extend(answers::check(&story, records));
    all.extend(register::check(&story, records));
    all
}

/// Expects that there is a complaint of this kind and, where it is given, with this text.
fn complains(events: Vec<Event>, records: &[Record], kind: &str, text: &str) {
    let all = complaints(events, records);
    assert!(all.iter().any(|one| one.starts_with(kind) && one.contains(text)), "{kind} {text}: {all:#?}");
}

#[test]
fn a_story_that_holds_together_gives_no_complaint() {
    assert_eq!(complaints(events(), &records(Instant::now())), Vec::<String>::new());
}

#[test]
fn a_lost_write_is_noticed() {
    let mut events = events();
    events.truncate(1);
    complains(events, &records(Instant::now()), "I1", "not in the log");
}

#[test]
fn another_content_under_an_acknowledged_version_is_noticed() {
    let mut events = events();
    events[1] = event(2, 2, Some(1), Some("two'"));
    complains(events.clone(), &records(Instant::now()), "I1", "is lost");
    complains(events, &records(Instant::now()), "I1", "nobody asked");
}

#[test]
fn a_refused_write_in_the_log_and_a_write_that_came_twice_are_noticed() {
    let mut records = records(Instant::now());
    records[1].entries[0].1 = Outcome::Refused;
    complains(events(), &records, "I1", "although refused");
    let mut twice = events();
    twice[2] = event(3, 3, Some(2), Some("two"));
    records[1].entries[0].1 = Outcome::Unknown;
    complains(twice, &records, "I1", "more than once");
}

#[test]
fn a_delete_that_nobody_asked_for_is_noticed() {
    let mut records = records(Instant::now());
    records.truncate(2);
    complains(events(), &records, "I1", "nobody asked");
}

#[test]
fn holes_in_positions_times_and_versions_are_noticed() {
    let mut hole = events();
    hole.remove(1);
    complains(hole, &[], "I2", "place 2");
    let mut late = events();
    late[1].recorded_at = late[0].recorded_at;
    complains(late, &[], "I2", "time");
    let mut version = events();
    version[2].version = Version::new(4);
    complains(version, &[], "I3", "");
    let mut previous = events();
    previous[2].previous = Some(Position::new(1));
    complains(previous, &[], "I3", "");
    let mut again = events();
    again.push(Event { operation: Operation::Delete, ..event(4, 4, Some(3), None) });
    complains(again, &[], "I3", "absent");
}

#[test]
fn half_a_transaction_is_noticed() {
    let id = uuid::Uuid::from_u128(7);
    let mut half = events();
    half[1].transaction = Some(Transaction { id, index: 0, size: 2 });
    complains(half.clone(), &[], "I6", "stands alone");
    half[1].transaction = Some(Transaction { id, index: 0, size: 1 });
    let mut both = record(Instant::now(), (0, 1), Verb::Update, "two", Outcome::Unknown);
    let mut other = both.entries[0].clone();
    other.0.token = "missing".into();
    both.entries.push(other);
    both.is_transaction = true;
    complains(half, &[both], "I6", "not there as one");
}

#[test]
fn two_resources_of_one_condition_are_noticed() {
    let mut twins = events();
    twins.truncate(2);
    for (event, id) in twins.iter_mut().zip(["a", "b"]) {
        event.key = ResourceKey::new("Patient", id);
        event.operation = Operation::Create;
        event.payload = json!({"identifier": [{"system": CONDITION, "value": "x"}]}).to_string().into();
    }
    complains(twins, &[], "I1", "two creates");
}

#[test]
fn a_read_of_what_was_before_an_answer_is_noticed() {
    let since = Instant::now();
    let stale = || done(200, 1, Some(&events()[0]));
    let mut all = records(since);
    all.push(record(since, (2, 9), Verb::Read, "beside", stale()));
    assert_eq!(complaints(events(), &all), Vec::<String>::new(), "it began before the answer");
    all.push(record(since, (4, 9), Verb::Read, "stale", stale()));
    complains(events(), &all, "I7", "stale saw version 1");
}

#[test]
fn a_write_that_was_recorded_behind_what_was_read_before_it_began_is_noticed() {
    let since = Instant::now();
    let mut all = records(since);
    all[1] = record(since, (8, 9), Verb::Update, "two", Outcome::Unknown);
    complains(events(), &all, "I7", "two made version 2");
}
