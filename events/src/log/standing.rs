//! Where resources stand or stood, for checks of what is derived from the log.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Log;
use super::decide::resource_key;
use super::read::check_limit;
use crate::{LogError, Position, ResourceKey, Version};

/// Heads in one page.
const PAGE_HEADS: i64 = 2000;

/// A place among the heads: where the next page goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadsPlace(Uuid);

/// Where the head of a resource stands, whether or not there is such an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    /// The position that it names.
    pub position: Position,
    /// The version that it names.
    pub version: Version,
}

impl Log {
    /// Where the heads of the resources stand, in the order of `keys`; `None` for one that has no head. Other than
    /// [`Log::heads`] it believes them without looking at the events.
    ///
    /// # Errors
    /// When the database cannot be read, or more than [`crate::READ_EVENTS_MAX`] are asked for.
    pub async fn stands(&self, keys: &[ResourceKey]) -> Result<Vec<Option<Stand>>, LogError> {
        check_limit(keys.len())?;
        let wanted: Vec<Uuid> = keys.iter().map(resource_key).collect();
        let statement = "SELECT key, seq, version FROM anamnesis.head WHERE log = $1 AND key = ANY ($2)";
        let mut found = HashMap::new();
        for row in self.query(statement, &[&self.inner.number, &wanted]).await? {
            let (key, seq): (Uuid, i64) = (row.try_get(0)?, row.try_get(1)?);
            let version = Version::from_sql(row.try_get(2)?);
            found.insert(key, Stand { position: Position::from_sql(seq), version });
        }
        Ok(wanted.iter().map(|key| found.get(key).copied()).collect())
    }

    /// What the time is, as the database has it.
    pub(crate) async fn database_time(&self) -> Result<DateTime<Utc>, LogError> {
        let rows = self.query("SELECT now()", &[]).await?;
        rows.first().map_or(Ok(DateTime::UNIX_EPOCH), |row| Ok(row.try_get(0)?))
    }

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

    /// Those of the events that were their resource's newest when the log stood at a position: each is asked for by its
    /// resource, its own position and the one of the log.
    ///
    /// # Errors
    /// When the database cannot be read, or more than [`crate::READ_EVENTS_MAX`] are asked for.
    pub async fn were_current(
        &self,
        asked: &[(&ResourceKey, Position, Position)],
    ) -> Result<Vec<Position>, LogError> {
        check_limit(asked.len())?;
        let types: Vec<&str> = asked.iter().map(|(key, ..)| &*key.resource_type).collect();
        let ids: Vec<&str> = asked.iter().map(|(key, ..)| key.id.as_str()).collect();
        let positions: Vec<i64> = asked.iter().map(|(_, position, _)| position.to_sql()).collect();
        let until: Vec<i64> = asked.iter().map(|(.., until)| until.to_sql()).collect();
        let statement = "SELECT w.seq FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[])
                AS w (resource_type, id, seq, until)
            WHERE anamnesis.is_current_at($1, w.resource_type, w.id, w.seq, w.until)";
        let rows = self.query(statement, &[&self.inner.number, &types, &ids, &positions, &until]).await?;
        rows.iter().map(|row| Ok(Position::from_sql(row.try_get(0)?))).collect()
    }
}
