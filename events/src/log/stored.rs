//! Events as they are stored, each with the hash before it: for those who check or copy a log, not for those who use it.

use tokio_postgres::Row;

use super::Log;
use super::read::check_limit;
use super::ring::Ring;
use super::row::{self, COLUMNS, event_at};
use crate::codec::{self, HEADER_BYTES_MAX};
use crate::{Event, LogError, Position, envelope};

/// An event as it is stored, in the version of its kind in which it was written.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Where it is.
    pub position: Position,
    /// The event, or why it cannot be read.
    pub event: Result<Event, String>,
    /// The hash of the event before it; `None` where that is missing.
    pub previous_hash: Option<[u8; 32]>,
}

impl Stored {
    /// Whether the hash is the one that follows from the event and the hash before it.
    #[must_use]
    pub fn follows(&self) -> bool {
        match (&self.event, &self.previous_hash) {
            (Ok(event), Some(previous)) => envelope::chain(previous, event) == event.hash,
            _ => false,
        }
    }
}

impl Log {
    /// The events at these positions as they are stored, in the order of their positions. Positions that the log does
    /// not have are left out; what cannot be read is told in its place. All bodies are in memory at once:
    /// [`Log::count_within`] tells how many positions are not too many.
    ///
    /// # Errors
    /// When the database cannot be read, or more than [`crate::READ_EVENTS_MAX`] are asked for.
    pub async fn stored(&self, positions: &[Position]) -> Result<Vec<Stored>, LogError> {
        check_limit(positions.len())?;
        let wanted: Vec<i64> = positions.iter().map(|position| position.to_sql()).collect();
        let statement = format!(
            "SELECT {COLUMNS}, p.hash FROM unnest($2::bigint[]) AS wanted (seq) {}
             LEFT JOIN LATERAL (
                 SELECT one.hash FROM anamnesis.event AS one
                 WHERE one.log = $1 AND one.seq = e.seq - 1 LIMIT 1) AS p ON true
             ORDER BY e.seq",
            event_at("wanted.seq")
        );
        let rows = self.query(&statement, &[&self.inner.number, &wanted]).await?;
        let ring = self.ring(&rows).await?;
        rows.iter().map(|row| self.stored_of(row, &ring)).collect()
    }

    /// How many of the first of these positions have bodies that take at most `bytes_max` bytes together, as they are
    /// stored and unpacked; never none where any are asked for. Reads where bodies begin, and not the bodies.
    ///
    /// # Errors
    /// When the database cannot be read, or more than [`crate::READ_EVENTS_MAX`] are asked for.
    pub async fn count_within(&self, positions: &[Position], bytes_max: usize) -> Result<usize, LogError> {
        check_limit(positions.len())?;
        let wanted: Vec<i64> = positions.iter().map(|position| position.to_sql()).collect();
        let statement = format!(
            "SELECT wanted.at, coalesce(octet_length(e.payload), 0), substr(coalesce(e.payload, ''), 1, {HEADER_BYTES_MAX})
             FROM unnest($2::bigint[]) WITH ORDINALITY AS wanted (seq, at) {} ORDER BY wanted.at",
            event_at("wanted.seq")
        );
        let rows = self.query(&statement, &[&self.inner.number, &wanted]).await?;
        // Those before the first one that is too much, which are not there included.
        let at = first_beyond(&rows, bytes_max)?.and_then(|at| usize::try_from(at - 1).ok());
        Ok(at.map_or(positions.len(), |before| before.max(1)))
    }

    /// The last position behind `after`, and not behind `until`, up to which bodies take at most `bytes_max` bytes, as
    /// [`Log::count_within`] has it.
    pub(crate) async fn end_within(
        &self,
        after: Position,
        until: Position,
        bytes_max: usize,
    ) -> Result<Position, LogError> {
        let statement = format!(
            "SELECT e.seq, coalesce(octet_length(e.payload), 0), substr(coalesce(e.payload, ''), 1, {HEADER_BYTES_MAX})
             FROM anamnesis.event AS e WHERE e.log = $1 AND e.seq > $2 AND e.seq <= $3 ORDER BY e.seq"
        );
        let rows = self.query(&statement, &[&self.inner.number, &after.to_sql(), &until.to_sql()]).await?;
        let beyond = first_beyond(&rows, bytes_max)?;
        Ok(beyond.map_or(until, |seq| Position::from_sql(seq - 1).max(after.next())))
    }

    fn stored_of(&self, row: &Row, ring: &Ring) -> Result<Stored, LogError> {
        let position = Position::from_sql(row.try_get(0)?);
        let previous_hash = match position.get() {
            1 => Some(self.inner.genesis),
            _ => row.try_get::<_, Option<&[u8]>>(19)?.and_then(|hash| hash.try_into().ok()),
        };
        let event = match row::stored(row, ring) {
            Ok(event) => Ok(event),
            Err(LogError::Broken { reason, .. }) => Err(reason),
            Err(error @ LogError::UnknownKind { .. }) => Err(error.to_string()),
            Err(error) => return Err(error),
        };
        Ok(Stored { position, event, previous_hash })
    }
}

/// The first column of the row whose body is too much, of rows with the stored size and the beginning of a body behind it.
fn first_beyond(rows: &[Row], bytes_max: usize) -> Result<Option<i64>, LogError> {
    let mut bytes = 0_usize;
    for row in rows {
        let stored: i32 = row.try_get(1)?;
        let body = codec::size_of_body(row.try_get(2)?);
        bytes = bytes.saturating_add(usize::try_from(stored).unwrap_or(0)).saturating_add(body);
        if bytes > bytes_max {
            return Ok(Some(row.try_get(0)?));
        }
    }
    Ok(None)
}
