//! Why an app does not get what it has asked for, and what it gets instead (RFC 6749 section 5.2).

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::error::{OAuthError, OAuthErrorCode, SmartError};

/// When to come again where the server cannot answer now, in seconds: a connection or an audit log may be back by then.
const RETRY_AFTER_S: &str = "2";

/// Why something is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: OAuthErrorCode,
    /// For the audit log: says nothing of values.
    why: &'static str,
    /// For the app's developers, where it is another text.
    description: Option<Cow<'static, str>>,
    /// The scheme that the app should show with who it is, where that was missing.
    challenge: Option<&'static str>,
    /// The status, where it is not the usual one of its code.
    status: Option<StatusCode>,
    /// What has failed, where it is not the app's mistake.
    failed: Option<SmartError>,
}

impl Refusal {
    /// The app's mistake.
    pub(crate) const fn new(code: OAuthErrorCode, why: &'static str) -> Self {
        Self { code, why, description: None, challenge: None, status: None, failed: None }
    }

    /// Asks the app to show who it is with this scheme of HTTP.
    pub(crate) const fn challenging(mut self, scheme: &'static str) -> Self {
        self.challenge = Some(scheme);
        self
    }

    /// Answers with this status.
    pub(crate) const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// Why, for the audit log.
    pub(crate) fn why(&self) -> &'static str {
        self.why
    }

    /// The answer. A failure of the server is logged here, and only here.
    pub(crate) fn answer(&self, realm: &str) -> HttpResponse {
        if let Some(error) = &self.failed {
            tracing::error!(%error, "the authorization server cannot answer");
        }
        let mut answer = HttpResponse::build(self.status());
        if let Some(scheme) = self.challenge {
            let error =
                if self.code == OAuthErrorCode::InvalidToken { ", error=\"invalid_token\"" } else { "" };
            answer.insert_header((WWW_AUTHENTICATE, format!("{scheme} realm=\"{realm}\"{error}")));
        }
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            answer.insert_header((RETRY_AFTER, RETRY_AFTER_S));
        }
        let description = self.description.as_deref().unwrap_or(self.why);
        kept_nowhere(&mut answer).json(json!({"error": self.code.name(), "error_description": description}))
    }

    fn status(&self) -> StatusCode {
        if let Some(status) = self.status {
            return status;
        }
        match self.code {
            OAuthErrorCode::InvalidClient | OAuthErrorCode::InvalidToken => StatusCode::UNAUTHORIZED,
            OAuthErrorCode::AccessDenied => StatusCode::FORBIDDEN,
            OAuthErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            OAuthErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<SmartError> for Refusal {
    fn from(error: SmartError) -> Self {
        let code = match error {
            SmartError::Stored(_) | SmartError::Invalid(_) | SmartError::Cryptography(_) => {
                OAuthErrorCode::ServerError
            }
            _ => OAuthErrorCode::TemporarilyUnavailable,
        };
        Self { failed: Some(error), ..Self::new(code, "the server cannot do this now") }
    }
}

impl From<tokio_postgres::Error> for Refusal {
    fn from(error: tokio_postgres::Error) -> Self {
        SmartError::from(error).into()
    }
}

impl From<OAuthError> for Refusal {
    fn from(error: OAuthError) -> Self {
        Self { description: Some(error.description.into()), ..Self::new(error.code, error.code.name()) }
    }
}

/// An answer with JSON that no cache keeps (RFC 6749 section 5.1).
pub(crate) fn answer(status: StatusCode, body: &Value) -> HttpResponse {
    kept_nowhere(&mut HttpResponse::build(status)).json(body)
}

/// Marks an answer that no cache may keep.
pub(crate) fn kept_nowhere(
    answer: &mut actix_web::HttpResponseBuilder,
) -> &mut actix_web::HttpResponseBuilder {
    answer.insert_header((CACHE_CONTROL, "no-store")).insert_header((PRAGMA, "no-cache"))
}
