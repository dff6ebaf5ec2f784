//! A request for authorization between its first page and its last.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::redirect::Return;
use crate::approval::LaunchContext;
use crate::launch::Launch;
use crate::secret::digest_of;
use crate::sessions::SignedIn;

/// What an app has asked for, and how far its user has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) service: String,
    /// The client's id.
    pub(crate) client: String,
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
    /// The scopes that were asked for, those of them that the client may have.
    pub(crate) scope: String,
    pub(crate) code_challenge: String,
    pub(crate) nonce: Option<String>,
    pub(crate) prompt: Prompt,
    /// How many seconds ago the user may have signed in.
    pub(crate) max_age: Option<u32>,
    pub(crate) login_hint: Option<String>,
    pub(crate) launch: Option<PendingLaunch>,
    pub(crate) made_at: DateTime<Utc>,
    /// The digest of the cookie of the browser that it belongs to, from its first page on.
    pub(crate) browser: Option<Vec<u8>>,
    pub(crate) progress: Progress,
    /// That the browser was sent to sign in elsewhere, until it comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) leg: Option<Leg>,
}

/// A way to the provider of sign-in and back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Leg {
    /// The digest of what comes back with it.
    pub(crate) state: Vec<u8>,
    /// What has to stand in the id token.
    pub(crate) nonce: String,
    /// Of PKCE (RFC 7636).
    pub(crate) verifier: String,
}

/// A launch by an electronic health record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingLaunch {
    pub(crate) digest: Vec<u8>,
    pub(crate) launch: Launch,
}

/// What a user has decided; of one session, and gone with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The digest of the session's cookie.
    pub(crate) session: Option<Vec<u8>>,
    /// Whether the user has signed in for this request.
    pub(crate) has_signed_in: bool,
    /// The patient that was chosen.
    pub(crate) patient: Option<String>,
    pub(crate) emergency: Emergency,
}

/// Whether it is an emergency.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Emergency {
    /// Nobody has said.
    #[default]
    Open,
    /// It is, for this reason.
    Declared(String),
    /// It is not: goes on without the scope.
    Denied,
}

/// What a user has to be shown (OpenID Connect Core section 3.1.2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Prompt {
    /// Nothing may be shown.
    pub(crate) none: bool,
    /// Sign-in, also who has signed in.
    pub(crate) login: bool,
    /// Consent, also where the client is trusted.
    pub(crate) consent: bool,
}

impl Pending {
    /// Where the app is answered.
    pub(crate) fn back(&self) -> Box<Return> {
        Box::new(Return { redirect_uri: self.redirect_uri.clone(), state: self.state.clone() })
    }

    /// What was decided in this session; nothing where it is another one.
    pub(crate) fn progress_of(&self, signed_in: &SignedIn) -> Progress {
        let session = Some(digest_of(&signed_in.cookie));
        if self.progress.session == session {
            self.progress.clone()
        } else {
            Progress { session, ..Progress::default() }
        }
    }

    /// Whether somebody who has signed in has to do so again for this request.
    pub(crate) fn needs_sign_in(&self, signed_in: &SignedIn, now: DateTime<Utc>) -> bool {
        if self.progress_of(signed_in).has_signed_in {
            return false;
        }
        let is_old = self.max_age.is_some_and(|age| (now - signed_in.at).num_seconds() >= i64::from(age));
        self.prompt.login || is_old
    }

    /// What the electronic health record has open.
    pub(crate) fn context(&self) -> LaunchContext {
        self.launch.as_ref().map(|launch| launch.launch.context.clone()).unwrap_or_default()
    }
}
