//! The watcher with a real broker: alerts are told once, in order, also where the broker was away; and the head.

use std::time::Duration;

use anamnesis::audit::{Watcher, WatcherOptions};
use anamnesis_audit::rules::RuleOptions;
use anamnesis_audit::{Action, Agent, AuditLog, AuditOptions, Kind, Outcome, Record};
use anamnesis_engines::testing::{Nats, postgres};
use async_nats::jetstream::{self, consumer};
use chrono::Utc;
use futures::StreamExt;
use serde_json::Value;

use crate::support::{eventually, runtime};

fn read(subject: &str, patient: usize) -> Record {
    Record {
        kind: Kind::Rest,
        subtype: "read".into(),
        action: Action::R,
        outcome: Outcome::Success,
        status: 200,
        agent: Agent { subject: subject.into(), ..Agent::default() },
        service: "fhir".into(),
        entities: vec![],
        entities_more: 0,
        patients: vec![format!("Patient/{patient}")],
        patients_more: 0,
        query: None,
        position: None,
        correlation: String::new(),
        entry: None,
        custom: vec![],
        purpose: None,
        reason: None,
        repeated: 0,
    }
}

fn options() -> WatcherOptions {
    let rules = RuleOptions { patients_max: 3, ..RuleOptions::default() };
    WatcherOptions { rules, retention: Duration::from_secs(86_400), replicas: 1, clock: Utc::now }
}

/// A client that waits for the broker.
async fn client(nats: &Nats) -> async_nats::Client {
    async_nats::ConnectOptions::new().retry_on_initial_connect().connect(nats.url()).await.unwrap()
}

/// The first messages of the stream below a subject, as id, subject and body.
async fn told(client: &async_nats::Client, subject: &str, count: usize) -> Vec<(String, String, Value)> {
    let context = jetstream::new(client.clone());
    let name = "ANAMNESIS_default_ALERTS";
    eventually("the stream is there", || async { context.get_stream(name).await.is_ok() }).await;
    let stream = context.get_stream(name).await.unwrap();
    let config = consumer::pull::Config { filter_subject: subject.to_owned(), ..Default::default() };
    let messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
    let messages: Vec<_> = messages.take(count).collect().await;
    let read = |message: async_nats::jetstream::Message| {
        let id = message.headers.as_ref().unwrap().get("ce-id").unwrap().to_string();
        (id, message.subject.to_string(), serde_json::from_slice(&message.payload).unwrap())
    };
    messages.into_iter().map(|message| read(message.unwrap())).collect()
}

async fn log() -> AuditLog {
    let database = postgres().await.fresh_database().await;
    AuditLog::open(&database, "default", AuditOptions::default()).await.unwrap()
}

async fn many_patients(log: &AuditLog, subject: &str) {
    for patient in 0..3 {
        log.append(vec![read(subject, patient)]).await.unwrap();
    }
}

#[test]
fn what_is_unusual_is_told_once_also_after_another_took_the_watch() {
    runtime().block_on(async {
        let (nats, log) = (Nats::start().await, log().await);
        let client = client(&nats).await;
        // Beside the stream of the workspace's feed, which it may not overlap.
        let feed = jetstream::stream::Config {
            name: "ANAMNESIS_default".into(),
            subjects: vec!["anamnesis.default.*.*.*.*".into()],
            ..Default::default()
        };
        jetstream::new(client.clone()).create_stream(feed).await.unwrap();
        let first = Watcher::start(log.clone(), client.clone(), options());
        many_patients(&log, "a").await;
        let alerts = told(&client, "anamnesis.default.alerts.>", 1).await;
        let (id, subject, body) = &alerts[0];
        assert_eq!(
            (id.as_str(), subject.as_str()),
            ("default-audit-3-many-patients", "anamnesis.default.alerts.many-patients")
        );
        assert_eq!(
            (&body["rule"], &body["record"], &body["count"]),
            (&"many-patients".into(), &3.into(), &3.into())
        );
        assert_eq!(body["subject"], "a");
        first.stop().await;
        // What another one finds is only what came since, seen together with what was before.
        log.append(vec![read("b", 0), read("b", 1)]).await.unwrap();
        let second = Watcher::start(log.clone(), client.clone(), options());
        log.append(vec![read("b", 2)]).await.unwrap();
        let ids: Vec<String> =
            told(&client, "anamnesis.default.alerts.>", 2).await.into_iter().map(|alert| alert.0).collect();
        assert_eq!(ids, ["default-audit-3-many-patients", "default-audit-6-many-patients"]);
        second.stop().await;
        nats.stop().await;
    });
}

#[test]
fn other_rules_hold_from_the_next_record_on() {
    runtime().block_on(async {
        let (nats, log) = (Nats::start().await, log().await);
        let client = client(&nats).await;
        let watcher = Watcher::start(log.clone(), client.clone(), options());
        many_patients(&log, "a").await;
        told(&client, "anamnesis.default.alerts.>", 1).await;
        watcher.follow(RuleOptions { patients_max: 2, ..RuleOptions::default() });
        log.append(vec![read("b", 0)]).await.unwrap();
        log.append(vec![read("b", 1)]).await.unwrap();
        let ids: Vec<String> =
            told(&client, "anamnesis.default.alerts.>", 2).await.into_iter().map(|alert| alert.0).collect();
        assert_eq!(ids, ["default-audit-3-many-patients", "default-audit-5-many-patients"]);
        watcher.stop().await;
        nats.stop().await;
    });
}

#[test]
fn a_broker_that_is_away_delays_alerts_and_loses_none() {
    runtime().block_on(async {
        let (nats, log) = (Nats::start().await, log().await);
        let client = client(&nats).await;
        nats.kill9().await;
        let watcher = Watcher::start(log.clone(), client.clone(), options());
        many_patients(&log, "a").await;
        many_patients(&log, "b").await;
        nats.restart().await;
        let ids: Vec<String> =
            told(&client, "anamnesis.default.alerts.>", 2).await.into_iter().map(|alert| alert.0).collect();
        assert_eq!(ids, ["default-audit-3-many-patients", "default-audit-6-many-patients"]);
        watcher.stop().await;
        nats.stop().await;
    });
}

#[test]
fn the_head_is_told_to_the_outside() {
    runtime().block_on(async {
        let (nats, log) = (Nats::start().await, log().await);
        let client = client(&nats).await;
        log.append(vec![read("a", 0), read("a", 1)]).await.unwrap();
        let watcher = Watcher::start(log.clone(), client.clone(), options());
        let (_, _, head) = told(&client, "anamnesis.default.audit.head", 1).await.remove(0);
        assert_eq!(head["number"], 2);
        let anchor = format!("2:{}", head["hash"].as_str().unwrap());
        let anchor = anamnesis::audit::anchor(&anchor).unwrap();
        assert!(log.verify(None, &[anchor], u64::MAX).await.unwrap().is_whole);
        watcher.stop().await;
        nats.stop().await;
    });
}
