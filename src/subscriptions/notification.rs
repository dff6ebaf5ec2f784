//! Notifications: what is sent to a receiver, and what `$status` and `$events` answer.

use anamnesis_events::{Event, ResourceKey};
use chrono::SecondsFormat;
use serde_json::{Value, json};
use url::Url;

use super::definition::{Content, Definition, Status};
use crate::api::history;
use crate::api::page::{Head, Page};
use crate::clock;

const PROFILE: &str =
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-status-r4";

/// What a notification is about (the backport's value set of notification types).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Handshake,
    Heartbeat,
    Event,
    QueryStatus,
    QueryEvent,
}

impl Kind {
    fn code(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Heartbeat => "heartbeat",
            Self::Event => "event-notification",
            Self::QueryStatus => "query-status",
            Self::QueryEvent => "query-event",
        }
    }
}

/// What a status says of its subscription.
#[derive(Debug, Clone)]
pub(crate) struct Told<'a> {
    pub(crate) kind: Kind,
    /// The address of the service.
    pub(crate) base: &'a str,
    pub(crate) id: &'a str,
    pub(crate) status: Status,
    pub(crate) topic: Option<&'a str>,
    /// How many events there have been.
    pub(crate) events: i64,
    /// What went wrong last, where it goes wrong.
    pub(crate) error: Option<&'a str>,
}

/// A request to a receiver.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) method: reqwest::Method,
    pub(super) url: Url,
    pub(super) body: Option<Vec<u8>>,
}

/// R4: a POST without a body where there is no payload, else the resource under its type and id below the endpoint.
pub(super) fn rest_hook(definition: &Definition, event: &Event) -> Message {
    let mut url = definition.endpoint.clone();
    if definition.content != Content::Full || event.payload.is_empty() {
        return Message { method: reqwest::Method::POST, url, body: None };
    }
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push(&event.key.resource_type).push(&event.key.id);
    }
    Message { method: reqwest::Method::PUT, url, body: Some(event.payload.to_vec()) }
}

/// The backport: a Bundle whose first entry is the status.
pub(super) fn of_topic(definition: &Definition, told: &Told<'_>, events: &[(i64, Event)]) -> Message {
    let body = bundle(told, definition.content, events);
    Message { method: reqwest::Method::POST, url: definition.endpoint.clone(), body: Some(body) }
}

/// A Bundle of type `history`: the status, then the events.
pub(crate) fn bundle(told: &Told<'_>, content: Content, events: &[(i64, Event)]) -> Vec<u8> {
    let id = clock::new_request_id();
    let capacity = events.iter().map(|(_, event)| event.payload.len() + 384).sum::<usize>() + 2048;
    let mut page = Page::new(&Head { kind: "history", id: &id, total: None, links: &[] }, capacity);
    let status = status(told, content, events).to_string();
    let url = format!("urn:uuid:{}", clock::new_request_id());
    let request = json!({"method": "GET", "url": format!("Subscription/{}/$status", told.id)}).to_string();
    page.entry(
        Some(&url),
        Some(status.as_bytes()),
        &[("request", &request), ("response", r#"{"status":"200"}"#)],
    );
    if content != Content::Empty {
        for (_, event) in events {
            entry(&mut page, told.base, content, event);
        }
    }
    page.finish()
}

fn entry(page: &mut Page, base: &str, content: Content, event: &Event) {
    let key = &event.key;
    let (method, url, status) = history::request_of(event);
    let resource = (content == Content::Full && !event.payload.is_empty()).then_some(&event.payload[..]);
    let request = json!({"method": method, "url": url}).to_string();
    let response = json!({"status": status}).to_string();
    page.entry(Some(&address(base, key)), resource, &[("request", &request), ("response", &response)]);
}

fn address(base: &str, key: &ResourceKey) -> String {
    format!("{base}/{key}")
}

/// The status as Parameters, as the backport has it for R4.
pub(crate) fn status(told: &Told<'_>, content: Content, events: &[(i64, Event)]) -> Value {
    let mut parameters = vec![json!({"name": "subscription",
            "valueReference": {"reference": format!("{}/Subscription/{}", told.base, told.id)}})];
    parameters.extend(told.topic.map(|topic| json!({"name": "topic", "valueCanonical": topic})));
    parameters.extend([
        json!({"name": "status", "valueCode": told.status.code()}),
        json!({"name": "type", "valueCode": told.kind.code()}),
        json!({"name": "events-since-subscription-start", "valueString": told.events.to_string()}),
    ]);
    for (number, event) in events {
        let time = event.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let mut parts = vec![
            json!({"name": "event-number", "valueString": number.to_string()}),
            json!({"name": "timestamp", "valueInstant": time}),
        ];
        if content != Content::Empty {
            let focus = address(told.base, &event.key);
            parts.push(json!({"name": "focus", "valueReference": {"reference": focus}}));
        }
        parameters.push(json!({"name": "notification-event", "part": parts}));
    }
    parameters
        .extend(told.error.map(|error| json!({"name": "error", "valueCodeableConcept": {"text": error}})));
    json!({"resourceType": "Parameters", "id": clock::new_request_id(), "meta": {"profile": [PROFILE]},
        "parameter": parameters})
}
