//! The answer to a bundle: one entry for each of its entries, in the same order (R4 http.html#transaction-response).

use actix_web::http::StatusCode;
use anamnesis_events::Version;
use anamnesis_fhir::json::escape_into;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};

use super::entry::BundleKind;
use crate::error::Failure;

/// What became of one entry.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) location: Option<String>,
    pub(super) version: Option<Version>,
    pub(super) modified: Option<DateTime<Utc>>,
    /// The resource, or the bundle of a search; left out where the client wants little.
    pub(super) resource: Option<Bytes>,
    /// What there is to say beside it.
    pub(super) outcome: Option<Bytes>,
}

impl Answer {
    /// Nothing but a status.
    pub(super) fn new(status: StatusCode) -> Self {
        Self { status, location: None, version: None, modified: None, resource: None, outcome: None }
    }

    /// The entry could not be carried out.
    pub(super) fn refused(failure: &Failure, correlation_id: &str) -> Self {
        let outcome = Some(failure.outcome(correlation_id).into());
        Self { version: failure.version(), outcome, ..Self::new(failure.status()) }
    }
}

/// The response bundle. Resources are copied as they are recorded.
pub(super) fn bundle(kind: BundleKind, id: &str, answers: &[Answer]) -> Vec<u8> {
    let size: usize = answers.iter().map(|answer| 300 + answer.resource.as_ref().map_or(0, Bytes::len)).sum();
    let mut out = Vec::with_capacity(size + 128);
    out.extend_from_slice(br#"{"resourceType":"Bundle""#);
    member(&mut out, "id", id);
    member(
        &mut out,
        "type",
        if kind == BundleKind::Batch { "batch-response" } else { "transaction-response" },
    );
    if !answers.is_empty() {
        out.extend_from_slice(br#","entry":["#);
        for (index, answer) in answers.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            entry(&mut out, answer);
        }
        out.push(b']');
    }
    out.push(b'}');
    out
}

fn entry(out: &mut Vec<u8>, answer: &Answer) {
    out.push(b'{');
    if let Some(resource) = &answer.resource {
        out.extend_from_slice(br#""resource":"#);
        out.extend_from_slice(resource);
        out.push(b',');
    }
    out.extend_from_slice(br#""response":{"status":""#);
    out.extend_from_slice(answer.status.as_str().as_bytes());
    out.push(b'"');
    if let Some(location) = &answer.location {
        member(out, "location", location);
    }
    if let Some(version) = answer.version {
        member(out, "etag", &format!("W/\"{version}\""));
    }
    if let Some(modified) = answer.modified {
        member(out, "lastModified", &modified.to_rfc3339_opts(SecondsFormat::Micros, true));
    }
    if let Some(outcome) = &answer.outcome {
        out.extend_from_slice(br#","outcome":"#);
        out.extend_from_slice(outcome);
    }
    out.extend_from_slice(b"}}");
}

fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    escape_into(out, value);
    out.push(b'"');
}
