//! Given a state and bounds, when a command, then an event or a refusal that tells nothing.

use std::sync::Arc;

use anamnesis_events::{Operation, Position, ResourceKey, Version};
use anamnesis_fhir::json::{Document, Limits};
use bytes::Bytes;
use chrono::DateTime;

use super::*;
use crate::decide::{Decision, Expected, Provenance, decide};

/// Reaches what names a patient, or of some types everything.
#[derive(Debug)]
struct Of {
    owner: &'static str,
    whole: &'static [&'static str],
    acts: &'static [Act],
}

impl Bounds for Of {
    fn admits(&self, act: Act, key: &ResourceKey, body: &[u8]) -> bool {
        let names = String::from_utf8_lossy(body).contains(&format!("\"{}\"", self.owner));
        self.has_all(act, &key.resource_type) || self.acts.contains(&act) && names
    }

    fn has_some(&self, act: Act, _: &str) -> bool {
        self.acts.contains(&act)
    }

    fn has_all(&self, act: Act, resource_type: &str) -> bool {
        self.acts.contains(&act) && self.whole.contains(&resource_type)
    }

    fn owner(&self) -> Option<&str> {
        Some(self.owner)
    }
}

const ALL: &[Act] = &[Act::Create, Act::Update, Act::Delete];

fn observation(patients: &[&str], value: u32) -> String {
    let performers: Vec<String> =
        patients.iter().map(|id| format!(r#"{{"reference":"Patient/{id}"}}"#)).collect();
    format!(
        r#"{{"resourceType":"Observation","id":"o","performer":[{}],"valueInteger":{value}}}"#,
        performers.join(",")
    )
}

fn candidate(text: &str) -> Arc<Candidate> {
    let document = Document::parse(text, &Limits::default()).unwrap();
    Arc::new(Candidate::new(ResourceKey::new("Observation", "o"), document, &[]))
}

fn standing(text: &str) -> Current {
    Current {
        version: Version::new(3),
        position: Position::new(7),
        deleted: text.is_empty(),
        recorded_at: DateTime::UNIX_EPOCH,
        home: "Patient/a".into(),
        erased: false,
        payload: Bytes::copy_from_slice(text.as_bytes()),
    }
}

fn when(bounds: Of, command: &Command, current: Option<&Current>) -> Result<Decision, Refusal> {
    let provenance = Provenance { bounds: Some(Arc::new(bounds)), ..Provenance::of(Arc::from("test")) };
    decide(command, current, &Rules::default(), &provenance)
}

fn of_a() -> Of {
    Of { owner: "Patient/a", whole: &[], acts: ALL }
}

fn update(text: &str, expected: Expected) -> Command {
    Command::Update { candidate: candidate(text), expected, unless_held: Vec::new() }
}

fn delete(expected: Expected, hard: bool) -> Command {
    Command::Delete { key: ResourceKey::new("Observation", "o"), expected, hard }
}

fn is_out(refused: &Result<Decision, Refusal>) -> bool {
    matches!(refused, Err(Refusal::OutOfBounds(_)))
}

#[test]
fn both_what_was_and_what_becomes_lie_within() {
    let (own, other) = (observation(&["a"], 1), observation(&["b"], 1));
    let changed = observation(&["a"], 2);
    let anything = || Expected::Anything;
    assert!(matches!(
        when(of_a(), &update(&changed, anything()), Some(&standing(&own))),
        Ok(Decision::Append(_))
    ));
    let taken = when(of_a(), &update(&changed, anything()), Some(&standing(&other)));
    assert_eq!(taken.unwrap_err(), Refusal::OutOfReach);
    assert!(is_out(&when(of_a(), &update(&observation(&["b"], 2), anything()), Some(&standing(&own)))));
    let create = |text: &str| Command::Create { candidate: candidate(text), unless_held: Vec::new() };
    assert!(matches!(when(of_a(), &create(&own), None), Ok(Decision::Append(_))));
    assert!(is_out(&when(of_a(), &create(&other), None)));
    assert!(is_out(&when(of_a(), &create(&observation(&["a", "b"], 1)), None)));
}

#[test]
fn records_of_others_stay_as_they_are() {
    let (both, own) = (observation(&["a", "b"], 1), observation(&["a"], 1));
    let anything = || Expected::Anything;
    let kept = when(of_a(), &update(&observation(&["b", "a"], 2), anything()), Some(&standing(&both)));
    assert!(matches!(kept, Ok(Decision::Append(draft)) if draft.operation == Operation::Update));
    for (before, after) in [(&both, &["a"][..]), (&own, &["a", "b"]), (&both, &["a", "b", "c"])] {
        let moved = when(of_a(), &update(&observation(after, 2), anything()), Some(&standing(before)));
        assert!(is_out(&moved), "{before} {after:?}");
    }
    assert!(is_out(&when(of_a(), &delete(anything(), false), Some(&standing(&both)))));
    let deleted = when(of_a(), &delete(anything(), false), Some(&standing(&own)));
    assert!(matches!(deleted, Ok(Decision::Append(draft)) if draft.operation == Operation::Delete));
}

/// Whatever is expected, nobody learns whether something is there.
#[test]
fn what_is_out_of_reach_is_as_what_is_not_there() {
    let other = standing(&observation(&["b"], 1));
    let deleted = standing("");
    let own = observation(&["a"], 2);
    for expected in [
        Expected::Anything,
        Expected::Something,
        Expected::Nothing,
        Expected::Unmatched,
        Expected::Versions(vec![Version::new(3)]),
        Expected::Versions(vec![Version::new(9)]),
    ] {
        for command in [
            update(&own, expected.clone()),
            delete(expected.clone(), false),
            delete(expected.clone(), true),
            Command::Purge { key: ResourceKey::new("Observation", "o"), expected: expected.clone() },
        ] {
            let told = |current| format!("{:?}", when(of_a(), &command, current));
            let nothing = told(None);
            assert!(!nothing.contains("Append") && !nothing.contains("Absent"), "{nothing}");
            assert_eq!(told(Some(&other)), nothing, "{expected:?}");
            assert_eq!(told(Some(&deleted)), nothing, "{expected:?}");
        }
    }
}

#[test]
fn acts_that_are_not_allowed_are_refused_whatever_is_there() {
    let own = observation(&["a"], 1);
    let bounds = |acts| Of { acts, ..of_a() };
    for current in [None, Some(&standing(&own))] {
        assert!(is_out(&when(bounds(&[Act::Create]), &update(&own, Expected::Anything), current)));
        assert!(is_out(&when(bounds(&[Act::Update]), &delete(Expected::Anything, false), current)));
    }
    let create = Command::Create { candidate: candidate(&own), unless_held: Vec::new() };
    assert!(is_out(&when(bounds(&[Act::Delete]), &create, None)));
}

#[test]
fn of_types_that_are_reached_as_a_whole_nothing_is_hidden() {
    let bounds = || Of { owner: "Patient/a", whole: &["Observation"], acts: ALL };
    let own = observation(&["a"], 2);
    let made = when(bounds(), &update(&own, Expected::Anything), None);
    assert!(matches!(made, Ok(Decision::Append(draft)) if draft.operation == Operation::Create));
    assert!(matches!(when(bounds(), &delete(Expected::Anything, false), None), Ok(Decision::Absent)));
    let erased = when(bounds(), &delete(Expected::Anything, true), Some(&standing(&own)));
    assert!(matches!(erased, Ok(Decision::Append(_))));
}
