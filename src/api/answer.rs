//! Answers: what an interaction gives back, and how that becomes an HTTP response.

use std::time::SystemTime;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue, HttpDate};
use actix_web::{HttpResponse, HttpResponseBuilder};
use anamnesis_events::{Position, Version};
use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::negotiate::FHIR_JSON;
use super::pretty;
use crate::error::Failure;
use crate::telemetry::RequestIds;

/// A successful answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// For `ETag`.
    pub version: Option<Version>,
    /// For `Last-Modified`.
    pub modified: Option<DateTime<Utc>>,
    /// For `Location`: the whole address.
    pub location: Option<String>,
    /// For `X-Anamnesis-Position`.
    pub position: Option<Position>,
    /// Whether this request has recorded something.
    pub recorded: bool,
    /// JSON; `None` for no body.
    pub body: Option<Bytes>,
    /// Headers that one interaction alone has.
    pub headers: Vec<(HeaderName, String)>,
}

impl Answer {
    /// An answer with nothing but a status.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            version: None,
            modified: None,
            location: None,
            position: None,
            recorded: false,
            body: None,
            headers: Vec::new(),
        }
    }

    /// 200 with a body.
    #[must_use]
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self { body: Some(body.into()), ..Self::new(StatusCode::OK) }
    }
}

/// How the client wants JSON: its media type and whether it is for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) media_type: &'static str,
    pub(crate) pretty: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { media_type: FHIR_JSON, pretty: false }
    }
}

/// Renders what came of a request.
pub(crate) fn respond(outcome: Result<Answer, Failure>, ids: &RequestIds, style: Style) -> HttpResponse {
    match outcome {
        Ok(answer) => success(answer, ids, style),
        Err(failure) => refuse(&failure, ids, style),
    }
}

fn success(answer: Answer, ids: &RequestIds, style: Style) -> HttpResponse {
    let mut response = HttpResponse::build(answer.status);
    identify(&mut response, ids);
    if let Some(version) = answer.version {
        response.insert_header((header::ETAG, format!("W/\"{version}\"")));
    }
    if let Some(modified) = answer.modified {
        response.insert_header((header::LAST_MODIFIED, HttpDate::from(SystemTime::from(modified))));
    }
    if let Some(location) = answer.location {
        response.insert_header((header::LOCATION, location));
    }
    if let Some(position) = answer.position {
        response.insert_header(("X-Anamnesis-Position", position.to_string()));
    }
    for (name, value) in answer.headers {
        response.insert_header((name, value));
    }
    match answer.body {
        Some(body) => render(response, body, style),
        None => response.finish(),
    }
}

fn refuse(failure: &Failure, ids: &RequestIds, style: Style) -> HttpResponse {
    let mut response = HttpResponse::build(failure.status());
    identify(&mut response, ids);
    if let Some(seconds) = failure.retry_after_s() {
        response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        response.insert_header(("x-ms-retry-after-ms", (u64::from(seconds) * 1000).to_string()));
    }
    if let Some(version) = failure.version() {
        response.insert_header((header::ETAG, format!("W/\"{version}\"")));
    }
    if let Some(allow) = failure.allow() {
        response.insert_header((header::ALLOW, allow));
    }
    render(response, failure.outcome(&ids.correlation).into(), style)
}

fn identify(response: &mut HttpResponseBuilder, ids: &RequestIds) {
    // Ids are made of harmless characters, so they are header values.
    for (name, id) in [("X-Request-Id", &ids.request), ("X-Correlation-Id", &ids.correlation)] {
        if let Ok(value) = HeaderValue::from_str(id) {
            response.insert_header((name, value));
        }
    }
}

fn render(mut response: HttpResponseBuilder, body: Bytes, style: Style) -> HttpResponse {
    let body = if style.pretty { pretty::indent(&body).into() } else { body };
    response.insert_header((header::CONTENT_TYPE, style.media_type)).body(body)
}
