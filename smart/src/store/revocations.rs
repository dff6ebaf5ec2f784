//! The tables of revoked tokens and families, as those who follow them read them.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::Store;
use crate::error::SmartError;

/// What was read.
pub(crate) struct Page {
    /// Revoked tokens and families: which, and until when it matters.
    pub(crate) found: Vec<(Uuid, DateTime<Utc>)>,
    /// What time it was for the database when it was asked.
    pub(crate) asked_at: DateTime<Utc>,
}

/// Tokens and families that were revoked since then and whose access tokens may still be good, `count_max` and one at most.
pub(crate) async fn since(
    store: &Store,
    since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    count_max: usize,
) -> Result<Page, SmartError> {
    let client = store.get_following().await?;
    // The row without a name is the time.
    let query = "SELECT NULL::uuid, statement_timestamp() UNION ALL (
             SELECT family, access_ends_at FROM anamnesis.smart_family
             WHERE realm = $1 AND revoked_at IS NOT NULL
                 AND revoked_at > coalesce($2::timestamptz, '-infinity') AND access_ends_at > $3
             UNION ALL
             SELECT jti, ends_at FROM anamnesis.smart_revoked
             WHERE realm = $1 AND revoked_at > coalesce($2::timestamptz, '-infinity') AND ends_at > $3
             LIMIT $4)";
    let limit = i64::try_from(count_max).unwrap_or(i64::MAX).saturating_add(1);
    let mut page = Page { found: Vec::new(), asked_at: DateTime::<Utc>::MIN_UTC };
    for row in client.query(query, &[&store.realm, &since, &now, &limit]).await? {
        match row.try_get(0)? {
            Some(which) => page.found.push((which, row.try_get(1)?)),
            None => page.asked_at = row.try_get(1)?,
        }
    }
    Ok(page)
}

/// How much earlier than the last answer to ask from: a revocation has the time of its statement, and is seen when that is
/// committed. A statement takes five seconds at most.
pub(crate) const OVERLAP: TimeDelta = TimeDelta::seconds(60);

/// Revokes one access token until it ends.
pub(crate) async fn insert(store: &Store, jti: Uuid, ends_at: DateTime<Utc>) -> Result<(), SmartError> {
    let statement = "INSERT INTO anamnesis.smart_revoked (realm, jti, revoked_at, ends_at)
         VALUES ($1, $2, clock_timestamp(), $3) ON CONFLICT DO NOTHING";
    store.get().await?.execute(statement, &[&store.realm, &jti, &ends_at]).await?;
    Ok(())
}
