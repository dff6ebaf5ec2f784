//! Plans chains and `_has`: what joined resources lead to is gathered first, as far as that is little.

use std::borrow::Cow;
use std::collections::HashSet;

use anamnesis_events::Position;
use futures::future::BoxFuture;

use super::SearchIndex;
use crate::ProjectionError;
use crate::checkpoint::number;
use crate::search::atom::{Atom, Criterion, Join};
use crate::search::query::SearchQuery;
use crate::search::sql::{Order, Start, Statement, Window};
use crate::search::tables::Tables;
use crate::search::target::{TURN, Target};

/// Tokens that joined resources may come to: what one search of the token index takes without hurting.
const TOKENS_MAX: usize = 20_000;

/// Where joined resources are looked for.
#[derive(Clone, Copy)]
struct Place<'a> {
    tables: &'a Tables,
    at: Position,
}

impl SearchIndex {
    /// The criteria of a query without the joins that could be resolved, and the position as of which they are: joined
    /// resources and the ones that are searched for are of the same moment, also on later pages.
    pub(super) async fn resolved<'q>(
        &self,
        query: &'q SearchQuery,
        tables: &Tables,
    ) -> Result<(Cow<'q, [Criterion]>, Option<Position>), ProjectionError> {
        if !query.joins_others() {
            return Ok((Cow::Borrowed(&query.criteria), query.as_of()));
        }
        let at = match query.as_of() {
            Some(position) => position,
            None => self.reached(tables).await?,
        };
        let criteria = self.resolve(Place { tables, at }, &query.criteria).await?;
        Ok((Cow::Owned(criteria), Some(at)))
    }

    async fn reached(&self, tables: &Tables) -> Result<Position, ProjectionError> {
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
                for atom in &criterion.any {
                    match atom {
                        Atom::Join(join) => any.extend(self.join(place, join).await?),
                        Atom::All(all) => any.push(Atom::All(self.resolve(place, all).await?)),
                        other => any.push(other.clone()),
                    }
                }
                resolved.push(Criterion { any, negated: criterion.negated, expected: criterion.expected });
            }
            Ok(resolved)
        })
    }

    /// What a row has that has the joined resource.
    async fn join(&self, place: Place<'_>, join: &Join) -> Result<Vec<Atom>, ProjectionError> {
        let criteria = self.resolve(place, &join.criteria).await?;
        let order = Order::new(&[], false);
        let window = Window {
            tables: place.tables,
            log: self.log,
            kinds: &join.kinds,
            criteria: &criteria,
            order: &order,
            as_of: Some(number(place.at)),
            after: None,
            rows_max: 1,
        };
        let gathered_max = self.limits.joined_max;
        // What has changed since the first page, as it was.
        let (_, superseded) = self.keys(&Statement::inner_keys_superseded(&window, join)).await?;
        let (start, _) = self.start(&criteria);
        // All resources of a type are not few; whether something is left of them, the test of each row tells.
        let is_bounded = !(criteria.is_empty() || start == Start::Everything && join.reverse);
        if is_bounded && !self.memory.leaves_many(&window) {
            let statement = Statement::inner_keys(&window, start, gathered_max + 1, join);
            let (gathered, mut keys) = self.keys(&statement).await?;
            keys.extend(&superseded);
            if gathered <= gathered_max && keys.len() * join.parameters.len().max(1) <= TOKENS_MAX {
                return Ok(tokens(join, &keys));
            }
            self.memory.remember(&window);
        }
        let mut atoms = tokens(join, &superseded);
        let as_of = Some(number(place.at));
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
