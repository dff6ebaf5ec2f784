//! Labels in SQL: see [`crate::search::label`].

use super::{Statement, Value};
use crate::search::label::{LABEL_MIN, LabelsAtom};
use crate::search::tables::Tables;
use crate::search::target::TARGET_MIN;

impl<'a> Statement<'a> {
    /// The tokens of labels that are asked for, at most so many. One row: an array.
    pub(in crate::search) fn labels(tables: &'a Tables, asked: &[&LabelsAtom], most: i64) -> Self {
        let mut statement = Self::of(tables);
        let words = statement.words(asked);
        let most = statement.bind(Value::Big(most));
        statement.text = format!("SELECT ARRAY(SELECT DISTINCT w.token FROM {words} LIMIT {most})");
        statement
    }

    /// Whether the row `m` has one of the labels, by its tokens.
    pub(super) fn has_label(&mut self, asked: &[&LabelsAtom]) -> String {
        let table = &self.tables.label_word;
        let asked = self.beginnings(asked);
        format!(
            "EXISTS (SELECT FROM unnest(m.tokens) AS t JOIN {table} AS w ON w.token = t
                 JOIN {asked} ON w.key = b.key AND w.text >= b.low AND w.text < b.high
                 WHERE t >= {LABEL_MIN} AND t < {TARGET_MIN})"
        )
    }

    fn words(&mut self, asked: &[&LabelsAtom]) -> String {
        let table = &self.tables.label_word;
        let asked = self.beginnings(asked);
        format!("{asked} JOIN {table} AS w ON w.key = b.key AND w.text >= b.low AND w.text < b.high")
    }

    fn beginnings(&mut self, asked: &[&LabelsAtom]) -> String {
        let keys = self.bind(Value::Bigs(asked.iter().map(|one| one.key).collect()));
        let low = self.bind(Value::Texts(asked.iter().map(|one| one.text.clone()).collect()));
        let high = self.bind(Value::Texts(asked.iter().map(|one| one.beyond()).collect()));
        format!("unnest({keys}, {low}, {high}) AS b (key, low, high)")
    }
}

/// The labels of the row `m`, an array of key and text with a space between, in order.
pub(in crate::search) fn labels_of_row(tables: &Tables) -> String {
    let table = &tables.label;
    format!(
        "ARRAY(SELECT l.key || ' ' || l.text FROM unnest(m.tokens) AS t JOIN {table} AS l ON l.token = t
             WHERE t >= {LABEL_MIN} AND t < {TARGET_MIN} ORDER BY l.key, l.text)"
    )
}

/// A part of a `WITH`: takes the rows of `gone` off the labels of their `tokens`. Where a label has none left, its token is in
/// `unused` with 0 `uses`.
pub(in crate::search) fn unused(tables: &Tables, gone: &str) -> String {
    let table = &tables.label;
    format!(
        "unused AS (
             UPDATE {table} AS l SET uses = l.uses - u.rows FROM (
                 SELECT t AS token, count(*) AS rows FROM {gone} AS g, unnest(g.tokens) AS t
                 WHERE t >= {LABEL_MIN} AND t < {TARGET_MIN} GROUP BY t) AS u
             WHERE l.token = u.token RETURNING l.token, l.uses)"
    )
}
