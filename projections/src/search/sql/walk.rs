//! Walks in SQL: resources in the order of the results, tested until the page is full.

use super::{Statement, Value, Window};
use crate::search::span::Family;
use crate::search::tables::Tables;

impl<'a> Statement<'a> {
    /// Walks along the log, over at most `tested_max` resources of each type. `without` leaves out resources that have a
    /// value of this family.
    pub(in crate::search) fn walk_log(window: &Window<'a>, without: Option<Family>, tested_max: i64) -> Self {
        let Tables { resource, .. } = window.tables;
        let mut statement = Self::over(window);
        let columns = statement.columns(window);
        let as_of = statement.as_of(window);
        let (log, kinds) = statement.log_and_kinds(window);
        let times = statement.times(window, &log);
        let tests = statement.tests(window.criteria, |_| false);
        let without = without.map_or(String::new(), |family| {
            let key = statement.bind(Value::Big(family.key));
            format!(" AND (m.spans @> ARRAY[{key}]) IS FALSE")
        });
        let direction = window.order.direction(window.order.newest_first);
        let beyond = if direction == "DESC" { "<" } else { ">" };
        let after = window.after.map_or(String::new(), |place| {
            let seq = statement.bind(Value::Big(place.seq));
            format!(" AND m.seq {beyond} {seq}")
        });
        let most = statement.bind(Value::Big(window.rows_max));
        let of_kind = format!("m.log = {log} AND m.kind = k.kind{after}{as_of}{times}");
        let order = format!("ORDER BY m.seq {direction} LIMIT");
        let tested = match tested_max {
            i64::MAX => format!("{resource} AS m WHERE {of_kind}"),
            tested_max => {
                let tested_max = statement.bind(Value::Big(tested_max));
                format!(
                    "(SELECT * FROM {resource} AS m WHERE {of_kind} {order} {tested_max}) AS m WHERE TRUE"
                )
            }
        };
        let rows = format!(
            "SELECT w.* FROM unnest({kinds}) AS k (kind) CROSS JOIN LATERAL (
                 SELECT {columns} FROM {tested}{without}{tests} {order} {most}) AS w
             ORDER BY w.seq {direction} LIMIT {most}"
        );
        statement.with_state(window, "", "0::int8", &rows);
        statement
    }

    /// Walks along a family of spans, over the resources that have one.
    pub(in crate::search) fn walk_family(window: &Window<'a>, family: Family) -> Self {
        let Tables { resource, span, .. } = window.tables;
        let mut statement = Self::over(window);
        let columns = statement.columns(window);
        let as_of = statement.as_of(window);
        let (log, kinds) = statement.log_and_kinds(window);
        let tests = statement.tests(window.criteria, |_| false);
        let key = statement.bind(Value::Big(family.key));
        let direction = window.order.direction(window.order.newest_first);
        let beyond = if direction == "DESC" { "<" } else { ">" };
        let after = window.after.and_then(|place| Some((place.keys.first()?.integer()?, place.seq)));
        let after = after.map_or(String::new(), |(low, seq)| {
            let (low, seq) = (statement.bind(Value::Big(low)), statement.bind(Value::Big(seq)));
            format!(" AND (s.low, s.seq) {beyond} ({low}, {seq})")
        });
        let most = statement.bind(Value::Big(window.rows_max));
        // A resource with several values stands in the family several times: the place that sorts it counts.
        let rows = format!(
            "SELECT m.* FROM (
                 SELECT s.low, s.seq FROM {span} AS s WHERE s.key = {key}{after}
                 ORDER BY s.low {direction}, s.seq {direction}) AS s
             CROSS JOIN LATERAL (
                 SELECT {columns} FROM {resource} AS m
                 WHERE m.log = {log} AND m.kind = ANY ({kinds}) AND m.seq = s.seq{as_of}{tests} LIMIT 1) AS m
             WHERE m.k0 = s.low ORDER BY s.low {direction}, s.seq {direction} LIMIT {most}"
        );
        statement.with_state(window, "", "0::int8", &rows);
        statement
    }
}
