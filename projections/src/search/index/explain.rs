//! What the database does for a search: its statements, with the plans that they were carried out by.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_postgres::types::{FromSql, Type};

use super::SearchIndex;
use crate::ProjectionError;
use crate::search::sql::Statement;

/// Statements of one search that are explained: a search has some four.
const EXPLAINED_MAX: usize = 32;

/// One statement, and how it was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The statement. Its values are parameters, and not in it.
    pub statement: String,
    /// What `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)` said: a list of one plan. Conditions of plans hold values of the
    /// query, which may be health data.
    pub plan: serde_json::Value,
}

/// Collects what the searches of an index are explained by.
#[derive(Debug, Clone, Default)]
pub struct Explanations(Arc<Mutex<Vec<Explained>>>);

impl Explanations {
    /// What has come since the last time, in its order.
    #[must_use]
    pub fn take(&self) -> Vec<Explained> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SearchIndex {
    /// The same index, and what the database did for its searches. Each statement is carried out twice: to be explained,
    /// and to be answered.
    #[must_use]
    pub fn explaining(&self) -> (Self, Explanations) {
        let explanations = Explanations::default();
        (Self { explanations: Some(explanations.clone()), ..self.clone() }, explanations)
    }

    /// Explains a statement, where that is wanted.
    pub(super) async fn explain(
        &self,
        client: &tokio_postgres::Client,
        statement: &Statement<'_>,
    ) -> Result<(), ProjectionError> {
        let Some(Explanations(explanations)) = &self.explanations else { return Ok(()) };
        let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {}", statement.text);
        let row = client.query_one(&explain, &statement.values()).await?;
        let Json(plan) = row.try_get(0)?;
        let mut explanations = explanations.lock().unwrap_or_else(PoisonError::into_inner);
        if explanations.len() < EXPLAINED_MAX {
            explanations.push(Explained { statement: statement.text.clone(), plan });
        }
        Ok(())
    }
}

/// A value of type `json`.
struct Json(serde_json::Value);

impl<'a> FromSql<'a> for Json {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(serde_json::from_slice(raw)?))
    }

    fn accepts(found: &Type) -> bool {
        *found == Type::JSON
    }
}
