//! Joins in SQL: by the tokens of references, see [`crate::search::target`].
//!
//! - **from the inside**: the keys of what the joined resources lead to, for a criterion of tokens. Right where the
//!   criteria leave few of them.
//! - **from the outside**: a test of each row that the search comes to. Right where they leave many.

use super::{Start, Statement, Value, Window};
use crate::search::atom::Join;
use crate::search::shelf::Shelf;
use crate::search::tables::Tables;
use crate::search::target::{OWN_MAX, TARGET_MIN, TURN};

impl<'a> Statement<'a> {
    /// The keys that the resources of a window lead to by a join, after at most `gathered_max` resources were gathered.
    /// One row: how many were gathered, and the keys.
    pub(in crate::search) fn inner_keys(
        window: &Window<'a>,
        start: Start<'_>,
        gathered_max: i64,
        join: &Join,
    ) -> Self {
        let mut statement = Self::over(window);
        let (with, count) = statement.gathered(window, start, gathered_max, "m.tokens");
        let keys = statement.keys_of(join, "g");
        statement.text = format!("WITH {with} SELECT (SELECT count(*) FROM {count}), ARRAY({keys})");
        statement
    }

    /// The keys that resources lead to which have been superseded after `window.as_of`.
    pub(in crate::search) fn inner_keys_superseded(window: &Window<'a>, join: &Join) -> Self {
        let Tables { superseded, .. } = window.tables;
        let mut statement = Self::over(window);
        let as_of = statement.as_of(window);
        let (log, kinds) = statement.log_and_kinds(window);
        let tests = statement.tests(window.criteria, |_| false);
        let until = statement.bind(Value::Big(window.as_of.unwrap_or(i64::MAX)));
        let keys = statement.keys_of(join, "g");
        statement.text = format!(
            "WITH g AS MATERIALIZED (SELECT m.tokens FROM {superseded} AS m
                 WHERE m.log = {log} AND m.until > {until} AND m.kind = ANY ({kinds}){as_of}{tests})
             SELECT (SELECT count(*) FROM g), ARRAY({keys})"
        );
        statement
    }

    /// The position that the index has reached.
    pub(in crate::search) fn reached(tables: &'a Tables, log: i16) -> Self {
        let mut statement = Self::of(tables);
        let checkpoint = statement.checkpoint(log);
        statement.text = format!("SELECT c.seq FROM {checkpoint}");
        statement
    }

    /// Of a chain the own keys of the rows; of a reverse one the own keys of what they refer to.
    fn keys_of(&mut self, join: &Join, rows: &str) -> String {
        if !join.reverse {
            return format!("SELECT DISTINCT t FROM {rows}, unnest({rows}.tokens) AS t WHERE t < {OWN_MAX}");
        }
        let refers = self.refers(join, &format!("{rows}.tokens"), "t");
        format!(
            "SELECT DISTINCT t # {TURN} FROM {rows}, unnest({rows}.tokens) AS t WHERE t >= {TARGET_MIN}{refers}"
        )
    }

    /// Whether a row refers to what has this own key, or is this target, by the join's parameters.
    fn refers(&mut self, join: &Join, tokens: &str, key: &str) -> String {
        let reference = &self.tables.reference;
        if join.parameters.is_empty() {
            return String::new();
        }
        let parameters = self.bind(Value::Bigs(join.parameters.clone()));
        format!(" AND {tokens} && ARRAY(SELECT {reference}({key}, p) FROM unnest({parameters}) AS p)")
    }

    /// Whether the row `m` has a joined resource. Inside, the joined one is `m`.
    pub(super) fn joined(&mut self, join: &Join) -> String {
        let Tables { reference, .. } = self.tables;
        let shelf = join.shelf.unwrap_or(Shelf::Standing);
        let joined = self.tables.on(shelf).resource;
        let (from, on) = if join.reverse {
            let on = match join.parameters.as_slice() {
                [] => format!("m.tokens @> ARRAY[o.own # {TURN}]"),
                [one] => {
                    let one = self.bind(Value::Big(*one));
                    format!("m.tokens @> ARRAY[{reference}(o.own, {one})]")
                }
                many => {
                    let many = self.bind(Value::Bigs(many.to_vec()));
                    format!("m.tokens && ARRAY(SELECT {reference}(o.own, p) FROM unnest({many}) AS p)")
                }
            };
            // A resource is referred to by its own key and by those of its canonical addresses.
            (format!("SELECT t AS own FROM unnest(m.tokens) AS t WHERE t < {OWN_MAX}"), on)
        } else {
            let refers = self.refers(join, "m.tokens", "t");
            let from = format!(
                "SELECT t # {TURN} AS own FROM unnest(m.tokens) AS t WHERE t >= {TARGET_MIN}{refers}"
            );
            (from, "m.tokens @> ARRAY[o.own]".to_owned())
        };
        let kinds = self.bind(Value::Integers(join.kinds.clone()));
        let as_of = join.as_of.map_or(String::new(), |position| {
            let position = self.bind(Value::Big(position));
            format!(" AND (m.seq <= {position}) IS TRUE")
        });
        let outside = std::mem::replace(&mut self.shelf, shelf);
        let tests = self.tests(&join.criteria, |_| false) + &self.tests(join.seen.on(shelf), |_| false);
        self.shelf = outside;
        format!(
            "EXISTS (SELECT FROM ({from}) AS o JOIN {joined} AS m ON {on}
                 WHERE (m.kind = ANY ({kinds})) IS TRUE{as_of}{tests})"
        )
    }
}
