//! Removes rows that have ended, a few at a time.

use chrono::{DateTime, TimeDelta, Utc};

use super::Store;
use crate::error::SmartError;

/// Rows that one statement removes at most.
const BATCH: i64 = 1_000;
/// Batches of one table in a row at most; the rest waits for the next time.
const BATCHES_MAX: usize = 20;

/// Each table, the condition under which a row of it is of no use any more ($1: the realm, $2: that time), and for how long
/// after its end it is kept.
const TABLES: [(&str, &str, TimeDelta); 10] = [
    ("smart_session", "ends_at < $2", TimeDelta::zero()),
    ("smart_request", "ends_at < $2", TimeDelta::zero()),
    ("smart_launch", "ends_at < $2", TimeDelta::zero()),
    ("smart_attempt", "last_at < $2", TimeDelta::hours(1)),
    // A code that comes a second time ends its family.
    ("smart_code", "ends_at < $2", TimeDelta::days(1)),
    ("smart_refresh", "ends_at < $2", TimeDelta::zero()),
    // A refresh token that comes a second time ends its family.
    ("smart_refresh", "used_at < $2", TimeDelta::days(7)),
    // Clocks of servers may be apart.
    ("smart_revoked", "ends_at < $2", TimeDelta::minutes(5)),
    ("smart_assertion", "ends_at < $2", TimeDelta::minutes(5)),
    ("smart_family", "ends_at < $2 AND access_ends_at < $2", TimeDelta::days(1)),
];

/// Removes what has ended; tells how many rows that were.
pub(crate) async fn remove(store: &Store, now: DateTime<Utc>) -> Result<u64, SmartError> {
    let mut removed = 0;
    for (table, condition, kept_for) in TABLES {
        let statement = format!(
            "DELETE FROM anamnesis.{table} WHERE ctid = ANY (ARRAY(
                 SELECT ctid FROM anamnesis.{table} WHERE realm = $1 AND {condition}
                 LIMIT $3 FOR UPDATE SKIP LOCKED))"
        );
        for _ in 0..BATCHES_MAX {
            let client = store.get().await?;
            let count = client.execute(&statement, &[&store.realm, &(now - kept_for), &BATCH]).await?;
            removed += count;
            if count < BATCH.unsigned_abs() {
                break;
            }
        }
    }
    // A key that is gone checks nothing any more.
    let statement = "DELETE FROM anamnesis.smart_key WHERE realm = $1 AND gone_at < $2";
    let client = store.get().await?;
    removed += client.execute(statement, &[&store.realm, &(now - TimeDelta::days(1))]).await?;
    Ok(removed)
}
