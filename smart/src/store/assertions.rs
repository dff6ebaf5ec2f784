//! The table of client assertions that were used.

use chrono::{DateTime, Utc};

use super::Store;
use crate::error::SmartError;

/// Keeps an assertion by its digest until it ends; `false` where it was there already.
pub(crate) async fn insert(store: &Store, digest: &[u8], ends_at: DateTime<Utc>) -> Result<bool, SmartError> {
    let statement = "INSERT INTO anamnesis.smart_assertion (realm, digest, ends_at) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING";
    Ok(store.get().await?.execute(statement, &[&store.realm, &digest, &ends_at]).await? == 1)
}
