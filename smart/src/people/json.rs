//! Addresses that programs use with an access token: bodies of JSON, errors as OAuth writes them (RFC 6749 section 5.2).

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::form::{Malformed, has_media_type, read_body};
use crate::error::SmartError;
use crate::host::{Caller, Happened, HostError, Occurrence};
use crate::server::SmartServer;
use crate::users::UserError;

/// What is answered.
pub(crate) type Answer = Result<HttpResponse, Problem>;

/// Why something is not done.
#[derive(Debug)]
pub(crate) enum Problem {
    Told {
        status: StatusCode,
        error: &'static str,
        words: &'static str,
    },
    /// There is no access token.
    NoToken,
    Failed(SmartError),
}

impl Problem {
    /// A number of users that is none.
    pub(crate) const COUNT: Self = Self::Told {
        status: StatusCode::BAD_REQUEST,
        error: "invalid_request",
        words: "count has to be a number from 1 to 1000",
    };

    /// What was said is not possible.
    pub(crate) fn invalid(words: &'static str) -> Self {
        Self::Told { status: StatusCode::BAD_REQUEST, error: "invalid_request", words }
    }

    /// This caller may not.
    pub(crate) fn forbidden(words: &'static str) -> Self {
        Self::Told { status: StatusCode::FORBIDDEN, error: "access_denied", words }
    }

    /// What was sent cannot be understood.
    pub(crate) fn malformed(what: Malformed) -> Self {
        let (status, words) = match what {
            Malformed::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "what was sent is too large"),
            Malformed::Incomplete => (StatusCode::REQUEST_TIMEOUT, "what was sent did not arrive whole"),
            Malformed::MediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body has to be application/json")
            }
            Malformed::Character => (StatusCode::BAD_REQUEST, "a character that no text may have"),
            Malformed::Repeated => (StatusCode::BAD_REQUEST, "a parameter is there more than once"),
        };
        Self::Told { status, error: "invalid_request", words }
    }
}

impl<E: Into<SmartError>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl From<UserError> for Problem {
    fn from(error: UserError) -> Self {
        let status = match error {
            UserError::Missing => StatusCode::NOT_FOUND,
            UserError::Taken => StatusCode::CONFLICT,
            UserError::Invalid(words) => return Self::invalid(words),
            UserError::Failed(error) => return Self::Failed(error),
        };
        let (error, words) = match error {
            UserError::Missing => ("not_found", "there is no such user"),
            _ => ("conflict", "another user has this name"),
        };
        Self::Told { status, error, words }
    }
}

/// Makes an answer of it.
pub(crate) fn answer(done: Answer) -> HttpResponse {
    match done {
        Ok(answer) => answer,
        Err(Problem::Told { status, error, words }) => told(status, error, words),
        Err(Problem::NoToken) => {
            let mut answer = told(StatusCode::UNAUTHORIZED, "invalid_token", "this needs an access token");
            answer
                .headers_mut()
                .insert(WWW_AUTHENTICATE, actix_web::http::header::HeaderValue::from_static("Bearer"));
            answer
        }
        Err(Problem::Failed(error)) => {
            tracing::error!(%error, "an address of the authorization server could not answer");
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let mut answer = told(status, "temporarily_unavailable", "the server cannot answer now");
            answer.headers_mut().insert(RETRY_AFTER, actix_web::http::header::HeaderValue::from_static("10"));
            answer
        }
    }
}

/// Who asks; what has no good token is refused, and put on record.
pub(crate) async fn caller(
    server: &SmartServer,
    request: &HttpRequest,
    happened: Happened,
) -> Result<Caller, Problem> {
    match server.host.caller(request).await {
        Ok(caller) => Ok(caller),
        Err(HostError::Refused) => {
            let refused = Occurrence::refused(happened, "there is no access token that is good");
            server.host.record(request, refused).await?;
            if request.headers().contains_key(AUTHORIZATION) {
                return Err(Problem::forbidden("this access token is not good for this"));
            }
            Err(Problem::NoToken)
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads a body of JSON. What is wrong with it is told without its content.
pub(crate) async fn read_json<T: DeserializeOwned>(
    request: &HttpRequest,
    body: Payload,
) -> Result<T, Problem> {
    if !has_media_type(request, "application/json") {
        return Err(Problem::malformed(Malformed::MediaType));
    }
    let body = read_body(body).await.map_err(Problem::malformed)?;
    serde_json::from_slice(&body).map_err(|_| Problem::invalid("the body is not what is expected here"))
}

fn told(status: StatusCode, error: &'static str, words: &'static str) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(json!({"error": error, "error_description": words}))
}
