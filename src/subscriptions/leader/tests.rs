//! What is next about a subscription, as it stands.

use anamnesis_fhir::json::{Document, Limits};
use anamnesis_projections::search::{Catalogue, DateEquals};
use serde_json::{Value, json};

use super::*;
use crate::subscriptions::Allow;
use crate::subscriptions::definition::Reader;
use crate::subscriptions::topic::{TopicRule, Topics};

const TOPIC: &str = "http://example.org/topic";

fn now() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-01-01T00:00:00Z").unwrap().to_utc()
}

fn definition(change: impl FnOnce(&mut Value)) -> Definition {
    let mut reader = Reader {
        catalogue: Catalogue::r4(),
        log: 1,
        base: None,
        date_equals: DateEquals::default(),
        topics: Topics::default(),
        allow: Some(Allow::new(&["http://127.0.0.1:9/".to_owned()]).unwrap()),
    };
    let rule = TopicRule { resource: "Patient".to_owned(), ..TopicRule::default() };
    reader.topics = Topics::read(&reader, &[(TOPIC.to_owned(), rule)].into(), now()).unwrap();
    let period =
        "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-heartbeat-period";
    let mut resource = json!({"resourceType": "Subscription", "status": "active", "reason": "r", "criteria": TOPIC,
        "channel": {"type": "rest-hook", "endpoint": "http://127.0.0.1:9/", "payload": "application/fhir+json",
            "extension": [{"url": period, "valueUnsignedInt": 60}]}});
    change(&mut resource);
    let document = Document::parse(resource.to_string(), &Limits::default()).unwrap();
    reader.read(document.root(), now()).unwrap()
}

/// What is next and in how many seconds, where something was sent `sent` seconds ago.
fn what(definition: &Definition, standing: &Standing, sent: i64) -> Option<(i64, &'static str)> {
    let (at, next) = next(definition, standing, now() - TimeDelta::seconds(sent), now())?;
    let name = match next {
        Next::Send(What::Events) => "events",
        Next::Send(What::Handshake) => "handshake",
        Next::Send(What::Heartbeat) => "heartbeat",
        Next::Write(change) => change.status.code(),
    };
    Some(((at - now()).num_seconds(), name))
}

#[test]
fn a_heartbeat_comes_when_nothing_else_was_sent_for_its_period() {
    let active = definition(|_| {});
    let standing = Standing { events: 3, delivered: 3, ..Standing::default() };
    assert_eq!(what(&active, &standing, 20), Some((40, "heartbeat")));
    assert!(what(&active, &standing, 60).is_some_and(|(seconds, _)| seconds <= 0));
    let waiting = Standing { events: 4, ..standing.clone() };
    assert_eq!(what(&active, &waiting, 20), Some((0, "events")));
    let silent =
        definition(|resource| drop(resource["channel"].as_object_mut().unwrap().remove("extension")));
    assert_eq!(what(&silent, &standing, 1000), None);
}

#[test]
fn a_status_is_changed_when_it_is_time() {
    let requested = definition(|resource| resource["status"] = json!("requested"));
    let standing = Standing::default();
    assert_eq!(what(&requested, &standing, 0), Some((0, "handshake")));
    let shaken = Standing { shaken: true, ..standing.clone() };
    assert_eq!(what(&requested, &shaken, 0), Some((0, "active")));
    let rest_hook = definition(|resource| {
        resource["status"] = json!("requested");
        resource["criteria"] = json!("Patient?active=true");
    });
    assert_eq!(what(&rest_hook, &standing, 0), Some((0, "active")));
    let ended = definition(|resource| resource["end"] = json!("2025-12-31T23:59:59Z"));
    assert_eq!(what(&ended, &standing, 0), Some((0, "off")));
    let error = definition(|resource| resource["status"] = json!("error"));
    assert_eq!(what(&error, &Standing { events: 1, ..standing.clone() }, 0), None);
}

#[test]
fn a_failing_receiver_is_tried_later_and_then_given_up() {
    let active = definition(|_| {});
    let failing = Standing {
        events: 1,
        attempts: 3,
        failing_since: Some(now() - TimeDelta::seconds(9)),
        try_at: Some(now() + TimeDelta::seconds(4)),
        ..Standing::default()
    };
    assert_eq!(what(&active, &failing, 1), Some((4, "events")));
    let given_up = Standing { try_at: None, ..failing };
    assert_eq!(what(&active, &given_up, 1), Some((0, "error")));
}
