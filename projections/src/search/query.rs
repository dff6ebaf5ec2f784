//! A search query: what was asked, checked against the search parameters and ready for the index.

mod catalogue;
mod chain;
mod contained;
mod control;
mod filter;
mod full_text;
mod include;
mod parse;
mod seen;
mod sort;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use anamnesis_events::Position;
use anamnesis_fhir::terminology::Terminology;

pub use catalogue::Catalogue;
pub(crate) use contained::OfContained;
pub use contained::{Contained, ContainedType};
pub use control::is_of_results;

use super::atom::Criterion;
use super::include::Include;
use super::page::PageToken;
use super::restriction::Restriction;
use super::span::DateEquals;
pub(crate) use seen::{is_understood, seen, types_of};
pub(crate) use sort::{SortBy, SortKey, kinds_by_name};

/// Results on a page where `_count` is not given (as Azure Health Data Services has it).
pub const COUNT_DEFAULT: usize = 10;
/// The most results on a page; a larger `_count` is cut to it.
pub const COUNT_MAX: usize = 1000;
/// Links of a chain unless configured otherwise: what records ask for has two or three.
pub const CHAIN_DEPTH_MAX: usize = 4;
/// The parameter that carries a page token; the name that Azure Health Data Services uses.
pub const PAGE_PARAMETER: &str = "ct";

/// Which resources are searched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// All types: `GET [base]?…`. `_type` narrows it.
    System,
    /// One type: `GET [base]/Observation?…`.
    Type(String),
    /// A compartment: `GET [base]/Patient/1/Observation?…`, or `GET [base]/Patient/1/*?…` without a type.
    Compartment {
        /// The owner's type: `Patient`.
        owner_type: String,
        /// The owner's id.
        owner_id: String,
        /// The type that is searched; `None` for all types of the compartment.
        resource_type: Option<String>,
    },
}

/// What to do with parameters that are unknown or not supported (`Prefer: handling`, R4 search.html#errors).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handling {
    /// They are left out, with a warning.
    #[default]
    Lenient,
    /// They are errors.
    Strict,
}

/// What a List says of its items, by reference: `Type/id`, or `List/id#id` of what it contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListItems {
    /// Items that it holds.
    pub held: BTreeSet<String>,
    /// Items that it marks as deleted (R4 List.entry.deleted). The index has the references of all entries alike.
    pub deleted: BTreeSet<String>,
}

/// What a query is read with, beside its parameters.
#[derive(Clone)]
pub struct ParseOptions {
    /// How unknown parameters are treated.
    pub handling: Handling,
    /// The present time, from which `ap` measures.
    pub now: DateTime<Utc>,
    /// The address under which this server knows its resources: references that begin with it are local.
    pub base_url: Option<String>,
    /// When a date is equal to another.
    pub date_equals: DateEquals,
    /// Results on a page where the query does not say, at most [`COUNT_MAX`].
    pub count_default: usize,
    /// Results on a page at most, whatever the query says; at most [`COUNT_MAX`].
    pub count_max: usize,
    /// Who lists the codes of value sets and code systems; without it the modifiers that ask for them are not supported.
    pub terminology: Option<Arc<dyn Terminology + Send + Sync>>,
    /// By id, the Lists that the query asks for, see [`SearchQuery::lists`].
    pub lists: Arc<BTreeMap<String, ListItems>>,
    /// What whoever asks may see; `None` for everything.
    pub restriction: Option<Arc<Restriction>>,
}

impl fmt::Debug for ParseOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { handling, now, base_url, date_equals, count_default, count_max, .. } = self;
        formatter
            .debug_struct("ParseOptions")
            .field("handling", handling)
            .field("now", now)
            .field("base_url", base_url)
            .field("date_equals", date_equals)
            .field("count_default", count_default)
            .field("count_max", count_max)
            .field("has_terminology", &self.terminology.is_some())
            .field("lists", &self.lists.len())
            .field("is_restricted", &self.restriction.is_some())
            .finish()
    }
}

impl ParseOptions {
    /// Lenient, at this time, without an address and without terminology.
    #[must_use]
    pub fn at(now: DateTime<Utc>) -> Self {
        let (handling, date_equals) = (Handling::default(), DateEquals::default());
        let (count_default, count_max) = (COUNT_DEFAULT, COUNT_MAX);
        Self {
            handling,
            now,
            base_url: None,
            date_equals,
            count_default,
            count_max,
            terminology: None,
            lists: Arc::default(),
            restriction: None,
        }
    }

    /// The same for somebody who may see everything.
    pub(super) fn unrestricted(&self) -> Self {
        Self { restriction: None, ..self.clone() }
    }
}

/// `_total` (R4 search.html#total).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Total {
    /// No total.
    #[default]
    None,
    /// An estimate is enough: exact where resources are few, see [`super::SearchLimits::counted_max`].
    Estimate,
    /// The exact number.
    Accurate,
}

/// `_summary` (R4 search.html#summary).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Summary {
    /// The whole resources.
    #[default]
    False,
    /// The elements that are marked as summary.
    True,
    /// Text, id, meta and mandatory elements.
    Text,
    /// All but the text.
    Data,
    /// Only the total.
    Count,
}

/// A query that can be given to [`super::SearchIndex::search`].
#[derive(Clone)]
pub struct SearchQuery {
    pub(crate) types: Vec<String>,
    /// The types that are searched and those that are joined to them.
    pub(crate) looked_at: Vec<String>,
    pub(crate) criteria: Vec<Criterion>,
    /// What is asked of contained resources, where they are searched.
    pub(crate) of_contained: Option<OfContained>,
    pub(crate) sort: Vec<SortKey>,
    pub(crate) page: Option<PageToken>,
    pub(crate) fingerprint: u64,
    pub(crate) includes: Vec<Include>,
    pub(super) lists: BTreeSet<String>,
    /// The address under which this server knows its resources.
    pub(crate) base_url: Option<String>,
    /// What it was read from, and the search parameters that it was read with.
    pub(crate) asked: Arc<catalogue::AskedFor>,
    at: Option<Position>,
    includes_count: usize,
    applied: Vec<(String, String)>,
    count: usize,
    total: Total,
    summary: Summary,
    elements: Vec<String>,
}

impl SearchQuery {
    /// The parameters that were applied, as they were given, in their order; `_count` as it was cut. The page token
    /// is not among them. What a `self` link shows (R4 search.html#conformance).
    #[must_use]
    pub fn applied(&self) -> &[(String, String)] {
        &self.applied
    }

    /// The types that are searched.
    #[must_use]
    pub fn types(&self) -> &[String] {
        &self.types
    }

    /// Results on a page, 0 to [`COUNT_MAX`].
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether a total is wanted.
    #[must_use]
    pub fn total(&self) -> Total {
        self.total
    }

    /// What is wanted of each resource.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// The elements that are wanted; empty for all.
    #[must_use]
    pub fn elements(&self) -> &[String] {
        &self.elements
    }

    /// Whether resources that others contain are searched.
    #[must_use]
    pub fn contained(&self) -> Contained {
        match &self.of_contained {
            None => Contained::None,
            Some(OfContained { is_both: false, .. }) => Contained::Only,
            Some(OfContained { is_both: true, .. }) => Contained::Both,
        }
    }

    /// What is told of a contained resource that matches.
    #[must_use]
    pub fn contained_type(&self) -> ContainedType {
        self.of_contained.as_ref().map_or_else(ContainedType::default, |asked| asked.returned)
    }

    /// Whether it asks for what other resources have: chains, `_has` and the like.
    #[must_use]
    pub fn joins_others(&self) -> bool {
        self.criteria.iter().any(|criterion| criterion.joins() > 0)
    }

    /// The ids of the Lists that it asks for. Where one marks items as deleted, the query has to be read again with
    /// [`ParseOptions::lists`], or these are found as well.
    #[must_use]
    pub fn lists(&self) -> &BTreeSet<String> {
        &self.lists
    }

    /// What it was told of these Lists when it was read.
    #[must_use]
    pub fn known_lists(&self) -> &BTreeMap<String, ListItems> {
        &self.asked.options.lists
    }

    /// What comes with the matches.
    #[must_use]
    pub fn includes(&self) -> &[Include] {
        &self.includes
    }

    /// Included resources with a page, 1 to [`super::INCLUDES_COUNT_MAX`].
    #[must_use]
    pub fn includes_count(&self) -> usize {
        self.includes_count
    }

    /// The same query as of a position that a page of it has shown before, and without a total.
    #[must_use]
    pub fn at(self, position: Position) -> Self {
        Self { at: Some(position), total: Total::None, ..self }
    }

    /// Names the pages of this query: a token for the included resources of a page is of use for this query only.
    #[must_use]
    pub fn fingerprint_of_page(&self) -> u64 {
        // FNV-1a; nothing secret depends on it.
        let bytes = self.fingerprint.to_be_bytes().into_iter().chain(self.count.to_be_bytes());
        bytes
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// The position that the page is as of, where it does not begin a search.
    #[must_use]
    pub fn as_of(&self) -> Option<Position> {
        self.page.as_ref().map(|token| token.position).or(self.at)
    }

    /// What whoever asks may see; `None` for everything.
    #[must_use]
    pub fn restriction(&self) -> Option<&Arc<Restriction>> {
        self.asked.options.restriction.as_ref()
    }

    /// Whether it goes on with a search that began before.
    #[must_use]
    pub fn is_continued(&self) -> bool {
        self.as_of().is_some()
    }

    /// Whether only the total is wanted: `_summary=count` or `_count=0`.
    #[must_use]
    pub fn is_count_only(&self) -> bool {
        self.summary == Summary::Count || self.count == 0
    }
}

impl fmt::Debug for SearchQuery {
    /// Names only: the values of a query are health data.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.applied.iter().map(|(name, _)| name.as_str()).collect();
        formatter.debug_struct("SearchQuery").field("types", &self.types).field("parameters", &names).finish()
    }
}
