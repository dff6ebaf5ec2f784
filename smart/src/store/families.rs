//! The tables of families, codes and refresh tokens: what was granted, and how it goes on and ends.
//!
//! A family is made with its authorization code. Whatever goes on with it goes through one statement that also sees that it
//! was not ended, so that of two who come at once one is late.

use chrono::{DateTime, Utc};
use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::Row;
use uuid::Uuid;

use super::Store;
use crate::approval::{Approval, LaunchContext};
use crate::error::SmartError;

/// A family that is to be made.
pub(crate) struct NewFamily<'a> {
    pub(crate) family: Uuid,
    pub(crate) service: &'a str,
    pub(crate) client: &'a str,
    pub(crate) scope: &'a str,
    pub(crate) approval: Option<&'a Approval>,
    pub(crate) session: Option<Vec<u8>>,
    pub(crate) made_at: DateTime<Utc>,
    pub(crate) ends_at: DateTime<Utc>,
    pub(crate) access_ends_at: DateTime<Utc>,
}

/// What is known of a code or a refresh token before it is used.
pub(crate) struct Presented {
    pub(crate) family: Uuid,
    pub(crate) client: String,
    pub(crate) service: String,
    pub(crate) approval: Approval,
    /// Until when it is good, itself.
    pub(crate) ends_at: DateTime<Utc>,
    pub(crate) family_ends_at: DateTime<Utc>,
    pub(crate) is_used: bool,
    /// Whether its family was not ended and its user may still sign in.
    pub(crate) is_alive: bool,
    /// Whether the browser's session that it belongs to goes on; `true` where it belongs to none.
    pub(crate) is_in_session: bool,
}

/// What goes on with a family.
pub(crate) struct Continued<'a> {
    pub(crate) family: Uuid,
    pub(crate) now: DateTime<Utc>,
    /// When the access token ends that is made.
    pub(crate) access_ends_at: DateTime<Utc>,
    /// The digest of the next refresh token, and when it ends.
    pub(crate) refresh: Option<(&'a [u8], DateTime<Utc>)>,
}

/// Which of the two tables a value is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Authorization codes.
    Code,
    /// Refresh tokens.
    Refresh,
}

impl Kind {
    fn table(self) -> &'static str {
        match self {
            Self::Code => "anamnesis.smart_code",
            Self::Refresh => "anamnesis.smart_refresh",
        }
    }
}

/// Makes a family.
pub(crate) async fn insert(
    client: &impl GenericClient,
    realm: i16,
    new: &NewFamily<'_>,
) -> Result<(), SmartError> {
    let said = new.approval.map(serde_json::to_string).transpose();
    let said = said.map_err(|_| SmartError::Stored("an approval"))?;
    let user = new.approval.map(|approval| approval.user);
    let patient = new.approval.and_then(|approval| approval.context.patient.as_deref());
    let statement =
        "INSERT INTO anamnesis.smart_family (realm, family, service, client, user_id, scope, patient, said,
             session, made_at, ends_at, access_ends_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9, $10, $11, $12)";
    client
        .execute(
            statement,
            &[
                &realm,
                &new.family,
                &new.service,
                &new.client,
                &user,
                &new.scope,
                &patient,
                &said,
                &new.session,
                &new.made_at,
                &new.ends_at,
                &new.access_ends_at,
            ],
        )
        .await?;
    Ok(())
}

/// Makes an authorization code of a family.
pub(crate) async fn insert_code(
    client: &impl GenericClient,
    realm: i16,
    digest: &[u8],
    (family, ends_at): (Uuid, DateTime<Utc>),
) -> Result<(), SmartError> {
    let statement =
        "INSERT INTO anamnesis.smart_code (realm, digest, family, ends_at) VALUES ($1, $2, $3, $4)";
    client.execute(statement, &[&realm, &digest, &family, &ends_at]).await?;
    Ok(())
}

/// Looks a code or a refresh token up, without using it.
pub(crate) async fn find(
    client: &impl GenericClient,
    realm: i16,
    (kind, digest, now): (Kind, &[u8], DateTime<Utc>),
) -> Result<Option<Presented>, SmartError> {
    let query = format!(
        "SELECT f.family, f.client, f.service, f.said::text, t.ends_at, f.ends_at, t.used_at IS NOT NULL,
             f.revoked_at IS NULL AND f.ends_at > $3 AND EXISTS (SELECT 1 FROM anamnesis.smart_user u
                 WHERE u.realm = f.realm AND u.id = f.user_id AND u.is_enabled),
             f.session IS NULL OR EXISTS (SELECT 1 FROM anamnesis.smart_session s
                 WHERE s.realm = f.realm AND s.digest = f.session AND s.user_id = f.user_id AND s.ends_at > $3)
         FROM {} t JOIN anamnesis.smart_family f USING (realm, family) WHERE t.realm = $1 AND t.digest = $2",
        kind.table()
    );
    let row = client.query_opt(&query, &[&realm, &digest, &now]).await?;
    row.map(|row| presented(&row)).transpose()
}

fn presented(row: &Row) -> Result<Presented, SmartError> {
    let said: Option<String> = row.try_get(3)?;
    let said = said.ok_or(SmartError::Stored("an approval"))?;
    Ok(Presented {
        family: row.try_get(0)?,
        client: row.try_get(1)?,
        service: row.try_get(2)?,
        approval: serde_json::from_str(&said).map_err(|_| SmartError::Stored("an approval"))?,
        ends_at: row.try_get(4)?,
        family_ends_at: row.try_get(5)?,
        is_used: row.try_get(6)?,
        is_alive: row.try_get(7)?,
        is_in_session: row.try_get(8)?,
    })
}

/// Uses a code or a refresh token, once and for all: nobody else has used it, its family was not ended, its user may sign in,
/// its session goes on, and it has not ended. `false` where one of these is not so; then nothing is changed.
pub(crate) async fn use_once(
    transaction: &Transaction<'_>,
    realm: i16,
    (kind, digest): (Kind, &[u8]),
    continued: &Continued<'_>,
) -> Result<bool, SmartError> {
    let statement = format!(
        "WITH used AS (
             UPDATE {} SET used_at = $3
             WHERE realm = $1 AND digest = $2 AND used_at IS NULL AND ends_at > $3 RETURNING family),
         going_on AS (
             UPDATE anamnesis.smart_family f SET access_ends_at = greatest(f.access_ends_at, $5) FROM used
             WHERE f.realm = $1 AND f.family = used.family AND f.family = $4
                 AND f.revoked_at IS NULL AND f.ends_at > $3
                 AND EXISTS (SELECT 1 FROM anamnesis.smart_user u
                     WHERE u.realm = $1 AND u.id = f.user_id AND u.is_enabled)
                 AND (f.session IS NULL OR EXISTS (SELECT 1 FROM anamnesis.smart_session s
                     WHERE s.realm = $1 AND s.digest = f.session AND s.user_id = f.user_id AND s.ends_at > $3))
             RETURNING f.family),
         next AS (
             INSERT INTO anamnesis.smart_refresh (realm, digest, family, ends_at)
             SELECT $1, $6, family, $7 FROM going_on WHERE $6::bytea IS NOT NULL)
         SELECT count(*) FROM going_on",
        kind.table()
    );
    let (next, next_ends_at) = continued.refresh.unzip();
    let row = transaction
        .query_one(
            &statement,
            &[
                &realm,
                &digest,
                &continued.now,
                &continued.family,
                &continued.access_ends_at,
                &next,
                &next_ends_at,
            ],
        )
        .await?;
    let count: i64 = row.try_get(0)?;
    Ok(count == 1)
}

/// The launch context of a family, where neither it nor this access token of it was revoked.
pub(crate) async fn context_of_good(
    store: &Store,
    family: Uuid,
    jti: Uuid,
) -> Result<Option<LaunchContext>, SmartError> {
    let query = "SELECT said::text FROM anamnesis.smart_family
         WHERE realm = $1 AND family = $2 AND revoked_at IS NULL
             AND NOT EXISTS (SELECT 1 FROM anamnesis.smart_revoked WHERE realm = $1 AND jti = $3)";
    let row = store.get().await?.query_opt(query, &[&store.realm, &family, &jti]).await?;
    let Some(row) = row else { return Ok(None) };
    let said: Option<String> = row.try_get(0)?;
    let Some(said) = said else { return Ok(Some(LaunchContext::default())) };
    let approval: Approval = serde_json::from_str(&said).map_err(|_| SmartError::Stored("an approval"))?;
    Ok(Some(approval.context))
}

impl Store {
    /// Ends a family; `false` where it had ended, or never was.
    pub(crate) async fn revoke_family(&self, family: Uuid) -> Result<bool, SmartError> {
        let statement = "UPDATE anamnesis.smart_family SET revoked_at = clock_timestamp()
             WHERE realm = $1 AND family = $2 AND revoked_at IS NULL";
        Ok(self.get().await?.execute(statement, &[&self.realm, &family]).await? == 1)
    }

    /// Ends everything that somebody has granted; tells how much that was.
    pub(crate) async fn revoke_of_user(&self, user: Uuid) -> Result<u64, SmartError> {
        let statement = "UPDATE anamnesis.smart_family SET revoked_at = clock_timestamp()
             WHERE realm = $1 AND user_id = $2 AND revoked_at IS NULL";
        Ok(self.get().await?.execute(statement, &[&self.realm, &user]).await?)
    }
}

/// Ends everything that was granted to a client.
pub(crate) async fn revoke_of_client(
    transaction: &Transaction<'_>,
    realm: i16,
    client: &str,
) -> Result<u64, SmartError> {
    let statement = "UPDATE anamnesis.smart_family SET revoked_at = clock_timestamp()
         WHERE realm = $1 AND client = $2 AND revoked_at IS NULL";
    Ok(transaction.execute(statement, &[&realm, &client]).await?)
}
