//! Which SearchParameters are stored, and what becomes of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use anamnesis_events::{Event, Position};
use anamnesis_fhir::search::custom::{Composed, Fault, Standing, Submitted, compose};
use anamnesis_fhir::search::{ParameterDefinition, SearchRegistry};

use crate::follow::{Reached, document};

/// All that are stored, at one position of the log.
#[derive(Debug)]
pub(crate) struct Current {
    /// By id.
    pub(crate) stored: Vec<Stored>,
    /// R4's, and those that take part in searches.
    pub(crate) registry: SearchRegistry,
}

/// A SearchParameter that is stored.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) id: String,
    /// Of its newest version.
    pub(crate) position: Position,
    pub(crate) submitted: Arc<Submitted>,
    /// What becomes of it; faults where others have come to say something else since it was checked.
    pub(crate) standing: Result<Standing, Vec<Fault>>,
}

impl Stored {
    /// Its definition, where it takes part in searches by itself.
    pub(crate) fn added(&self) -> Option<&ParameterDefinition> {
        match &self.standing {
            Ok(Standing::Added(definition)) => Some(definition),
            _ => None,
        }
    }
}

/// How much text a definition has.
pub(super) fn bytes(definition: &ParameterDefinition) -> usize {
    let lists = [&definition.bases, &definition.targets, &definition.comparators, &definition.modifiers];
    let parts = definition.components.iter().map(|(url, expression)| url.len() + expression.len() + 8);
    let listed: usize = lists.iter().flat_map(|list| list.iter()).map(|one| one.len() + 4).sum();
    let expression = definition.expression.as_ref().map_or(0, String::len);
    // Names and ids beside.
    300 + definition.url.len() + definition.code.len() + expression + listed + parts.sum::<usize>()
}

/// What is stored, as far as the log has been read.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    reached: Reached,
    by_id: BTreeMap<String, (Position, Arc<Submitted>)>,
    /// Made when it is asked for.
    current: Option<Arc<Current>>,
}

impl Catalog {
    /// The last event that was noted.
    pub(super) fn position(&self) -> Position {
        self.reached.position()
    }

    /// Notes a new version of a SearchParameter, or that it was deleted.
    pub(super) fn note(&mut self, event: &Event) {
        if !self.reached.is_news(event) {
            return;
        }
        self.current = None;
        self.by_id.remove(&event.key.id);
        if let Some(document) = document(event) {
            let submitted = Arc::new(Submitted::read(document.root()));
            self.by_id.insert(event.key.id.clone(), (event.position, submitted));
        }
    }

    /// What becomes of all, where nothing was noted since that was found out.
    pub(super) fn known(&self) -> Option<Arc<Current>> {
        self.current.clone()
    }

    /// What becomes of all.
    pub(super) fn current(&mut self, reserved: &[&str]) -> Arc<Current> {
        let by_id = &self.by_id;
        let current =
            self.current.get_or_insert_with(|| {
                let all: Vec<&Submitted> = by_id.values().map(|(_, submitted)| &**submitted).collect();
                let Composed { standings, registry } = compose(&all, reserved);
                let stored = by_id.iter().zip(standings).map(|((id, (position, submitted)), standing)| {
                    Stored { id: id.clone(), position: *position, submitted: Arc::clone(submitted), standing }
                });
                Arc::new(Current { stored: stored.collect(), registry })
            });
        Arc::clone(current)
    }
}
