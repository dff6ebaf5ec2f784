//! The search parameters of criteria that outlive a request: those of Subscriptions.
//!
//! Which ones there are when a Subscription is written, the index and the switches say, as they do of searches. What they
//! meant then, the log says for good: the SearchParameters as they stood at that position.

use std::collections::HashSet;

use anamnesis_events::{HistoryRange, HistoryScope, Log, LogError, Position};
use anamnesis_fhir::search::SearchRegistry;
use anamnesis_projections::search::{CustomParameter, CustomParameters};

use super::catalog::{Catalog, Current};
use super::keeper::Keeper;
use super::{RESERVED, Stored, TYPE};

/// Events that one statement reads.
const PAGE_EVENTS: usize = 200;

impl Keeper {
    /// The search parameters beside R4's that can be searched by now as they are stored: indexed, not switched off, and not
    /// changed since the index was built.
    pub(crate) fn enabled(&self) -> CustomParameters {
        let (indexed, hidden) = (self.index.parameters(), self.index.hidden());
        let is_enabled = |one: &CustomParameter| {
            let known = indexed.get(&one.definition.url);
            known.is_some_and(|known| known.definition == one.definition)
                && !hidden.contains(&one.definition.url)
        };
        together(custom(&self.stored.current()).filter(is_enabled).collect())
    }
}

/// The SearchParameters beside R4's as they stood at a position of the log, whatever the index had; without those whose
/// versions were erased since.
///
/// # Errors
/// The log cannot be read.
pub(crate) async fn stored_at(log: &Log, position: Position) -> Result<CustomParameters, LogError> {
    let mut catalog = Catalog::default();
    loop {
        let range = HistoryRange {
            after_position: Some(catalog.position()),
            before_position: Some(position.next()),
            limit: PAGE_EVENTS,
            ascending: true,
            ..HistoryRange::default()
        };
        let page = log.history_events(HistoryScope::Type(TYPE.to_owned()), range).await?;
        if page.events.is_empty() {
            return Ok(together(custom(&catalog.current(&RESERVED)).collect()));
        }
        page.events.iter().for_each(|event| catalog.note(event));
    }
}

/// The position of the last event of SearchParameters up to a position: where it is the same, so is [`stored_at`].
///
/// # Errors
/// The log cannot be read.
pub(crate) async fn changed_at(log: &Log, position: Position) -> Result<Option<Position>, LogError> {
    let range = HistoryRange { before_position: Some(position.next()), limit: 1, ..HistoryRange::default() };
    let found = log.history_positions(HistoryScope::Type(TYPE.to_owned()), range).await?;
    Ok(found.first().copied())
}

/// Those that take part in searches by themselves.
pub(super) fn custom(current: &Current) -> impl Iterator<Item = CustomParameter> {
    current.stored.iter().filter_map(|one: &Stored| {
        let definition = one.added()?.clone();
        Some(CustomParameter { id: one.id.clone(), position: one.position, definition })
    })
}

/// As many of them as can be compiled: without composites that lack a part.
fn together(mut all: Vec<CustomParameter>) -> CustomParameters {
    loop {
        let known: HashSet<String> = all.iter().map(|one| one.definition.url.clone()).collect();
        let is_known = |url: &str| known.contains(url) || SearchRegistry::r4().by_url(url).is_some();
        all.retain(|one| one.definition.components.iter().all(|(url, _)| is_known(url)));
        if all.len() == known.len() {
            break;
        }
    }
    CustomParameters::new(all).unwrap_or_else(|error| {
        tracing::warn!(%error, "Criteria cannot be read with the stored search parameters.");
        CustomParameters::none()
    })
}
