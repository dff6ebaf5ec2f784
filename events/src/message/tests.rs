//! Messages read back as the events they were made of.

use proptest::prelude::*;

use super::*;
use crate::Kind;

fn event() -> Event {
    Event {
        position: Position::new(4711),
        kind: Kind::ResourceUpdated,
        kind_version: 1,
        operation: Kind::ResourceUpdated.operation(),
        key: ResourceKey::new("Observation", "a-1.B"),
        version: Version::new(2),
        home: "Patient/123".into(),
        touches: vec!["Patient/123".into(), "Patient/124".into()],
        transaction: Some(Transaction { id: uuid::Uuid::from_u128(7), index: 3, size: 9 }),
        recorded_at: DateTime::from_timestamp_micros(1_769_851_800_123_456).unwrap(),
        agent: "Dr. \"Müller\" 100%\r\nce-id: forged".into(),
        source: None,
        previous: Some(Position::new(4002)),
        payload: Bytes::from_static(b"{\"resourceType\":\"Observation\"}"),
        erased: None,
        hash: [0xab; 32],
    }
}

#[test]
fn a_message_reads_back_as_its_event() {
    let event = event();
    let (headers, payload) = encode(&event, &MessageOptions::new("default", "fhir"));
    let received = decode(4711, &headers, payload).unwrap();
    assert_eq!(received.event, event);
    assert!(!received.body_left_out);
    let agent = headers.get("ce-agent").unwrap().as_str();
    assert!(agent.is_ascii() && !agent.contains(['\r', '\n']), "a value cannot start a header: {agent}");
    assert_eq!(headers.get("ce-time").unwrap().as_str(), "2026-01-31T09:30:00.123456Z");
}

#[test]
fn large_bodies_are_left_out_and_named() {
    let mut event = event();
    event.payload = Bytes::from(vec![b' '; 300 << 10]);
    let (headers, payload) = encode(&event, &MessageOptions::new("default", "fhir"));
    assert!(payload.is_empty());
    assert_eq!(headers.get("ce-dataref").unwrap().as_str(), "/default/fhir/Observation/a-1.B/_history/2");
    assert!(decode(4711, &headers, payload).unwrap().body_left_out);
}

#[test]
fn notifications_have_no_body() {
    let options = MessageOptions { body: BodyMode::Notification, ..MessageOptions::new("default", "fhir") };
    assert!(encode(&event(), &options).1.is_empty());
}

#[test]
fn a_delete_has_neither_body_nor_reference_to_one() {
    let mut event = event();
    (event.kind, event.operation) = (Kind::ResourceDeleted, Kind::ResourceDeleted.operation());
    event.payload = Bytes::new();
    let (headers, payload) = encode(&event, &MessageOptions::new("default", "fhir"));
    assert!(headers.get("ce-dataref").is_none() && headers.get("content-type").is_none());
    assert_eq!(decode(4711, &headers, payload).unwrap().event, event);
}

#[test]
fn a_message_without_an_attribute_names_it() {
    for attribute in ["ce-type", "ce-subject", "ce-time", "ce-sequence", "ce-home", "ce-hash", "ce-agent"] {
        let (full, payload) = encode(&event(), &MessageOptions::new("default", "fhir"));
        let mut headers = HeaderMap::new();
        for (name, values) in full.iter().filter(|(name, _)| name.to_string() != attribute) {
            values.iter().for_each(|value| headers.insert(name.clone(), value.clone()));
        }
        let error = decode(1, &headers, payload).expect_err(attribute);
        assert_eq!(error.attribute, attribute);
    }
}

#[test]
fn subjects_hold_no_patient_id_and_no_reserved_character() {
    let options = MessageOptions::new("my ward.*>", "fhir");
    let subject = subject(&event(), &options);
    assert_eq!(subject, format!("anamnesis.my_ward___.fhir.Observation.update.{}", bucket("Patient/123")));
}

proptest! {
    #[test]
    fn header_values_survive(text in any::<String>()) {
        let encoded = percent_encode(&text);
        prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()));
        prop_assert_eq!(percent_decode(&encoded), text);
    }

    #[test]
    fn decoding_strange_headers_never_panics(name in "ce-[a-z]{1,12}", value in "[ -~]{0,40}") {
        let (mut headers, payload) = encode(&event(), &MessageOptions::new("default", "fhir"));
        headers.insert(name.as_str(), value.as_str());
        let _outcome = decode(1, &headers, payload);
    }
}
