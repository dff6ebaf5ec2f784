//! What a search asks the database, for operators: every statement, what it took, and Postgres' plan of it.
//!
//! The statements are noted while the search runs, by the task that runs it; other searches are not slowed down. Values
//! are health data: they are left out unless asked for, also where a plan repeats them, and no log is told any.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::Client;
use serde_json::Value as Json;
use tokio::time::Instant;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{Row, SimpleQueryMessage};

use super::SearchIndex;
use crate::ProjectionError;
use crate::search::sql::{Statement, Value};

/// Statements that are noted of one search: a query with the most joins comes to fewer.
const STATEMENTS_MAX: usize = 256;
/// Of a plan what never holds a value: names of nodes, tables and indexes.
const NAMES: [&str; 14] = [
    "Node Type",
    "Parent Relationship",
    "Subplan Name",
    "Join Type",
    "Strategy",
    "Partial Mode",
    "Relation Name",
    "Schema",
    "Alias",
    "CTE Name",
    "Function Name",
    "Index Name",
    "Scan Direction",
    "Sort Method",
];

/// What is told of the statements of a search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExplainOptions {
    /// Every statement is run a second time, for what its plan really took (`EXPLAIN (ANALYZE, BUFFERS)`), and planned for
    /// its values. Otherwise the plan is the one that searches have, which is the same for all values.
    pub analyze: bool,
    /// The values as well. They may tell about patients.
    pub values: bool,
}

/// A statement that a search ran.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The statement. Values have places in it, and none stands there itself.
    pub text: String,
    /// How many values were bound.
    pub bound: usize,
    /// The values, where they were asked for.
    pub values: Option<Vec<Json>>,
    /// The rows that it gave.
    pub rows: usize,
    /// From sending it to its last row.
    pub took: Duration,
    /// Postgres' plan as Postgres tells it; constants are left out unless values were asked for.
    pub plan: Json,
}

/// The statements of a search in the order in which they ran.
#[derive(Debug, Default)]
pub struct Explained {
    /// The first 256 of them.
    pub statements: Vec<Ran>,
    /// How many more there were.
    pub left_out: usize,
}

struct Recorder {
    options: ExplainOptions,
    noted: Mutex<Explained>,
}

tokio::task_local! {
    static RECORDER: Arc<Recorder>;
}

/// Runs what searches, and notes the statements of all searches in it.
pub async fn explained<W: Future>(options: ExplainOptions, work: W) -> (W::Output, Explained) {
    let recorder = Arc::new(Recorder { options, noted: Mutex::default() });
    let output = RECORDER.scope(recorder.clone(), work).await;
    let mut noted = recorder.noted.lock().unwrap_or_else(PoisonError::into_inner);
    (output, std::mem::take(&mut noted))
}

impl SearchIndex {
    /// The rows of a statement.
    pub(super) async fn ask(&self, statement: &Statement<'_>) -> Result<Vec<Row>, ProjectionError> {
        let client = self.database.get().await?;
        let prepared = client.prepare_cached(&statement.text).await?;
        let started = Instant::now();
        let rows = client.query(&prepared, &statement.values()).await?;
        if let Ok(recorder) = RECORDER.try_with(Arc::clone) {
            recorder.note(&client, statement, (rows.len(), started.elapsed())).await?;
        }
        Ok(rows)
    }
}

impl Recorder {
    async fn note(
        &self,
        client: &Client,
        statement: &Statement<'_>,
        (rows, took): (usize, Duration),
    ) -> Result<(), ProjectionError> {
        let is_full = self.with(|noted| {
            let is_full = noted.statements.len() >= STATEMENTS_MAX;
            noted.left_out += usize::from(is_full);
            is_full
        });
        if is_full {
            return Ok(());
        }
        let mut plan = match self.options.analyze {
            true => plan(client, statement, "ANALYZE, BUFFERS, FORMAT JSON").await?,
            false => planned(client, statement).await?,
        };
        if !self.options.values {
            without_constants(&mut plan);
        }
        let values = self.options.values.then(|| statement.values.iter().map(json).collect());
        let (text, bound) = (statement.text.clone(), statement.values.len());
        self.with(|noted| noted.statements.push(Ran { text, bound, values, rows, took, plan }));
        Ok(())
    }

    fn with<T>(&self, change: impl FnOnce(&mut Explained) -> T) -> T {
        change(&mut self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The plan for whatever values, which searches use: see `plan_cache_mode` of [`crate::Database`].
async fn planned(client: &Client, statement: &Statement<'_>) -> Result<Json, ProjectionError> {
    let messages =
        client.simple_query(&format!("EXPLAIN (GENERIC_PLAN, FORMAT JSON) {}", statement.text)).await?;
    let text = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(parsed(text.unwrap_or_default()))
}

/// The plan for the values of the statement.
pub(super) async fn plan(
    client: &Client,
    statement: &Statement<'_>,
    options: &str,
) -> Result<Json, ProjectionError> {
    let text = format!("EXPLAIN ({options}) {}", statement.text);
    let row = client.query_one(&text, &statement.values()).await?;
    Ok(parsed(&row.try_get::<_, JsonText>(0)?.0))
}

fn parsed(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_default()
}

/// A column of Postgres' type `json`, which is sent as the text that it is.
struct JsonText(String);

impl<'a> FromSql<'a> for JsonText {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(std::str::from_utf8(raw)?.to_owned()))
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::JSON
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Small(value) => (*value).into(),
        Value::Integer(value) => (*value).into(),
        Value::Integers(values) => values.clone().into(),
        Value::Big(value) => (*value).into(),
        Value::Bigs(values) => values.clone().into(),
        Value::Text(value) => value.clone().into(),
        Value::Texts(values) => values.clone().into(),
    }
}

/// Takes the constants out of the conditions of a plan. Its depth is that of a statement of ours.
fn without_constants(plan: &mut Json) {
    match plan {
        Json::Array(all) => all.iter_mut().for_each(without_constants),
        Json::Object(node) => {
            let others = node.iter_mut().filter(|(name, _)| !NAMES.contains(&name.as_str()));
            others.for_each(|(_, value)| without_constants(value));
        }
        Json::String(text) => *text = masked(text),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// An expression without its literals: `(m.id = 'x'::text)` becomes `(m.id = '…'::text)`, and `(kind > 5)`, `(kind > …)`.
fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut is_in_word = false;
    while let Some(character) = characters.next() {
        match character {
            '\'' => {
                // A quote in a literal is doubled: two literals beside each other are masked as one.
                while characters.by_ref().any(|character| character == '\'')
                    && characters.next_if_eq(&'\'').is_some()
                {}
                masked.push_str("'…'");
                is_in_word = false;
            }
            digit if digit.is_ascii_digit() && !is_in_word => {
                while characters.next_if(|next| next.is_ascii_alphanumeric() || *next == '.').is_some() {}
                masked.push('…');
            }
            other => {
                masked.push(other);
                is_in_word = other.is_alphanumeric() || matches!(other, '_' | '$');
            }
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_are_masked_and_names_are_not() {
        for (shown, expected) in [
            ("(m.id = 'O''Neil'::text)", "(m.id = '…'::text)"),
            ("((log = '1'::smallint) AND (kind > -5))", "((log = '…'::smallint) AND (kind > -…))"),
            ("(search_1.k0 = $3 AND x < 1.5e3)", "(search_1.k0 = $3 AND x < …)"),
            ("(t.text ~~ '%a''", "(t.text ~~ '…'"),
            ("(a = ANY ('{1,2}'::bigint[]))", "(a = ANY ('…'::bigint[]))"),
        ] {
            assert_eq!(masked(shown), expected);
        }
        let mut plan = serde_json::json!([{"Plan": {"Subplan Name": "InitPlan 1", "Filter": "(x = 7)",
            "Plan Rows": 3, "Output": ["'Smith'::text"]}}]);
        without_constants(&mut plan);
        let expected = serde_json::json!([{"Plan": {"Subplan Name": "InitPlan 1", "Filter": "(x = …)",
            "Plan Rows": 3, "Output": ["'…'::text"]}}]);
        assert_eq!(plan, expected);
    }
}
