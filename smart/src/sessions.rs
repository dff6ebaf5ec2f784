//! Sessions: who has signed in with a browser, and when.

use actix_web::HttpRequest;
use chrono::{DateTime, Utc};

use crate::error::SmartError;
use crate::people::browser::{self, Cookie};
use crate::secret::{digest_of, opaque};
use crate::server::SmartServer;
use crate::store::sessions::NewSession;
use crate::users::User;

/// Somebody who has signed in.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    pub(crate) user: User,
    /// The cookie's value.
    pub(crate) cookie: String,
    pub(crate) at: DateTime<Utc>,
}

impl SmartServer {
    /// Who has signed in with the browser that asks.
    pub(crate) async fn signed_in(&self, request: &HttpRequest) -> Result<Option<SignedIn>, SmartError> {
        let Some(cookie) = browser::read(request, &self.options, Cookie::Session) else { return Ok(None) };
        let found = self.store.session(&digest_of(&cookie), self.host.now()).await?;
        Ok(found.map(|(stored, at)| SignedIn { user: stored.user, cookie, at }))
    }

    /// Begins a session; whatever the browser's cookie said before counts no more. Returns the new cookie's value.
    pub(crate) async fn begin_session(
        &self,
        request: &HttpRequest,
        user: &User,
    ) -> Result<String, SmartError> {
        let before = browser::read(request, &self.options, Cookie::Session).map(|value| digest_of(&value));
        let cookie = opaque()?;
        let now = self.host.now();
        let digest = digest_of(&cookie);
        let session = NewSession {
            digest: &digest,
            user: user.id,
            made_at: now,
            ends_at: after(now, self.options.session_for),
        };
        self.store.put_session(session, before.as_deref()).await?;
        Ok(cookie)
    }
}

/// A moment after another one; the last one that there is where that lies beyond.
pub(crate) fn after(now: DateTime<Utc>, time: std::time::Duration) -> DateTime<Utc> {
    let time = chrono::Duration::from_std(time).unwrap_or(chrono::Duration::MAX);
    now.checked_add_signed(time).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
