//! Reading records by their numbers.

use chrono::{DateTime, NaiveDate, Utc};
use deadpool_postgres::Object;
use tokio_postgres::Row;

use super::AuditLog;
use super::session::tail_of;
use crate::chain::Hash;
use crate::{AuditError, Number, Record, Recorded, block};

/// The most records that one read gives, but for the rest of its last block.
pub const READ_RECORDS_MAX: usize = 10_000;

/// Blocks of one statement: bounds the memory of a read.
pub(super) const BLOCKS_AT_ONCE: usize = 64;

/// The columns of a block, in the order of [`Stored::of`].
pub(super) const COLUMNS: &str = "first, last, since, until, month, hash, tokens, body";

/// Where the log begins and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The last record; 0 where there is none.
    pub number: Number,
    /// The hash of the chain up to it.
    pub hash: Hash,
    /// When it was recorded.
    pub recorded_at: Option<DateTime<Utc>>,
    /// The last record that was dropped because it was old enough; 0 where none was.
    pub kept_after: Number,
    /// The hash of the chain up to there.
    pub kept_hash: Hash,
}

/// A block as it is stored.
pub(super) struct Stored {
    pub(super) first: Number,
    pub(super) last: Number,
    pub(super) since: DateTime<Utc>,
    pub(super) until: DateTime<Utc>,
    pub(super) month: NaiveDate,
    pub(super) hash: Hash,
    pub(super) tokens: Vec<i64>,
    pub(super) body: Vec<u8>,
}

impl Stored {
    pub(super) fn of(row: &Row) -> Result<Self, AuditError> {
        Ok(Self {
            first: Number::from_sql(row.try_get(0)?),
            last: Number::from_sql(row.try_get(1)?),
            since: row.try_get(2)?,
            until: row.try_get(3)?,
            month: row.try_get(4)?,
            hash: row.try_get::<_, &[u8]>(5)?.try_into().unwrap_or([0; 32]),
            tokens: row.try_get(6)?,
            body: row.try_get(7)?,
        })
    }

    /// Its records.
    pub(super) fn records(&self) -> Result<Vec<Recorded>, AuditError> {
        let damaged = |reason: String| AuditError::Damaged { number: self.last, reason };
        let raw = block::read(&self.body).map_err(|error| damaged(error.to_string()))?;
        let numbers = self.first.get()..=self.last.get();
        if raw.len() as u64 != self.last.get().saturating_sub(self.first.get()) + 1 {
            return Err(damaged("the number of records is wrong".into()));
        }
        raw.into_iter()
            .zip(numbers)
            .map(|((recorded_at, bytes), number)| {
                // What serde says names a field, not what is in it.
                let record: Record =
                    serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
                Ok(Recorded { number: Number::new(number), recorded_at, record })
            })
            .collect()
    }
}

impl AuditLog {
    /// Where the log begins and ends, as the database has it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn head(&self) -> Result<Head, AuditError> {
        let statement =
            "SELECT head, hash, recorded_at, kept_after, kept_hash FROM anamnesis.audit_log WHERE log = $1";
        let row = self.reader().await?.query_one(statement, &[&self.inner.number]).await?;
        let tail = tail_of(&row)?;
        Ok(Head {
            number: tail.number,
            hash: tail.hash,
            recorded_at: tail.recorded_at,
            kept_after: Number::from_sql(row.try_get(3)?),
            kept_hash: row.try_get::<_, &[u8]>(4)?.try_into().unwrap_or([0; 32]),
        })
    }

    /// The records after a number, in order, about `limit` of them: those of the last block all come. None only at the end.
    ///
    /// # Errors
    /// When the database cannot be read or a block is damaged.
    pub async fn read(&self, after: Number, limit: usize) -> Result<Vec<Recorded>, AuditError> {
        let limit = limit.clamp(1, READ_RECORDS_MAX);
        let mut records: Vec<Recorded> = Vec::new();
        while records.len() < limit {
            let reached = records.last().map_or(after, |last| last.number);
            let blocks = self.blocks_after(reached).await?;
            if blocks.is_empty() {
                break;
            }
            for block in blocks {
                records.extend(block.records()?.into_iter().filter(|one| one.number > after));
                if records.len() >= limit {
                    break;
                }
            }
        }
        Ok(records)
    }

    /// The record with this number; `None` where there is none, or it was dropped.
    ///
    /// # Errors
    /// When the database cannot be read or the block is damaged.
    pub async fn get(&self, number: Number) -> Result<Option<Recorded>, AuditError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM anamnesis.audit_block WHERE log = $1 AND last >= $2 ORDER BY last LIMIT 1"
        );
        let found =
            self.reader().await?.query_opt(&statement, &[&self.inner.number, &number.to_sql()]).await?;
        let Some(row) = found else { return Ok(None) };
        Ok(Stored::of(&row)?.records()?.into_iter().find(|one| one.number == number))
    }

    /// The next blocks that have records after a number, in order.
    pub(super) async fn blocks_after(&self, after: Number) -> Result<Vec<Stored>, AuditError> {
        let statement = format!(
            "SELECT {COLUMNS} FROM anamnesis.audit_block WHERE log = $1 AND last > $2
             ORDER BY last LIMIT {BLOCKS_AT_ONCE}"
        );
        let rows = self.reader().await?.query(&statement, &[&self.inner.number, &after.to_sql()]).await?;
        rows.iter().map(Stored::of).collect()
    }

    pub(super) async fn reader(&self) -> Result<Object, AuditError> {
        self.inner.pool.get().await.map_err(|error| AuditError::Pool(error.to_string()))
    }
}
