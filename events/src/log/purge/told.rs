//! What a purge has done and what it has left, as the log has it: the same whenever it is asked.

use chrono::{DateTime, Utc};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::{NAMED_MAX, PurgeRequest};
use crate::log::Log;
use crate::log::decide::compartment_key;
use crate::{LogError, Position, ResourceKey};

/// What the last purge of a compartment has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgeReport {
    /// Whether there was nothing left to be purged when it was asked for.
    pub was_done: bool,
    /// The position at which the purge began; `None` where the compartment was never purged as a whole.
    pub begun: Option<Position>,
    /// The position at which it ended.
    pub ended: Option<Position>,
    /// When that was recorded.
    pub ended_at: Option<DateTime<Utc>>,
    /// Resources of the compartment of which bodies were taken away.
    pub resources: u64,
    /// The bodies that were.
    pub versions: u64,
    /// Whether a data key was destroyed with it.
    pub key_destroyed: bool,
    /// The erased resources that belonged to other compartments as well.
    pub shared: Mentions,
}

/// Where a compartment is still named by living resources of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mentions {
    /// How many there are.
    pub count: u64,
    /// The first of them, in the order in which they were written.
    pub first: Vec<ResourceKey>,
}

impl Log {
    /// What the last purge of a compartment has done; `None` while one is under way.
    pub(in crate::log) async fn report(
        &self,
        compartment: &str,
        was_done: bool,
    ) -> Result<Option<PurgeReport>, LogError> {
        let marks = "SELECT kind, seq, recorded_at FROM anamnesis.event
            WHERE log = $1 AND hashtext(home) = hashtext($2) AND home = $2 AND kind IN (8, 9) ORDER BY seq DESC LIMIT 2";
        let rows = self.query(marks, &[&self.inner.number, &compartment]).await?;
        let none = PurgeReport {
            was_done,
            begun: None,
            ended: None,
            ended_at: None,
            resources: 0,
            versions: 0,
            key_destroyed: false,
            shared: Mentions::default(),
        };
        let Some((last, first)) = rows.first().zip(rows.get(1)) else {
            return Ok(rows.is_empty().then_some(none));
        };
        if last.try_get::<_, i16>(0)? != 9 {
            return Ok(None);
        }
        let (begun, ended): (i64, i64) = (first.try_get(1)?, last.try_get(1)?);
        let counts = "SELECT count(DISTINCT (e.resource_type, e.id)), count(*),
                EXISTS (SELECT FROM anamnesis.data_key AS k WHERE k.log = $1 AND k.compartment = $5 AND k.destroyed_by = $4)
            FROM anamnesis.event AS e
            WHERE e.log = $1 AND hashtext(e.home) = hashtext($2) AND e.home = $2
                AND e.erased_by > $3 AND e.erased_by <= $4 AND e.kind IN (1, 2, 4)";
        let key = compartment_key(compartment);
        let rows = self.query(counts, &[&self.inner.number, &compartment, &begun, &ended, &key]).await?;
        let Some(row) = rows.first() else { return Ok(Some(none)) };
        Ok(Some(PurgeReport {
            begun: Some(Position::from_sql(begun)),
            ended: Some(Position::from_sql(ended)),
            ended_at: Some(last.try_get(2)?),
            resources: u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0),
            versions: u64::try_from(row.try_get::<_, i64>(1)?).unwrap_or(0),
            key_destroyed: row.try_get(2)?,
            shared: self.shared_with_others(compartment, (begun, ended)).await?,
            ..none
        }))
    }

    /// The resources that a purge has erased and that belonged to other compartments as well.
    async fn shared_with_others(
        &self,
        compartment: &str,
        (begun, ended): (i64, i64),
    ) -> Result<Mentions, LogError> {
        let statement = "SELECT resource_type, id, count(*) OVER () FROM anamnesis.event
            WHERE log = $1 AND hashtext(home) = hashtext($2) AND home = $2 AND seq > $3 AND seq < $4
                AND kind = 6 AND touches IS NOT NULL ORDER BY seq LIMIT $5";
        let limit = i64::try_from(NAMED_MAX).unwrap_or(i64::MAX);
        let rows = self.query(statement, &[&self.inner.number, &compartment, &begun, &ended, &limit]).await?;
        mentions(&rows)
    }

    /// The living resources of these types that live in the compartment and name others as well.
    pub(super) async fn shared(&self, request: &PurgeRequest, limit: usize) -> Result<Mentions, LogError> {
        let statement = "SELECT e.resource_type, e.id, count(*) OVER () FROM anamnesis.event AS e
            CROSS JOIN LATERAL (
                SELECT * FROM anamnesis.head AS one WHERE one.log = $1
                    AND one.key = anamnesis.resource_key(e.resource_type, e.id) LIMIT 1) AS h
            WHERE e.log = $1 AND hashtext(e.home) = hashtext($2) AND e.home = $2 AND e.resource_type = ANY ($3)
                AND e.touches IS NOT NULL AND h.seq = e.seq AND NOT h.deleted ORDER BY e.seq LIMIT $4";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let parameters: [&(dyn ToSql + Sync); 4] =
            [&self.inner.number, &request.compartment, &request.spares, &limit];
        mentions(&self.query(statement, &parameters).await?)
    }

    /// The living resources of other compartments that name this one: all of one type, or of all others.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn mentions(
        &self,
        compartment: &str,
        (resource_type, is_type): (&str, bool),
        limit: usize,
    ) -> Result<Mentions, LogError> {
        let statement = "SELECT e.resource_type, e.id, count(*) OVER () FROM anamnesis.link AS l
            CROSS JOIN LATERAL (
                SELECT * FROM anamnesis.event AS one WHERE one.log = $1 AND one.seq = l.seq LIMIT 1) AS e
            CROSS JOIN LATERAL (
                SELECT * FROM anamnesis.head AS one WHERE one.log = $1
                    AND one.key = anamnesis.resource_key(e.resource_type, e.id) LIMIT 1) AS h
            WHERE l.log = $1 AND l.compartment = $2 AND h.seq = e.seq AND NOT h.deleted
                AND (e.resource_type = $3) = $4 ORDER BY e.seq LIMIT $5";
        let key = compartment_key(compartment);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows =
            self.query(statement, &[&self.inner.number, &key, &resource_type, &is_type, &limit]).await?;
        mentions(&rows)
    }
}

/// Rows of type, id and the count of all of them.
fn mentions(rows: &[Row]) -> Result<Mentions, LogError> {
    let mut mentions = Mentions::default();
    for row in rows {
        mentions.count = u64::try_from(row.try_get::<_, i64>(2)?).unwrap_or(0);
        mentions.first.push(ResourceKey::new(row.try_get::<_, &str>(0)?, row.try_get::<_, &str>(1)?));
    }
    Ok(mentions)
}
