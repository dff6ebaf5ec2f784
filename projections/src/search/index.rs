//! Answers searches from the index.

mod apart;
mod contained;
mod count;
mod explain;
mod include;
mod join;
mod label;
mod memory;
mod page;
mod reading;
mod rows;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anamnesis_events::Position;
use anamnesis_fhir::definitions;
use tokio_postgres::error::SqlState;

use super::atom::{Criterion, Yield};
use super::issue::{Issue, IssueKind, Severity, parked};
use super::key::type_number;
use super::page::{PageToken, Place};
use super::query::{CHAIN_DEPTH_MAX, SearchQuery, Total};
use super::sql::{Order, Start, Statement, Window};
use super::tables::{NAME, Tables};
use crate::checkpoint::number;
use crate::database::Database;
use crate::{Active, Late, ParkedMarks, Progress, ProjectionError};
pub use explain::{ExplainOptions, Explained, Ran, explained};
pub use include::Drawn;
use memory::Memory;
pub use page::{ContainedMatch, SearchMatch, SearchPage};
use reading::{Hidden, Readings};
use rows::{Found, Row};

/// How long a search waits to be told of another version where the one that it knew is gone: a little longer than
/// processes take to notice a switch.
const NOTICED_WITHIN: Duration = Duration::from_secs(3);

/// How long a search waits for a version that has just become the active one to come as far as the one before.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(1);

/// Limits of a search. The defaults were measured; others give the same answers at other times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchLimits {
    /// Resources that are gathered and sorted before the results are walked along in their order instead.
    pub gathered_max: i64,
    /// The same where the query says little about how many match.
    pub tried_max: i64,
    /// Resources of a chain that are gathered before the results are tested for them one by one instead.
    pub joined_max: i64,
    /// Labels that are asked for by their tokens; where a query means more, resources are tested for them one by one.
    pub labels_max: i64,
    /// Resources that are counted where an estimate of their number is enough.
    pub counted_max: i64,
}

impl Default for SearchLimits {
    fn default() -> Self {
        Self {
            gathered_max: 5000,
            tried_max: 2000,
            joined_max: 10_000,
            labels_max: 1000,
            counted_max: 10_000,
        }
    }
}

/// The search index of one log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SearchIndex {
    database: Database,
    log: i16,
    active: Active,
    building: Option<Active>,
    is_partial: bool,
    readings: Readings,
    hidden: Hidden,
    chain_depth_max: usize,
    limits: SearchLimits,
    memory: Memory,
    /// The furthest position that a page has shown.
    shown: Arc<AtomicU64>,
    types: Arc<HashMap<i32, &'static str>>,
}

impl SearchIndex {
    /// The index of the log with this number. `active` says which version answers: the progress of a
    /// [`crate::Runner`] where it is always the same. Queries are read with the search parameters of that version.
    #[must_use]
    pub fn new(database: Database, log: i16, active: impl Into<Active>) -> Self {
        let types: HashMap<_, _> =
            definitions::r4().resource_types().iter().map(|name| (type_number(name), *name)).collect();
        Self {
            database,
            log,
            active: active.into(),
            building: None,
            is_partial: false,
            readings: Readings::default(),
            hidden: Hidden::default(),
            chain_depth_max: CHAIN_DEPTH_MAX,
            limits: SearchLimits::default(),
            memory: Memory::default(),
            shown: Arc::default(),
            types: Arc::new(types),
        }
    }

    /// The number of the log that it is of.
    pub(super) fn log(&self) -> i16 {
        self.log
    }

    /// The same index with other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: SearchLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The same index with another limit for the links of a chain, see [`super::Catalogue::with_chain_depth`].
    #[must_use]
    pub fn with_chain_depth(mut self, chain_depth_max: usize) -> Self {
        self.chain_depth_max = chain_depth_max;
        self
    }

    /// The same index, which also knows the version that is being built, see [`Self::partial`].
    #[must_use]
    pub fn with_building(mut self, building: Active) -> Self {
        self.building = Some(building);
        self
    }

    /// The version that answers now, and how far it has come; `None` where there is none that could be read.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        self.active.now()
    }

    /// Waits until everything up to `position` can be found, at most for `timeout`.
    ///
    /// # Errors
    /// [`Late`] with the position that was reached.
    pub async fn wait_for(&self, position: Position, timeout: Duration) -> Result<Position, Late> {
        // Who wants to be answered by a version that is far from it does not want to wait for it.
        let timeout = if self.is_partial { Duration::ZERO } else { timeout };
        self.active.wait_for(position, timeout).await
    }

    /// Answers a query. All pages of a search show the resources as they were when its first page was made: none
    /// comes twice, and none is missing.
    ///
    /// # Errors
    /// [`ProjectionError::TooCostly`] when the database takes longer than allowed; [`ProjectionError::ParametersChanged`]
    /// where readers were sent to a version with other search parameters after the query was read, and by these it is
    /// another query; others when the database fails.
    pub async fn search(&self, query: &SearchQuery) -> Result<SearchPage, ProjectionError> {
        let mut active = self.answering(self.floor(query)).await?;
        let mut before = Marked::now(&active);
        let mut understood = self.understood(query, &active)?;
        let page = match self.page(&understood, &Tables::of(active.version())).await {
            Err(error) if is_gone(&error) => {
                active = self.instead_of(&active, error).await?;
                before = Marked::now(&active);
                understood = self.understood(query, &active)?;
                self.page(&understood, &Tables::of(active.version())).await
            }
            page => page,
        };
        let mut page = page.map_err(too_costly)?;
        self.shown.fetch_max(page.reached.get(), Ordering::SeqCst);
        // A resource that was un-parked meanwhile may be missing from what the query saw all the same.
        page.parked = parked(&before.marks.joined(&active.parked()), &understood.looked_at)
            .map(|issue| if query.restriction().is_some() { issue.without_names() } else { issue });
        page.parked_known = before.known;
        page.issues.extend(self.told_partial(page.reached));
        Ok(page)
    }

    /// The version that answers, which has come as far as `floor` where that was possible in time: whether it was, the
    /// rows themselves tell.
    async fn answering(&self, floor: Position) -> Result<Progress, ProjectionError> {
        if self.active.reached() < floor {
            let _ = self.active.wait_for(floor, CAUGHT_UP_WITHIN).await;
        }
        self.active.now().ok_or(ProjectionError::NotReadable { name: NAME })
    }

    /// The version that answers instead of one that is gone: another node has switched and taken it away, which this
    /// one has not noticed yet.
    async fn instead_of(&self, gone: &Progress, error: ProjectionError) -> Result<Progress, ProjectionError> {
        self.active.after(gone.version(), NOTICED_WITHIN).await.ok_or(error)
    }

    /// Where the index has to have come for this query: as far as searches of this process have seen it, so that none
    /// goes back in time, and as far as the pages before. Only after a switch is this not so already: two versions are
    /// written one after the other.
    fn floor(&self, query: &SearchQuery) -> Position {
        let shown = Position::new(self.shown.load(Ordering::SeqCst));
        query.as_of().map_or(shown, |position| position.max(shown))
    }

    /// The page, by one version from beginning to end.
    async fn page(&self, query: &SearchQuery, tables: &Tables) -> Result<SearchPage, ProjectionError> {
        if let Some(of_contained) = &query.of_contained {
            return self.page_of_contained(query, of_contained, tables).await;
        }
        let kinds: Vec<i32> = query.types.iter().map(|name| type_number(name)).collect();
        let token = query.page.as_ref();
        let order = Order::new(&query.sort, token.is_some_and(|token| token.backward));
        let count = i64::try_from(query.count()).unwrap_or(i64::MAX);
        let is_counted = query.is_count_only() || token.is_none() && query.total() != Total::None;
        let joined_max = if is_counted { self.limits.joined_max } else { self.limits.tasted_max() };
        let (criteria, as_of) = self.resolved(query, tables, joined_max).await?;
        let window = Window {
            tables,
            log: self.log,
            kinds: &kinds,
            criteria: &criteria,
            order: &order,
            as_of: as_of.map(number),
            after: token.map(|token| &token.place),
            // One more tells whether there is another page.
            rows_max: count.saturating_add(1),
        };
        let parts = apart::parts(&kinds, &criteria);
        let is_one = parts.len() == 1;
        let counted = match (token, query.total(), query.is_count_only()) {
            (Some(token), _, false) => token.total.map(|total| (total, token.position)),
            (None, Total::None, false) => None,
            // What Postgres expects is of all resources; of what somebody sees of them nothing but what was counted is told.
            (None, Total::Estimate, false) if query.restriction().is_none() => {
                Some(self.estimate(&window).await?)
            }
            _ => Some(self.count_of_parts(&window, &parts).await?),
        };
        if query.is_count_only() {
            let (total, reached) = counted.unwrap_or_default();
            return Ok(SearchPage::of_total(total, reached));
        }
        // Parts are of one moment, and so are joined resources with what they are joined to.
        let as_of = match as_of {
            None if !is_one => Some(self.reached(tables).await?),
            as_of => as_of,
        };
        let window = Window { as_of: as_of.map(number), ..window };
        let found = match as_of {
            Some(position) => self.rows_of_parts(&window, &parts, position).await?,
            None => self.rows(&window).await?,
        };
        let as_of = as_of.unwrap_or(found.reached);
        Ok(self.made(query, &order, (found, as_of), counted.map(|(total, _)| total)))
    }

    /// The rows of a window, from the resources as they were at the position that the window is as of.
    async fn rows_as_of(&self, window: &Window<'_>, position: Position) -> Result<Found, ProjectionError> {
        let found = self.rows(window).await?;
        self.with_superseded(found, window, position).await
    }

    async fn with_superseded(
        &self,
        mut found: Found,
        window: &Window<'_>,
        position: Position,
    ) -> Result<Found, ProjectionError> {
        found.add(self.run(&Statement::superseded(window), window.order).await?, window);
        found.incomplete |= found.kept_from > number(position) || found.reached < position;
        Ok(found)
    }

    /// The rows of a window, from the resources as they are now.
    async fn rows(&self, window: &Window<'_>) -> Result<Found, ProjectionError> {
        let can_walk = window.order.keys.is_empty() || window.order.walkable_family().is_some();
        for (start, gathered_max) in self.starts(window.criteria) {
            if can_walk && self.memory.leaves_many(window, start, gathered_max) {
                continue;
            }
            let limit = if can_walk { gathered_max } else { i64::MAX };
            let statement = Statement::gather(window, start, limit.saturating_add(1));
            let found = self.run(&statement, window.order).await?;
            if found.gathered <= limit {
                return Ok(found);
            }
            self.memory.remember(window, start, gathered_max);
        }
        if !can_walk {
            return self.run(&Statement::gather(window, Start::Everything, i64::MAX), window.order).await;
        }
        match window.order.walkable_family() {
            None => self.run(&Statement::walk_log(window, None, i64::MAX), window.order).await,
            Some(family) => self.walk(window, family).await,
        }
    }

    /// Walks along a family of spans, and then, as far as the page is not full, over the resources that have none:
    /// they come last. Backwards it is the other way round.
    async fn walk(&self, window: &Window<'_>, family: super::span::Family) -> Result<Found, ProjectionError> {
        let place_key = window.after.and_then(|place| place.keys.first()?.integer());
        let begins_without = place_key.is_some_and(|key| key == i64::MIN || key == i64::MAX);
        let with = || Statement::walk_family(window, family);
        let without = |begins: bool| {
            let after = if begins { window.after } else { None };
            Statement::walk_log(&Window { after, ..window.clone() }, Some(family), i64::MAX)
        };
        let backward = window.order.backward;
        let phases: Vec<Statement<'_>> = match (backward, begins_without) {
            (false, false) => vec![with(), without(false)],
            (false, true) => vec![without(true)],
            (true, false) => vec![with()],
            // The family is walked along from its end.
            (true, true) => {
                vec![without(true), Statement::walk_family(&Window { after: None, ..window.clone() }, family)]
            }
        };
        let mut found: Option<Found> = None;
        for phase in phases {
            let rows = self.run(&phase, window.order).await?;
            let found = match &mut found {
                None => found.insert(rows),
                Some(found) => {
                    // What has changed since the first phase comes from the state that the first phase saw.
                    let as_of = Some(window.as_of.unwrap_or(number(found.reached)));
                    found.add(rows, window);
                    found.rows.retain(|row| as_of.is_none_or(|as_of| row.place.seq <= as_of));
                    let then = Window { as_of, ..window.clone() };
                    found.add(self.run(&Statement::superseded(&then), window.order).await?, &then);
                    found
                }
            };
            if found.rows.len() >= usize::try_from(window.rows_max).unwrap_or(usize::MAX) {
                break;
            }
        }
        found.ok_or_else(|| self.unknown(window.tables))
    }

    async fn run(&self, statement: &Statement<'_>, order: &Order) -> Result<Found, ProjectionError> {
        let rows = self.ask(statement).await?;
        Found::read(&rows, order)?.ok_or_else(|| self.unknown(statement.tables))
    }

    fn unknown(&self, tables: &Tables) -> ProjectionError {
        ProjectionError::Unknown { name: NAME, version: tables.version, log: self.log }
    }

    /// The page of the rows that were found: one more than the page holds tells that there is another.
    fn made(
        &self,
        query: &SearchQuery,
        order: &Order,
        (mut found, position): (Found, Position),
        total: Option<u64>,
    ) -> SearchPage {
        let token = query.page.as_ref();
        let is_more = found.rows.len() > query.count();
        found.rows.truncate(query.count());
        if order.backward {
            found.rows.reverse();
        }
        let link = |place: Option<&Place>, backward: bool| {
            let (fingerprint, place) = (query.fingerprint, place?.clone());
            Some(PageToken { fingerprint, position, total, backward, place }.encode())
        };
        let (first, last) = (found.rows.first(), found.rows.last());
        let (has_next, has_previous) = match token {
            None => (is_more, false),
            Some(_) if order.backward => (true, is_more),
            Some(_) => (is_more, true),
        };
        let next = if has_next { link(last.map(|row| &row.place), false) } else { None };
        let previous = if has_previous { link(first.map(|row| &row.place), true) } else { None };
        let mut issues = Vec::new();
        if found.incomplete {
            let text =
                "resources that have changed since the first page may be missing: it was made too long ago";
            issues.push(Issue {
                severity: Severity::Warning,
                kind: IssueKind::Incomplete,
                parameter: None,
                text: text.to_owned(),
            });
        }
        let matches = match &query.of_contained {
            None => found.rows.into_iter().filter_map(|row| self.found(row)).collect(),
            Some(asked) => found.rows.into_iter().filter_map(|row| self.found_of_both(row, asked)).collect(),
        };
        // A first page shows nothing from beyond the position that it is as of.
        let reached = if query.is_continued() { found.reached } else { position };
        let (parked, parked_known) = (None, Position::ZERO);
        SearchPage { matches, total, next, previous, reached, as_of: position, issues, parked, parked_known }
    }

    fn found(&self, row: Row) -> Option<SearchMatch> {
        let position = Position::new(u64::try_from(row.place.seq).ok()?);
        Some(SearchMatch { position, resource_type: self.types.get(&row.kind)?, id: row.id, contained: None })
    }

    /// What a search may start from, one after the other, and how many may be gathered from it: the criterion that
    /// leaves the fewest resources; and where that one is of texts or spans, all of whose resources count, the tokens, of
    /// whose resources only those count that answer everything.
    fn starts<'a>(&self, criteria: &'a [Criterion]) -> Vec<(Start<'a>, i64)> {
        let can_start = |criterion: &&Criterion| {
            criterion.is_indexed_token()
                || criterion.is_indexed_text()
                || criterion.is_indexed_span()
                || criterion.is_indexed_time()
        };
        let best = criteria.iter().filter(can_start).min_by_key(|criterion| criterion.expected);
        let is_token = |criterion: &&Criterion| criterion.is_indexed_token();
        let tokens = criteria.iter().filter(is_token).min_by_key(|criterion| criterion.expected);
        let is_wider = |best: &Criterion| best.is_indexed_text() || best.is_indexed_span();
        let tokens = tokens.filter(|_| best.is_some_and(is_wider));
        let start = |best: &'a Criterion| {
            let says_little = best.expected == Yield::Most;
            let gathered_max = if says_little { self.limits.tried_max } else { self.limits.gathered_max };
            let start = if best.is_indexed_token() {
                Start::Tokens
            } else if best.is_indexed_text() {
                Start::Texts(best)
            } else if best.is_indexed_span() {
                Start::Spans(best)
            } else {
                Start::Times
            };
            (start, gathered_max)
        };
        best.into_iter().chain(tokens).map(start).collect()
    }
}

/// What a version has parked, as this process knows at one moment.
struct Marked {
    /// All up to here is in the marks.
    known: Position,
    marks: Arc<ParkedMarks>,
}

impl Marked {
    /// The position first: the runner marks what it has parked before it tells that it has come so far.
    fn now(version: &Progress) -> Self {
        let known = version.reached();
        Self { known, marks: version.parked() }
    }
}

/// Tells a statement that took too long from one that failed.
fn too_costly(error: ProjectionError) -> ProjectionError {
    match error {
        ProjectionError::Database(error) if error.code() == Some(&SqlState::QUERY_CANCELED) => {
            ProjectionError::TooCostly
        }
        other => other,
    }
}

/// Whether a version was read whose tables or checkpoint are not there.
fn is_gone(error: &ProjectionError) -> bool {
    match error {
        ProjectionError::Unknown { .. } => true,
        ProjectionError::Database(error) => {
            matches!(error.code(), Some(&SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_FUNCTION))
        }
        _ => false,
    }
}
