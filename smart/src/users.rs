//! The users of a workspace: people who sign in to let apps in.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::error::SmartError;
use crate::secret::identifier;
use crate::server::SmartServer;
use crate::store::Store;
use crate::store::users::{Change, Stored, StoredUser};

pub(crate) mod api;
pub(crate) mod attempts;
mod common;
mod names;
pub(crate) mod password;
mod queue;

pub(crate) use names::{folded, is_logical_id};

/// Users of one answer at most.
pub const USERS_MAX: usize = 1_000;

/// Somebody who may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The subject of tokens; never given to anybody else.
    pub id: Uuid,
    /// What is typed to sign in: without blanks around it, in lower case, normalized (NFKC).
    pub name: String,
    /// What others read.
    pub display: String,
    /// `Patient/1`, `Practitioner/2` …: who the user is in the record (SMART `fhirUser`).
    pub fhir_user: Option<String>,
    /// Whether the user has a password; those who have none sign in elsewhere only.
    pub has_password: bool,
    /// The issuer at which the user signs in elsewhere.
    pub upstream: Option<String>,
    /// As whom.
    pub subject: Option<String>,
    /// Whether the user may sign in.
    pub is_enabled: bool,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// When it was changed last.
    pub changed_at: DateTime<Utc>,
}

/// A user to be made.
#[derive(Debug, Clone, Default)]
pub struct NewUser {
    /// See [`User::name`]; 1–200 characters.
    pub name: String,
    /// See [`User::display`]; 1–200 characters, the name where it is empty.
    pub display: String,
    /// See [`User::fhir_user`].
    pub fhir_user: Option<String>,
    /// 12–1,000 characters.
    pub password: Option<Zeroizing<String>>,
    /// See [`User::upstream`].
    pub upstream: Option<String>,
    /// See [`User::subject`]; where none is said it is that of whoever signs in there first with the user's name.
    pub subject: Option<String>,
}

/// Why something is not done with a user.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UserError {
    /// There is no such user.
    #[error("there is no such user")]
    Missing,
    /// Another user has the name, or the account elsewhere.
    #[error("another user has this name")]
    Taken,
    /// Something that was said is not possible; says which part and why.
    #[error("{0}")]
    Invalid(&'static str),
    /// The server failed.
    #[error(transparent)]
    Failed(#[from] SmartError),
}

/// What makes a clock of anything.
type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The users of one workspace. Cheap to clone. Nothing that is done here is put into the audit log: that is the caller's part.
#[derive(Clone)]
pub struct Users {
    store: Store,
    now: Clock,
    /// The server that has to know at once what was ended; others know within two seconds.
    server: Option<SmartServer>,
}

impl fmt::Debug for Users {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Users").field("store", &self.store).finish_non_exhaustive()
    }
}

impl SmartServer {
    /// The users of the workspace.
    #[must_use]
    pub fn users(&self) -> Users {
        let host = Arc::clone(&self.host);
        Users { store: self.store.clone(), now: Arc::new(move || host.now()), server: Some(self.clone()) }
    }
}

impl Users {
    /// The users of a workspace where there is no server: for the command line. Makes the tables where they are missing.
    ///
    /// # Errors
    /// The database cannot be used.
    pub async fn open(
        database: &str,
        workspace: &str,
        now: impl Fn() -> DateTime<Utc> + Send + Sync + 'static,
    ) -> Result<Self, SmartError> {
        Ok(Self { store: Store::open(database, workspace, 1).await?, now: Arc::new(now), server: None })
    }

    /// Makes a user, who is enabled.
    ///
    /// # Errors
    /// The name is taken, or something is not possible.
    pub async fn add(&self, new: NewUser) -> Result<User, UserError> {
        self.add_as(identifier()?, new).await
    }

    /// The same with an id that was made before.
    pub(crate) async fn add_as(&self, id: Uuid, new: NewUser) -> Result<User, UserError> {
        let name = folded(&new.name).ok_or(UserError::Invalid(names::NAME))?;
        let display = if new.display.trim().is_empty() { &new.name } else { &new.display };
        let display = names::display(display).ok_or(UserError::Invalid(names::DISPLAY))?;
        let fhir_user = names::fhir_user(new.fhir_user)?;
        let password = match new.password {
            Some(password) => Some(made(password, &name, &display).await?),
            None => None,
        };
        let (upstream, subject) = names::account(new.upstream, new.subject)?.unzip();
        let subject = subject.flatten();
        let now = (self.now)();
        let user = User {
            id,
            name,
            display,
            fhir_user,
            has_password: password.is_some(),
            upstream,
            subject,
            is_enabled: true,
            made_at: now,
            changed_at: now,
        };
        let new = StoredUser { user, password };
        told(self.store.add_user(&new).await?)?;
        Ok(new.user)
    }

    /// Gives a user another password. All sessions end, and what was granted to apps.
    ///
    /// # Errors
    /// There is no such user, or the password is too short, too long or too common.
    pub async fn set_password(&self, id: Uuid, password: Zeroizing<String>) -> Result<(), UserError> {
        let user = self.get(id).await?.ok_or(UserError::Missing)?;
        let password = made(password, &user.name, &user.display).await?;
        self.change(id, &[Change::Password(password)]).await
    }

    /// Lets a user sign in, or not. With the latter all sessions end, and what was granted to apps.
    ///
    /// # Errors
    /// There is no such user.
    pub async fn set_enabled(&self, id: Uuid, is_enabled: bool) -> Result<(), UserError> {
        self.change(id, &[Change::Enabled(is_enabled)]).await
    }

    /// Says who a user is in the record. Where that is somebody else than before all sessions end, and what was granted to apps.
    ///
    /// # Errors
    /// There is no such user, or it is none of the resources that SMART allows.
    pub async fn set_fhir_user(&self, id: Uuid, fhir_user: Option<String>) -> Result<(), UserError> {
        self.change(id, &[Change::FhirUser(names::fhir_user(fhir_user)?)]).await
    }

    /// Gives a user another name to sign in with, and to be read by others.
    ///
    /// # Errors
    /// There is no such user, or another one has the name.
    pub async fn rename(&self, id: Uuid, name: &str, display: &str) -> Result<(), UserError> {
        let name = folded(name).ok_or(UserError::Invalid(names::NAME))?;
        let display = names::display(display).ok_or(UserError::Invalid(names::DISPLAY))?;
        self.change(id, &[Change::Names { name, display }]).await
    }

    /// Says as whom a user signs in elsewhere: issuer and subject. Where that changes all sessions end, and what was granted to apps.
    ///
    /// # Errors
    /// There is no such user, or another one signs in so.
    pub async fn set_upstream(
        &self,
        id: Uuid,
        account: Option<(String, Option<String>)>,
    ) -> Result<(), UserError> {
        let (upstream, subject) = account.unzip();
        let account = names::account(upstream, subject.flatten())?;
        self.change(id, &[Change::Upstream(account)]).await
    }

    /// Changes several things at once, or none of them.
    pub(crate) async fn replace(&self, id: Uuid, new: NewUser, is_enabled: bool) -> Result<(), UserError> {
        let name = folded(&new.name).ok_or(UserError::Invalid(names::NAME))?;
        let display = names::display(&new.display).ok_or(UserError::Invalid(names::DISPLAY))?;
        let account = names::account(new.upstream, new.subject)?;
        let fhir_user = names::fhir_user(new.fhir_user)?;
        let mut changes =
            vec![Change::Enabled(is_enabled), Change::FhirUser(fhir_user), Change::Upstream(account)];
        if let Some(password) = new.password {
            changes.push(Change::Password(made(password, &name, &display).await?));
        }
        changes.push(Change::Names { name, display });
        self.change(id, &changes).await
    }

    /// Removes a user. All sessions end, and what was granted to apps. The id is never given to anybody else.
    ///
    /// # Errors
    /// There is no such user.
    pub async fn remove(&self, id: Uuid) -> Result<(), UserError> {
        let stored = self.store.remove_user(id).await?;
        self.follow().await;
        told(stored)
    }

    /// Users by name, those after a name, at most `count` and [`USERS_MAX`].
    ///
    /// # Errors
    /// The database failed.
    pub async fn list(&self, after: &str, count: usize) -> Result<Vec<User>, UserError> {
        let count = i64::try_from(count.min(USERS_MAX)).unwrap_or_default();
        Ok(self.store.users(after, count).await?.into_iter().map(|stored| stored.user).collect())
    }

    /// The user of a name, however it is written.
    ///
    /// # Errors
    /// The database failed.
    pub async fn find(&self, name: &str) -> Result<Option<User>, UserError> {
        let Some(name) = folded(name) else { return Ok(None) };
        Ok(self.store.user_named(&name).await?.map(|stored| stored.user))
    }

    /// The user of an id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn get(&self, id: Uuid) -> Result<Option<User>, UserError> {
        Ok(self.store.user(id).await?.map(|stored| stored.user))
    }

    async fn change(&self, id: Uuid, changes: &[Change]) -> Result<(), UserError> {
        let stored = self.store.change_user(id, changes, (self.now)()).await?;
        self.follow().await;
        told(stored)
    }

    /// Lets the server know what was ended. Where it cannot ask now it does so a second later.
    async fn follow(&self) {
        let Some(server) = &self.server else { return };
        if let Err(error) = server.follow_revocations().await {
            tracing::warn!(%error, "what was ended is known a little later");
        }
    }
}

fn told(stored: Stored) -> Result<(), UserError> {
    match stored {
        Stored::Done => Ok(()),
        Stored::Taken => Err(UserError::Taken),
        Stored::Missing => Err(UserError::Missing),
    }
}

/// Checks a new password, and makes its digest.
async fn made(password: Zeroizing<String>, name: &str, display: &str) -> Result<String, UserError> {
    let password = password::acceptable(&password, name, display).map_err(UserError::Invalid)?;
    Ok(password::digest(password).await?)
}
