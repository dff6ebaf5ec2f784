//! Recordings in older versions of the events' kinds, as a later program will meet them: pretended here, because every
//! kind is still at its first version.

use anamnesis_events::upcast::Upcaster;
use anamnesis_events::{Event, Kind, Position, ResourceKey, envelope};
use anamnesis_projections::recording::{Expected, Recording, RecordingError};
use anamnesis_projections::search::{LOG_OF_RECORDINGS, SearchProjection, derive};
use chrono::Duration;

use crate::dice::Dice;
use crate::fixtures::{self, Search};
use crate::harness::check;

/// The newest version that is pretended.
const NEWEST: u16 = 3;

/// In version 1, it is pretended, ids stood with their types before them.
fn without_type(event: Event) -> Event {
    let id = event.key.id.split_once('/').map_or(event.key.id.as_str(), |(_, id)| id).to_owned();
    Event { key: ResourceKey::new(event.key.resource_type, id), ..event }
}

/// In version 2 and before, it is pretended, clocks went an hour behind.
fn an_hour_later(event: Event) -> Event {
    Event { recorded_at: event.recorded_at + Duration::hours(1), ..event }
}

fn steps(first: fn(Event) -> Event, second: fn(Event) -> Event) -> Vec<Upcaster> {
    let of_kind =
        |kind: Kind| [Upcaster { kind, from: 1, apply: first }, Upcaster { kind, from: 2, apply: second }];
    Kind::ALL.into_iter().flat_map(of_kind).collect()
}

/// The recording as it would be if its events had been written in older versions, each in one or another: what is stored
/// has the older form, and its chain is over that.
fn older(recording: &Recording, dice: &mut Dice) -> Recording {
    let mut hash = envelope::genesis(recording.workspace());
    let events = recording.events().iter().map(|event| {
        let mut event = event.clone();
        event.kind_version = u16::try_from(dice.between(1, usize::from(NEWEST))).unwrap();
        if event.kind_version <= 2 {
            event.recorded_at -= Duration::hours(1);
        }
        if event.kind_version == 1 {
            event.key.id = event.key.to_string();
        }
        event.hash = envelope::chain(&hash, &event);
        hash = event.hash;
        event
    });
    Recording::new(recording.workspace(), events.collect())
}

fn of_this_form(expected: &Expected) -> String {
    expected.of_form(SearchProjection::SCHEMA).unwrap().digest.clone()
}

fn newest(_: Kind) -> u16 {
    NEWEST
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_older_versions_give_the_same_digest() {
    let mut dice = Dice::of_this_run();
    for (name, path) in fixtures::all() {
        let (recording, expected) = Recording::read(&path).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let old = older(&recording, &mut dice);
        old.write(&folder.path().join("old"), &expected).unwrap();
        let (old, expected) = Recording::read(&folder.path().join("old")).unwrap();
        old.check().unwrap();

        let replay = old.replay_with(newest, &steps(without_type, an_hour_later)).unwrap();
        let derived = derive(replay.events(), LOG_OF_RECORDINGS);
        assert_eq!(fixtures::hex(&derived.digest), of_this_form(&expected), "{name}");
        // Through the runner and the database it is the same for one as for all.
        if name == "poison" {
            let outcome = check(&Search, replay.events(), &mut dice).await;
            let outcome = outcome.unwrap_or_else(|ways| panic!("{name}: {ways:#?}"));
            assert_eq!(outcome.digest, of_this_form(&expected), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_that_do_nothing_are_noticed() {
    let mut dice = Dice::of_this_run();
    let (_, path) = fixtures::all().into_iter().find(|(name, _)| name == "lifecycles").unwrap();
    let (recording, expected) = Recording::read(&path).unwrap();
    let old = older(&recording, &mut dice);
    for steps in [steps(|event| event, an_hour_later), steps(without_type, |event| event)] {
        let replay = old.replay_with(newest, &steps).unwrap();
        let derived = derive(replay.events(), LOG_OF_RECORDINGS);
        assert_ne!(fixtures::hex(&derived.digest), of_this_form(&expected));
    }
}

#[test]
fn events_that_are_newer_than_the_program_are_refused() {
    let (_, path) = fixtures::all().remove(0);
    let (recording, _) = Recording::read(&path).unwrap();
    let mut events = recording.events().to_vec();
    events[4].kind_version = 2;
    let refused = Recording::new("x", events).replay().unwrap_err();
    let is_that_one = matches!(&refused, RecordingError::UnknownVersion { position, kind_version: 2, .. }
        if *position == Position::new(5));
    assert!(is_that_one, "{refused}");
    let message = refused.to_string();
    assert!(message.contains("at position 5 has version 2 of Resource"), "{message}");
    assert!(message.contains("use a newer one"), "{message}");
    // And where a step is missing.
    let missing = recording.replay_with(newest, &steps(without_type, an_hour_later)[1..]);
    assert!(missing.is_err());
}
