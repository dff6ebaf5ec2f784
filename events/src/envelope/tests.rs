//! The canonical envelope: a frozen vector, and that no field can change unnoticed.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{Kind, Operation, Position, ResourceKey, Transaction, Version};

pub(crate) fn sample() -> Event {
    Event {
        position: Position::new(42),
        kind: Kind::ResourceUpdated,
        kind_version: 1,
        operation: Operation::Update,
        key: ResourceKey::new("Observation", "o-1"),
        version: Version::new(2),
        home: "Patient/p".into(),
        touches: vec!["Patient/p".into(), "Practitioner/q".into()],
        transaction: Some(Transaction { id: Uuid::from_u128(7), index: 1, size: 3 }),
        recorded_at: DateTime::<Utc>::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
        agent: "nurse".into(),
        source: Some("import".into()),
        previous: Some(Position::new(40)),
        payload: r#"{"resourceType":"Observation","id":"o-1"}"#.into(),
        erased: None,
        hash: [0; 32],
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Frozen: a change here breaks every log that was ever written.
#[test]
fn the_chain_of_a_known_event_is_frozen() {
    assert_eq!(hex(&genesis("default")), "d6879a52fba79787c32b016c2a5ecc464b8e7f097ab2e43896c9d3e0b873cf66");
    assert_eq!(
        hex(&chain(&genesis("default"), &sample())),
        "8e1d47a96503cf11cd233bd9aa0a1b4706d425c02c142c834e27b8296b2e80e8"
    );
}

#[test]
fn every_field_changes_the_hash() {
    type Change = (&'static str, fn(&mut Event));
    let changes: [Change; 16] = [
        ("position", |event| event.position = Position::new(43)),
        ("kind", |event| event.kind = Kind::ResourceCreated),
        ("kind_version", |event| event.kind_version = 2),
        ("operation", |event| event.operation = Operation::Create),
        ("type", |event| event.key.resource_type = "Observatio".into()),
        ("id", |event| event.key.id = "no-1".into()),
        ("version", |event| event.version = Version::new(3)),
        ("home", |event| event.home = "Patient/q".into()),
        ("touches", |event| drop(event.touches.pop())),
        ("transaction", |event| event.transaction = None),
        ("recorded_at", |event| event.recorded_at += chrono::Duration::microseconds(1)),
        ("agent", |event| event.agent = "doctor".into()),
        ("source", |event| event.source = None),
        ("previous", |event| event.previous = None),
        ("payload", |event| event.payload = "{}".into()),
        ("moved boundary", |event| {
            event.key = ResourceKey::new("Observationo", "-1");
        }),
    ];
    let mut hashes = vec![chain(&[0; 32], &sample())];
    for (name, change) in changes {
        let mut event = sample();
        change(&mut event);
        let hash = chain(&[0; 32], &event);
        assert!(!hashes.contains(&hash), "{name} does not change the hash");
        hashes.push(hash);
    }
    assert_ne!(chain(&[1; 32], &sample()), hashes[0], "the previous hash counts");
}

proptest! {
    /// Two envelopes have the same bytes only if all of their texts are the same.
    #[test]
    fn envelopes_are_injective(
        left in proptest::collection::vec("[a-c/]{0,3}", 5),
        right in proptest::collection::vec("[a-c/]{0,3}", 5),
        left_touches in proptest::collection::vec("[a-c/]{0,2}", 0..3),
        right_touches in proptest::collection::vec("[a-c/]{0,2}", 0..3),
    ) {
        let event = |texts: &[String], touches: &[String]| Event {
            key: ResourceKey::new(texts[0].as_str(), texts[1].as_str()),
            home: texts[2].clone(),
            touches: touches.to_vec(),
            agent: texts[3].as_str().into(),
            source: Some(texts[4].as_str()).filter(|text| !text.is_empty()).map(Into::into),
            ..sample()
        };
        let same = left == right && left_touches == right_touches;
        let (left, right) = (event(&left, &left_touches), event(&right, &right_touches));
        prop_assert_eq!(encode(&left) == encode(&right), same);
    }
}
