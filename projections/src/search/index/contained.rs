//! Answers searches for contained resources, alone or beside those that stand for themselves.
//!
//! Each shelf is searched by itself, as of one position. Places in the order of the results are those of the shelf of
//! contained resources, so that one page token says where both go on. Where containers are shown, each comes once: what
//! comes with the same position is skipped as a whole.

use std::borrow::Cow;

use anamnesis_events::Position;

use super::rows::{Found, Row};
use super::{ContainedMatch, SearchIndex, SearchMatch, SearchPage};
use crate::ProjectionError;
use crate::search::atom::Criterion;
use crate::search::contained::Name;
use crate::search::key::type_number;
use crate::search::page::Place;
use crate::search::query::{ContainedType, OfContained, SearchQuery, Total};
use crate::search::shelf::{self, Shelf};
use crate::search::sql::{Order, Statement, Window};
use crate::search::tables::Tables;

/// What is asked of one shelf.
struct Side<'a> {
    tables: Cow<'a, Tables>,
    criteria: Vec<Criterion>,
}

/// A search over the shelves.
struct Both<'a> {
    log: i16,
    kinds: Vec<i32>,
    sides: Vec<Side<'a>>,
    order: &'a Order,
    at: Position,
    returned: ContainedType,
    rows_max: usize,
}

impl Both<'_> {
    /// Whether what has a greater `seq` comes later.
    fn is_ascending(&self) -> bool {
        self.order.newest_first == self.order.backward
    }

    fn window<'w>(&'w self, side: &'w Side<'_>, after: Option<&'w Place>) -> Window<'w> {
        Window {
            tables: &side.tables,
            log: self.log,
            kinds: &self.kinds,
            criteria: &side.criteria,
            order: self.order,
            as_of: Some(side.tables.shelf.last(self.at)),
            after,
            rows_max: i64::try_from(self.rows_max).unwrap_or(i64::MAX),
        }
    }

    /// A place in the terms of a shelf.
    fn place_on(&self, shelf: Shelf, place: &Place) -> Place {
        match shelf {
            Shelf::Contained => place.clone(),
            Shelf::Standing => {
                Place { seq: shelf::among_standing(place.seq, self.is_ascending()), ..place.clone() }
            }
        }
    }

    /// Behind everything that is shown with what is at this place.
    fn behind(&self, place: &Place) -> Place {
        let (first, last) = shelf::ends(place.seq);
        let seq = match (self.returned, self.is_ascending()) {
            (ContainedType::Contained, _) => place.seq,
            (ContainedType::Container, true) => last,
            (ContainedType::Container, false) => first,
        };
        Place { seq, ..place.clone() }
    }
}

impl SearchIndex {
    /// A page of a query that searches contained resources.
    pub(super) async fn page_of_contained(
        &self,
        query: &SearchQuery,
        asked: &OfContained,
        tables: &Tables,
    ) -> Result<SearchPage, ProjectionError> {
        let token = query.page.as_ref();
        let order = Order::new(&query.sort, token.is_some_and(|token| token.backward));
        let at = match query.as_of() {
            Some(position) => position,
            None => self.reached(tables).await?,
        };
        let mut sides = Vec::with_capacity(2);
        if asked.is_both {
            let criteria = self.resolved_at(tables, at, &query.criteria).await?;
            sides.push(Side { tables: Cow::Borrowed(tables), criteria });
        }
        let criteria = self.resolved_at(tables, at, &asked.criteria).await?;
        sides.push(Side { tables: Cow::Owned(tables.contained()), criteria });
        let both = Both {
            log: self.log,
            kinds: query.types.iter().map(|name| type_number(name)).collect(),
            sides,
            order: &order,
            at,
            returned: asked.returned,
            // One more tells whether there is another page.
            rows_max: query.count().saturating_add(1),
        };
        let total = match (token, query.total(), query.is_count_only()) {
            (Some(token), _, false) => token.total,
            (None, Total::None, false) => None,
            _ => Some(self.count_of_both(&both).await?),
        };
        if query.is_count_only() {
            return Ok(SearchPage::of_total(total.unwrap_or_default(), at));
        }
        let found = self.rows_of_both(&both, token.map(|token| &token.place)).await?;
        Ok(self.made(query, &order, (found, at), total))
    }

    /// The number of matches now. Where containers are shown, they are counted.
    async fn count_of_both(&self, both: &Both<'_>) -> Result<u64, ProjectionError> {
        let windows: Vec<Window<'_>> = both.sides.iter().map(|side| both.window(side, None)).collect();
        let (first, others) = windows.split_first().ok_or_else(|| self.unknown(&Tables::of(0)))?;
        let statement = Statement::count_all(first, others, both.returned == ContainedType::Container);
        let rows = self.ask(&statement).await?;
        let row = rows.first().ok_or_else(|| self.unknown(first.tables))?;
        Ok(u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0))
    }

    /// The rows of a page and one more. Each turn leaves at least one container behind.
    async fn rows_of_both(&self, both: &Both<'_>, after: Option<&Place>) -> Result<Found, ProjectionError> {
        let mut after = after.map(|place| both.behind(place));
        let mut all: Option<Found> = None;
        loop {
            let found = self.next_of_both(both, after.as_ref()).await?;
            let is_last = found.rows.len() < both.rows_max;
            after = found.rows.last().map(|row| both.behind(&row.place));
            let all = match &mut all {
                None => all.insert(Found { rows: Vec::new(), ..found.clone() }),
                Some(all) => {
                    all.incomplete |= found.incomplete;
                    all
                }
            };
            for row in found.rows {
                let is_same = |last: &Row| shelf::apart(last.place.seq).0 == shelf::apart(row.place.seq).0;
                if both.returned == ContainedType::Contained || !all.rows.last().is_some_and(is_same) {
                    all.rows.push(row);
                }
            }
            if is_last || all.rows.len() >= both.rows_max {
                return Ok(all.clone());
            }
        }
    }

    /// The next rows of all shelves, in one order.
    async fn next_of_both(&self, both: &Both<'_>, after: Option<&Place>) -> Result<Found, ProjectionError> {
        let mut all: Option<Found> = None;
        for side in &both.sides {
            let shelf = side.tables.shelf;
            let after = after.map(|place| both.place_on(shelf, place));
            let window = both.window(side, after.as_ref());
            let mut found = self.rows_as_of(&window, both.at).await?;
            if shelf == Shelf::Standing {
                found.rows.iter_mut().for_each(|row| row.place.seq = shelf::among_contained(row.place.seq));
            }
            match &mut all {
                None => all = Some(found),
                Some(all) => {
                    all.incomplete |= found.incomplete;
                    all.add(found, &window);
                }
            }
        }
        all.ok_or_else(|| self.unknown(&Tables::of(0)))
    }

    /// What is shown of a row whose place is one among the contained resources.
    pub(super) fn found_of_both(&self, row: Row, asked: &OfContained) -> Option<SearchMatch> {
        let (position, place) = shelf::apart(row.place.seq);
        // Those that stand for themselves have no place in another.
        let Some(place) = usize::try_from(place).ok()?.checked_sub(1) else {
            let resource_type = self.types.get(&row.kind)?;
            return Some(SearchMatch { position, resource_type, id: row.id, contained: None });
        };
        let Name { id, container_type, container_id } = Name::parse(&row.id)?;
        let contained =
            (asked.returned == ContainedType::Contained).then(|| ContainedMatch { id: id.to_owned(), place });
        Some(SearchMatch { position, resource_type: container_type, id: container_id.to_owned(), contained })
    }
}
