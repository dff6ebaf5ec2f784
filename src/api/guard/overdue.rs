//! A request that takes too long: 504, and what its client can know then.

use std::fmt;

use actix_web::dev::ServiceRequest;
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

use super::super::answer::{Style, respond};
use super::super::http::style_of;
use crate::error::{Failure, FailureKind, IssueCode};
use crate::telemetry::RequestIds;

/// The answer to a request that was given up. The request itself is with the layers within and goes away with them, as one whose client
/// has gone: what is on its way into the log is recorded all the same, whole or not at all.
pub(super) struct Overdue {
    ids: RequestIds,
    style: Style,
    is_write: bool,
}

impl Overdue {
    pub(super) fn of(request: &ServiceRequest) -> Overdue {
        Overdue {
            ids: RequestIds::given_to(request.request()),
            style: style_of(request.request()),
            is_write: !request.method().is_safe(),
        }
    }
}

impl ResponseError for Overdue {
    fn status_code(&self) -> StatusCode {
        StatusCode::GATEWAY_TIMEOUT
    }

    fn error_response(&self) -> HttpResponse {
        let text = match self.is_write {
            true => {
                "The request took too long and was given up. What it writes may have been recorded, whole or not at all: read it, \
                 or send it again with the same Idempotency-Key."
            }
            false => "The request took too long and was given up.",
        };
        let failure = Failure::new(FailureKind::Unavailable, IssueCode::Timeout, text);
        let mut response = respond(Err(failure), &self.ids, self.style);
        *response.status_mut() = self.status_code();
        response
    }
}

impl fmt::Display for Overdue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the request took too long")
    }
}

impl fmt::Debug for Overdue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Overdue")
    }
}
