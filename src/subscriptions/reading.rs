//! Reads versions of Subscriptions as they were meant when they were written.
//!
//! What a search parameter means may change, and a parameter may go. A subscription keeps what its criteria meant: they are
//! read with the SearchParameters as those stood in the log when a client wrote it last. So nothing that is owed depends on
//! when a server looks, and every server reads the same.

use std::sync::Arc;

use anamnesis_events::{Event, HistoryRange, HistoryScope, Log, LogError, Position};
use anamnesis_fhir::json::{Document, Limits};
use anamnesis_projections::search::Evaluator;

use super::definition::{Definition, Reader, Status, Unusable};
use super::standing::AGENT;
use crate::search_parameters::{changed_at, stored_at};

/// Sets of search parameters that are kept compiled for the next subscription. Those in use are kept by who uses them.
const KEPT_MAX: usize = 16;
/// Versions of a subscription that one statement reads: those behind a client's are few.
const PAGE: usize = 20;

/// A subscription that can be served.
#[derive(Debug, Clone)]
pub(super) struct Served {
    pub(super) definition: Arc<Definition>,
    /// What resources are taken apart with to test them. The same for all that mean the same search parameters.
    pub(super) evaluator: Arc<Evaluator>,
}

/// What a version says.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: Status,
    /// Why it cannot be served, where it cannot; holds no value.
    pub(super) served: Result<Served, String>,
}

/// A set of search parameters, compiled.
#[derive(Debug, Clone)]
struct Set {
    reader: Reader,
    evaluator: Arc<Evaluator>,
}

/// Reads subscriptions.
#[derive(Debug)]
pub(super) struct Reading {
    r4: Set,
    /// Sets with parameters beside R4's, by the last event of a SearchParameter that they know of.
    kept: Vec<(Position, Set)>,
}

impl Reading {
    /// With these rules, which know R4's search parameters.
    pub(super) fn new(reader: Reader) -> Self {
        let evaluator = Arc::new(Evaluator::of(&reader.catalogue, reader.log));
        Self { r4: Set { reader, evaluator }, kept: Vec::new() }
    }

    /// Whether R4's search parameters alone are asked for.
    pub(super) fn is_of_r4(&self, served: &Served) -> bool {
        Arc::ptr_eq(&served.evaluator, &self.r4.evaluator)
    }

    /// Reads the SearchParameters anew from here on.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
    }

    /// Reads a version.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(super) async fn read(&mut self, log: &Log, event: &Event) -> Result<Said, LogError> {
        let document = match Document::parse(event.payload.to_vec(), &Limits::default()) {
            Ok(document) => document,
            Err(error) => return Ok(Said { status: Status::Requested, served: Err(error.to_string()) }),
        };
        let status = document.root().get("status").and_then(|status| status.as_str());
        let status = Status::of(status.as_deref());
        let mut served = self.r4.read(&document, event);
        if served.as_ref().is_err_and(Unusable::is_of_criteria)
            && let Some(set) = self.set(log, written_at(log, event).await?).await?
        {
            served = set.read(&document, event);
        }
        let served = served.map_err(|unusable| unusable.to_string());
        if let Err(reason) = &served {
            tracing::warn!(subscription = %event.key.id, %reason, "A subscription cannot be served as this server is set up.");
        }
        Ok(Said { status, served })
    }

    /// The search parameters as they stood at a position; `None` where there were R4's alone.
    async fn set(&mut self, log: &Log, position: Position) -> Result<Option<Set>, LogError> {
        let Some(changed) = changed_at(log, position).await? else { return Ok(None) };
        if let Some((_, known)) = self.kept.iter().find(|(at, _)| *at == changed) {
            return Ok(Some(known.clone()));
        }
        let parameters = stored_at(log, position).await?;
        if parameters.is_empty() {
            return Ok(None);
        }
        let reader = self.r4.reader.with(&parameters);
        let evaluator = Arc::new(Evaluator::of(&reader.catalogue, reader.log));
        let set = Set { reader, evaluator };
        if self.kept.len() >= KEPT_MAX {
            self.kept.remove(0);
        }
        self.kept.push((changed, set.clone()));
        Ok(Some(set))
    }
}

impl Set {
    fn read(&self, document: &Document, event: &Event) -> Result<Served, Unusable> {
        let definition = Arc::new(self.reader.read(document.root(), event.recorded_at)?);
        Ok(Served { definition, evaluator: Arc::clone(&self.evaluator) })
    }
}

/// Where a client wrote what a version says: where the version is the server's own, that is the last one before it that is
/// not.
async fn written_at(log: &Log, event: &Event) -> Result<Position, LogError> {
    if &*event.agent != AGENT {
        return Ok(event.position);
    }
    let mut before = event.position;
    loop {
        let range = HistoryRange { before_position: Some(before), limit: PAGE, ..HistoryRange::default() };
        // Also what was erased: where it was written is known all the same.
        let page = log.history_events(HistoryScope::Instance(event.key.clone()), range).await?;
        let of_client = page.events.iter().find(|one| &*one.agent != AGENT && one.operation.makes_version());
        if let Some(of_client) = of_client {
            return Ok(of_client.position);
        }
        match page.events.last() {
            Some(last) => before = last.position,
            None => return Ok(event.position),
        }
    }
}
