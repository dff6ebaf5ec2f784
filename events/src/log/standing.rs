//! Where resources stand or stood, for checks of what is derived from the log.

use uuid::Uuid;

use super::Log;
use crate::{LogError, Position, ResourceKey};

/// Heads in one page.
const PAGE_HEADS: i64 = 2000;

/// A place among the heads: where the next page goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadsPlace(Uuid);

impl Log {
    /// A page of the positions at which living resources stand, in no useful order, and where the next one goes on;
    /// `None` there when this was the last one. A resource that is written between two pages is in one of them, at its
    /// old or its new position.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn living(
        &self,
        after: Option<HeadsPlace>,
    ) -> Result<(Vec<Position>, Option<HeadsPlace>), LogError> {
        let statement = format!(
            "SELECT key, seq, deleted FROM anamnesis.head WHERE log = $1 AND key > $2 ORDER BY key LIMIT {PAGE_HEADS}"
        );
        let after = after.map_or(Uuid::nil(), |place| place.0);
        let rows = self.query(&statement, &[&self.inner.number, &after]).await?;
        let mut living = Vec::with_capacity(rows.len());
        let mut last = None;
        for row in &rows {
            last = Some(HeadsPlace(row.try_get(0)?));
            if !row.try_get::<_, bool>(2)? {
                living.push(Position::from_sql(row.try_get(1)?));
            }
        }
        Ok((living, last))
    }

    /// Whether the event at `position` was its resource's newest when the log stood at `until`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn was_current(
        &self,
        key: &ResourceKey,
        position: Position,
        until: Position,
    ) -> Result<bool, LogError> {
        let statement = "SELECT anamnesis.is_current_at($1, $2, $3, $4, $5)";
        let resource_type: &str = &key.resource_type;
        let rows = self
            .query(
                statement,
                &[&self.inner.number, &resource_type, &key.id, &position.to_sql(), &until.to_sql()],
            )
            .await?;
        rows.first().map_or(Ok(false), |row| Ok(row.try_get(0)?))
    }
}
