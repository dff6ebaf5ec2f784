//! How many resources match: counted, or estimated where they are many.

use anamnesis_events::Position;

use super::{SearchIndex, explain};
use crate::ProjectionError;
use crate::search::sql::{Statement, Window};

impl SearchIndex {
    /// The number of matches, at most `counted_max`, and the position that it is of.
    pub(super) async fn count(
        &self,
        window: &Window<'_>,
        counted_max: Option<i64>,
    ) -> Result<(u64, Position), ProjectionError> {
        let rows = self.ask(&Statement::count(window, counted_max)).await?;
        let row = rows.first().ok_or_else(|| self.unknown(window.tables))?;
        let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok((unsigned(row.try_get(0)?), Position::new(unsigned(row.try_get(1)?))))
    }

    /// The number of matches where they are few; else what Postgres expects by its statistics, which is more than were
    /// counted in any case.
    pub(super) async fn estimate(&self, window: &Window<'_>) -> Result<(u64, Position), ProjectionError> {
        let exact_max = self.limits.counted_max;
        let (counted, reached) = self.count(window, Some(exact_max.saturating_add(1))).await?;
        if counted <= u64::try_from(exact_max).unwrap_or(0) {
            return Ok((counted, reached));
        }
        let client = self.database.get().await?;
        let plan = explain::plan(&client, &Statement::uncounted(window), "FORMAT JSON").await?;
        let expected = plan.pointer("/0/Plan/Plan Rows").and_then(serde_json::Value::as_u64);
        Ok((counted.max(expected.unwrap_or(0)), reached))
    }
}
