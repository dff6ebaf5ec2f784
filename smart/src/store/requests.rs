//! Requests for authorization between their first page and their last.

use chrono::{DateTime, Utc};

use super::Store;
use crate::authorize::pending::Pending;
use crate::error::SmartError;

/// Requests that may be under way in a workspace; more are refused, so that nobody fills the database without signing in.
const UNDER_WAY_MAX: i64 = 20_000;

impl Store {
    /// Keeps a new request.
    pub(crate) async fn put_request(
        &self,
        digest: &[u8],
        pending: &Pending,
        ends_at: DateTime<Utc>,
    ) -> Result<(), SmartError> {
        let said = written(pending)?;
        let client = self.get().await?;
        let added = client
            .execute(
                "INSERT INTO anamnesis.smart_request (realm, digest, said, ends_at)
                 SELECT $1, $2, $3::text::jsonb, $4 WHERE
                     (SELECT count(*) FROM (SELECT 1 FROM anamnesis.smart_request WHERE realm = $1 LIMIT $5) AS counted) < $5",
                &[&self.realm, &digest, &said, &ends_at, &UNDER_WAY_MAX],
            )
            .await?;
        if added == 1 { Ok(()) } else { Err(SmartError::Busy("sign-in")) }
    }

    /// A request that is not over.
    pub(crate) async fn request(
        &self,
        digest: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Option<Pending>, SmartError> {
        let client = self.get().await?;
        let query = "SELECT said::text FROM anamnesis.smart_request WHERE realm = $1 AND digest = $2 AND ends_at > $3";
        let row = client.query_opt(query, &[&self.realm, &digest, &now]).await?;
        row.map(|row| read(row.try_get(0)?)).transpose()
    }

    /// Puts a request in the place of what it was; `false` where somebody was faster.
    pub(crate) async fn change_request(
        &self,
        digest: &[u8],
        was: &Pending,
        is: &Pending,
    ) -> Result<bool, SmartError> {
        let client = self.get().await?;
        let changed = client
            .execute(
                "UPDATE anamnesis.smart_request SET said = $4::text::jsonb
                 WHERE realm = $1 AND digest = $2 AND said = $3::text::jsonb",
                &[&self.realm, &digest, &written(was)?, &written(is)?],
            )
            .await?;
        Ok(changed == 1)
    }

    /// Ends a request that is still as it was; `false` where it is not: only one of two answers to it counts.
    pub(crate) async fn take_request(&self, digest: &[u8], was: &Pending) -> Result<bool, SmartError> {
        let client = self.get().await?;
        let statement =
            "DELETE FROM anamnesis.smart_request WHERE realm = $1 AND digest = $2 AND said = $3::text::jsonb";
        let taken = client.execute(statement, &[&self.realm, &digest, &written(was)?]).await?;
        Ok(taken == 1)
    }
}

fn written(pending: &Pending) -> Result<String, SmartError> {
    serde_json::to_string(pending).map_err(|_| SmartError::Stored("a request for authorization"))
}

fn read(said: &str) -> Result<Pending, SmartError> {
    serde_json::from_str(said).map_err(|_| SmartError::Stored("a request for authorization"))
}
