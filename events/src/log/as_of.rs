//! The log as it stood: what was there at a position that lies behind the log's end.

use chrono::{DateTime, Duration, Utc};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::Log;
use super::decide::{compartment_key, resource_key};
use super::read::check_limit;
use super::row::{COLUMNS, event_at};
use crate::{Event, HistoryPage, Kind, LogError, Operation, Position, ResourceKey, Version};

/// Which resources of a compartment are asked for, and as of when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompartmentAt<'a> {
    /// The compartment, such as `Patient/1`.
    pub compartment: &'a str,
    /// The position at which the log stands.
    pub position: Position,
    /// Only resources of these types; `None` for all.
    pub types: Option<&'a [String]>,
    /// Only what lies behind this position in the order asked for: the last one of the page before.
    pub behind: Option<Position>,
    /// Oldest first; newest first otherwise.
    pub ascending: bool,
    /// The most positions in the answer.
    pub limit: usize,
}

/// Whether an event has a body: by the numbers of the kinds a create or an update.
const HAS_BODY: &str = "e.payload IS NOT NULL AND e.kind IN (1, 2, 4)";

impl Log {
    /// The newest event of a resource when the log stood at the position, a delete included; `None` if the resource had
    /// never existed by then. Walks back over the versions since.
    ///
    /// # Errors
    /// When the database cannot be read or the event is damaged.
    pub async fn current_at(&self, key: &ResourceKey, position: Position) -> Result<Option<Event>, LogError> {
        let statement = format!(
            "WITH RECURSIVE walk (seq, prev_seq) AS (
                 SELECT e.seq, e.prev_seq FROM anamnesis.head AS h {} WHERE h.log = $1 AND h.key = $2
               UNION ALL
                 SELECT e.seq, e.prev_seq FROM walk AS w {} WHERE w.seq > $3)
             SELECT {COLUMNS} FROM walk AS w {} WHERE w.seq <= $3 ORDER BY w.seq DESC LIMIT 1",
            event_at("h.seq"),
            event_at("w.prev_seq"),
            event_at("w.seq")
        );
        let parameters: [&(dyn ToSql + Sync); 3] =
            [&self.inner.number, &resource_key(key), &position.to_sql()];
        self.first_event(&statement, &parameters).await
    }

    /// The positions of versions that were recorded up to a position, in the order of `versions`; `None` for one that was not,
    /// that is a delete, or that was erased. Walks back over the versions of each resource.
    ///
    /// # Errors
    /// When the database cannot be read, or more than [`crate::READ_EVENTS_MAX`] are asked for.
    pub async fn positions_of(
        &self,
        versions: &[(ResourceKey, Version)],
        until: Position,
    ) -> Result<Vec<Option<Position>>, LogError> {
        check_limit(versions.len())?;
        let keys: Vec<Uuid> = versions.iter().map(|(key, _)| resource_key(key)).collect();
        let numbers: Vec<i32> = versions.iter().map(|(_, version)| version.to_sql()).collect();
        let statement = format!(
            "WITH RECURSIVE walk (n, wanted, seq, prev_seq, version, is_there) AS (
                 SELECT w.n, w.version, e.seq, e.prev_seq, e.version, {HAS_BODY}
                 FROM unnest($2::uuid[], $3::integer[]) WITH ORDINALITY AS w (key, version, n)
                 CROSS JOIN LATERAL (
                     SELECT * FROM anamnesis.head AS one WHERE one.log = $1 AND one.key = w.key LIMIT 1) AS h
                 {}
               UNION ALL
                 SELECT w.n, w.wanted, e.seq, e.prev_seq, e.version, {HAS_BODY}
                 FROM walk AS w {} WHERE w.version > w.wanted)
             SELECT n, seq FROM walk WHERE version = wanted AND seq <= $4 AND is_there",
            event_at("h.seq"),
            event_at("w.prev_seq")
        );
        let parameters: [&(dyn ToSql + Sync); 4] = [&self.inner.number, &keys, &numbers, &until.to_sql()];
        let mut found = vec![None; versions.len()];
        for row in self.query(&statement, &parameters).await? {
            let ordinal: i64 = row.try_get(0)?;
            let place = usize::try_from(ordinal - 1).ok().and_then(|index| found.get_mut(index));
            if let Some(place) = place {
                *place = Some(Position::from_sql(row.try_get(1)?));
            }
        }
        Ok(found)
    }

    /// The position of the last event recorded at or before the instant; [`Position::ZERO`] if there is none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn position_at(&self, instant: DateTime<Utc>) -> Result<Position, LogError> {
        self.last_before(instant + Duration::microseconds(1)).await
    }

    /// The last position up to `position` at which the log really stood: one inside of a transaction never was, because
    /// the events of a transaction are recorded all at once. Such a one becomes the position before the transaction.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn whole(&self, position: Position) -> Result<Position, LogError> {
        let statement = "SELECT transaction_index, transaction_size FROM anamnesis.event
             WHERE log = $1 AND seq = $2 AND transaction_id IS NOT NULL";
        let rows = self.query(statement, &[&self.inner.number, &position.to_sql()]).await?;
        let Some(row) = rows.first() else { return Ok(position) };
        let (index, size): (Option<i32>, Option<i32>) = (row.try_get(0)?, row.try_get(1)?);
        let done = i64::from(index.unwrap_or(0)) + 1;
        if done >= i64::from(size.unwrap_or(0)) {
            return Ok(position);
        }
        Ok(Position::from_sql(position.to_sql() - done))
    }

    /// Of each living resource that a compartment had when the log stood at a position, where its version of then is, in
    /// the order of positions. A resource that an update has just taken out of the compartment is among them: which ones
    /// belong to it, their bodies tell.
    ///
    /// Reads all events of the compartment up to the position, without their bodies; how long that may take,
    /// [`crate::LogOptions::statement_timeout`] says.
    ///
    /// # Errors
    /// When the database cannot be read, or the limit is beyond [`crate::READ_EVENTS_MAX`].
    pub async fn compartment_at(&self, wanted: &CompartmentAt<'_>) -> Result<Vec<Position>, LogError> {
        check_limit(wanted.limit)?;
        let (order, side) = if wanted.ascending { ("ASC", ">") } else { ("DESC", "<") };
        // The newest event that touches the compartment is the newest of its resource, or the one with which it left.
        let statement = format!(
            "SELECT newest.seq FROM (
                 SELECT DISTINCT ON (e.resource_type, e.id) e.seq, e.kind FROM (
                     SELECT seq FROM anamnesis.event AS h
                     WHERE h.log = $1 AND h.seq <= $2 AND hashtext(h.home) = hashtext($3) AND h.home = $3
                     UNION ALL
                     SELECT seq FROM anamnesis.link AS l
                     WHERE l.log = $1 AND l.seq <= $2 AND l.compartment = $4) AS touched {}
                 WHERE ($5::text[] IS NULL OR e.resource_type = ANY ($5)) AND e.kind <> ALL ($9)
                 ORDER BY e.resource_type, e.id, e.seq DESC) AS newest
             WHERE newest.kind <> ALL ($6) AND newest.seq {side} $7 ORDER BY newest.seq {order} LIMIT $8",
            event_at("touched.seq")
        );
        let key: Uuid = compartment_key(wanted.compartment);
        let behind =
            wanted.behind.unwrap_or(if wanted.ascending { Position::ZERO } else { wanted.position.next() });
        let limit = i64::try_from(wanted.limit).unwrap_or(i64::MAX);
        let kinds = |is_meant: fn(Operation) -> bool| -> Vec<i16> {
            Kind::ALL.into_iter().filter(|kind| is_meant(kind.operation())).map(Kind::code).collect()
        };
        let parameters: [&(dyn ToSql + Sync); 9] = [
            &self.inner.number,
            &wanted.position.to_sql(),
            &wanted.compartment,
            &key,
            &wanted.types,
            &kinds(|operation| operation == Operation::Delete),
            &behind.to_sql(),
            &limit,
            // Of these no version came: what stood before them stands.
            &kinds(|operation| !operation.makes_version()),
        ];
        let rows = self.query(&statement, &parameters).await?;
        rows.iter().map(|row| Ok(Position::from_sql(row.try_get(0)?))).collect()
    }

    /// The events at the first of these positions, as many as have bodies of [`crate::LogOptions::read_bytes_max`]
    /// together and at least one, in the order asked for. Positions that the log does not have are left out.
    ///
    /// # Errors
    /// When the database cannot be read, an event is damaged, or more than [`crate::READ_EVENTS_MAX`] are asked for.
    pub async fn fetch_page(&self, positions: &[Position]) -> Result<HistoryPage, LogError> {
        check_limit(positions.len())?;
        let wanted: Vec<i64> = positions.iter().map(|position| position.to_sql()).collect();
        let statement = format!(
            "SELECT {COLUMNS} FROM unnest($2::bigint[]) WITH ORDINALITY AS wanted (seq, at) {} ORDER BY wanted.at",
            event_at("wanted.seq")
        );
        let rows = self.query(&statement, &[&self.inner.number, &wanted]).await?;
        let (events, is_cut) = self.events_within(&rows).await?;
        Ok(HistoryPage { events, is_cut })
    }
}
