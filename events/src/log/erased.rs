//! What was erased, in the order in which it was, and how far the stream is known to be without it.

use super::Log;
use crate::{LogError, Position};

/// An erased event, behind the event that erased it: the order in which they are cleaned up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ErasedAt {
    pub(crate) by: Position,
    pub(crate) position: Position,
}

impl Log {
    /// The next erased events behind a place, of erasing events up to a position.
    pub(crate) async fn erased(
        &self,
        after: ErasedAt,
        until: Position,
        limit: usize,
    ) -> Result<Vec<ErasedAt>, LogError> {
        let statement = "SELECT erased_by, seq FROM anamnesis.event
            WHERE log = $1 AND (erased_by, seq) > ($2, $3) AND erased_by <= $4
            ORDER BY erased_by, seq LIMIT $5";
        let (by, position, until) = (after.by.to_sql(), after.position.to_sql(), until.to_sql());
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.query(statement, &[&self.inner.number, &by, &position, &until, &limit]).await?;
        let erased = |row: &tokio_postgres::Row| -> Result<ErasedAt, LogError> {
            let (by, position): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            Ok(ErasedAt { by: Position::from_sql(by), position: Position::from_sql(position) })
        };
        rows.iter().map(erased).collect()
    }

    /// The last event up to a position that was not erased; [`Position::ZERO`] if there is none.
    pub(crate) async fn last_not_erased(&self, until: Position) -> Result<Position, LogError> {
        let statement = "SELECT seq FROM anamnesis.event WHERE log = $1 AND seq <= $2 AND erased_by IS NULL
            ORDER BY seq DESC LIMIT 1";
        let rows = self.query(statement, &[&self.inner.number, &until.to_sql()]).await?;
        rows.first().map_or(Ok(Position::ZERO), |row| Ok(Position::from_sql(row.try_get(0)?)))
    }

    /// Up to which erasing event the stream has no message of what was erased.
    pub(crate) async fn stream_cleaned(&self) -> Result<Position, LogError> {
        let statement = "SELECT seq FROM anamnesis.stream_cleaned WHERE log = $1";
        let rows = self.query(statement, &[&self.inner.number]).await?;
        rows.first().map_or(Ok(Position::ZERO), |row| Ok(Position::from_sql(row.try_get(0)?)))
    }

    /// Keeps how far the stream is clean.
    pub(crate) async fn set_stream_cleaned(&self, position: Position) -> Result<(), LogError> {
        let statement = "INSERT INTO anamnesis.stream_cleaned (log, seq) VALUES ($1, $2)
            ON CONFLICT (log) DO UPDATE SET seq = greatest(stream_cleaned.seq, excluded.seq)";
        self.query(statement, &[&self.inner.number, &position.to_sql()]).await?;
        Ok(())
    }
}
