//! The table of users: who may sign in, by name and by id.

use chrono::{DateTime, Utc};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Row, Transaction};
use uuid::Uuid;

use super::Store;
use crate::error::SmartError;
use crate::users::User;

/// The columns of a user, in the order in which [`user`] reads them; `u` is the table.
pub(crate) const COLUMNS: &str = "u.id, u.name, u.display, u.fhir_user, u.password, u.upstream, u.subject, u.is_enabled, u.made_at, u.changed_at";

/// A user, and the digest of the password.
#[derive(Debug, Clone)]
pub(crate) struct StoredUser {
    pub(crate) user: User,
    pub(crate) password: Option<String>,
}

/// What is changed of a user.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Password(String),
    Enabled(bool),
    FhirUser(Option<String>),
    Names {
        name: String,
        display: String,
    },
    /// The issuer, and as whom; without the latter it stays where the issuer does.
    Upstream(Option<(String, Option<String>)>),
}

/// Whether something was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    Done,
    /// Somebody else has the name, or the account elsewhere.
    Taken,
    /// There is no such user.
    Missing,
}

impl Store {
    /// Keeps a new user.
    pub(crate) async fn add_user(&self, new: &StoredUser) -> Result<Stored, SmartError> {
        let client = self.get().await?;
        let user = &new.user;
        let added = client
            .execute(
                "INSERT INTO anamnesis.smart_user (realm, id, name, display, fhir_user, password, upstream, subject,
                     is_enabled, made_at, changed_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) ON CONFLICT DO NOTHING",
                &[
                    &self.realm,
                    &user.id,
                    &user.name,
                    &user.display,
                    &user.fhir_user,
                    &new.password,
                    &user.upstream,
                    &user.subject,
                    &user.is_enabled,
                    &user.made_at,
                ],
            )
            .await?;
        Ok(if added == 1 { Stored::Done } else { Stored::Taken })
    }

    /// A user of this id.
    pub(crate) async fn user(&self, id: Uuid) -> Result<Option<StoredUser>, SmartError> {
        let client = self.get().await?;
        let query = format!("SELECT {COLUMNS} FROM anamnesis.smart_user u WHERE realm = $1 AND id = $2");
        client.query_opt(&query, &[&self.realm, &id]).await?.map(|row| user(&row)).transpose()
    }

    /// A user of this folded name.
    pub(crate) async fn user_named(&self, name: &str) -> Result<Option<StoredUser>, SmartError> {
        let client = self.get().await?;
        let query = format!("SELECT {COLUMNS} FROM anamnesis.smart_user u WHERE realm = $1 AND name = $2");
        client.query_opt(&query, &[&self.realm, &name]).await?.map(|row| user(&row)).transpose()
    }

    /// The user who signs in elsewhere as this: issuer and subject.
    pub(crate) async fn user_of(
        &self,
        (issuer, subject): (&str, &str),
    ) -> Result<Option<StoredUser>, SmartError> {
        let client = self.get().await?;
        let query = format!(
            "SELECT {COLUMNS} FROM anamnesis.smart_user u WHERE realm = $1 AND upstream = $2 AND subject = $3"
        );
        let row = client.query_opt(&query, &[&self.realm, &issuer, &subject]).await?;
        row.map(|row| user(&row)).transpose()
    }

    /// Binds a user who was made for an issuer to a subject of it, at the first sign-in; `false` where there is none of this name.
    pub(crate) async fn bind_user(
        &self,
        name: &str,
        (issuer, subject): (&str, &str),
        now: DateTime<Utc>,
    ) -> Result<bool, SmartError> {
        let client = self.get().await?;
        let statement = "UPDATE anamnesis.smart_user SET subject = $4, changed_at = $5
             WHERE realm = $1 AND name = $2 AND upstream = $3 AND subject IS NULL AND is_enabled";
        Ok(client.execute(statement, &[&self.realm, &name, &issuer, &subject, &now]).await? == 1)
    }

    /// Users by name, after a name.
    pub(crate) async fn users(&self, after: &str, count: i64) -> Result<Vec<StoredUser>, SmartError> {
        let client = self.get().await?;
        let query = format!(
            "SELECT {COLUMNS} FROM anamnesis.smart_user u WHERE realm = $1 AND name > $2 ORDER BY name LIMIT $3"
        );
        client.query(&query, &[&self.realm, &after, &count]).await?.iter().map(user).collect()
    }

    /// Changes a user. What was granted to apps, and who is signed in, ends where the change takes something away: a password, a
    /// permission to sign in, or whom the user is in the record.
    pub(crate) async fn change_user(
        &self,
        id: Uuid,
        changes: &[Change],
        now: DateTime<Utc>,
    ) -> Result<Stored, SmartError> {
        let mut client = self.get().await?;
        let transaction = client.transaction().await?;
        let lock =
            format!("SELECT {COLUMNS} FROM anamnesis.smart_user u WHERE realm = $1 AND id = $2 FOR UPDATE");
        let Some(row) = transaction.query_opt(&lock, &[&self.realm, &id]).await? else {
            return Ok(Stored::Missing);
        };
        let mut changed = user(&row)?;
        let mut ends = false;
        for change in changes {
            ends |= changed.apply(change);
        }
        match self.write(&transaction, &changed, now).await {
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => return Ok(Stored::Taken),
            other => other?,
        }
        if ends {
            self.end_all_of(&transaction, id).await?;
        }
        transaction.commit().await?;
        Ok(Stored::Done)
    }

    /// Removes a user, and ends what was granted.
    pub(crate) async fn remove_user(&self, id: Uuid) -> Result<Stored, SmartError> {
        let mut client = self.get().await?;
        let transaction = client.transaction().await?;
        self.end_all_of(&transaction, id).await?;
        let statement = "DELETE FROM anamnesis.smart_user WHERE realm = $1 AND id = $2";
        let removed = transaction.execute(statement, &[&self.realm, &id]).await?;
        transaction.commit().await?;
        Ok(if removed == 1 { Stored::Done } else { Stored::Missing })
    }

    /// Puts a password's digest that was made with other parameters in the place of the one it was checked with.
    pub(crate) async fn replace_password(&self, id: Uuid, old: &str, new: &str) -> Result<(), SmartError> {
        let client = self.get().await?;
        let statement =
            "UPDATE anamnesis.smart_user SET password = $4 WHERE realm = $1 AND id = $2 AND password = $3";
        client.execute(statement, &[&self.realm, &id, &old, &new]).await?;
        Ok(())
    }

    async fn write(
        &self,
        transaction: &Transaction<'_>,
        changed: &StoredUser,
        now: DateTime<Utc>,
    ) -> Result<(), tokio_postgres::Error> {
        let user = &changed.user;
        transaction
            .execute(
                "UPDATE anamnesis.smart_user SET name = $3, display = $4, fhir_user = $5, password = $6, upstream = $7,
                     subject = $8, is_enabled = $9, changed_at = $10 WHERE realm = $1 AND id = $2",
                &[
                    &self.realm,
                    &user.id,
                    &user.name,
                    &user.display,
                    &user.fhir_user,
                    &changed.password,
                    &user.upstream,
                    &user.subject,
                    &user.is_enabled,
                    &now,
                ],
            )
            .await
            .map(drop)
    }

    /// By the clock of the database, as those expect who follow what is revoked.
    async fn end_all_of(&self, transaction: &Transaction<'_>, id: Uuid) -> Result<(), SmartError> {
        let sessions = "DELETE FROM anamnesis.smart_session WHERE realm = $1 AND user_id = $2";
        transaction.execute(sessions, &[&self.realm, &id]).await?;
        let families = "UPDATE anamnesis.smart_family SET revoked_at = clock_timestamp()
             WHERE realm = $1 AND user_id = $2 AND revoked_at IS NULL";
        transaction.execute(families, &[&self.realm, &id]).await?;
        Ok(())
    }
}

impl StoredUser {
    /// Makes a change; says whether sessions and families end with it.
    fn apply(&mut self, change: &Change) -> bool {
        match change {
            Change::Password(password) => {
                self.password = Some(password.clone());
                self.user.has_password = true;
                true
            }
            Change::Enabled(is_enabled) => {
                self.user.is_enabled = *is_enabled;
                !is_enabled
            }
            Change::FhirUser(fhir_user) => {
                let is_other = self.user.fhir_user != *fhir_user;
                self.user.fhir_user.clone_from(fhir_user);
                is_other
            }
            Change::Names { name, display } => {
                self.user.name.clone_from(name);
                self.user.display.clone_from(display);
                false
            }
            Change::Upstream(account) => {
                let (upstream, said) = account.clone().unzip();
                let is_same = self.user.upstream == upstream;
                let kept = self.user.subject.clone().filter(|_| is_same);
                let subject = said.flatten().or(kept);
                let is_other = !is_same || self.user.subject != subject;
                (self.user.upstream, self.user.subject) = (upstream, subject);
                is_other
            }
        }
    }
}

/// Reads a row of [`COLUMNS`].
pub(crate) fn user(row: &Row) -> Result<StoredUser, SmartError> {
    let password: Option<String> = row.try_get(4)?;
    let user = User {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        display: row.try_get(2)?,
        fhir_user: row.try_get(3)?,
        has_password: password.is_some(),
        upstream: row.try_get(5)?,
        subject: row.try_get(6)?,
        is_enabled: row.try_get(7)?,
        made_at: row.try_get(8)?,
        changed_at: row.try_get(9)?,
    };
    Ok(StoredUser { user, password })
}
