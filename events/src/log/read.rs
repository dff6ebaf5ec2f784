//! Reading: heads, current and earlier versions, events by position, and who holds an identifier.

use std::collections::HashMap;

use deadpool_postgres::{Client, Pool, PoolError};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::Log;
use super::decide::{identifier_key, resource_key};
use super::holder;
use super::packed::Packed;
use super::row::{self, COLUMNS, event_at};
use crate::{Event, Head, Identifier, LogError, Position, ResourceKey, Version};

/// The most events that one read gives: bounds the memory of an answer.
pub const READ_EVENTS_MAX: usize = 10_000;

const HEAD: &str = "SELECT seq FROM anamnesis.event WHERE log = $1 ORDER BY seq DESC LIMIT 1";

impl Log {
    /// The position of the last event, as the database has it now.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn head(&self) -> Result<Position, LogError> {
        let rows = self.query(HEAD, &[&self.inner.number]).await?;
        rows.first().map_or(Ok(Position::ZERO), |row| Ok(Position::from_sql(row.try_get(0)?)))
    }

    /// Where the resources stand, in the order of `keys`; `None` for one that has never existed.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn heads(&self, keys: &[ResourceKey]) -> Result<Vec<Option<Head>>, LogError> {
        let wanted: Vec<Uuid> = keys.iter().map(resource_key).collect();
        let statement = format!(
            "SELECT wanted.n, h.version, h.seq, h.deleted, e.home
             FROM unnest($2::uuid[]) WITH ORDINALITY AS wanted (key, n)
             CROSS JOIN LATERAL (
                 SELECT * FROM anamnesis.head AS one WHERE one.log = $1 AND one.key = wanted.key LIMIT 1) AS h
             {}",
            event_at("h.seq")
        );
        let mut heads = vec![None; keys.len()];
        for row in self.query(&statement, &[&self.inner.number, &wanted]).await? {
            let ordinal: i64 = row.try_get(0)?;
            let place = usize::try_from(ordinal - 1).ok().and_then(|index| heads.get_mut(index));
            if let Some(place) = place {
                *place = Some(Head {
                    version: Version::from_sql(row.try_get(1)?),
                    position: Position::from_sql(row.try_get(2)?),
                    deleted: row.try_get(3)?,
                    home: row.try_get(4)?,
                });
            }
        }
        Ok(heads)
    }

    /// The newest event of the resource, a delete included; `None` if it has never existed.
    ///
    /// # Errors
    /// When the database cannot be read or the event is damaged.
    pub async fn current(&self, key: &ResourceKey) -> Result<Option<Event>, LogError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM anamnesis.head AS h {} WHERE h.log = $1 AND h.key = $2",
            event_at("h.seq")
        );
        self.first_event(&statement, &[&self.inner.number, &resource_key(key)]).await
    }

    /// The newest events of many resources in the order of `keys`, in one statement; `None` for one that has never
    /// existed.
    ///
    /// # Errors
    /// When the database cannot be read, an event is damaged, more than [`READ_EVENTS_MAX`] are asked for, or their
    /// bodies have more than [`crate::LogOptions::fetch_bytes_max`].
    pub async fn current_of_all(&self, keys: &[ResourceKey]) -> Result<Vec<Option<Event>>, LogError> {
        check_limit(keys.len())?;
        let wanted: Vec<Uuid> = keys.iter().map(resource_key).collect();
        let statement = format!(
            "SELECT {COLUMNS} FROM anamnesis.head AS h
             JOIN anamnesis.event AS e ON e.log = $1 AND e.seq = h.seq
             WHERE h.log = $1 AND h.key = ANY ($2)"
        );
        let rows = self.query(&statement, &[&self.inner.number, &wanted]).await?;
        let ring = self.ring(&rows).await?;
        let with_keys = rows.iter().map(|row| (row, &ring));
        let events = row::all_events(with_keys, self.inner.options.fetch_bytes_max)?;
        let events: HashMap<ResourceKey, Event> =
            events.into_iter().map(|event| (event.key.clone(), event)).collect();
        Ok(keys.iter().map(|key| events.get(key).cloned()).collect())
    }

    /// The event that made this version of the resource; `None` if there is no such version.
    ///
    /// # Errors
    /// When the database cannot be read or the event is damaged.
    pub async fn version(&self, key: &ResourceKey, version: Version) -> Result<Option<Event>, LogError> {
        let statement = format!(
            "WITH RECURSIVE walk (seq, prev_seq, version) AS (
                 SELECT e.seq, e.prev_seq, e.version FROM anamnesis.head AS h {}
                 WHERE h.log = $1 AND h.key = $2
               UNION ALL
                 SELECT e.seq, e.prev_seq, e.version FROM walk AS w {} WHERE w.version > $3)
             SELECT {COLUMNS} FROM walk AS w {} WHERE w.version = $3",
            event_at("h.seq"),
            event_at("w.prev_seq"),
            event_at("w.seq")
        );
        let parameters: [&(dyn ToSql + Sync); 3] =
            [&self.inner.number, &resource_key(key), &version.to_sql()];
        self.first_event(&statement, &parameters).await
    }

    /// The events at these positions, in the order asked for. Positions that the log does not have are
    /// left out.
    ///
    /// # Errors
    /// When the database cannot be read, an event is damaged, more than [`READ_EVENTS_MAX`] are asked for, or their
    /// bodies have more than [`crate::LogOptions::fetch_bytes_max`].
    pub async fn fetch(&self, positions: &[Position]) -> Result<Vec<Event>, LogError> {
        let found = self.fetch_packed(positions).await?;
        let packed: Vec<Packed> = positions.iter().filter_map(|one| found.get(one).cloned()).collect();
        self.unpack(&packed)
    }

    /// Up to `limit` events after the position, in order and without a hole; fewer where their bodies reach
    /// [`crate::LogOptions::read_bytes_max`], but none only at the end of the log.
    ///
    /// # Errors
    /// When the database cannot be read, an event is damaged or missing, or `limit` is beyond
    /// [`READ_EVENTS_MAX`].
    pub async fn read(&self, after: Position, limit: usize) -> Result<Vec<Event>, LogError> {
        let rows = self.read_rows(after, limit).await?;
        let (events, _) = self.events_within(&rows).await?;
        Ok(events)
    }

    /// Rows of consecutive positions. The upper bound is known because positions are dense; it spares
    /// the planner all partitions but one or two.
    pub(crate) async fn read_rows(&self, after: Position, limit: usize) -> Result<Vec<Row>, LogError> {
        check_limit(limit)?;
        let statement = format!(
            "SELECT {COLUMNS} FROM anamnesis.event AS e
             WHERE e.log = $1 AND e.seq > $2 AND e.seq <= $3 ORDER BY e.seq"
        );
        let until = after.plus(limit as u64);
        let rows = self.query(&statement, &[&self.inner.number, &after.to_sql(), &until.to_sql()]).await?;
        let mut expected = after;
        for row in &rows {
            expected = expected.next();
            if Position::from_sql(row.try_get(0)?) != expected {
                return Err(LogError::Broken { position: expected, reason: "the event is missing".into() });
            }
        }
        Ok(rows)
    }

    /// The ids of the living resources of the type that hold the identifier, sorted.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn find_identifier(
        &self,
        resource_type: &str,
        identifier: &Identifier,
    ) -> Result<Vec<String>, LogError> {
        let key = identifier_key(resource_type, identifier);
        let statement = "SELECT id FROM anamnesis.identifier WHERE log = $1 AND key = $2";
        let rows = self.query(statement, &[&self.inner.number, &key]).await?;
        let id = |row: &Row| Ok::<_, LogError>(holder::from_bytes(row.try_get(0)?));
        let mut ids = rows.iter().map(id).collect::<Result<Vec<_>, _>>()?;
        ids.sort_unstable();
        Ok(ids)
    }

    /// The event of the first row, if there is one.
    pub(crate) async fn first_event(
        &self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Event>, LogError> {
        let rows = self.query(statement, parameters).await?;
        let ring = self.ring(&rows).await?;
        rows.first().map(|row| row::event(row, &ring)).transpose()
    }

    /// The events of the rows up to the bound on the bytes of a page, and whether there are more rows.
    pub(crate) async fn events_within(&self, rows: &[Row]) -> Result<(Vec<Event>, bool), LogError> {
        let ring = self.ring(rows).await?;
        row::events_within(rows.iter().map(|row| (row, &ring)), self.inner.options.read_bytes_max)
    }

    /// Runs a reading statement, once more if the connection turns out to be dead: the pool notices a
    /// restarted database only when it uses a connection.
    pub(crate) async fn query(
        &self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, LogError> {
        query(&self.inner.pool, statement, parameters).await
    }
}

/// The same on a pool, for those who have no handle of the log.
pub(crate) async fn query(
    pool: &Pool,
    statement: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, LogError> {
    match query_once(pool, statement, parameters).await {
        Err(LogError::Database(error)) if is_disconnect(&error) => {
            // The others are most likely dead too.
            pool.retain(|_, _| false);
            query_once(pool, statement, parameters).await
        }
        result => result,
    }
}

async fn query_once(
    pool: &Pool,
    statement: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, LogError> {
    let client = pool.get().await.map_err(pool_error)?;
    let statement = client.prepare_cached(statement).await?;
    Ok(client.query(&statement, parameters).await?)
}

/// The last position of a log.
pub(crate) async fn head_position(client: &Client, log: i16) -> Result<Position, LogError> {
    let statement = client.prepare_cached(HEAD).await?;
    let row = client.query_opt(&statement, &[&log]).await?;
    row.map_or(Ok(Position::ZERO), |row| Ok(Position::from_sql(row.try_get(0)?)))
}

pub(crate) fn check_limit(asked: usize) -> Result<(), LogError> {
    if asked > READ_EVENTS_MAX {
        return Err(LogError::PageTooLarge { asked, limit: READ_EVENTS_MAX });
    }
    Ok(())
}

pub(crate) fn pool_error(error: PoolError) -> LogError {
    match error {
        PoolError::Backend(error) => LogError::Database(error),
        other => LogError::Pool(other.to_string()),
    }
}

/// The connection is gone, or the server ended it (SQLSTATE class 57, operator intervention).
fn is_disconnect(error: &tokio_postgres::Error) -> bool {
    error.is_closed() || error.code().is_some_and(|code| code.code().starts_with("57P"))
}
