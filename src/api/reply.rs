//! Replies: what an interaction answers, and how that becomes an HTTP response.

use std::time::SystemTime;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue, HttpDate};
use actix_web::{HttpResponse, HttpResponseBuilder};
use anamnesis_events::{Position, Version};
use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::call::Ids;
use super::negotiate::FHIR_JSON;
use super::pretty;
use crate::error::Failure;

/// A successful answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) version: Option<Version>,
    pub(crate) modified: Option<DateTime<Utc>>,
    pub(crate) location: Option<String>,
    pub(crate) position: Option<Position>,
    /// JSON; `None` for no body.
    pub(crate) body: Option<Bytes>,
    /// Headers that one interaction alone has.
    pub(crate) headers: Vec<(HeaderName, String)>,
}

impl Reply {
    pub(crate) fn new(status: StatusCode) -> Self {
        Self {
            status,
            version: None,
            modified: None,
            location: None,
            position: None,
            body: None,
            headers: Vec::new(),
        }
    }

    /// 200 with a body.
    pub(crate) fn ok(body: impl Into<Bytes>) -> Self {
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
pub(crate) fn respond(outcome: Result<Reply, Failure>, ids: &Ids, style: Style) -> HttpResponse {
    match outcome {
        Ok(reply) => success(reply, ids, style),
        Err(failure) => refuse(&failure, ids, style),
    }
}

fn success(reply: Reply, ids: &Ids, style: Style) -> HttpResponse {
    let mut response = HttpResponse::build(reply.status);
    identify(&mut response, ids);
    if let Some(version) = reply.version {
        response.insert_header((header::ETAG, format!("W/\"{version}\"")));
    }
    if let Some(modified) = reply.modified {
        response.insert_header((header::LAST_MODIFIED, HttpDate::from(SystemTime::from(modified))));
    }
    if let Some(location) = reply.location {
        response.insert_header((header::LOCATION, location));
    }
    if let Some(position) = reply.position {
        response.insert_header(("X-Anamnesis-Position", position.to_string()));
    }
    for (name, value) in reply.headers {
        response.insert_header((name, value));
    }
    match reply.body {
        Some(body) => render(response, body, style),
        None => response.finish(),
    }
}

fn refuse(failure: &Failure, ids: &Ids, style: Style) -> HttpResponse {
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

fn identify(response: &mut HttpResponseBuilder, ids: &Ids) {
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
