//! Negotiation: media types, `Prefer` and entity tags (R4 http.html sections 3.1.0.1.11 to 3.1.0.1.13, RFC 9110).

use std::time::SystemTime;

use actix_web::http::header::{self, HeaderMap, HttpDate};
use anamnesis_events::Version;

use super::call::Conditions;
use crate::decide::Expected;
use crate::error::{Failure, FailureKind, IssueCode};

/// A form of resources that is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The media type without parameters.
    media: &'static str,
    /// The value of the header `Content-Type`.
    pub(crate) content_type: &'static str,
    pub(crate) is_xml: bool,
}

const fn offer(media: &'static str, content_type: &'static str, is_xml: bool) -> Offer {
    Offer { media, content_type, is_xml }
}

/// The media type that R4 gives to JSON: what a client gets that does not care.
pub(crate) const FHIR_JSON: Offer =
    offer("application/fhir+json", "application/fhir+json; charset=utf-8", false);

/// What is offered, the better ones first.
const OFFERS: [Offer; 6] = [
    FHIR_JSON,
    offer("application/fhir+xml", "application/fhir+xml; charset=utf-8", true),
    offer("application/json", "application/json; charset=utf-8", false),
    offer("application/xml", "application/xml; charset=utf-8", true),
    offer("text/json", "text/json; charset=utf-8", false),
    offer("text/xml", "text/xml; charset=utf-8", true),
];
const FORMATS: &str =
    "application/fhir+json, application/fhir+xml, application/json, application/xml, text/json and text/xml";

/// A media type by the name that it is offered under: DSTU2 had others, which some clients still use.
fn modern(media: &str) -> &str {
    let old = [
        ("application/json+fhir", "application/fhir+json"),
        ("application/xml+fhir", "application/fhir+xml"),
    ];
    old.iter().find(|(old, _)| old.eq_ignore_ascii_case(media)).map_or(media, |(_, new)| new)
}

/// The offer with this media type.
pub(crate) fn offered(media: &str) -> Option<Offer> {
    let media = modern(media);
    OFFERS.into_iter().find(|offer| offer.media.eq_ignore_ascii_case(media))
}

/// What a client prefers to get back from a write (R4 http.html section 3.1.0.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Return {
    /// The resource.
    #[default]
    Representation,
    /// Nothing but headers.
    Minimal,
    /// An OperationOutcome.
    Outcome,
}

/// The header `Prefer` (RFC 7240).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefer {
    /// `return=`
    pub answer: Return,
    /// `handling=strict`
    pub strict: bool,
    /// `handling=lenient`: said, and not only left open.
    pub lenient: bool,
    /// `respond-async`: the client comes back for the result (RFC 7240 section 4.1).
    pub respond_async: bool,
}

/// Reads `Prefer`. Unknown preferences are ignored, as RFC 7240 section 2 says.
pub(crate) fn prefer(headers: &HeaderMap) -> Prefer {
    let mut prefer = Prefer::default();
    let lines = headers.get_all(header::HeaderName::from_static("prefer"));
    let values = lines.filter_map(|line| line.to_str().ok());
    for preference in values.flat_map(|line| line.split([',', ';'])) {
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        // Names are the same in any case (RFC 7240 section 2); these values are words of R4, and nobody means others.
        let (name, value) =
            (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"').to_ascii_lowercase());
        match (name.as_str(), value.as_str()) {
            ("return", "minimal") => prefer.answer = Return::Minimal,
            ("return", "representation") => prefer.answer = Return::Representation,
            ("return", "operationoutcome") => prefer.answer = Return::Outcome,
            ("respond-async", _) => prefer.respond_async = true,
            ("handling", handling) => {
                (prefer.strict, prefer.lenient) = (handling == "strict", handling == "lenient");
            }
            _ => {}
        }
    }
    prefer
}

/// Whether a client says that it takes FHIR in JSON: not anything, and not JSON of whatever sort.
pub(crate) fn accepts_fhir_json(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).filter_map(|line| line.to_str().ok());
    let mut media = lines.flat_map(|line| line.split(',')).filter_map(|range| range.split(';').next());
    media.any(|media| offered(media.trim()) == Some(FHIR_JSON))
}

/// Chooses the form of the answer: `_format` goes before `Accept`.
///
/// # Errors
/// 406 that says what is offered.
pub(crate) fn answer_type(headers: &HeaderMap, format: Option<&str>) -> Result<Offer, Failure> {
    if let Some(format) = format {
        // A plus sign in a query is a space unless it was percent-encoded; accept both.
        let format = format.replace(' ', "+");
        let plain = format.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let found = match plain.as_str() {
            "json" => Some(FHIR_JSON),
            "xml" => offered("application/fhir+xml"),
            media => offered(media),
        };
        return found.ok_or_else(|| not_acceptable("_format"));
    }
    let lines: Vec<&str> =
        headers.get_all(header::ACCEPT).map(|line| line.to_str().unwrap_or_default()).collect();
    // What nearly every request says needs no reading. An empty list prefers nothing (RFC 9110 section 12.5.1).
    if matches!(lines.as_slice(), ["*/*" | "application/fhir+json"])
        || lines.iter().all(|line| line.trim().is_empty())
    {
        return Ok(FHIR_JSON);
    }
    let ranges: Vec<MediaRange<'_>> =
        lines.iter().flat_map(|line| line.split(',')).enumerate().filter_map(media_range).collect();
    let wanted = OFFERS.into_iter().filter_map(|offer| {
        // The range that says most about a type decides (RFC 9110 section 12.5.1).
        let range = ranges.iter().filter(|range| range.takes(offer)).max_by_key(|range| range.exactness())?;
        let rank = (range.weight, range.exactness(), std::cmp::Reverse(range.place));
        (range.weight > 0).then_some((rank, offer))
    });
    // The first of the best; `max_by_key` would give the last.
    let best = wanted.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, offer)| offer).ok_or_else(|| not_acceptable("the header Accept"))
}

/// One range of `Accept`.
struct MediaRange<'h> {
    media: &'h str,
    /// Thousandths of the quality value.
    weight: u16,
    /// Its place in the header.
    place: usize,
}

impl MediaRange<'_> {
    fn takes(&self, offer: Offer) -> bool {
        match self.media.strip_suffix('*') {
            Some("*/") => true,
            Some(family) => offer.media.get(..family.len()).is_some_and(|f| f.eq_ignore_ascii_case(family)),
            None => offer.media.eq_ignore_ascii_case(self.media),
        }
    }

    fn exactness(&self) -> u8 {
        match self.media {
            "*/*" => 0,
            media if media.ends_with('*') => 1,
            _ => 2,
        }
    }
}

/// Reads a range; `None` for one of another version of FHIR.
fn media_range((place, range): (usize, &str)) -> Option<MediaRange<'_>> {
    let mut parts = range.split(';').map(str::trim);
    let media = modern(parts.next().unwrap_or_default());
    let mut weight = 1000;
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            // What is no number is passed over, as an unknown parameter is.
            "q" => weight = value.trim().parse::<f32>().map_or(1000, |q| (q.clamp(0.0, 1.0) * 1000.0) as u16),
            "fhirversion" if !is_r4(value.trim().trim_matches('"')) => return None,
            _ => {}
        }
    }
    Some(MediaRange { media, weight, place })
}

/// R4 http.html#version-parameter has `4.0`; some clients send the whole number of the publication.
fn is_r4(version: &str) -> bool {
    matches!(version, "4.0" | "4.0.1")
}

fn not_acceptable(what: &str) -> Failure {
    let text = format!("None of the formats in {what} is offered. This server answers with {FORMATS}.");
    Failure::new(FailureKind::NotAcceptable, IssueCode::NotSupported, text)
}

/// Checks that a body is JSON or XML in UTF-8, and says which.
///
/// # Errors
/// 415 that says what is taken.
pub(crate) fn body_type(headers: &HeaderMap) -> Result<Offer, Failure> {
    let refuse = |text: String| Failure::new(FailureKind::UnsupportedMedia, IssueCode::NotSupported, text);
    let Some(line) = headers.get(header::CONTENT_TYPE) else {
        return Err(refuse(format!("The header Content-Type is missing. This server takes {FORMATS}.")));
    };
    let line = line.to_str().unwrap_or_default();
    let mut parts = line.split(';').map(str::trim);
    let Some(found) = offered(parts.next().unwrap_or_default()) else {
        return Err(refuse(format!(
            "A body of this Content-Type is not taken. This server takes {FORMATS}."
        )));
    };
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"').to_ascii_lowercase();
        match name.trim().to_ascii_lowercase().as_str() {
            "charset" if !matches!(value.as_str(), "utf-8" | "utf8" | "us-ascii") => {
                return Err(refuse("FHIR is exchanged in UTF-8 only; this charset is not taken.".into()));
            }
            "fhirversion" if !is_r4(&value) => {
                return Err(refuse("This server speaks FHIR 4.0 only.".into()));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Checks that a body is a form, as a search by POST has it (R4 http.html section 3.1.0.11).
///
/// # Errors
/// 415.
pub(crate) fn form_type(headers: &HeaderMap) -> Result<(), Failure> {
    let line = headers.get(header::CONTENT_TYPE).and_then(|line| line.to_str().ok()).unwrap_or_default();
    let media = line.split(';').next().unwrap_or_default().trim();
    if media.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(());
    }
    let text = "A search by POST brings its parameters as application/x-www-form-urlencoded.";
    Err(Failure::new(FailureKind::UnsupportedMedia, IssueCode::NotSupported, text))
}

/// The expectation of a write in `If-Match` and `If-None-Match`.
///
/// # Errors
/// 400 for what is no list of entity tags.
pub fn expected(conditions: &Conditions) -> Result<Expected, Failure> {
    if let Some(line) = &conditions.if_match {
        return Ok(match entity_tags(line, "If-Match")? {
            Tags::Any => Expected::Something,
            Tags::These(versions) => Expected::Versions(versions),
        });
    }
    match &conditions.if_none_match {
        None => Ok(Expected::Anything),
        Some(line) => match entity_tags(line, "If-None-Match")? {
            Tags::Any => Ok(Expected::Nothing),
            Tags::These(_) => {
                Err(Failure::invalid("On a write, If-None-Match is understood with the value * only."))
            }
        },
    }
}

enum Tags {
    Any,
    /// Numbers that can be versions; tags of any other kind match nothing and are left out.
    These(Vec<Version>),
}

fn entity_tags(line: &str, name: &str) -> Result<Tags, Failure> {
    if line.trim() == "*" {
        return Ok(Tags::Any);
    }
    let mut versions = Vec::new();
    for tag in line.split(',').map(str::trim) {
        let opaque = tag.strip_prefix("W/").unwrap_or(tag);
        let Some(text) = opaque.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
            return Err(Failure::invalid(format!("{name} is a list of entity tags like W/\"1\".")));
        };
        if let Ok(number) = text.parse::<u32>()
            && number > 0
        {
            versions.push(Version::new(number));
        }
    }
    Ok(Tags::These(versions))
}

/// Whether a client that reads has this version already (RFC 9110 section 13.2.2).
///
/// # Errors
/// 400 for what is no list of entity tags.
pub(crate) fn is_not_modified(
    conditions: &Conditions,
    version: Version,
    modified: SystemTime,
) -> Result<bool, Failure> {
    if let Some(line) = &conditions.if_none_match {
        return Ok(match entity_tags(line, "If-None-Match")? {
            Tags::Any => true,
            Tags::These(versions) => versions.contains(&version),
        });
    }
    // A date that cannot be read is ignored (RFC 9110 section 13.1.3).
    let since = conditions.if_modified_since.as_deref().and_then(|text| text.parse::<HttpDate>().ok());
    let Some(since) = since else { return Ok(false) };
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    Ok(seconds(modified) <= seconds(since.into()))
}
