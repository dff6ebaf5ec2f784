//! Which resources were there when the log stood at a position: a part of the log at a time, without bodies.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::Log;
use super::decide::resource_key;
use super::read::check_limit;
use super::row::{self, event_at};
use crate::{Kind, LogError, Operation, Position, ResourceKey};

/// Which part of the log is looked through, and as of when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LivingAt<'a> {
    /// The position at which the log stands.
    pub position: Position,
    /// Only versions that were recorded after this position.
    pub after: Position,
    /// Only versions that were recorded up to this position.
    pub until: Position,
    /// Only resources of these types; `None` for all.
    pub types: Option<&'a [String]>,
}

/// A resource that was there, by the version that stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Living {
    /// Where that version is.
    pub position: Position,
    /// The resource.
    pub key: ResourceKey,
    /// The compartments that the event has touched, its home first. One that the version has just left is among them.
    pub touches: Vec<String>,
    /// Whether its body has been erased since.
    pub is_gone: bool,
}

impl Log {
    /// The resources whose version of a position was recorded in a part of the log, in the order of the log.
    ///
    /// # Errors
    /// When the database cannot be read, or the part has more than [`crate::READ_EVENTS_MAX`] positions.
    pub async fn living_at(&self, wanted: &LivingAt<'_>) -> Result<Vec<Living>, LogError> {
        let until = wanted.until.min(wanted.position);
        let asked = until.get().saturating_sub(wanted.after.get());
        check_limit(usize::try_from(asked).unwrap_or(usize::MAX))?;
        let statement = "SELECT e.seq, e.resource_type, e.id, e.home, e.touches, e.payload IS NULL
             FROM anamnesis.event AS e
             WHERE e.log = $1 AND e.seq > $2 AND e.seq <= $3 AND e.kind = ANY ($5)
                 AND ($6::text[] IS NULL OR e.resource_type = ANY ($6))
                 AND anamnesis.is_current_at($1, e.resource_type, e.id, e.seq, $4)
             ORDER BY e.seq";
        let parameters: [&(dyn ToSql + Sync); 6] = [
            &self.inner.number,
            &wanted.after.to_sql(),
            &until.to_sql(),
            &wanted.position.to_sql(),
            &kinds_with_bodies(),
            &wanted.types,
        ];
        let living = |row: &Row| -> Result<Living, LogError> {
            Ok(Living {
                position: Position::from_sql(row.try_get(0)?),
                key: ResourceKey::new(row.try_get::<_, &str>(1)?, row.try_get::<_, &str>(2)?),
                touches: row::touches(row.try_get(3)?, row.try_get(4)?),
                is_gone: row.try_get(5)?,
            })
        };
        self.query(statement, &parameters).await?.iter().map(living).collect()
    }

    /// Whether each of these resources was there when the log stood at a position. Walks back over the versions since.
    ///
    /// # Errors
    /// When the database cannot be read, or more than [`crate::READ_EVENTS_MAX`] are asked for.
    pub async fn were_living(&self, keys: &[ResourceKey], at: Position) -> Result<Vec<bool>, LogError> {
        check_limit(keys.len())?;
        let wanted: Vec<Uuid> = keys.iter().map(resource_key).collect();
        let statement = format!(
            "WITH RECURSIVE walk (n, seq, prev_seq, kind) AS (
                 SELECT w.n, e.seq, e.prev_seq, e.kind
                 FROM unnest($2::uuid[]) WITH ORDINALITY AS w (key, n)
                 CROSS JOIN LATERAL (
                     SELECT * FROM anamnesis.head AS one WHERE one.log = $1 AND one.key = w.key LIMIT 1) AS h
                 {}
               UNION ALL
                 SELECT w.n, e.seq, e.prev_seq, e.kind FROM walk AS w {} WHERE w.seq > $3)
             SELECT n FROM walk WHERE seq <= $3 AND kind = ANY ($4)",
            event_at("h.seq"),
            event_at("w.prev_seq")
        );
        let parameters: [&(dyn ToSql + Sync); 4] =
            [&self.inner.number, &wanted, &at.to_sql(), &kinds_with_bodies()];
        let mut were = vec![false; keys.len()];
        for row in self.query(&statement, &parameters).await? {
            let ordinal: i64 = row.try_get(0)?;
            if let Some(place) = usize::try_from(ordinal - 1).ok().and_then(|index| were.get_mut(index)) {
                *place = true;
            }
        }
        Ok(were)
    }

    /// The positions up to `at` whose bodies have been erased by events after it and behind `after`, in order: what has
    /// been taken out of the state of that position since.
    ///
    /// # Errors
    /// When the database cannot be read, or the limit is beyond [`crate::READ_EVENTS_MAX`].
    pub async fn erased_since(
        &self,
        at: Position,
        after: Position,
        limit: usize,
    ) -> Result<Vec<Position>, LogError> {
        check_limit(limit)?;
        let statement = "SELECT e.seq FROM (
                 SELECT seq FROM anamnesis.event WHERE log = $1 AND erased_by > $2 AND seq <= $2 AND seq > $3) AS e
             ORDER BY e.seq LIMIT $4";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let parameters: [&(dyn ToSql + Sync); 4] =
            [&self.inner.number, &at.to_sql(), &after.to_sql(), &limit];
        let rows = self.query(statement, &parameters).await?;
        rows.iter().map(|row| Ok(Position::from_sql(row.try_get(0)?))).collect()
    }
}

/// The kinds of events that give a resource a body.
fn kinds_with_bodies() -> Vec<i16> {
    let has_body = |kind: &Kind| {
        let operation = kind.operation();
        operation.makes_version() && operation != Operation::Delete
    };
    Kind::ALL.into_iter().filter(has_body).map(Kind::code).collect()
}
