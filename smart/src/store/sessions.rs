//! Who has signed in with which browser.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Store;
use super::users::{COLUMNS, StoredUser, user};
use crate::error::SmartError;

impl Store {
    /// Keeps a session, and ends another one, that of the same browser before.
    pub(crate) async fn put_session(
        &self,
        session: NewSession<'_>,
        ended: Option<&[u8]>,
    ) -> Result<(), SmartError> {
        let mut client = self.get().await?;
        let transaction = client.transaction().await?;
        if let Some(ended) = ended {
            let end = "DELETE FROM anamnesis.smart_session WHERE realm = $1 AND digest = $2";
            transaction.execute(end, &[&self.realm, &ended]).await?;
        }
        transaction
            .execute(
                "INSERT INTO anamnesis.smart_session (realm, digest, user_id, made_at, ends_at) VALUES ($1, $2, $3, $4, $5)",
                &[&self.realm, &session.digest, &session.user, &session.made_at, &session.ends_at],
            )
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Who has signed in, and when; nobody where the session is over or the user is not enabled.
    pub(crate) async fn session(
        &self,
        digest: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Option<(StoredUser, DateTime<Utc>)>, SmartError> {
        let client = self.get().await?;
        let query = format!(
            "SELECT {COLUMNS}, s.made_at FROM anamnesis.smart_session s
             JOIN anamnesis.smart_user u ON u.realm = s.realm AND u.id = s.user_id
             WHERE s.realm = $1 AND s.digest = $2 AND s.ends_at > $3 AND u.is_enabled"
        );
        let Some(row) = client.query_opt(&query, &[&self.realm, &digest, &now]).await? else {
            return Ok(None);
        };
        let found = user(&row)?;
        Ok(Some((found, row.try_get(row.len() - 1)?)))
    }

    /// Ends one session.
    pub(crate) async fn end_session(&self, digest: &[u8]) -> Result<(), SmartError> {
        let client = self.get().await?;
        let statement = "DELETE FROM anamnesis.smart_session WHERE realm = $1 AND digest = $2";
        client.execute(statement, &[&self.realm, &digest]).await?;
        Ok(())
    }
}

/// A session that begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewSession<'a> {
    pub(crate) digest: &'a [u8],
    pub(crate) user: Uuid,
    pub(crate) made_at: DateTime<Utc>,
    pub(crate) ends_at: DateTime<Utc>,
}
