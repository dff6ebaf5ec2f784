//! What is expected of a recording: where it ends, and what projections make of it.

use std::path::Path;

use anamnesis_events::Position;
use serde::{Deserialize, Serialize};

use super::line::{hex, unhex};
use super::{Recording, RecordingError, Replay};
use crate::search;

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

    pub(super) fn text(&self) -> String {
        // Texts and numbers always have a form in JSON.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    pub(super) fn read(path: &Path) -> Result<Self, RecordingError> {
        let text = std::fs::read_to_string(path).map_err(RecordingError::io(path))?;
        serde_json::from_str(&text).map_err(|error| RecordingError::Line {
            path: path.to_owned(),
            line: error.line(),
            reason: error.to_string(),
        })
    }
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
