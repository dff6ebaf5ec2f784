//! What is expected of a recording: where it ends, and what projections make of it.

use std::path::Path;

use anamnesis_events::Position;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::line::{hex, unhex};
use super::{Recording, RecordingError, Replay};
use crate::search;

/// The file of what is expected of the events.
const FILE: &str = "expected.json";

/// What follows from the events of a recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expected {
    /// The workspace whose log it is of: part of the first hash.
    pub workspace: String,
    /// The first position.
    pub first: u64,
    /// The last position.
    pub last: u64,
    /// How many events there are.
    pub count: u64,
    /// The hash at the end, in hexadecimal digits.
    pub hash: String,
    /// What the search index has: one entry for each form of its rows.
    pub search: Vec<ExpectedSearch>,
}

/// What the search index has at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExpectedSearch {
    /// The form of its rows.
    pub schema: i32,
    /// Its digest as that of the log with number 1, in hexadecimal digits.
    pub digest: String,
    /// How many resources are in it.
    pub resources: u64,
    /// The events that it could not take.
    pub parked: Vec<ExpectedParked>,
}

/// An event that a projection could not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExpectedParked {
    /// Where it is.
    pub position: u64,
    /// Its resource, as `Type/id`.
    pub resource: String,
    /// Why.
    pub reason: String,
}

impl Expected {
    /// What is expected of a recording, by this program: computed from the events alone, without a database.
    ///
    /// # Errors
    /// When the chain of the recording is broken, or it has events that are newer than this program.
    pub fn of(recording: &Recording) -> Result<Self, RecordingError> {
        recording.check()?;
        let events = recording.events();
        let position = |event: Option<&anamnesis_events::Event>| {
            event.map_or(Position::ZERO, |event| event.position).get()
        };
        let genesis = anamnesis_events::envelope::genesis(recording.workspace());
        Ok(Self {
            workspace: recording.workspace().to_owned(),
            first: position(events.first()),
            last: position(events.last()),
            count: events.len() as u64,
            hash: hex(&events.last().map_or(genesis, |event| event.hash)),
            search: vec![of_search(&recording.replay()?)],
        })
    }

    /// The hash at the end.
    #[must_use]
    pub fn hash(&self) -> Option<[u8; 32]> {
        unhex(&self.hash)
    }

    /// What is expected of the form of rows with this number, where it was recorded.
    #[must_use]
    pub fn of_form(&self, schema: i32) -> Option<&ExpectedSearch> {
        self.search.iter().find(|search| search.schema == schema)
    }

    /// The files in which it is written: what is expected of the events and of the first form that is known, and a file
    /// for each other form, so that one can be added without a change of what is there.
    pub(super) fn texts(&self) -> Vec<(String, String)> {
        let (first, others) = self.search.split_at(self.search.len().min(1));
        let mut texts = vec![(FILE.to_owned(), pretty(&Self { search: first.to_vec(), ..self.clone() }))];
        texts.extend(others.iter().map(|form| (file_of(form.schema), pretty(form))));
        texts
    }

    pub(super) fn read_all(folder: &Path) -> Result<Self, RecordingError> {
        let mut expected: Self = read(&folder.join(FILE))?;
        for form in 1..=search::SearchProjection::SCHEMA {
            let path = folder.join(file_of(form));
            if path.exists() {
                expected.search.push(read(&path)?);
            }
        }
        Ok(expected)
    }
}

fn file_of(schema: i32) -> String {
    format!("expected-{schema}.json")
}

fn pretty(value: &impl Serialize) -> String {
    // Texts and numbers always have a form in JSON.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, RecordingError> {
    let text = std::fs::read_to_string(path).map_err(RecordingError::io(path))?;
    serde_json::from_str(&text).map_err(|error| RecordingError::Line {
        path: path.to_owned(),
        line: error.line(),
        reason: error.to_string(),
    })
}

fn of_search(replay: &Replay) -> ExpectedSearch {
    let made = search::derive(replay.events(), search::LOG_OF_RECORDINGS);
    let parked = made.parked.into_iter().map(|parked| ExpectedParked {
        position: parked.position.get(),
        resource: parked.key.to_string(),
        reason: parked.reason,
    });
    ExpectedSearch {
        schema: search::SearchProjection::SCHEMA,
        digest: hex(&made.digest),
        resources: made.resources,
        parked: parked.collect(),
    }
}
