//! Finds what the includes of a search draw in.

use std::collections::HashSet;

use anamnesis_events::{Position, ResourceKey};

use super::{SearchIndex, SearchMatch, is_gone, too_costly};
use crate::ProjectionError;
use crate::checkpoint::number;
use crate::search::atom::{Atom, Criterion, Yield};
use crate::search::include::{Followed, Follower, Wanted};
use crate::search::query::{SearchQuery, seen, types_of};
use crate::search::sql::{Order, Window};
use crate::search::tables::Tables;

/// Tokens that one statement asks for: what a page of 1,000 matches comes to with one include.
const TOKENS_MAX: usize = 1000;
/// Rows that one statement gives: a page of includes and one more.
const ROWS_MAX: usize = 1001;

/// What was drawn in.
#[derive(Debug, Default)]
pub struct Drawn {
    /// The resources, none of them known before, always in the same order for the same question.
    pub matches: Vec<SearchMatch>,
    /// Resources that have changed since the position asked for may be missing.
    pub incomplete: bool,
}

impl SearchIndex {
    /// Adds to what is wanted what the includes of a query draw in because of a resource: one that matched, or one that
    /// was drawn in itself. Only includes that iterate are about the latter.
    pub fn want(&self, wanted: &mut Wanted, query: &SearchQuery, is_match: bool, followed: &Followed<'_>) {
        let catalogue = self.catalogue_of(query);
        let base_url = query.base_url.as_deref();
        let follower = Follower { catalogue: &catalogue, log: self.log, base_url };
        let includes = query.includes.iter().filter(|include| is_match || include.iterates());
        follower.follow(includes, followed, wanted);
    }

    /// The resources that are wanted and can be seen by whoever asks, as they were at a position, at most `count_max`. What is
    /// in `seen` is left out; what is found is added to it.
    ///
    /// # Errors
    /// As [`SearchIndex::search`].
    pub async fn draw(
        &self,
        query: &SearchQuery,
        wanted: &Wanted,
        at: Position,
        seen: &mut HashSet<ResourceKey>,
        count_max: usize,
    ) -> Result<Drawn, ProjectionError> {
        let mut drawn = Drawn::default();
        let mut active = self.answering(at).await?;
        for group in &wanted.groups {
            let kinds: Vec<i32> = group.kinds.iter().copied().collect();
            let can_be_seen = self.can_be_seen(query, &kinds);
            for tokens in group.tokens.chunks(TOKENS_MAX) {
                let wanted = Criterion::any(tokens.iter().copied().map(Atom::Token).collect(), Yield::Few);
                let criteria: Vec<Criterion> = can_be_seen.iter().cloned().chain([wanted]).collect();
                let asked = Asked { kinds: &kinds, criteria: &criteria, at, count_max };
                let done = self.draw_from(&Tables::of(active.version()), &asked, seen, &mut drawn).await;
                if let Err(error) = done {
                    if !is_gone(&error) {
                        return Err(too_costly(error));
                    }
                    active = self.instead_of(&active, error).await?;
                    let tables = Tables::of(active.version());
                    self.draw_from(&tables, &asked, seen, &mut drawn).await.map_err(too_costly)?;
                }
                if drawn.matches.len() >= count_max {
                    return Ok(drawn);
                }
            }
        }
        Ok(drawn)
    }

    /// That a resource of these types can be seen. Includes lead out of the types and the compartment that were searched; the
    /// versions that references name ([`Wanted::versions`]) are fetched elsewhere.
    fn can_be_seen(&self, query: &SearchQuery, kinds: &[i32]) -> Vec<Criterion> {
        if query.restriction().is_none() {
            return Vec::new();
        }
        seen(&self.catalogue_of(query), self.log, &query.asked.options, &types_of(kinds)).standing
    }

    /// Asks for the resources of some criteria, newest first, statement by statement.
    async fn draw_from(
        &self,
        tables: &Tables,
        asked: &Asked<'_>,
        seen: &mut HashSet<ResourceKey>,
        drawn: &mut Drawn,
    ) -> Result<(), ProjectionError> {
        let order = Order::new(&[], false);
        let rows_max = asked.count_max.saturating_add(1).min(ROWS_MAX);
        let mut after = None;
        loop {
            let window = Window {
                tables,
                log: self.log,
                kinds: asked.kinds,
                criteria: asked.criteria,
                order: &order,
                as_of: Some(number(asked.at)),
                after: after.as_ref(),
                rows_max: i64::try_from(rows_max).unwrap_or(i64::MAX),
            };
            let found = self.rows_as_of(&window, asked.at).await?;
            drawn.incomplete |= found.incomplete;
            let is_last = found.rows.len() < rows_max;
            let last = found.rows.last().map(|row| row.place.clone());
            for row in found.rows.into_iter().filter_map(|row| self.found(row)) {
                if seen.insert(ResourceKey::new(row.resource_type, row.id.as_str())) {
                    drawn.matches.push(row);
                }
                if drawn.matches.len() >= asked.count_max {
                    return Ok(());
                }
            }
            if is_last {
                return Ok(());
            }
            after = last;
        }
    }
}

/// What is asked of one version of the index.
struct Asked<'a> {
    kinds: &'a [i32],
    criteria: &'a [Criterion],
    at: Position,
    count_max: usize,
}
