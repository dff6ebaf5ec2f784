//! A random history, and at each of its positions what a replay of the log gives.

use std::collections::BTreeMap;

use anamnesis_events::{Event, Operation, Position};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::{Value, json};

use super::{observation, patient, versions};
use crate::support::{Server, test};

const SEEDS: [u64; 2] = [4, 44];
/// Requests that write; a transaction makes several events.
const WRITES: u32 = 18;
const PATIENTS: [&str; 3] = ["p0", "p1", "p2"];
const STATUSES: [&str; 3] = ["final", "preliminary", "amended"];

struct Dice(ChaCha8Rng);

impl Dice {
    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.0.next_u32() as usize % items.len()]
    }

    /// A resource by its path: observations move between patients.
    fn resource(&mut self) -> (String, String) {
        if self.pick(&[true, false, false]) {
            let id = self.pick(&PATIENTS);
            return (format!("Patient/{id}"), patient(id, self.pick(&[true, false])));
        }
        let id = self.pick(&["o0", "o1", "o2", "o3", "o4"]);
        let subject = self.pick(&["Patient/p0", "Patient/p1", "Patient/p2", "Group/g"]);
        (format!("Observation/{id}"), observation(id, subject, self.pick(&STATUSES)))
    }

    async fn write(&mut self, server: &Server) {
        let (path, body) = self.resource();
        match self.pick(&[0, 0, 0, 1, 1, 2]) {
            0 => assert!(server.put(&format!("/{path}"), body).await.status.is_success()),
            1 => assert!(server.delete(&format!("/{path}")).await.status.is_success()),
            _ => {
                let mut entries = BTreeMap::from([(path, body)]);
                entries.extend((0..3).map(|_| self.resource()));
                let entries = entries.into_iter().map(|(path, body)| {
                    let resource: Value = serde_json::from_str(&body).unwrap();
                    json!({"resource": resource, "request": {"method": "PUT", "url": path}})
                });
                let entries: Vec<Value> = entries.collect();
                let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
                let answer = server.post("", bundle.to_string()).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
        }
    }
}

/// The record as it follows from the events one after the other.
#[derive(Default)]
struct Record {
    position: u64,
    /// The versions of each resource: the body, or none for a delete.
    resources: BTreeMap<String, Vec<Option<Value>>>,
}

impl Record {
    /// The record at a position: transactions only where they are whole.
    fn at(events: &[Event], position: u64) -> Self {
        let mut record = Self::default();
        let until = usize::try_from(position).unwrap();
        let whole = events[..until].iter().rposition(|event| {
            event.transaction.is_none_or(|transaction| transaction.index + 1 == transaction.size)
        });
        for event in &events[..whole.map_or(0, |last| last + 1)] {
            record.position = event.position.get();
            let body = (event.operation != Operation::Delete)
                .then(|| serde_json::from_slice(&event.payload).unwrap());
            record.resources.entry(event.key.to_string()).or_default().push(body);
        }
        record
    }

    /// The versions that stand and that `wanted` says yes to, in any order.
    fn living(&self, wanted: impl Fn(&str, &Value) -> bool) -> Vec<String> {
        let newest =
            self.resources.iter().filter_map(|(key, all)| Some((key, all.len(), all.last()?.as_ref()?)));
        newest
            .filter(|(key, _, body)| wanted(key, body))
            .map(|(key, version, _)| format!("{key}/{version}"))
            .collect()
    }
}

#[test]
fn every_position_shows_what_a_replay_of_the_log_gives() {
    for seed in SEEDS {
        test(|server| async move {
            let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
            for _ in 0..WRITES {
                dice.write(&server).await;
            }
            let events = server.log.read(Position::ZERO, 1000).await.unwrap();
            let all = Record::at(&events, events.len() as u64);
            for position in 0..=events.len() as u64 {
                let record = Record::at(&events, position);
                let what = format!("seed {seed}, position {position}");
                for key in all.resources.keys() {
                    check_resource(&server, &record, key, position, &what).await;
                }
                for patient in PATIENTS {
                    check_compartment(&server, &record, patient, position, &what).await;
                }
            }
        });
    }
}

async fn check_resource(server: &Server, record: &Record, key: &str, position: u64, what: &str) {
    let read = server.get(&format!("/{key}?_asOf={position}")).await;
    let known = record.resources.get(key);
    let status = match known.and_then(|versions| versions.last()) {
        None => 404,
        Some(None) => 410,
        Some(Some(body)) => {
            assert_eq!(read.json(), *body, "{key}, {what}");
            200
        }
    };
    assert_eq!(read.status, status, "{key}, {what}");
    assert_eq!(read.header("x-anamnesis-position"), record.position.to_string(), "{key}, {what}");
    let history = server.get(&format!("/{key}/_history?_asOf={position}&_count=1000")).await;
    let Some(known) = known else {
        assert_eq!(history.status, 404, "history of {key}, {what}");
        return;
    };
    let bundle = history.json();
    let entries = bundle["entry"].as_array().unwrap();
    let shown: Vec<Option<Value>> =
        entries.iter().rev().map(|entry| entry.get("resource").cloned()).collect();
    assert_eq!(shown, *known, "history of {key}, {what}");
}

async fn check_compartment(server: &Server, record: &Record, patient: &str, position: u64, what: &str) {
    let subject = format!("Patient/{patient}");
    let belongs =
        |key: &str, body: &Value| key == subject || body["subject"]["reference"] == subject.as_str();
    let is_final = |key: &str, body: &Value| belongs(key, body) && body["status"] == "final";
    for (query, expected) in [
        (format!("/{subject}/*?_count=1000"), record.living(belongs)),
        (format!("/{subject}/Observation?status=final"), record.living(is_final)),
    ] {
        let mut found = versions(&server.get(&format!("{query}&_asOf={position}")).await.json());
        found.sort();
        assert_eq!(found, expected, "{query}, {what}");
    }
}
