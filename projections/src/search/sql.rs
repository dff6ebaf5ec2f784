//! Statements of searches: few shapes, so that they stay prepared, and each with one plan.
//!
//! - **gather**: what the index gives for the most telling criterion, up to a limit, tested against the others and
//!   sorted. Right where few resources match.
//! - **walk**: resources in the order of the results, tested until the page is full. Right where many match.
//! - **superseded**: resources that have changed since the first page, as they were then.
//!
//! A test that is written `(…) IS TRUE` is never taken for the start of an index scan.

mod condition;
mod join;
mod label;
mod walk;

use tokio_postgres::types::ToSql;

use super::atom::Criterion;
use super::page::{KeyValue, Place};
use super::query::{SortBy, SortKey, kinds_by_name};
use super::shelf::Shelf;
use super::span::Family;
use super::tables::{NAME, Tables};
pub(super) use label::{labels_of_row, unused};

/// The greatest text in the order of Postgres' collation "C": sorts resources without a text last.
const LAST_TEXT: &str = "\u{10ffff}";

/// A statement and the values of its parameters.
#[derive(Debug)]
pub(super) struct Statement<'a> {
    pub(super) tables: &'a Tables,
    /// Where the row `m` stands that is written of: a joined one may stand elsewhere.
    shelf: Shelf,
    pub(super) text: String,
    pub(super) values: Vec<Value>,
}

#[derive(Debug)]
pub(super) enum Value {
    Small(i16),
    Integer(i32),
    Integers(Vec<i32>),
    Big(i64),
    Bigs(Vec<i64>),
    Text(String),
    Texts(Vec<String>),
}

impl From<KeyValue> for Value {
    fn from(key: KeyValue) -> Self {
        match key {
            KeyValue::Integer(number) => Self::Big(number),
            KeyValue::Text(text) => Self::Text(text),
        }
    }
}

impl Value {
    pub(super) fn as_sql(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Small(value) => value,
            Self::Integer(value) => value,
            Self::Integers(values) => values,
            Self::Big(value) => value,
            Self::Bigs(values) => values,
            Self::Text(value) => value,
            Self::Texts(values) => values,
        }
    }

    fn cast(&self) -> &'static str {
        match self {
            Self::Small(_) => "int2",
            Self::Integer(_) => "int4",
            Self::Integers(_) => "int4[]",
            Self::Big(_) => "int8",
            Self::Bigs(_) => "int8[]",
            Self::Text(_) => "text",
            Self::Texts(_) => "text[]",
        }
    }
}

/// Which resources, in which order, from where, as of when.
#[derive(Debug, Clone)]
pub(super) struct Window<'a> {
    /// The version of the index that answers.
    pub(super) tables: &'a Tables,
    pub(super) log: i16,
    /// Type numbers.
    pub(super) kinds: &'a [i32],
    pub(super) criteria: &'a [Criterion],
    pub(super) order: &'a Order,
    /// Resources as they were at this position; `None` as they are.
    pub(super) as_of: Option<i64>,
    /// Only what comes after this place in the order.
    pub(super) after: Option<&'a Place>,
    pub(super) rows_max: i64,
}

/// The order of results, always total: what has the same keys is in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) keys: Vec<SortKey>,
    /// The log's order is the last key. True: newest first.
    pub(super) newest_first: bool,
    /// The order is read from its end: the page before a place.
    pub(super) backward: bool,
}

impl Order {
    pub(super) fn new(sort: &[SortKey], backward: bool) -> Self {
        let ends = sort.iter().position(|key| key.by == SortBy::Recorded);
        let keys: Vec<SortKey> = sort.iter().take(ends.unwrap_or(sort.len())).copied().collect();
        // Newest first where nothing is said.
        let last = ends.and_then(|at| sort.get(at)).or(keys.first());
        let newest_first = last.is_none_or(|key| key.descending);
        Self { keys, newest_first, backward }
    }

    /// The family that the table of spans holds in exactly this order.
    pub(super) fn walkable_family(&self) -> Option<Family> {
        match self.keys.as_slice() {
            [SortKey { by: SortBy::Span(family), descending }]
                if family.in_table && *descending == self.newest_first =>
            {
                Some(*family)
            }
            _ => None,
        }
    }

    /// Whether a place has what this order needs: a page token comes from a client, who may have changed it.
    pub(super) fn has_place(&self, place: &Place) -> bool {
        let fits = |(key, value): (&SortKey, &KeyValue)| match (key.by, value) {
            (SortBy::Id | SortBy::Text { .. }, KeyValue::Text(text)) => !text.contains('\0'),
            (SortBy::Recorded | SortBy::Type | SortBy::Span(_), KeyValue::Integer(_)) => true,
            _ => false,
        };
        self.keys.len() == place.keys.len() && self.keys.iter().zip(&place.keys).all(fits)
    }

    fn direction(&self, descending: bool) -> &'static str {
        if descending == self.backward { "ASC" } else { "DESC" }
    }

    /// `ORDER BY` over the columns of a row.
    pub(super) fn by_columns(&self) -> String {
        let keys =
            self.keys.iter().enumerate().map(|(at, key)| format!("k{at} {}", self.direction(key.descending)));
        let seq = format!("seq {}", self.direction(self.newest_first));
        keys.chain([seq]).collect::<Vec<_>>().join(", ")
    }
}

/// What a gathering starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Start<'a> {
    /// The token index, with all criteria that consist of tokens.
    Tokens,
    /// The texts of this criterion.
    Texts(&'a Criterion),
    /// The spans of this criterion.
    Spans(&'a Criterion),
    /// The resources of the types that were updated in the times that the criteria leave.
    Times,
    /// All resources of the types.
    Everything,
}

impl<'a> Statement<'a> {
    fn over(window: &Window<'a>) -> Self {
        Self::of(window.tables)
    }

    fn of(tables: &'a Tables) -> Self {
        Self { tables, shelf: tables.shelf, text: String::new(), values: Vec::new() }
    }

    pub(super) fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.values.iter().map(Value::as_sql).collect()
    }

    /// Adds a value and gives its place in the statement.
    fn bind(&mut self, value: Value) -> String {
        let cast = value.cast();
        self.values.push(value);
        format!("${}::{cast}", self.values.len())
    }

    /// Gathers at most `gathered_max` resources. Rows: see [`Self::with_state`].
    pub(super) fn gather(window: &Window<'a>, start: Start<'_>, gathered_max: i64) -> Self {
        let mut statement = Self::over(window);
        let columns = statement.columns(window);
        let (with, count) = statement.gathered(window, start, gathered_max, &columns);
        let after = statement.after(window);
        let (order, most) = (window.order.by_columns(), statement.bind(Value::Big(window.rows_max)));
        let rows = format!("SELECT * FROM g WHERE {after} ORDER BY {order} LIMIT {most}");
        statement.with_state(window, &with, &format!("(SELECT count(*) FROM {count})"), &rows);
        statement
    }

    /// The part of a statement that makes `g`, the resources that were gathered, and what is counted to know whether
    /// there are too many.
    fn gathered(
        &mut self,
        window: &Window<'a>,
        start: Start<'_>,
        gathered_max: i64,
        columns: &str,
    ) -> (String, &'static str) {
        let Tables { resource, .. } = window.tables;
        let as_of = self.as_of(window);
        let most = self.bind(Value::Big(gathered_max));
        match start {
            Start::Tokens => {
                let as_of = tested(&as_of);
                let indexed = self.indexed_tokens(window.criteria);
                let tests = self.tests(window.criteria, |criterion| criterion.is_indexed_token());
                let of_kinds = self.of_kinds(window);
                let with = format!(
                    "g AS MATERIALIZED (SELECT {columns} FROM {resource} AS m
                         WHERE {indexed}{of_kinds}{tests}{as_of} LIMIT {most})"
                );
                (with, "g")
            }
            Start::Times | Start::Everything => {
                let (log, kinds) = self.log_and_kinds(window);
                let times = self.times(window, &log);
                let tests = self.tests(window.criteria, |_| false);
                let with = format!(
                    "g AS MATERIALIZED (SELECT w.* FROM unnest({kinds}) AS k (kind) CROSS JOIN LATERAL (
                         SELECT {columns} FROM {resource} AS m
                         WHERE m.log = {log} AND m.kind = k.kind{times}{as_of}{tests} LIMIT {most}) AS w LIMIT {most})"
                );
                (with, "g")
            }
            Start::Texts(criterion) | Start::Spans(criterion) => {
                let found = self.candidates(criterion);
                let (log, kinds) = self.log_and_kinds(window);
                // Texts that begin so are found exactly; to ask again would read all other texts of each resource. The
                // table of spans has less of a resource than its row.
                let is_exact = matches!(start, Start::Texts(_));
                let answered = |one: &Criterion| is_exact && std::ptr::eq(one, criterion);
                let tests = self.tests(window.criteria, answered);
                let with = format!(
                    "f AS MATERIALIZED ({found} LIMIT {most}),
                     d AS MATERIALIZED (SELECT DISTINCT seq FROM f WHERE (SELECT count(*) FROM f) < {most}),
                     g AS MATERIALIZED (SELECT {columns} FROM d JOIN {resource} AS m
                         ON m.log = {log} AND m.kind = ANY ({kinds}) AND m.seq = d.seq WHERE TRUE{tests}{as_of})"
                );
                (with, "f")
            }
        }
    }

    /// Resources that have been superseded after `window.as_of`.
    pub(super) fn superseded(window: &Window<'a>) -> Self {
        let Tables { superseded, .. } = window.tables;
        let mut statement = Self::over(window);
        let columns = statement.columns(window);
        let as_of = statement.as_of(window);
        let (log, kinds) = statement.log_and_kinds(window);
        let tests = statement.tests(window.criteria, |_| false);
        let until = statement.bind(Value::Big(window.as_of.unwrap_or(i64::MAX)));
        let after = statement.after(window);
        let (order, most) = (window.order.by_columns(), statement.bind(Value::Big(window.rows_max)));
        let rows = format!(
            "SELECT * FROM (
                 SELECT {columns} FROM {superseded} AS m
                 WHERE m.log = {log} AND m.until > {until} AND m.kind = ANY ({kinds}){as_of}{tests}) AS g
             WHERE {after} ORDER BY {order} LIMIT {most}"
        );
        statement.with_state(window, "", "0::int8", &rows);
        statement
    }

    /// Counts the resources, at most `counted_max`. One row: the count, and the position that it is of.
    pub(super) fn count(window: &Window<'a>, counted_max: Option<i64>) -> Self {
        let mut statement = Self::over(window);
        let from = statement.counted(window);
        let count = match counted_max {
            None => format!("SELECT count(*) {from}"),
            Some(most) => {
                let most = statement.bind(Value::Big(most));
                format!("SELECT count(*) FROM (SELECT 1 {from} LIMIT {most}) AS g")
            }
        };
        let checkpoint = statement.checkpoint(window.log);
        statement.text = format!("SELECT ({count}), c.seq FROM {checkpoint}");
        statement
    }

    /// Counts the resources of several windows; where `by_position`, what came with the same position counts once. One
    /// row: the count.
    pub(super) fn count_all(first: &Window<'a>, others: &[Window<'a>], by_position: bool) -> Self {
        let mut statement = Self::over(first);
        let mut all = Vec::with_capacity(1 + others.len());
        for window in [first].into_iter().chain(others) {
            (statement.tables, statement.shelf) = (window.tables, window.tables.shelf);
            let seq = if by_position { window.tables.shelf.position("m.seq") } else { "m.seq".to_owned() };
            all.push(format!("SELECT {seq} AS seq {}", statement.counted(window)));
        }
        let (distinct, all) = (if by_position { "DISTINCT " } else { "" }, all.join(" UNION ALL "));
        statement.text = format!("SELECT count({distinct}g.seq) FROM ({all}) AS g");
        statement
    }

    /// The resources that are counted, for Postgres' guess of how many they are.
    pub(super) fn uncounted(window: &Window<'a>) -> Self {
        let mut statement = Self::over(window);
        let from = statement.counted(window);
        statement.text = format!("SELECT 1 {from}");
        statement
    }

    fn counted(&mut self, window: &Window<'a>) -> String {
        let Tables { resource, .. } = window.tables;
        let condition = if window.criteria.iter().any(Criterion::is_indexed_token) {
            let indexed = self.indexed_tokens(window.criteria);
            let of_kinds = self.of_kinds(window);
            indexed + &of_kinds + &self.tests(window.criteria, |criterion| criterion.is_indexed_token())
        } else {
            let (log, kinds) = self.log_and_kinds(window);
            let tests = self.tests(window.criteria, |_| false);
            format!("m.log = {log} AND m.kind = ANY ({kinds}){tests}")
        };
        format!("FROM {resource} AS m WHERE {condition}")
    }

    /// The whole statement. Rows: the position reached, where superseded rows are kept from, how many were gathered,
    /// and then kind, seq, id and sort keys of a resource; one row without a resource where there is none.
    fn with_state(&mut self, window: &Window<'a>, with: &str, gathered: &str, rows: &str) {
        let checkpoint = self.checkpoint(window.log);
        let with = if with.is_empty() { String::new() } else { format!("WITH {with} ") };
        self.text = format!(
            "{with}SELECT c.seq AS reached, c.kept_from, {gathered} AS gathered, p.*
             FROM (SELECT * FROM {checkpoint}) AS c LEFT JOIN ({rows}) AS p ON TRUE"
        );
    }

    fn checkpoint(&mut self, log: i16) -> String {
        let (name, version, log) = (
            self.bind(Value::Text(NAME.to_owned())),
            self.bind(Value::Integer(self.tables.version)),
            self.bind(Value::Small(log)),
        );
        format!(
            "anamnesis.projection_checkpoint AS c WHERE c.name = {name} AND c.version = {version} AND c.log = {log}"
        )
    }

    fn log_and_kinds(&mut self, window: &Window<'a>) -> (String, String) {
        (self.bind(Value::Small(window.log)), self.bind(Value::Integers(window.kinds.to_vec())))
    }

    /// That a row is of a type that is searched, where tokens alone do not say so: those of resources themselves do not.
    fn of_kinds(&mut self, window: &Window<'a>) -> String {
        format!(" AND (m.kind = ANY ({})) IS TRUE", self.bind(Value::Integers(window.kinds.to_vec())))
    }

    fn as_of(&mut self, window: &Window<'a>) -> String {
        window.as_of.map_or(String::new(), |position| {
            let position = self.bind(Value::Big(position));
            format!(" AND m.seq <= {position}")
        })
    }

    /// The part of the log in which the criteria's times lie: along the log times only grow, so that the ends are
    /// found by halving. Over a row whose type is `k.kind`.
    fn times(&mut self, window: &Window<'a>, log: &str) -> String {
        let Tables { first_since, .. } = self.tables;
        let hulls = window.criteria.iter().filter_map(Criterion::times);
        let Some((low, high)) = hulls.reduce(|one, other| (one.0.max(other.0), one.1.min(other.1))) else {
            return String::new();
        };
        let mut bounds = String::new();
        if low != i64::MIN {
            let low = self.bind(Value::Big(low));
            bounds += &format!(" AND m.seq >= {first_since}({log}, k.kind, {low})");
        }
        if high != i64::MAX {
            let beyond = self.bind(Value::Big(high.saturating_add(1)));
            bounds += &format!(" AND m.seq < {first_since}({log}, k.kind, {beyond})");
        }
        bounds
    }

    /// kind, seq, id, k0, k1 …
    fn columns(&mut self, window: &Window<'a>) -> String {
        let mut columns = "m.kind, m.seq, m.id".to_owned();
        for (at, key) in window.order.keys.iter().enumerate() {
            columns += &format!(", {} AS k{at}", self.sort_key(key, window.log));
        }
        columns
    }

    /// The value by which a resource is sorted; without one it comes last, whichever way the order goes.
    fn sort_key(&mut self, key: &SortKey, log: i16) -> String {
        let Tables { text, .. } = self.tables;
        match (key.by, key.descending) {
            (SortBy::Recorded, _) => "m.seq".to_owned(),
            (SortBy::Id, _) => "m.id".to_owned(),
            (SortBy::Type, _) => {
                let kinds = self.bind(Value::Integers(kinds_by_name()));
                format!("array_position({kinds}, m.kind)::int8")
            }
            (SortBy::Span(family), false) => {
                let first = self.bind(Value::Big(family.key));
                let last = self.bind(Value::Big(i64::MAX));
                format!("coalesce(m.spans[array_position(m.spans, {first}) + 1], {last})")
            }
            (SortBy::Span(family), true) => {
                let first = self.bind(Value::Big(family.key));
                let latest = self.bind(Value::Big(super::key::last_of(family.key)));
                let last = self.bind(Value::Big(i64::MIN));
                format!(
                    "coalesce(m.spans[array_position(m.spans, {latest}) + 1],
                         m.spans[array_position(m.spans, {first}) + 1], {last})"
                )
            }
            (SortBy::Text { family }, descending) => {
                let (function, last) = if descending { ("max", "") } else { ("min", LAST_TEXT) };
                let (log, family) = (self.bind(Value::Small(log)), self.bind(Value::Big(family)));
                let last = self.bind(Value::Text(last.to_owned()));
                format!(
                    "coalesce((SELECT {function}(t.text) FROM {text} AS t
                         WHERE t.log = {log} AND t.seq = m.seq AND t.key = {family}), {last})"
                )
            }
        }
    }

    /// What comes after the window's place, over the columns of a row.
    fn after(&mut self, window: &Window<'a>) -> String {
        let Some(place) = window.after else { return "TRUE".to_owned() };
        let order = window.order;
        let beyond = |descending: bool| if order.direction(descending) == "DESC" { "<" } else { ">" };
        let seq = self.bind(Value::Big(place.seq));
        let mut condition = format!("seq {} {seq}", beyond(order.newest_first));
        for (at, (key, value)) in order.keys.iter().zip(&place.keys).enumerate().rev() {
            let value = self.bind(value.clone().into());
            let beyond = beyond(key.descending);
            condition = format!("(k{at} {beyond} {value} OR (k{at} = {value} AND {condition}))");
        }
        condition
    }
}

/// A condition that no index scan is made for. Where it could be, Postgres would read the primary key from one end to the
/// other to leave out what hardly any of the rows are that another index has found.
fn tested(condition: &str) -> String {
    condition.strip_prefix(" AND ").map_or(String::new(), |condition| format!(" AND ({condition}) IS TRUE"))
}
