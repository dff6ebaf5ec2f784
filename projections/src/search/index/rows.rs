//! Rows of a search statement, and the joining of those that are there with those that were.

use std::cmp::Ordering;
use std::collections::HashSet;

use anamnesis_events::Position;

use crate::search::page::{KeyValue, Place};
use crate::search::query::SortBy;
use crate::search::sql::{Order, Window};

/// A resource that was found.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) kind: i32,
    pub(super) id: String,
    pub(super) place: Place,
}

/// What a statement gave.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// The position that the index has reached.
    pub(super) reached: Position,
    /// Superseded rows are kept for page tokens from here on.
    pub(super) kept_from: i64,
    /// Resources that were gathered before the page was cut.
    pub(super) gathered: i64,
    pub(super) rows: Vec<Row>,
    /// Superseded rows are missing.
    pub(super) incomplete: bool,
}

impl Found {
    /// `None` where the checkpoint is missing: the projection does not exist.
    pub(super) fn read(
        rows: &[tokio_postgres::Row],
        order: &Order,
    ) -> Result<Option<Self>, tokio_postgres::Error> {
        let Some(first) = rows.first() else { return Ok(None) };
        let reached: i64 = first.try_get(0)?;
        let mut found = Self {
            reached: Position::new(u64::try_from(reached).unwrap_or(0)),
            kept_from: first.try_get(1)?,
            gathered: first.try_get(2)?,
            rows: Vec::with_capacity(rows.len()),
            incomplete: false,
        };
        for row in rows {
            let Some(kind) = row.try_get(3)? else { continue };
            let seq: i64 = row.try_get(4)?;
            let id: String = row.try_get(5)?;
            let mut keys = Vec::with_capacity(order.keys.len());
            for (at, key) in order.keys.iter().enumerate() {
                keys.push(match key.by {
                    SortBy::Id | SortBy::Text { .. } => KeyValue::Text(row.try_get(6 + at)?),
                    SortBy::Recorded | SortBy::Type | SortBy::Span(_) => {
                        KeyValue::Integer(row.try_get(6 + at)?)
                    }
                });
            }
            found.rows.push(Row { kind, id, place: Place { keys, seq } });
        }
        Ok(Some(found))
    }

    /// Joins the rows of another statement over the same window. A row that has moved between the two statements is
    /// in both, and stays there once.
    pub(super) fn add(&mut self, other: Self, window: &Window<'_>) {
        self.kept_from = self.kept_from.max(other.kept_from);
        if other.rows.is_empty() {
            return;
        }
        let known: HashSet<i64> = self.rows.iter().map(|row| row.place.seq).collect();
        self.rows.extend(other.rows.into_iter().filter(|row| !known.contains(&row.place.seq)));
        self.rows.sort_by(|one, other| compare(&one.place, &other.place, window.order));
        self.rows.truncate(usize::try_from(window.rows_max).unwrap_or(usize::MAX));
    }
}

/// The order of Postgres: texts by their bytes.
fn compare(one: &Place, other: &Place, order: &Order) -> Ordering {
    let directed = |ordering: Ordering, descending: bool| {
        if descending == order.backward { ordering } else { ordering.reverse() }
    };
    let keys = one.keys.iter().zip(&other.keys).zip(&order.keys);
    let by_keys = keys.map(|((one, other), key)| directed(one.cmp(other), key.descending));
    let by_seq = directed(one.seq.cmp(&other.seq), order.newest_first);
    by_keys.fold(Ordering::Equal, Ordering::then).then(by_seq)
}
