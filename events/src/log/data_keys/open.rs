//! Opening the data keys of a log: that the master keys are the right ones is shown before anything is read or written.

use deadpool_postgres::Pool;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{DataKeys, MAKE};
use crate::LogError;
use crate::keys::{Encryption, MasterKeyError, Wrapped};
use crate::log::read::query;

/// What the sentinel is, before the name of the workspace: the hash of both is wrapped like a data key.
const SENTINEL_TAG: &[u8] = b"anamnesis sentinel 1\n";
/// The oldest key of each master key that wraps any. Skips from one master key to the next along the index.
pub(super) const ONE_OF_EACH: &str = "WITH RECURSIVE each (master_key) AS (
        SELECT min(master_key) FROM anamnesis.data_key WHERE log = $1 AND wrapped IS NOT NULL
      UNION ALL
        SELECT (SELECT min(k.master_key) FROM anamnesis.data_key AS k
                WHERE k.log = $1 AND k.wrapped IS NOT NULL AND k.master_key > each.master_key)
        FROM each WHERE each.master_key IS NOT NULL)
    SELECT k.compartment, k.wrapped, k.master_key FROM each CROSS JOIN LATERAL (
        SELECT * FROM anamnesis.data_key AS one
        WHERE one.log = $1 AND one.master_key = each.master_key AND one.wrapped IS NOT NULL
        ORDER BY one.id LIMIT 1) AS k
    WHERE each.master_key IS NOT NULL";
const SENTINEL: &str = "SELECT compartment, wrapped, master_key FROM anamnesis.data_key
    WHERE log = $1 AND compartment = $2 AND wrapped IS NOT NULL";

impl DataKeys {
    /// The keys of a log, after its sentinel and one key of each master key in use were unwrapped. A log that is
    /// encrypted for the first time gets its sentinel, where it is opened for writing.
    ///
    /// # Errors
    /// When bodies are sealed and no master key is configured, when one is missing or another one than it was, or when
    /// the database or the holder of the master keys does not answer.
    pub(crate) async fn open(
        pool: Pool,
        (log, workspace): (i16, &str),
        encryption: Option<Encryption>,
        writes: bool,
    ) -> Result<DataKeys, LogError> {
        let keys = DataKeys::new(pool, (log, workspace), encryption);
        if !keys.is_on() {
            let rows = query(&keys.0.pool, ONE_OF_EACH, &[&log]).await?;
            if !rows.is_empty() {
                // Says that there is none.
                keys.master()?;
            }
            return Ok(keys);
        }
        let sentinel: [u8; 32] =
            Sha256::new().chain_update(SENTINEL_TAG).chain_update(workspace.as_bytes()).finalize().into();
        if !keys.check_sentinel(&sentinel).await? && writes {
            keys.make_sentinel(&sentinel).await?;
            keys.check_sentinel(&sentinel).await?;
        }
        for row in query(&keys.0.pool, ONE_OF_EACH, &[&log]).await? {
            let wrapped = Wrapped { bytes: row.try_get(1)?, master_key: row.try_get(2)? };
            keys.master()?.unwrap(&keys.context(&row.try_get(0)?), &wrapped).await?;
        }
        Ok(keys)
    }

    /// Whether there is one. One that is another is an error.
    async fn check_sentinel(&self, sentinel: &[u8; 32]) -> Result<bool, LogError> {
        let rows = query(&self.0.pool, SENTINEL, &[&self.0.log, &Uuid::nil()]).await?;
        let Some(row) = rows.first() else { return Ok(false) };
        let wrapped = Wrapped { bytes: row.try_get(1)?, master_key: row.try_get(2)? };
        let found = self.master()?.unwrap(&self.context(&Uuid::nil()), &wrapped).await?;
        match found[..] == sentinel[..] {
            true => Ok(true),
            false => Err(MasterKeyError::Wrong(wrapped.master_key).into()),
        }
    }

    async fn make_sentinel(&self, sentinel: &[u8; 32]) -> Result<(), LogError> {
        let by = self.master()?.wrap(&self.context(&Uuid::nil()), sentinel).await?;
        let (compartments, wrapped, master_keys) = ([Uuid::nil()], [by.bytes], [by.master_key]);
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&self.0.log, &&compartments[..], &&wrapped[..], &&master_keys[..]];
        query(&self.0.pool, MAKE, &parameters).await?;
        Ok(())
    }
}
