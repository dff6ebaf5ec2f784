//! Which StructureDefinitions are stored, by address and version, and those of them that are compiled.

use std::collections::{HashMap, VecDeque};

use anamnesis_events::{Event, Position, ResourceKey};
use anamnesis_fhir::json::Value;
use anamnesis_fhir::terminology::by_version;
use anamnesis_fhir::validate::profile::Lookup;

use crate::follow::{Reached, document};

/// Compiled definitions that are kept; a national guide has some hundred. The oldest make room.
const COMPILED_MAX: usize = 1000;

/// A stored definition.
#[derive(Debug, Clone)]
struct Row {
    version: Option<String>,
    key: ResourceKey,
    position: Position,
}

/// What is stored, as far as the log has been read.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    reached: Reached,
    by_url: HashMap<String, Vec<Row>>,
    /// The address that each resource has now.
    urls: HashMap<ResourceKey, String>,
    compiled: HashMap<Position, Lookup>,
    order: VecDeque<Position>,
}

/// What a catalog says of an address.
pub(super) enum Said {
    /// It is stored and compiled.
    Here(Lookup),
    /// It is stored at this position and not at hand.
    Stored(Position),
    /// It is not stored.
    Absent,
}

impl Catalog {
    /// The last event that was noted.
    pub(super) fn position(&self) -> Position {
        self.reached.position()
    }

    /// Notes a new version of a StructureDefinition, or that it was deleted.
    pub(super) fn note(&mut self, event: &Event) {
        if !self.reached.is_news(event) {
            return;
        }
        if let Some(url) = self.urls.remove(&event.key)
            && let Some(rows) = self.by_url.get_mut(&url)
        {
            // What was compiled goes as well: it holds what the definition said.
            for row in rows.extract_if(.., |row| row.key == event.key) {
                self.compiled.remove(&row.position);
                self.order.retain(|position| *position != row.position);
            }
        }
        let Some(document) = document(event) else { return };
        let text =
            |name: &str| document.root().get(name).and_then(Value::as_str).map(|text| text.into_owned());
        let Some(url) = text("url") else { return };
        let row = Row { version: text("version"), key: event.key.clone(), position: event.position };
        self.by_url.entry(url.clone()).or_default().push(row);
        self.urls.insert(event.key.clone(), url);
    }

    /// Keeps a compiled definition.
    pub(super) fn keep(&mut self, position: Position, compiled: Lookup) {
        if self.compiled.insert(position, compiled).is_none() {
            self.order.push_back(position);
        }
        while self.order.len() > COMPILED_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.compiled.remove(&oldest);
            }
        }
    }

    /// The definition with an address: of the version that is asked for, else of the newest; of several, the one that
    /// was written last.
    pub(super) fn find(&self, canonical: &str) -> Said {
        let (url, version) = match canonical.split_once('|') {
            Some((url, version)) => (url, Some(version)),
            None => (canonical, None),
        };
        let rows = self.by_url.get(url).into_iter().flatten();
        let fitting = rows.filter(|row| version.is_none() || row.version.as_deref() == version);
        let newest = fitting.max_by(|a, b| {
            let of = |row: &Row| row.version.clone().unwrap_or_default();
            by_version(&of(a), &of(b)).then(a.position.cmp(&b.position))
        });
        match newest {
            None => Said::Absent,
            Some(row) => match self.compiled.get(&row.position) {
                Some(compiled) => Said::Here(compiled.clone()),
                None => Said::Stored(row.position),
            },
        }
    }
}
