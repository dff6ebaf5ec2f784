//! Given a state, when a command, then an event or a refusal.

use anamnesis_events::{
    Draft, Identifier, Operation, Position, ResourceKey, STAMP_LENGTH, STAMP_PLACEHOLDER, Version,
};
use anamnesis_fhir::json::{Document, Limits};
use proptest::prelude::*;

use super::conditional::{self, ConditionalCreate, ConditionalRefusal, ConditionalUpdate};
use super::*;

fn document(text: &str) -> Document {
    Document::parse(text, &Limits::default()).unwrap()
}

fn candidate(kind: &str, id: &str, text: &str) -> Arc<Candidate> {
    Arc::new(Candidate::new(ResourceKey::new(kind, id), document(text), &[]))
}

fn update(text: &str, expected: Expected) -> Command {
    Command::Update { candidate: candidate("Patient", "a", text), expected, unless_held: Vec::new() }
}

fn current(version: u32, payload: &str) -> Current {
    Current {
        version: Version::new(version),
        position: Position::new(7),
        deleted: payload.is_empty(),
        recorded_at: DateTime::UNIX_EPOCH,
        home: "Patient/a".into(),
        erased: false,
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

fn when(command: &Command, current: Option<&Current>) -> Result<Decision, Refusal> {
    when_rules(command, current, &Rules::default())
}

fn when_rules(command: &Command, current: Option<&Current>, rules: &Rules) -> Result<Decision, Refusal> {
    decide(command, current, rules, &Provenance::of(Arc::from("test")))
}

fn draft(decision: Result<Decision, Refusal>) -> Draft {
    match decision {
        Ok(Decision::Append(draft)) => *draft,
        other => panic!("no draft: {other:?}"),
    }
}

const PATIENT: &str = r#"{"resourceType":"Patient","id":"a","active":true}"#;
const STORED: &str = r#"{"resourceType":"Patient","id":"a","meta":{"versionId":"3","lastUpdated":"2020-01-01T00:00:00.000000Z"},"active":true}"#;

#[test]
fn update_of_nothing_creates_version_1() {
    let draft = draft(when(&update(PATIENT, Expected::Anything), None));
    assert_eq!((draft.operation, draft.version), (Operation::Create, Version::new(1)));
    assert_eq!((draft.home.as_str(), draft.touches), ("Patient/a", vec!["Patient/a".to_owned()]));
}

#[test]
fn update_of_other_content_makes_the_next_version() {
    let stored = STORED.replace("true", "false");
    let draft = draft(when(&update(PATIENT, Expected::Anything), Some(&current(3, &stored))));
    assert_eq!((draft.operation, draft.version), (Operation::Update, Version::new(4)));
}

#[test]
fn update_of_the_same_content_is_nothing_to_do() {
    for text in [
        PATIENT,
        STORED,
        r#"{"active":true,"id":"a","resourceType":"Patient","meta":{"versionId":"9"}}"#,
        r#"{"resourceType":"Patient","id":"a","active":true,"meta":{"lastUpdated":"1999-01-01T00:00:00Z"}}"#,
    ] {
        let decision = when(&update(text, Expected::Anything), Some(&current(3, STORED)));
        assert!(matches!(decision, Ok(Decision::Unchanged)), "{text}: {decision:?}");
    }
    for text in [
        r#"{"resourceType":"Patient","id":"a","active":false}"#,
        r#"{"resourceType":"Patient","id":"a","active":true,"meta":{"tag":[{"code":"x"}]}}"#,
        r#"{"resourceType":"Patient","id":"a","active":true,"gender":"male"}"#,
        r#"{"resourceType":"Patient","id":"a"}"#,
    ] {
        let decision = when(&update(text, Expected::Anything), Some(&current(3, STORED)));
        assert!(matches!(decision, Ok(Decision::Append(_))), "{text}: {decision:?}");
    }
}

#[test]
fn update_after_a_delete_begins_anew_with_the_next_version() {
    let draft = draft(when(&update(PATIENT, Expected::Anything), Some(&current(3, ""))));
    assert_eq!((draft.operation, draft.version), (Operation::Create, Version::new(4)));
}

#[test]
fn expectations_are_checked() {
    let stored = current(3, STORED);
    let gone = current(3, "");
    let versions = |number| Expected::Versions(vec![Version::new(number)]);
    let refusal = |expected: Expected, current: Option<&Current>| {
        when(&update(r#"{"resourceType":"Patient","id":"a"}"#, expected), current).err()
    };
    let version = Version::new(3);
    assert_eq!(refusal(versions(3), Some(&stored)), None);
    assert_eq!(refusal(versions(2), Some(&stored)), Some(Refusal::VersionMismatch { current: version }));
    assert!(refusal(Expected::Versions(vec![]), Some(&stored)).is_some());
    assert_eq!(refusal(versions(1), None), Some(Refusal::NotFound));
    assert_eq!(refusal(Expected::Something, None), Some(Refusal::NotFound));
    assert_eq!(refusal(Expected::Something, Some(&stored)), None);
    assert_eq!(
        refusal(Expected::Something, Some(&gone)),
        Some(Refusal::VersionMismatch { current: version })
    );
    assert_eq!(refusal(Expected::Nothing, Some(&stored)), Some(Refusal::Exists { current: version }));
    assert_eq!(refusal(Expected::Nothing, Some(&gone)), None);
    assert_eq!(refusal(Expected::Nothing, None), None);
    assert_eq!(refusal(Expected::Unmatched, Some(&stored)), Some(Refusal::Unmatched { current: version }));
    assert_eq!(refusal(Expected::Unmatched, Some(&gone)), None);
    assert_eq!(refusal(Expected::Unmatched, None), None);
}

#[test]
fn policies_refuse() {
    let closed = Rules { update_creates: false, ..Rules::default() };
    let refusal = when_rules(&update(PATIENT, Expected::Anything), None, &closed).err();
    assert_eq!(refusal, Some(Refusal::CreateNotAllowed));
    let guarded = Rules { versioning: Versioning::VersionedUpdate, ..Rules::default() };
    let bare = when_rules(&update(PATIENT, Expected::Anything), Some(&current(3, STORED)), &guarded).err();
    assert_eq!(bare, Some(Refusal::VersionRequired));
    assert!(when_rules(&update(PATIENT, Expected::Anything), None, &guarded).is_ok());
}

#[test]
fn delete_ends_what_is_there_and_nothing_else() {
    let delete =
        |expected| Command::Delete { key: ResourceKey::new("Observation", "1"), expected, hard: false };
    let stored = r#"{"resourceType":"Observation","subject":{"reference":"Patient/b"},"performer":[{"reference":"Patient/c"}]}"#;
    let draft = draft(when(&delete(Expected::Anything), Some(&current(2, stored))));
    assert_eq!((draft.operation, draft.version), (Operation::Delete, Version::new(3)));
    assert_eq!((draft.payload.len(), draft.stamp_at, draft.identifiers.len()), (0, None, 0));
    assert_eq!(draft.touches, ["Patient/b", "Patient/c", "Patient/a"]);
    for absent in [None, Some(&current(2, ""))] {
        assert!(matches!(when(&delete(Expected::Anything), absent), Ok(Decision::Absent)));
    }
}

#[test]
fn who_loses_a_resource_is_touched_too() {
    let before = r#"{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/a"}}"#;
    let after = r#"{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/b"}}"#;
    let command = Command::Update {
        candidate: candidate("Observation", "1", after),
        expected: Expected::Anything,
        unless_held: Vec::new(),
    };
    let draft = draft(when(&command, Some(&current(1, before))));
    assert_eq!(
        (draft.home.as_str(), draft.touches),
        ("Patient/b", vec!["Patient/b".into(), "Patient/a".into()])
    );
}

#[test]
fn resources_of_no_patient_share_compartments() {
    let candidate = candidate("Organization", "o", r#"{"resourceType":"Organization"}"#);
    assert_eq!(candidate.placement.home, placement::shared(&candidate.key));
    assert_eq!(candidate.placement.home, "Organization/~62", "frozen: recorded events name it");
}

#[test]
fn identifiers_are_those_with_a_value() {
    let found = |text: &str| {
        let all = candidate::identifiers(document(text).root());
        all.into_iter().map(|Identifier { system, value }| format!("{system}|{value}")).collect::<Vec<_>>()
    };
    let many = r#"{"identifier":[{"system":"a","value":"1"},{"system":"a"},{"value":"2"},{"system":"a","value":"1"}]}"#;
    assert_eq!(found(many), ["a|1", "|2"]);
    assert_eq!(found(r#"{"identifier":{"system":"a","value":"1"}}"#), ["a|1"]);
    assert!(found("{}").is_empty());
}

#[test]
fn conditional_interactions_follow_the_number_of_matches() {
    let ids = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    let many = ConditionalRefusal::Many;
    assert_eq!(conditional::create(&ids(0)), Ok(ConditionalCreate::Create));
    assert_eq!(conditional::create(&ids(1)), Ok(ConditionalCreate::Found("0".into())));
    assert_eq!(conditional::create(&ids(2)), Err(many.clone()));
    assert_eq!(conditional::update(&ids(0), None), Ok(ConditionalUpdate::Create));
    assert_eq!(conditional::update(&ids(0), Some("x")), Ok(ConditionalUpdate::CreateAs("x".into())));
    assert_eq!(conditional::update(&ids(1), Some("0")), Ok(ConditionalUpdate::Update("0".into())));
    assert_eq!(conditional::update(&ids(1), Some("x")), Err(ConditionalRefusal::OtherId));
    assert_eq!(conditional::update(&ids(2), None), Err(many.clone()));
    assert_eq!(conditional::delete(&ids(2), None), Err(many));
    assert_eq!(conditional::delete(&ids(3), Some(2)).unwrap().len(), 2);
    assert_eq!(conditional::delete(&ids(1), Some(2)).unwrap().len(), 1);
}

/// A member of a resource, in the order and form that a client chose.
fn member() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(r#""id":"client""#.to_owned()),
        Just(r#""active" : true"#.to_owned()),
        Just(format!(r#""title":"{STAMP_PLACEHOLDER}""#)),
        Just(r#""valueDecimal":1.10"#.to_owned()),
        proptest::collection::vec(meta_member(), 0..4).prop_map(|members| {
            let mut unique = members;
            unique.sort();
            unique.dedup_by_key(|member| member.split(':').next().map(str::to_owned));
            format!(r#""meta": {{ {} }}"#, unique.join(" , "))
        }),
    ]
}

fn meta_member() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(r#""versionId":"77""#.to_owned()),
        Just(format!(r#""lastUpdated":"{STAMP_PLACEHOLDER}""#)),
        Just(r#""lastUpdated":"2001-01-01T00:00:00Z""#.to_owned()),
        Just(r#""source":"x""#.to_owned()),
    ]
}

proptest! {
    /// Whatever the order and the white space: id, version and time are set, the placeholder's offset is right, and
    /// everything else stays byte for byte.
    #[test]
    fn stamping_sets_three_members_and_leaves_the_rest(
        members in proptest::collection::vec(member(), 0..6),
        at in 0..6usize,
        space in prop_oneof![Just(""), Just(" "), Just("\n  ")],
    ) {
        let mut unique: Vec<String> = Vec::new();
        for member in members {
            let name = |member: &str| member.split(':').next().map(|name| name.trim().to_owned());
            if !unique.iter().any(|known| name(known) == name(&member)) {
                unique.push(member);
            }
        }
        unique.insert(at.min(unique.len()), r#""resourceType":"Basic""#.to_owned());
        let text = format!("{space}{{{space}{}{space}}}{space}", unique.join(&format!("{space},{space}")));
        let stamped = stamp::stamp(&document(&text), "server", Version::new(5));
        let end = stamped.stamp_at + STAMP_LENGTH;
        prop_assert_eq!(&stamped.payload[stamped.stamp_at..end], STAMP_PLACEHOLDER.as_bytes());
        let mut payload = stamped.payload.clone();
        payload[stamped.stamp_at..end].copy_from_slice(b"2024-05-06T07:08:09.000001Z");
        let json: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        prop_assert_eq!(&json["id"], "server");
        prop_assert_eq!(&json["meta"]["versionId"], "5");
        prop_assert_eq!(&json["meta"]["lastUpdated"], "2024-05-06T07:08:09.000001Z");
        let payload = String::from_utf8(payload).unwrap();
        for member in unique.iter().filter(|member| !member.starts_with("\"id\"") && !member.starts_with("\"meta\"")) {
            prop_assert!(payload.contains(member.as_str()), "{} is not in {}", member, payload);
        }
        if text.contains("\"source\"") {
            prop_assert_eq!(&json["meta"]["source"], "x");
        }
    }
}
