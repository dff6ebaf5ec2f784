//! Plans chains and `_has`: what joined resources lead to is gathered first, as far as that is little. Labels are looked
//! up by the way.

use std::borrow::Cow;
use std::collections::HashSet;

use anamnesis_events::Position;
use futures::future::BoxFuture;

use super::rows::Found;
use super::{SearchIndex, SearchLimits};
use crate::ProjectionError;
use crate::search::atom::{Atom, Criterion, Join, Seen, Yield};
use crate::search::query::SearchQuery;
use crate::search::shelf::Shelf;
use crate::search::sql::{Order, Start, Statement, Window};
use crate::search::tables::Tables;
use crate::search::target::{TURN, Target};

/// Tokens that joined resources may come to: what one search of the token index takes without hurting.
const TOKENS_MAX: usize = 20_000;

/// Resources of a reverse join that are gathered where a page may soon be full without.
const TASTED_MAX: i64 = 1000;
/// Resources that are tested for their joins before what leads to them is gathered all the same.
const TESTED_MAX: i64 = 500;

/// Where joined resources are looked for.
#[derive(Clone, Copy)]
struct Place<'a> {
    tables: &'a Tables,
    at: Position,
    /// Resources of a reverse join that may be gathered.
    most: i64,
}

impl SearchLimits {
    /// Resources of a reverse join that are gathered at first.
    pub(super) fn tasted_max(&self) -> i64 {
        self.joined_max.min(TASTED_MAX)
    }
}

impl SearchIndex {
    /// The criteria of a query without the joins and labels that could be resolved, and the position as of which they are:
    /// what is looked up and the resources that are searched for are of the same moment, also on later pages.
    pub(super) async fn resolved<'q>(
        &self,
        query: &'q SearchQuery,
        tables: &Tables,
        most: i64,
    ) -> Result<(Cow<'q, [Criterion]>, Option<Position>), ProjectionError> {
        if !query.criteria.iter().any(Criterion::is_looked_up) {
            return Ok((Cow::Borrowed(&query.criteria), query.as_of()));
        }
        let at = match query.as_of() {
            Some(position) => position,
            None => self.reached(tables).await?,
        };
        let criteria = self.resolve(Place { tables, at, most }, &query.criteria).await?;
        Ok((Cow::Owned(criteria), Some(at)))
    }

    /// Criteria as of a position, without the joins and labels that could be resolved.
    pub(super) async fn resolved_at(
        &self,
        tables: &Tables,
        at: Position,
        criteria: &[Criterion],
    ) -> Result<Vec<Criterion>, ProjectionError> {
        self.resolve(Place { tables, at, most: self.limits.joined_max }, criteria).await
    }

    /// The rows of a window whose joins led to too many to be gathered at first. Of what many lead to a page is full soon;
    /// where it is not, they are gathered.
    pub(super) async fn rows_of_joins(
        &self,
        window: &Window<'_>,
        position: Position,
    ) -> Result<Found, ProjectionError> {
        // One patient's are soon tested one by one.
        let leaves_few = |one: &Criterion| one.is_indexed_token() && one.expected == Yield::Few;
        let is_joined = window.criteria.iter().any(|criterion| criterion.joins() > 0);
        if !is_joined || window.criteria.iter().any(leaves_few) {
            return self.rows_as_of(window, position).await;
        }
        let start = Start::Everything;
        let can_walk = window.order.keys.is_empty() && window.kinds.len() == 1;
        if can_walk && !self.memory.leaves_many(window, start, TESTED_MAX) {
            let found = self.run(&Statement::walk_log(window, None, TESTED_MAX), window.order).await?;
            if found.rows.len() >= usize::try_from(window.rows_max).unwrap_or(usize::MAX) {
                return self.with_superseded(found, window, position).await;
            }
            self.memory.remember(window, start, TESTED_MAX);
        }
        let place = Place { tables: window.tables, at: position, most: self.limits.joined_max };
        let criteria = self.resolve(place, window.criteria).await?;
        self.rows_as_of(&Window { criteria: &criteria, ..window.clone() }, position).await
    }

    /// The position that the index has reached.
    pub(super) async fn reached(&self, tables: &Tables) -> Result<Position, ProjectionError> {
        let statement = Statement::reached(tables, self.log);
        let rows = self.ask(&statement).await?;
        let row = rows.first().ok_or_else(|| self.unknown(tables))?;
        Ok(Position::new(u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0)))
    }

    /// The depth is bounded by [`crate::search::Catalogue::with_chain_depth`].
    fn resolve<'a>(
        &'a self,
        place: Place<'a>,
        criteria: &'a [Criterion],
    ) -> BoxFuture<'a, Result<Vec<Criterion>, ProjectionError>> {
        Box::pin(async move {
            let mut resolved = Vec::with_capacity(criteria.len());
            for criterion in criteria {
                let mut any = Vec::with_capacity(criterion.any.len());
                let mut labels = Vec::new();
                for atom in &criterion.any {
                    match atom {
                        Atom::Join(join) => any.extend(self.join(place, join).await?),
                        Atom::Labels(asked) => labels.push(asked),
                        Atom::All(all) => any.push(Atom::All(self.resolve(place, all).await?)),
                        other => any.push(other.clone()),
                    }
                }
                if !labels.is_empty() {
                    any.extend(self.labelled(place.tables, &labels).await?);
                }
                resolved.push(Criterion { any, ..*criterion });
            }
            Ok(resolved)
        })
    }

    /// What a row has that has the joined resource. A chain may lead to what the resource itself contains (R4
    /// search.html#contained); what refers to a resource by `_has` stands for itself.
    async fn join(&self, place: Place<'_>, join: &Join) -> Result<Vec<Atom>, ProjectionError> {
        let mut atoms = Vec::new();
        if join.shelf != Some(Shelf::Contained) {
            let join = on(Shelf::Standing, join);
            atoms.extend(self.join_on(place, place.tables, &join).await?);
        }
        if !join.reverse && join.shelf != Some(Shelf::Standing) {
            // By `_id` it is found where it stands for itself only: what a resource contains is named within that resource,
            // and may have the id of another patient there.
            let join = on(Shelf::Contained, join);
            atoms.extend(self.join_on(place, &place.tables.contained(), &join).await?);
        }
        Ok(atoms)
    }

    /// The same of the joined resources of one shelf.
    async fn join_on(
        &self,
        place: Place<'_>,
        tables: &Tables,
        join: &Join,
    ) -> Result<Vec<Atom>, ProjectionError> {
        let criteria = self.resolve(place, &join.criteria).await?;
        let as_of = Some(tables.shelf.last(place.at));
        let order = Order::new(&[], false);
        let window = Window {
            tables,
            log: self.log,
            kinds: &join.kinds,
            criteria: &criteria,
            order: &order,
            as_of,
            after: None,
            rows_max: 1,
        };
        let gathered_max = if join.reverse { place.most } else { self.limits.joined_max };
        // What has changed since the first page, as it was.
        let (_, superseded) = self.keys(&Statement::inner_keys_superseded(&window, join)).await?;
        let mut starts: Vec<Start<'_>> = self.starts(&criteria).into_iter().map(|(start, _)| start).collect();
        // All resources of a type are not few; whether something is left of them, the test of each row tells.
        if starts.is_empty() && !criteria.is_empty() && !join.reverse {
            starts.push(Start::Everything);
        }
        for start in starts {
            if self.memory.leaves_many(&window, start, gathered_max) {
                continue;
            }
            let statement = Statement::inner_keys(&window, start, gathered_max + 1, join);
            let (gathered, mut keys) = self.keys(&statement).await?;
            keys.extend(&superseded);
            if gathered <= gathered_max && keys.len() * join.parameters.len().max(1) <= TOKENS_MAX {
                return Ok(tokens(join, &keys));
            }
            self.memory.remember(&window, start, gathered_max);
        }
        let mut atoms = tokens(join, &superseded);
        atoms.push(Atom::Join(Join { criteria, as_of, ..join.clone() }));
        Ok(atoms)
    }

    async fn keys(&self, statement: &Statement<'_>) -> Result<(i64, HashSet<i64>), ProjectionError> {
        let rows = self.ask(statement).await?;
        // An aggregate gives one row, whatever it is of.
        let row = rows.first().ok_or_else(|| self.unknown(statement.tables))?;
        let keys: Vec<i64> = row.try_get(1)?;
        Ok((row.try_get(0)?, keys.into_iter().collect()))
    }
}

/// The join to what stands on a shelf and can be seen there: from here on that is one of its criteria.
fn on(shelf: Shelf, join: &Join) -> Join {
    let criteria = join.criteria.iter().chain(join.seen.on(shelf)).cloned().collect();
    Join { shelf: Some(shelf), criteria, seen: Seen::default(), ..join.clone() }
}

/// The tokens of rows that a join leads to by these keys: of a reverse one they are the rows' own.
fn tokens(join: &Join, keys: &HashSet<i64>) -> Vec<Atom> {
    let mut tokens: Vec<i64> = match (join.reverse, join.parameters.as_slice()) {
        (true, _) => keys.iter().copied().collect(),
        (false, []) => keys.iter().map(|key| key ^ TURN).collect(),
        (false, parameters) => {
            let of_key = |key: &i64| {
                let target = Target::of_key(*key);
                parameters.iter().map(move |parameter| target.referred_by(*parameter))
            };
            keys.iter().flat_map(of_key).collect()
        }
    };
    // In one order, so that the same question is the same statement.
    tokens.sort_unstable();
    tokens.into_iter().map(Atom::Token).collect()
}
