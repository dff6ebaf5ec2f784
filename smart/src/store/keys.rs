//! The table of keys that tokens are signed with.

use chrono::{DateTime, TimeDelta, Utc};
use deadpool_postgres::{GenericClient, Transaction};
use serde_json::Value;

use super::Store;
use crate::error::SmartError;

/// Rows that are read at most: with one key a quarter there are two or three.
const KEYS_MAX: i64 = 100;

/// A key as it is stored.
pub(crate) struct KeyRow {
    pub(crate) kid: String,
    /// Its public half as a JSON Web Key.
    pub(crate) public: Value,
    /// Its private half, sealed by the host.
    pub(crate) private: Vec<u8>,
    pub(crate) made_at: DateTime<Utc>,
    pub(crate) signs_from: DateTime<Utc>,
    pub(crate) retired_at: Option<DateTime<Utc>>,
}

/// Keys that are not gone, the oldest first.
pub(crate) async fn all(store: &Store, now: DateTime<Utc>) -> Result<Vec<KeyRow>, SmartError> {
    let client = store.get_following().await?;
    rows(&client, store.realm, now).await
}

/// Keys that are not gone, in a transaction that alone may make a new one.
pub(crate) async fn locked(
    transaction: &Transaction<'_>,
    realm: i16,
    now: DateTime<Utc>,
) -> Result<Vec<KeyRow>, SmartError> {
    // The row of the workspace is the lock: whoever makes a key has it alone.
    let lock = "SELECT 1 FROM anamnesis.smart_realm WHERE realm = $1 FOR NO KEY UPDATE";
    transaction.execute(lock, &[&realm]).await?;
    rows(transaction, realm, now).await
}

async fn rows(
    client: &impl GenericClient,
    realm: i16,
    now: DateTime<Utc>,
) -> Result<Vec<KeyRow>, SmartError> {
    let query = "SELECT kid, public::text, private, made_at, signs_from, retired_at FROM anamnesis.smart_key
         WHERE realm = $1 AND (gone_at IS NULL OR gone_at > $2) ORDER BY signs_from, kid LIMIT $3";
    let rows = client.query(query, &[&realm, &now, &KEYS_MAX]).await?;
    let read = rows.iter().map(|row| {
        let public: String = row.try_get(1)?;
        Ok(KeyRow {
            kid: row.try_get(0)?,
            public: serde_json::from_str(&public).map_err(|_| SmartError::Stored("a key"))?,
            private: row.try_get(2)?,
            made_at: row.try_get(3)?,
            signs_from: row.try_get(4)?,
            retired_at: row.try_get(5)?,
        })
    });
    read.collect()
}

/// Stores a new key, and retires the others from when it signs. What they have signed stays good for `kept_for`.
pub(crate) async fn insert(
    transaction: &Transaction<'_>,
    realm: i16,
    key: &KeyRow,
    kept_for: TimeDelta,
) -> Result<(), SmartError> {
    let retire = "UPDATE anamnesis.smart_key SET retired_at = $2, gone_at = $3
         WHERE realm = $1 AND retired_at IS NULL";
    transaction.execute(retire, &[&realm, &key.signs_from, &(key.signs_from + kept_for)]).await?;
    let insert =
        "INSERT INTO anamnesis.smart_key (realm, kid, algorithm, public, private, made_at, signs_from)
         VALUES ($1, $2, 'RS256', $3::text::jsonb, $4, $5, $6)";
    let public = key.public.to_string();
    transaction
        .execute(insert, &[&realm, &key.kid, &public, &key.private, &key.made_at, &key.signs_from])
        .await?;
    Ok(())
}
