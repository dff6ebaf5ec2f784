//! Every fixture through the search projection, in every way, against what was expected when it was recorded.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anamnesis_events::Kind;
use anamnesis_projections::Database;
use anamnesis_projections::recording::{Expected, Recording};
use anamnesis_projections::search::{
    CustomParameters, LOG_OF_RECORDINGS, SearchProjection, derive, derive_by, digest,
};

use crate::dice::Dice;
use crate::harness::{Subject, check};

/// The search projection, by R4's search parameters.
pub(crate) struct Search;

/// The same with the words of texts.
struct WithWords;

impl Subject for Search {
    type Projection = SearchProjection;

    fn projection(&self, version: i32) -> SearchProjection {
        SearchProjection::new(&CustomParameters::none(), LOG_OF_RECORDINGS, version)
    }

    async fn digest(&self, database: &Database, _url: &str, version: i32) -> String {
        hex(&digest(database, LOG_OF_RECORDINGS, version).await.unwrap())
    }
}

impl Subject for WithWords {
    type Projection = SearchProjection;

    fn projection(&self, version: i32) -> SearchProjection {
        SearchProjection::new(&with_words(), LOG_OF_RECORDINGS, version)
    }

    async fn digest(&self, database: &Database, url: &str, version: i32) -> String {
        Search.digest(database, url, version).await
    }
}

fn with_words() -> CustomParameters {
    CustomParameters::none().with_full_text(true).unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All recordings of the repository, by name.
pub(crate) fn all() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../replay-fixtures");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries
        .filter(|path| path.is_dir())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    found.sort();
    assert!(found.len() >= 5, "the fixtures were not found");
    found
}

#[test]
fn recordings_are_what_they_say() {
    for (name, path) in all() {
        let (recording, expected) = Recording::read(&path).unwrap();
        recording.check().unwrap();
        let now = Expected::of(&recording).unwrap();
        assert_eq!((now.first, now.last, now.count), (1, expected.count, expected.count), "{name}");
        assert_eq!((now.workspace, now.hash), (expected.workspace, expected.hash), "{name}");
    }
}

#[test]
fn every_kind_of_event_is_in_a_recording() {
    let recorded: HashSet<(Kind, u16)> = all()
        .into_iter()
        .flat_map(|(_, path)| Recording::read(&path).unwrap().0.events().to_vec())
        .map(|event| (event.kind, event.kind_version))
        .collect();
    // A kind that is released stays readable in every version of its schema.
    let known =
        Kind::ALL.iter().flat_map(|kind| (1..=kind.current_version()).map(|version| (*kind, version)));
    let missing: Vec<(Kind, u16)> = known.filter(|one| !recorded.contains(one)).collect();
    assert_eq!(missing, [], "kinds, with the versions of their schemas, that no recording has");
}

#[test]
fn a_recording_is_read_as_it_was_written_and_changes_are_found() {
    for (name, path) in all() {
        let (recording, expected) = Recording::read(&path).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy");
        recording.write(&copy, &expected).unwrap();
        assert_eq!(Recording::read(&copy).unwrap(), (recording.clone(), expected), "{name}");
        let mut events = recording.events().to_vec();
        let last = events.len() - 1;
        events[last].agent = "somebody else".into();
        assert!(Recording::new(recording.workspace(), events.clone()).check().is_err());
        events.remove(0);
        assert!(Recording::new(recording.workspace(), events).check().is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fixture_gives_its_digest_in_every_way() {
    let mut dice = Dice::of_this_run();
    for (name, path) in all() {
        let (recording, expected) = Recording::read(&path).unwrap();
        let replay = recording.replay().unwrap();
        let outcome = check(&Search, replay.events(), &mut dice).await;
        let outcome = outcome.unwrap_or_else(|ways| panic!("{name}: {ways:#?}"));
        let of_form = expected.of_form(SearchProjection::SCHEMA);
        let search = of_form.unwrap_or_else(|| panic!("{name} has no digest of this form of the rows"));
        assert_eq!(outcome.digest, search.digest, "{name}");
        // The words of a reason may change.
        let parked: Vec<_> =
            search.parked.iter().map(|parked| (parked.position, parked.resource.clone())).collect();
        assert_eq!(outcome.parked, parked, "{name}");
        // Without a database it comes to the same.
        let derived = derive(replay.events(), LOG_OF_RECORDINGS);
        assert_eq!((hex(&derived.digest), derived.resources), (outcome.digest, search.resources), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_words_of_texts_every_way_comes_to_the_same_too() {
    let mut dice = Dice::of_this_run();
    for (name, path) in all() {
        let (recording, expected) = Recording::read(&path).unwrap();
        let replay = recording.replay().unwrap();
        let outcome = check(&WithWords, replay.events(), &mut dice).await;
        let outcome = outcome.unwrap_or_else(|ways| panic!("{name}: {ways:#?}"));
        let derived = derive_by(&with_words(), replay.events(), LOG_OF_RECORDINGS);
        assert_eq!(hex(&derived.digest), outcome.digest, "{name}");
        // What has texts has other rows than without words.
        let without = &expected.of_form(SearchProjection::SCHEMA).unwrap().digest;
        assert!(outcome.digest != *without || derived.resources == 0, "{name}");
    }
}
