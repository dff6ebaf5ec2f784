//! Tests one resource against a query in memory: the same answer as the index gives, without the index.
//!
//! For resources as they once were, which no index holds, and for events that are to be told to whoever asked for
//! them. What a resource is found by comes from the same extraction as the rows of the index, and each atom is tested as
//! its condition in SQL has it (`sql/condition.rs`).

use chrono::{DateTime, Utc};

use super::atom::{Atom, Criterion};
use super::contained::Whole;
use super::entries::Entries;
use super::extract::Extractor;
use super::key::{pieces_of, type_number};
use super::near;
use super::query::{Catalogue, Contained as Asked, SearchQuery};
use super::span::SpanBox;
use super::string::BEYOND;
use crate::Poison;

/// A version of a resource.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The resource type.
    pub resource_type: &'a str,
    /// The id.
    pub id: &'a str,
    /// The resource as JSON.
    pub payload: &'a [u8],
    /// When the version was recorded.
    pub recorded_at: DateTime<Utc>,
}

/// Takes resources apart, with the search parameters of one log.
///
/// ```
/// use anamnesis_projections::search::{
///     Catalogue, Evaluator, Handling, ParseOptions, Scope, SearchQuery, Subject,
/// };
///
/// let (log, now) = (1, chrono::Utc::now());
/// let options = ParseOptions { handling: Handling::Strict, ..ParseOptions::at(now) };
/// let parameters = [("name".to_owned(), "ad".to_owned())];
/// let scope = Scope::Type("Patient".to_owned());
/// let catalogue = Catalogue::r4();
/// let (query, _) = SearchQuery::parse(&catalogue, log, &scope, &parameters, &options).unwrap();
///
/// let payload = br#"{"resourceType":"Patient","id":"1","name":[{"given":["Ada"]}]}"#;
/// let subject = Subject { resource_type: "Patient", id: "1", payload, recorded_at: now };
/// let found = Evaluator::of(&catalogue, log).take_apart(&subject).unwrap();
/// assert!(found.matches(&query));
/// ```
#[derive(Debug)]
pub struct Evaluator {
    extractor: Extractor,
}

impl Evaluator {
    /// For the log with this number: what queries ask that were read with these search parameters.
    #[must_use]
    pub fn of(catalogue: &Catalogue, log: i16) -> Self {
        let extractor = Extractor::new(catalogue.registry.clone(), log);
        Self { extractor: extractor.with_full_text(catalogue.has_full_text()) }
    }

    /// What the resource is found by. Costs as much as indexing it; to be done once for all queries.
    ///
    /// # Errors
    /// [`Poison`] where the payload is no resource of the type.
    pub fn take_apart(&self, subject: &Subject<'_>) -> Result<Found, Poison> {
        let Subject { resource_type, id, payload, recorded_at } = *subject;
        let whole = self.extractor.whole(resource_type, id, payload)?;
        let recorded = recorded_at.timestamp_micros();
        Ok(Found { resource_type: resource_type.to_owned(), whole, recorded })
    }

    /// The same, with no more than what puts the resource into compartments: for who asks for nothing else.
    pub(crate) fn placed(&self, subject: &Subject<'_>) -> Result<Found, Poison> {
        let Subject { resource_type, id, payload, recorded_at } = *subject;
        let entries = self.extractor.placed(resource_type, id, payload)?;
        let whole = Whole { entries, contained: Vec::new() };
        let recorded = recorded_at.timestamp_micros();
        Ok(Found { resource_type: resource_type.to_owned(), whole, recorded })
    }
}

/// What one version of a resource is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    resource_type: String,
    whole: Whole,
    /// When the version was recorded, in microseconds.
    recorded: i64,
}

impl Found {
    /// Whether a search with this query finds the resource; with `_contained` also because of what it contains. Not to
    /// be asked where [`SearchQuery::joins_others`]: what other resources have, this one does not say.
    #[must_use]
    pub fn matches(&self, query: &SearchQuery) -> bool {
        let of_itself =
            Entity { found: self, resource_type: &self.resource_type, entries: &self.whole.entries };
        let stands = query.contained() != Asked::Only && of_itself.matches(&query.types, &query.criteria);
        stands || !self.contained_matches(query).is_empty()
    }

    /// Whether the resource itself has all that is asked for.
    pub(crate) fn has_all(&self, criteria: &[Criterion]) -> bool {
        let of_itself =
            Entity { found: self, resource_type: &self.resource_type, entries: &self.whole.entries };
        criteria.iter().all(|criterion| of_itself.has(criterion))
    }

    /// The places in `contained`, from 0 on, of the resources that a search with this query finds.
    #[must_use]
    pub fn contained_matches(&self, query: &SearchQuery) -> Vec<usize> {
        let Some(of_contained) = &query.of_contained else { return Vec::new() };
        let contained = self.whole.contained.iter().filter(|one| {
            let of_one = Entity { found: self, resource_type: one.resource_type, entries: &one.entries };
            of_one.matches(&query.types, &of_contained.criteria)
        });
        contained.filter_map(|one| usize::try_from(one.place - 1).ok()).collect()
    }
}

/// One resource of a version: itself, or one that it contains.
struct Entity<'a> {
    found: &'a Found,
    resource_type: &'a str,
    entries: &'a Entries,
}

impl Entity<'_> {
    fn matches(&self, types: &[String], criteria: &[Criterion]) -> bool {
        types.iter().any(|name| name == self.resource_type)
            && criteria.iter().all(|criterion| self.has(criterion))
    }

    fn has(&self, criterion: &Criterion) -> bool {
        criterion.any.iter().any(|atom| self.has_atom(atom)) != criterion.negated
    }

    fn has_atom(&self, atom: &Atom) -> bool {
        let Entries { tokens, spans, texts, labels, .. } = self.entries;
        match atom {
            // Tokens are sorted, see `Entries::finish`.
            Atom::Token(token) => tokens.binary_search(token).is_ok(),
            Atom::Span(SpanBox { key, low, high, .. }) => spans.iter().any(|span| {
                span.key == *key
                    && (low.0..=low.1).contains(&span.low)
                    && (high.0..=high.1).contains(&span.high)
            }),
            Atom::Starts { key, text } => {
                let beyond = format!("{text}{BEYOND}");
                texts.iter().any(|entry| entry.key == *key && (text..&beyond).contains(&&entry.text))
            }
            Atom::Is { key, text } => texts.iter().any(|entry| entry.key == *key && entry.text == *text),
            Atom::Contains { key, text } => {
                let keys = [*key, pieces_of(*key)];
                texts.iter().any(|entry| keys.contains(&entry.key) && entry.text.contains(text))
            }
            Atom::Labels(asked) => labels.iter().any(|label| asked.has(label)),
            Atom::Recorded { low, high } => (*low..=*high).contains(&self.found.recorded),
            Atom::Near { key, latitude, longitude, millimetres } => spans.iter().any(|span| {
                span.key == *key
                    && near::is_near((span.low, span.high), (*latitude, *longitude), *millimetres)
            }),
            Atom::Kind(kind) => type_number(self.resource_type) == *kind,
            Atom::All(all) => all.iter().all(|criterion| self.has(criterion)),
            // Nobody asks, see `SearchQuery::joins_others`.
            Atom::Join(_) => false,
        }
    }
}
