//! Wrong passwords, counted.

use chrono::{DateTime, Duration, Utc};

use super::Store;
use crate::error::SmartError;

/// How long wrong passwords are counted together.
const WINDOW: Duration = Duration::minutes(15);

impl Store {
    /// Counts an attempt before it is made, so that those made at the same time do not pass; returns how many it makes.
    pub(crate) async fn count_attempt(&self, of: &[u8], now: DateTime<Utc>) -> Result<i32, SmartError> {
        let client = self.get().await?;
        let row = client
            .query_one(
                "INSERT INTO anamnesis.smart_attempt AS a (realm, of, count, first_at, last_at) VALUES ($1, $2, 1, $3, $3)
                 ON CONFLICT (realm, of) DO UPDATE SET last_at = $3,
                     count = CASE WHEN a.first_at <= $4 THEN 1 ELSE least(a.count, 1000000) + 1 END,
                     first_at = CASE WHEN a.first_at <= $4 THEN $3 ELSE a.first_at END
                 RETURNING count",
                &[&self.realm, &of, &now, &(now - WINDOW)],
            )
            .await?;
        Ok(row.try_get(0)?)
    }

    /// Forgets the attempts for a user who has got in, and takes back the one that was counted for the address.
    pub(crate) async fn forgive_attempts(&self, user: &[u8], address: &[u8]) -> Result<(), SmartError> {
        let client = self.get().await?;
        let forget = "DELETE FROM anamnesis.smart_attempt WHERE realm = $1 AND of = $2";
        client.execute(forget, &[&self.realm, &user]).await?;
        let take_back =
            "UPDATE anamnesis.smart_attempt SET count = greatest(count - 1, 0) WHERE realm = $1 AND of = $2";
        client.execute(take_back, &[&self.realm, &address]).await?;
        Ok(())
    }
}
