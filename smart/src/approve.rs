//! Makes an authorization code of what a user has let an app do, and the family of the tokens that will come of it.

use std::time::Duration;

use chrono::TimeDelta;

use crate::approval::Approval;
use crate::error::SmartError;
use crate::secret;
use crate::server::SmartServer;
use crate::store::families::{self, NewFamily};

impl SmartServer {
    /// Makes the code that an app gets for what its user has approved. It is good once and for a minute or so
    /// ([`crate::SmartOptions::code_for`]).
    ///
    /// # Errors
    /// The approval is for another service, or the database cannot be used.
    pub async fn approve(&self, approval: &Approval) -> Result<String, SmartError> {
        if approval.service != self.options.service {
            return Err(SmartError::Invalid("an approval is for another service".to_owned()));
        }
        let session = approval.online_session().map(secret::from_hex);
        if session.as_ref().is_some_and(Option::is_none) {
            return Err(SmartError::Invalid("the digest of a session is no hex".to_owned()));
        }
        let code = secret::opaque()?;
        let family = secret::identifier()?;
        let now = self.host.now();
        let code_ends_at = now + whole(self.options.code_for);
        let lasts = match approval.refreshes() {
            true => self.options.family_for,
            false => self.options.code_for + self.access_for(approval),
        };
        let new = NewFamily {
            family,
            service: &approval.service,
            client: &approval.client,
            scope: &approval.scope,
            approval: Some(approval),
            session: session.flatten(),
            made_at: now,
            ends_at: now + whole(lasts),
            // There is no access token yet.
            access_ends_at: now,
        };
        let mut client = self.store.get().await?;
        let transaction = client.transaction().await?;
        families::insert(&transaction, self.store.realm, &new).await?;
        let digest = secret::digest_of(&code);
        families::insert_code(&transaction, self.store.realm, &digest, (family, code_ends_at)).await?;
        transaction.commit().await?;
        Ok(code)
    }

    /// How long an access token lasts that comes of an approval.
    pub(crate) fn access_for(&self, approval: &Approval) -> Duration {
        match approval.emergency_reason {
            Some(_) => self.options.emergency_for,
            None => self.options.access_for,
        }
    }
}

impl Approval {
    /// Whether there are refresh tokens: with one of their scopes, and not in an emergency.
    pub(crate) fn refreshes(&self) -> bool {
        self.emergency_reason.is_none() && (self.has("offline_access") || self.has("online_access"))
    }

    /// Whether what was granted ends with the user's session: `offline_access` goes further.
    pub(crate) fn is_online(&self) -> bool {
        self.has("online_access") && !self.has("offline_access")
    }

    /// Whether a scope was granted.
    pub(crate) fn has(&self, scope: &str) -> bool {
        self.scope.split(' ').any(|granted| granted == scope)
    }

    fn online_session(&self) -> Option<&str> {
        self.session_digest.as_deref().filter(|_| self.is_online())
    }
}

/// A duration of the options as the calendar has it. They are all checked to be of years at most.
pub(crate) fn whole(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::zero())
}
