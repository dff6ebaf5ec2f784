//! Answers: what an interaction gives back, and how that becomes an HTTP response.

use std::time::SystemTime;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue, HttpDate};
use actix_web::{HttpResponse, HttpResponseBuilder};
use anamnesis_events::{Position, Version};
use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::negotiate::{self, FHIR_JSON, Offer};
use super::query::Query;
use super::{pretty, xml};
use crate::error::Failure;
use crate::exports::Lines;
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
    /// JSON, or what `content_type` says; `None` for no body.
    pub body: Option<Bytes>,
    /// Of a body that is sent as it is; `None` for JSON, which goes out in the form that the client wants.
    pub content_type: Option<String>,
    /// Instead of a body: lines that are read when they are sent.
    pub lines: Option<Lines>,
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
            content_type: None,
            lines: None,
            headers: Vec::new(),
        }
    }

    /// 200 with a body.
    #[must_use]
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self { body: Some(body.into()), ..Self::new(StatusCode::OK) }
    }
}

/// How the client wants resources: as JSON or XML, for machines or for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// The value of the header `Content-Type`.
    pub(crate) content_type: &'static str,
    pub(crate) is_xml: bool,
    pub(crate) pretty: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self::of(FHIR_JSON)
    }
}

impl Style {
    /// For what is JSON but no FHIR.
    pub(crate) const PLAIN_JSON: Self =
        Self { content_type: "application/json", is_xml: false, pretty: false };

    fn of(offer: Offer) -> Self {
        Self { content_type: offer.content_type, is_xml: offer.is_xml, pretty: false }
    }

    /// What a request asks for.
    ///
    /// # Errors
    /// 406 where that is not offered.
    pub(crate) fn asked(headers: &HeaderMap, query: &Query) -> Result<Self, Failure> {
        let offer = negotiate::answer_type(headers, query.get("_format"))?;
        Ok(Self { pretty: query.get("_pretty") == Some("true"), ..Self::of(offer) })
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
        Some(body) => match answer.content_type {
            Some(content_type) => response.insert_header((header::CONTENT_TYPE, content_type)).body(body),
            None => render(response, body, style),
        },
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
    if let Some(position) = failure.position() {
        response.insert_header(("X-Anamnesis-Position", position.to_string()));
    }
    if let Some(allow) = failure.allow() {
        response.insert_header((header::ALLOW, allow));
    }
    if let Some(challenge) = failure.challenge() {
        response.insert_header((header::WWW_AUTHENTICATE, challenge));
    }
    render(response, failure.outcome(&ids.correlation).into(), style)
}

pub(super) fn identify(response: &mut HttpResponseBuilder, ids: &RequestIds) {
    // Ids are made of harmless characters, so they are header values.
    for (name, id) in [("X-Request-Id", &ids.request), ("X-Correlation-Id", &ids.correlation)] {
        if let Ok(value) = HeaderValue::from_str(id) {
            response.insert_header((name, value));
        }
    }
}

fn render(mut response: HttpResponseBuilder, body: Bytes, style: Style) -> HttpResponse {
    let (body, style) = match style {
        // What cannot be XML is an answer all the same, above all where it is a failure.
        Style { is_xml: true, pretty, .. } => match xml::written(&body, pretty) {
            Ok(xml) => (xml.into(), style),
            Err(_) => (body, Style::default()),
        },
        Style { pretty: true, .. } => (pretty::indent(&body).into(), style),
        _ => (body, style),
    };
    response.insert_header((header::CONTENT_TYPE, style.content_type)).body(body)
}
