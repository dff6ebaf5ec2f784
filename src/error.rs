//! What goes wrong on the way of a request, and how a client is told: the only place that knows HTTP error
//! statuses and OperationOutcome.
//!
//! A [`Failure`] is made where the fault is noticed and rendered once, by [`Failure::respond`]. It never carries
//! resource content: diagnostics name places, rules and limits.

mod access;
mod convert;
mod outcome;
mod purge;

use std::borrow::Cow;

use actix_web::http::StatusCode;
use anamnesis_events::{Position, Version};

pub use outcome::{Issue, IssueCode, Severity, outcome};

/// What kind of failure it is; decides the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// 400: the request cannot be understood or its content is not valid.
    Invalid,
    /// 401: it is not known who asks.
    Unauthorized,
    /// 403: this may not be done by whoever asks.
    Forbidden,
    /// 404: there is no such thing here and there never was.
    NotFound,
    /// 405: this server does not do that here.
    NotAllowed,
    /// 406: none of the formats asked for is offered.
    NotAcceptable,
    /// 408: the request did not arrive in time.
    Timeout,
    /// 409: somebody else was quicker, again and again.
    Conflict,
    /// 410: the resource was deleted.
    Gone,
    /// 412: a condition of the request does not hold.
    PreconditionFailed,
    /// 413: the body or the result is too large.
    TooLarge,
    /// 423: a legal hold or a purge is in the way.
    Locked,
    /// 422: the request contradicts an earlier one.
    Unprocessable,
    /// 415: the body is of a kind that is not taken.
    UnsupportedMedia,
    /// 429: this client or compartment has too much under way.
    TooMany,
    /// 500: a mistake of this server.
    Internal,
    /// 503: a part that is needed is not available now.
    Unavailable,
}

impl FailureKind {
    /// The HTTP status of the kind.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::NotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Gone => StatusCode::GONE,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Locked => StatusCode::LOCKED,
            Self::Unprocessable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A request that did not succeed: kind, issues, and the headers that belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(Box<Detail>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Detail {
    kind: FailureKind,
    issues: Vec<Issue>,
    retry_after_s: Option<u32>,
    version: Option<Version>,
    position: Option<Position>,
    allow: Option<String>,
    challenge: Option<String>,
}

impl Failure {
    /// A failure with one issue of severity error.
    #[must_use]
    pub fn new(kind: FailureKind, code: IssueCode, diagnostics: impl Into<Cow<'static, str>>) -> Self {
        Self::with_issues(kind, vec![Issue::error(code, diagnostics)])
    }

    /// A failure with these issues; at least one is expected.
    #[must_use]
    pub fn with_issues(kind: FailureKind, issues: Vec<Issue>) -> Self {
        debug_assert!(!issues.is_empty(), "a failure says what is wrong");
        Self(Box::new(Detail {
            kind,
            issues,
            retry_after_s: None,
            version: None,
            position: None,
            allow: None,
            challenge: None,
        }))
    }

    /// 400 with the issue code `invalid`.
    #[must_use]
    pub fn invalid(diagnostics: impl Into<Cow<'static, str>>) -> Self {
        Self::new(FailureKind::Invalid, IssueCode::Invalid, diagnostics)
    }

    /// 404 with the issue code `not-found`.
    #[must_use]
    pub fn not_found(diagnostics: impl Into<Cow<'static, str>>) -> Self {
        Self::new(FailureKind::NotFound, IssueCode::NotFound, diagnostics)
    }

    /// 403.
    #[must_use]
    pub fn forbidden(diagnostics: impl Into<Cow<'static, str>>) -> Self {
        Self::new(FailureKind::Forbidden, IssueCode::Forbidden, diagnostics)
    }

    /// 405; `allow` lists the methods that are served here, as the header `Allow` wants them.
    #[must_use]
    pub fn not_allowed(allow: impl Into<String>) -> Self {
        Self::new(
            FailureKind::NotAllowed,
            IssueCode::NotSupported,
            "This server does not offer that interaction here; the header Allow lists the methods it offers.",
        )
        .allowing(allow)
    }

    /// Sets the header `Allow`, which a 405 needs (RFC 9110 section 15.5.6).
    #[must_use]
    pub fn allowing(mut self, allow: impl Into<String>) -> Self {
        self.0.allow = Some(allow.into());
        self
    }

    /// Sets the header `WWW-Authenticate`, which a 401 needs (RFC 9110 section 15.5.2).
    #[must_use]
    pub fn challenging(mut self, challenge: impl Into<String>) -> Self {
        self.0.challenge = Some(challenge.into());
        self
    }

    /// 410 with the version that the delete made.
    #[must_use]
    pub fn gone(version: Version) -> Self {
        let mut failure = Self::new(
            FailureKind::Gone,
            IssueCode::Deleted,
            "The resource was deleted; its versions are in the history.",
        );
        failure.0.version = Some(version);
        failure
    }

    /// 412 with the issue code `conflict`.
    #[must_use]
    pub fn precondition(diagnostics: impl Into<Cow<'static, str>>) -> Self {
        Self::new(FailureKind::PreconditionFailed, IssueCode::Conflict, diagnostics)
    }

    /// 500. The cause goes to the log where the failure is noticed, not to the client.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            FailureKind::Internal,
            IssueCode::Exception,
            "The server made a mistake; its log has more under this outcome's id.",
        )
    }

    /// 503 with `Retry-After`.
    #[must_use]
    pub fn unavailable(diagnostics: impl Into<Cow<'static, str>>) -> Self {
        Self::new(FailureKind::Unavailable, IssueCode::Transient, diagnostics).retry_after(1)
    }

    /// 429 with `Retry-After`.
    #[must_use]
    pub fn too_many(diagnostics: impl Into<Cow<'static, str>>) -> Self {
        Self::new(FailureKind::TooMany, IssueCode::Throttled, diagnostics).retry_after(1)
    }

    /// Adds the header `X-Anamnesis-Position`: the position that the answer stands for.
    #[must_use]
    pub fn at_position(mut self, position: Position) -> Self {
        self.0.position = Some(position);
        self
    }

    /// Adds the header `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// Joins the issues of another failure to this one's.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.issues.extend(other.0.issues);
        self
    }

    /// Names the FHIRPath of the element that the first issue is about.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        if let Some(issue) = self.0.issues.first_mut() {
            issue.expression.push(expression.into());
        }
        self
    }

    /// The same without lines and columns: those of JSON that was made of a client's XML say nothing to the client.
    #[must_use]
    pub fn without_places(mut self) -> Self {
        for issue in &mut self.0.issues {
            if let Some((said, _)) = issue.diagnostics.rsplit_once(" (line ") {
                issue.diagnostics = said.to_owned().into();
            }
        }
        self
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.0.kind
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.kind.status()
    }

    /// Everything that is wrong.
    #[must_use]
    pub fn issues(&self) -> &[Issue] {
        &self.0.issues
    }

    /// Seconds after which a retry makes sense, for the header `Retry-After`.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u32> {
        self.0.retry_after_s
    }

    /// The version for the header `ETag`.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.0.version
    }

    /// The position for the header `X-Anamnesis-Position`.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.0.position
    }

    /// The methods for the header `Allow`.
    #[must_use]
    pub fn allow(&self) -> Option<&str> {
        self.0.allow.as_deref()
    }

    /// The challenge for the header `WWW-Authenticate`.
    #[must_use]
    pub fn challenge(&self) -> Option<&str> {
        self.0.challenge.as_deref()
    }

    /// The OperationOutcome for this failure.
    #[must_use]
    pub fn outcome(&self, correlation_id: &str) -> Vec<u8> {
        outcome(correlation_id, &self.0.issues)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.status())?;
        for issue in &self.0.issues {
            write!(f, "; {}", issue.diagnostics)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}
