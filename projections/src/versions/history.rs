//! What is known of versions, also of those that are gone.

use anamnesis_events::Position;
use tokio_postgres::Row;

use super::{State, Version, Versions};
use crate::checkpoint::unsigned;
use crate::{Inputs, ProjectionError};

impl Versions {
    /// A version, also one that is gone; `None` where it was never made.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn get(&self, number: i32) -> Result<Option<Version>, ProjectionError> {
        Ok(self.selected("true", (true, Some(number), 1)).await?.pop())
    }

    /// The last versions that were made, the newest first, with those that are gone; at most `count_max`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn history(&self, count_max: usize) -> Result<Vec<Version>, ProjectionError> {
        let count_max = i64::try_from(count_max).unwrap_or(i64::MAX);
        let mut versions = self.selected("true", (true, None, count_max)).await?;
        versions.reverse();
        Ok(versions)
    }

    /// The last of the versions for which a condition holds, or the one with a number, in the order of their numbers.
    pub(super) async fn selected(
        &self,
        condition: &str,
        (with_counts, number, count_max): (bool, Option<i32>, i64),
    ) -> Result<Vec<Version>, ProjectionError> {
        let client = self.database.get().await?;
        let statement = format!(
            "SELECT v.version, v.schema, v.state, coalesce(c.seq, 0), v.made_at,
                 (extract(epoch FROM clock_timestamp() - v.changed_at) * 1000)::int8, v.force,
                 CASE WHEN $3 THEN (SELECT count(*) FROM anamnesis.projection_parked AS p
                     WHERE p.name = v.name AND p.version = v.version AND p.log = v.log) ELSE 0 END,
                 CASE WHEN $3 THEN (SELECT count(DISTINCT (p.resource_type, p.resource_id))
                     FROM anamnesis.projection_parked AS p
                     WHERE p.name = v.name AND p.version = v.version AND p.log = v.log) ELSE 0 END,
                 coalesce(c.unparked, 0), v.inputs, v.activated_at, v.cancelled_at
             FROM anamnesis.projection_version AS v LEFT JOIN anamnesis.projection_checkpoint AS c
                 ON c.name = v.name AND c.version = v.version AND c.log = v.log
             WHERE v.name = $1 AND v.log = $2 AND ($4::int4 IS NULL OR v.version = $4) AND {condition}
             ORDER BY v.version DESC LIMIT $5"
        );
        let statement = client.prepare_cached(&statement).await?;
        let rows =
            client.query(&statement, &[&self.name, &self.log, &with_counts, &number, &count_max]).await?;
        Ok(rows.iter().rev().map(version).collect::<Result<_, _>>()?)
    }
}

fn version(row: &Row) -> Result<Version, tokio_postgres::Error> {
    Ok(Version {
        number: row.try_get(0)?,
        schema: row.try_get(1)?,
        state: State::of(row.try_get(2)?),
        reached: Position::new(unsigned(row.try_get(3)?)),
        made_at: row.try_get(4)?,
        in_state_ms: row.try_get(5)?,
        force: row.try_get(6)?,
        parked_events: unsigned(row.try_get(7)?),
        parked_resources: unsigned(row.try_get(8)?),
        unparked: unsigned(row.try_get(9)?),
        inputs: Inputs::stored(row.try_get(10)?),
        activated_at: row.try_get(11)?,
        cancelled_at: row.try_get(12)?,
    })
}
