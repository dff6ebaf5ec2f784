//! Upkeep of data keys: wrapping them anew, counting them, and sealing what was stored in clear before.

use std::sync::Arc;

use futures::{FutureExt, StreamExt, TryStreamExt};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{ASKED_MAX, DataKeys, number_of};
use crate::keys::{MasterKeyError, Wrapped};
use crate::log::Log;
use crate::log::read::query;
use crate::seal::{DataKey, Place};
use crate::{LogError, Position, ResourceKey, Version, codec};

const BY_OTHERS: &str = "SELECT id, compartment, wrapped, master_key FROM anamnesis.data_key
    WHERE log = $1 AND master_key = $2 AND wrapped IS NOT NULL ORDER BY id LIMIT $3";
/// Only what is still as it was read: not what was destroyed, or wrapped by somebody else, meanwhile.
const REWRAP: &str = "UPDATE anamnesis.data_key AS k SET wrapped = anew.wrapped, master_key = anew.master_key
    FROM unnest($2::integer[], $3::bytea[], $4::bytea[], $5::text[]) AS anew (id, before, wrapped, master_key)
    WHERE k.id = ANY ($2) AND k.id = anew.id AND k.log = $1 AND k.wrapped = anew.before";
const COUNTS: &str = "SELECT master_key, count(*) FROM anamnesis.data_key
    WHERE log = $1 AND wrapped IS NOT NULL GROUP BY master_key ORDER BY master_key";
const DESTROYED: &str = "SELECT count(*) FROM anamnesis.data_key WHERE log = $1 AND wrapped IS NULL";
const SEALED_UNTIL: &str = "SELECT seq FROM anamnesis.sealed_until WHERE log = $1";
const SET_SEALED_UNTIL: &str = "INSERT INTO anamnesis.sealed_until (log, seq) VALUES ($1, $2)
    ON CONFLICT (log) DO UPDATE SET seq = greatest(sealed_until.seq, excluded.seq)";
const IN_CLEAR: &str =
    "SELECT e.seq, e.payload, e.resource_type, e.id, e.version, e.home FROM anamnesis.event AS e
    WHERE e.log = $1 AND e.seq > $2 AND e.seq <= $3
        AND octet_length(e.payload) > 0 AND get_byte(e.payload, 0) <> 167 ORDER BY e.seq";
/// What was erased or sealed by somebody else meanwhile stays as it is.
const SEAL: &str = "UPDATE anamnesis.event AS e SET payload = sealed.payload
    FROM unnest($2::bigint[], $3::bytea[]) AS sealed (seq, payload)
    WHERE e.log = $1 AND e.seq = ANY ($2) AND e.seq = sealed.seq
        AND octet_length(e.payload) > 0 AND get_byte(e.payload, 0) <> 167";

/// Bytes of bodies that are sealed at once.
const SEAL_BYTES_MAX: usize = 32 << 20;

/// How the data keys of a log stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStatus {
    /// The master key that wraps from now on; `None` where bodies are not sealed.
    pub current: Option<String>,
    /// The master keys in use, and how many keys each has wrapped. One of them is no data key, but what the master key is
    /// tried with.
    pub wrapped: Vec<(String, u64)>,
    /// Keys that were destroyed.
    pub destroyed: u64,
    /// Up to where bodies that were stored in clear have been sealed.
    pub sealed_until: Position,
}

/// What one step of sealing has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedStep {
    /// Up to where bodies are sealed now.
    pub until: Position,
    /// Bodies that this step has sealed.
    pub sealed: u64,
    /// Whether that is the log's end.
    pub is_done: bool,
}

impl Log {
    /// How the data keys stand. Counts all of them.
    ///
    /// # Errors
    /// When the database or the holder of the master keys does not answer.
    pub async fn key_status(&self) -> Result<KeyStatus, LogError> {
        let (log, keys) = (&self.inner.number, &self.inner.data_keys);
        let count = |row: &Row| -> Result<(String, u64), LogError> {
            Ok((row.try_get(0)?, u64::try_from(row.try_get::<_, i64>(1)?).unwrap_or(0)))
        };
        let current = match keys.is_on() {
            true => Some(keys.master()?.current().await?),
            false => None,
        };
        let wrapped = self.query(COUNTS, &[log]).await?.iter().map(count).collect::<Result<_, _>>()?;
        let destroyed: i64 =
            self.query(DESTROYED, &[log]).await?.first().map_or(Ok(0), |row| row.try_get(0))?;
        let destroyed = u64::try_from(destroyed).unwrap_or(0);
        Ok(KeyStatus { current, wrapped, destroyed, sealed_until: self.sealed_until().await? })
    }

    /// Wraps up to so many data keys with the current master key that another one has wrapped; answers how many. When it
    /// answers 0, all are wrapped with the current one. Safe at any time, beside servers too, and to be stopped anywhere.
    ///
    /// # Errors
    /// When the database or the holder of the master keys does not answer, or a master key is missing.
    pub async fn rewrap(&self, limit: usize) -> Result<u64, LogError> {
        self.inner.data_keys.rewrap(limit).await
    }

    /// Seals bodies that were stored in clear, of the next events of up to that number, behind where the last step has
    /// ended. The hash chain is over the bodies and stays as it is.
    ///
    /// # Errors
    /// When the database or the holder of the master keys does not answer, or no master key is configured.
    pub async fn seal_step(&self, events: u64) -> Result<SealedStep, LogError> {
        let (log, keys) = (&self.inner.number, &self.inner.data_keys);
        // Where nothing is sealed when it is written, sealing would never end.
        keys.master()?;
        let (after, head) = (self.sealed_until().await?, self.head().await?);
        let until = self.end_within(after, after.plus(events).min(head), SEAL_BYTES_MAX).await?;
        let rows = self.query(IN_CLEAR, &[log, &after.to_sql(), &until.to_sql()]).await?;
        let homes = rows.iter().map(|row| row.try_get(5)).collect::<Result<Vec<&str>, _>>()?;
        let of_homes = keys.for_writing(homes.iter().copied()).await?;
        let (mut seqs, mut payloads): (Vec<i64>, Vec<Vec<u8>>) = Default::default();
        for (row, home) in rows.iter().zip(&homes) {
            let key = of_homes.get(*home);
            seqs.push(row.try_get(0)?);
            payloads.push(self.sealed_row(row, key)?);
        }
        if !seqs.is_empty() {
            self.query(SEAL, &[log, &seqs, &payloads]).await?;
        }
        self.query(SET_SEALED_UNTIL, &[log, &until.to_sql()]).await?;
        Ok(SealedStep { until, sealed: seqs.len() as u64, is_done: until >= head })
    }

    /// The sealed form of a row of [`IN_CLEAR`].
    fn sealed_row(&self, row: &Row, key: Option<&Arc<DataKey>>) -> Result<Vec<u8>, LogError> {
        let position = Position::from_sql(row.try_get(0)?);
        let broken = |reason: String| LogError::Broken { position, reason };
        let frame: &[u8] = row.try_get(1)?;
        let resource = ResourceKey::new(row.try_get::<_, &str>(2)?, row.try_get::<_, &str>(3)?);
        let (log, version) = (self.inner.data_keys.genesis(), Version::from_sql(row.try_get(4)?));
        let place = Place { log, position, key: &resource, version };
        let key = key.ok_or_else(|| broken("it has no data key".to_owned()))?;
        key.seal(&place, frame, codec::size_of_body(frame)).map_err(|error| broken(error.to_string()))
    }

    async fn sealed_until(&self) -> Result<Position, LogError> {
        let rows = self.query(SEALED_UNTIL, &[&self.inner.number]).await?;
        rows.first().map_or(Ok(Position::ZERO), |row| Ok(Position::from_sql(row.try_get(0)?)))
    }
}

impl DataKeys {
    async fn rewrap(&self, limit: usize) -> Result<u64, LogError> {
        let current = self.master()?.current().await?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        for row in query(&self.0.pool, super::open::ONE_OF_EACH, &[&self.0.log]).await? {
            let other: String = row.try_get(2)?;
            if other == current {
                continue;
            }
            let rows = query(&self.0.pool, BY_OTHERS, &[&self.0.log, &other, &limit]).await?;
            let anew: Vec<_> = rows.iter().map(|row| self.wrapped_anew(row, &current).boxed()).collect();
            let anew: Vec<(i32, Vec<u8>, Wrapped)> =
                futures::stream::iter(anew).buffered(ASKED_MAX).try_collect().await?;
            let (mut ids, mut before, mut wrapped, mut by): (Vec<i32>, Vec<_>, Vec<_>, Vec<_>) =
                Default::default();
            for (id, old, new) in anew {
                ids.push(id);
                before.push(old);
                wrapped.push(new.bytes);
                by.push(new.master_key);
            }
            let parameters: [&(dyn ToSql + Sync); 5] = [&self.0.log, &ids, &before, &wrapped, &by];
            query(&self.0.pool, REWRAP, &parameters).await?;
            return Ok(ids.len() as u64);
        }
        Ok(0)
    }

    /// The key of a row: its number, how it was wrapped, and how it is now.
    async fn wrapped_anew(&self, row: &Row, current: &str) -> Result<(i32, Vec<u8>, Wrapped), LogError> {
        let context = self.context(&row.try_get::<_, Uuid>(1)?);
        let before = Wrapped { bytes: row.try_get(2)?, master_key: row.try_get(3)? };
        let master = self.master()?;
        let key = match master.unwrap(&context, &before).await {
            Err(MasterKeyError::Wrong(master_key)) => {
                let reason = format!(
                    "data key {}: it was changed, or wrapped by another `{master_key}`",
                    number_of(row)?
                );
                return Err(MasterKeyError::Invalid(reason).into());
            }
            unwrapped => unwrapped?,
        };
        let anew = master.wrap(&context, &key).await?;
        if anew.master_key != current {
            return Err(MasterKeyError::Unavailable("it has another current key by now".to_owned()).into());
        }
        // What does not come back must not take the place of what does.
        if master.unwrap(&context, &anew).await?[..] != key[..] {
            return Err(MasterKeyError::Wrong(anew.master_key).into());
        }
        Ok((row.try_get(0)?, before.bytes, anew))
    }
}
