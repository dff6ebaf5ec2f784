//! Every kind of event in every version that was ever written: still readable, and its hash still the same.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests")]

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anamnesis_events::{Erased, Event, Kind, Position, ResourceKey, Transaction, Version, codec, envelope};
use chrono::DateTime;
use sha2::{Digest, Sha256};

#[test]
fn every_frozen_event_reads_and_chains_as_on_its_first_day() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut seen = vec![];
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let mut previous = envelope::genesis("default");
        for fields in text.split("\n\n").skip(1).map(fields) {
            let event = event(&fields);
            if event.erased.is_none() {
                assert_eq!(hex(&Sha256::digest(&event.payload)), fields["payload_sha256"]);
            }
            previous = envelope::chain(&previous, &event);
            assert_eq!(hex(&previous), fields["hash"], "position {}", event.position);
            seen.push((event.kind, event.kind_version));
        }
    }
    for kind in Kind::ALL {
        for version in 1..=kind.current_version() {
            assert!(seen.contains(&(kind, version)), "no frozen event of {kind}, version {version}");
        }
    }
}

/// The lines `name value` of one event.
fn fields(text: &str) -> HashMap<&str, &str> {
    text.lines().filter_map(|line| line.split_once(' ')).collect()
}

fn event(fields: &HashMap<&str, &str>) -> Event {
    let (name, kind_version) = fields["kind"].split_once(' ').unwrap();
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name).unwrap();
    let (resource_type, id) = fields["resource"].split_once('/').unwrap();
    let number = |name: &str| fields[name].parse::<u64>().unwrap();
    let payload = codec::decode(&bytes(fields["payload"])).unwrap();
    let erased = fields.get("erased").map(|text| erased(text));
    let has_body = kind.operation().has_body();
    assert_eq!(payload.is_empty(), !has_body || erased.is_some());
    Event {
        position: Position::new(number("position")),
        kind,
        kind_version: kind_version.parse().unwrap(),
        operation: kind.operation(),
        key: ResourceKey::new(resource_type, id),
        version: Version::new(fields["version"].parse().unwrap()),
        home: fields["home"].to_owned(),
        touches: fields["touches"].split(' ').map(str::to_owned).collect(),
        transaction: fields.get("transaction").map(|text| transaction(text)),
        recorded_at: DateTime::from_timestamp_micros(fields["recorded_at"].parse().unwrap()).unwrap(),
        agent: fields["agent"].into(),
        source: fields.get("source").map(|source| (*source).into()),
        previous: fields.get("previous").map(|number| Position::new(number.parse().unwrap())),
        payload,
        erased,
        hash: bytes(fields["hash"]).try_into().unwrap(),
    }
}

fn erased(text: &str) -> Erased {
    let (by, commitment) = text.split_once(' ').unwrap();
    Erased { by: Position::new(by.parse().unwrap()), commitment: bytes(commitment).try_into().unwrap() }
}

fn transaction(text: &str) -> Transaction {
    let parts: Vec<&str> = text.split(' ').collect();
    Transaction {
        id: parts[0].parse().unwrap(),
        index: parts[1].parse().unwrap(),
        size: parts[2].parse().unwrap(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|index| u8::from_str_radix(&hex[index * 2..index * 2 + 2], 16).unwrap()).collect()
}
