//! Binary as the bytes that it holds: written and read under their own content type (R4 binary.html, http.html
//! section 3.1.0.1.10).
//!
//! What comes in under one of the media types of FHIR, `application/json` and `application/xml` among them, is a
//! resource; everything else that is sent to Binary is content.

use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use anamnesis_fhir::json::{Document, Limits, Value, escape_into};
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::{Engine, alphabet};

use super::answer::Answer;
use super::negotiate::offered;
use super::query::Query;
use super::route::Place;
use crate::error::{Failure, FailureKind, IssueCode};

const BINARY: &str = "Binary";

/// Takes what some encoders leave in the bits behind the last byte, as validation does: R4 asks for RFC 4648, which
/// leaves it to the decoder (section 3.5).
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Whose permissions decide about the content (R4 binary.html, X-Security-Context).
const SECURITY_CONTEXT: HeaderName = HeaderName::from_static("x-security-context");

/// How much content a body of this bound can hold as base64, with room for the members around it.
pub(crate) fn raw_bytes_max(body_bytes_max: usize) -> usize {
    (body_bytes_max / 4 * 3).saturating_sub(4096)
}

/// Content that is about to come in.
pub(crate) struct Incoming {
    id: Option<String>,
    content_type: String,
    security_context: Option<String>,
}

impl Incoming {
    /// What the headers say, where this is a write of a Binary in a form that is not one of FHIR's.
    pub(crate) fn of(method: &Method, headers: &HeaderMap, place: &Place) -> Option<Self> {
        let id = match place {
            Place::Type(name) if *method == Method::POST && **name == *BINARY => None,
            Place::Instance(key) if *method == Method::PUT && *key.resource_type == *BINARY => {
                Some(key.id.clone())
            }
            _ => return None,
        };
        let content_type = text(headers, header::CONTENT_TYPE)?;
        let media = content_type.split(';').next().unwrap_or_default().trim();
        let is_content = media.contains('/') && offered(media).is_none();
        is_content.then(|| Self { id, content_type, security_context: text(headers, SECURITY_CONTEXT) })
    }

    /// The resource that holds the content.
    pub(crate) fn resource(&self, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(content.len() / 3 * 4 + 512);
        out.extend_from_slice(br#"{"resourceType":"Binary""#);
        let mut member = |before: &str, value: &str, after: &str| {
            out.extend_from_slice(before.as_bytes());
            escape_into(&mut out, value);
            out.extend_from_slice(after.as_bytes());
        };
        if let Some(id) = &self.id {
            member(r#","id":""#, id, r#"""#);
        }
        member(r#","contentType":""#, &self.content_type, r#"""#);
        if let Some(context) = &self.security_context {
            member(r#","securityContext":{"reference":""#, context, r#""}"#);
        }
        if !content.is_empty() {
            member(r#","data":""#, &STANDARD.encode(content), r#"""#);
        }
        out.push(b'}');
        out
    }
}

/// Whether a read asks for the content of a Binary: where it does not name one of FHIR's forms.
pub(crate) fn is_wanted_raw(method: &Method, place: &Place, headers: &HeaderMap, query: &Query) -> bool {
    let is_binary = match place {
        Place::Instance(key) | Place::Version(key, _) => *key.resource_type == *BINARY,
        _ => false,
    };
    if !is_binary || !matches!(*method, Method::GET | Method::HEAD) || query.get("_format").is_some() {
        return false;
    }
    let lines = headers.get_all(header::ACCEPT).filter_map(|line| line.to_str().ok());
    let mut media = lines.flat_map(|line| line.split(',')).map(|range| range.split(';').next().unwrap_or(""));
    !media.any(|media| offered(media.trim()).is_some())
}

/// The content instead of the resource that holds it. It is not FHIR's and comes from anybody, so no browser is to run it.
///
/// # Errors
/// 406 for data that are no base64, which only a server that validates nothing has taken; 500 for no JSON.
pub(crate) fn raw(mut answer: Answer) -> Result<Answer, Failure> {
    let Some(body) = answer.body.take() else { return Ok(answer) };
    let document =
        Document::parse(body.to_vec(), &Limits::default()).map_err(|_fault| Failure::internal())?;
    let root = document.root();
    let data = root.get("data").and_then(Value::as_str).unwrap_or_default();
    let packed: Vec<u8> = data.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let content = LENIENT.decode(packed).map_err(|_fault| {
        let text = "The data of this Binary are no base64; it is given as a FHIR resource only, by Accept or _format.";
        Failure::new(FailureKind::NotAcceptable, IssueCode::NotSupported, text).at("Binary.data")
    })?;
    answer.body = Some(content.into());
    let content_type = root.get("contentType").and_then(Value::as_str).unwrap_or_default();
    let is_header = HeaderValue::from_str(&content_type).is_ok() && content_type.is_ascii();
    let is_header = is_header && !content_type.is_empty();
    let unknown = "application/octet-stream";
    answer.content_type = Some(if is_header { content_type.into_owned() } else { unknown.to_owned() });
    answer.headers.push((header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()));
    answer.headers.push((header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'".to_owned()));
    let context = root.get("securityContext").and_then(|context| context.get("reference"));
    if let Some(context) = context.and_then(Value::as_str).filter(|it| HeaderValue::from_str(it).is_ok()) {
        answer.headers.push((SECURITY_CONTEXT, context.into_owned()));
    }
    Ok(answer)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let line = headers.get(name)?.to_str().ok()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}
