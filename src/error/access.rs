//! How clients are told that they are not let in: RFC 6750 section 3.

use super::convert::sentence;
use super::{Failure, FailureKind, IssueCode};
use crate::access::{Actions, Denied};

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        let text = sentence(&denied);
        // The texts are our own, without quotes and backslashes.
        let challenge = |error: &str| format!("Bearer error=\"{error}\", error_description=\"{text}\"");
        match denied {
            // Who says nothing is told nothing but how to (RFC 6750 section 3.1).
            Denied::NoToken => {
                Self::new(FailureKind::Unauthorized, IssueCode::Login, text).challenging("Bearer")
            }
            Denied::Request(_) => {
                let challenge = challenge("invalid_request");
                Self::invalid(text).challenging(challenge)
            }
            Denied::Token(_) => {
                let challenge = challenge("invalid_token");
                Self::new(FailureKind::Unauthorized, IssueCode::Login, text).challenging(challenge)
            }
            Denied::Expired => {
                let challenge = challenge("invalid_token");
                Self::new(FailureKind::Unauthorized, IssueCode::Expired, text).challenging(challenge)
            }
            Denied::Unavailable { after } => {
                let seconds = u32::try_from(after.as_secs()).unwrap_or(u32::MAX).max(1);
                Self::unavailable(text).retry_after(seconds)
            }
        }
    }
}

impl Failure {
    /// 403 for a principal that lacks these data actions. Says nothing of what was asked about, not even whether there is
    /// such a thing.
    #[must_use]
    pub fn lacking(missing: Actions) -> Self {
        let names: Vec<&str> = missing.iter().map(crate::access::Action::name).collect();
        let text = format!("Your roles do not allow this; it needs the data action(s) {}.", names.join(", "));
        Self::forbidden(text).challenging("Bearer error=\"insufficient_scope\"")
    }
}
