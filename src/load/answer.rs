//! What the server's answer to a request says about each of its entries.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use reqwest::StatusCode;
use serde::{Deserialize, Serialize, Serializer};

use super::documents::{Entry, RawBundle, Request};
use super::retry;

/// How much of an answer that is no OperationOutcome is quoted, in characters.
const QUOTE_CHARACTERS_MAX: usize = 200;

/// Something that could not be loaded. Serializes to one line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Where it comes from.
    #[serde(flatten)]
    pub place: Place,
    /// What was asked for, such as `POST Patient`; nothing when a whole document failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The HTTP status; nothing when no server has answered.
    pub status: Option<u16>,
    /// Why: the first issue of the server's OperationOutcome, or our own words.
    pub diagnostics: String,
}

/// A place in the input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The file.
    #[serde(serialize_with = "path")]
    pub file: Arc<Path>,
    /// The line of an NDJSON file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The entry of a bundle, from 0, as FHIRPath counts (`Bundle.entry[0]`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<usize>,
}

fn path<S: Serializer>(path: &Arc<Path>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// The judgement of an answer.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    /// What the server has accepted.
    pub(super) accepted: Vec<Stored>,
    /// Entries that it may accept later.
    pub(super) busy: BTreeSet<usize>,
    /// What it has refused.
    pub(super) failures: Vec<Failure>,
}

/// An entry that the server has accepted.
#[derive(Debug)]
pub(super) struct Stored {
    /// The number of the entry.
    pub(super) entry: usize,
    /// Where the server says that it is, `Bundle.entry.response.location`.
    pub(super) location: Option<String>,
    /// It is new. A POST that creates nothing has found what `ifNoneExist` asks for.
    pub(super) created: bool,
}

#[derive(Deserialize)]
struct ResponseBundle<'a> {
    #[serde(borrow, default)]
    entry: Vec<ResponseEntry<'a>>,
}

#[derive(Deserialize)]
struct ResponseEntry<'a> {
    #[serde(borrow)]
    response: Option<EntryResponse<'a>>,
}

#[derive(Deserialize)]
struct EntryResponse<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    location: Option<Cow<'a, str>>,
    #[serde(borrow)]
    outcome: Option<Outcome<'a>>,
}

#[derive(Deserialize)]
struct Outcome<'a> {
    #[serde(borrow, default)]
    issue: Vec<Issue<'a>>,
}

#[derive(Deserialize)]
struct Issue<'a> {
    #[serde(borrow)]
    diagnostics: Option<Cow<'a, str>>,
    #[serde(borrow)]
    details: Option<Details<'a>>,
    #[serde(borrow, default)]
    expression: Vec<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}

/// Judges an answer that is not to be repeated as a whole.
pub(super) fn judge(request: &Request, status: StatusCode, body: &[u8]) -> Judgement {
    if !status.is_success() {
        return Judgement { failures: vec![refusal(request, status, body)], ..Judgement::default() };
    }
    let Ok(bundle) = serde_json::from_slice::<ResponseBundle<'_>>(body) else {
        let why = "the server's answer is not a Bundle, so it is unknown what was stored";
        return Judgement { failures: vec![request.failure(Some(status), why)], ..Judgement::default() };
    };
    if bundle.entry.len() != request.places.len() {
        let why = format!(
            "the server has answered {} of {} entries, so it is unknown what was stored",
            bundle.entry.len(),
            request.places.len()
        );
        return Judgement { failures: vec![request.failure(Some(status), &why)], ..Judgement::default() };
    }
    let mut judgement = Judgement::default();
    for (number, entry) in bundle.entry.iter().enumerate() {
        let status = entry.response.as_ref().and_then(|response| parse_status(&response.status));
        match status {
            Some(status) if status.is_success() || status == StatusCode::NOT_MODIFIED => {
                let location = entry.response.as_ref().and_then(|response| response.location.as_deref());
                judgement.accepted.push(Stored {
                    entry: number,
                    location: location.map(str::to_owned),
                    created: status == StatusCode::CREATED,
                });
            }
            Some(status) if retry::is_busy(status) => _ = judgement.busy.insert(number),
            status => {
                let outcome = entry.response.as_ref().and_then(|response| response.outcome.as_ref());
                let why = outcome.and_then(Outcome::first).unwrap_or_else(|| "no reason given".to_owned());
                judgement.failures.push(request.entry_failure(number, status, why));
            }
        }
    }
    judgement
}

/// The failure of a whole request, at the entry that the server names.
fn refusal(request: &Request, status: StatusCode, body: &[u8]) -> Failure {
    let outcome: Option<Outcome<'_>> = serde_json::from_slice(body).ok();
    let why = outcome.as_ref().and_then(Outcome::first).unwrap_or_else(|| quote(body));
    let entry = outcome.as_ref().and_then(Outcome::entry).filter(|number| *number < request.places.len());
    match entry {
        Some(number) => request.entry_failure(number, Some(status), why),
        None => request.failure(Some(status), &why),
    }
}

impl Outcome<'_> {
    /// What the first issue says.
    fn first(&self) -> Option<String> {
        let issue = self.issue.first()?;
        let text = issue.details.as_ref().and_then(|details| details.text.as_ref());
        issue.diagnostics.as_ref().or(text).map(|text| text.clone().into_owned())
    }

    /// The number of the entry that the first issue is about: `Bundle.entry[3]…`.
    fn entry(&self) -> Option<usize> {
        let expressions = self.issue.iter().flat_map(|issue| &issue.expression);
        expressions
            .filter_map(|path| path.strip_prefix("Bundle.entry[")?.split_once(']')?.0.parse().ok())
            .next()
    }
}

impl Failure {
    /// A document that could not be read.
    pub(super) fn of_document(place: Place, why: &str) -> Self {
        Self { place, request: None, status: None, diagnostics: why.to_owned() }
    }
}

impl Request {
    /// The failure of the whole request.
    pub(super) fn failure(&self, status: Option<StatusCode>, why: &str) -> Failure {
        let first = self.places.first();
        let place = first.map_or_else(
            || Place { file: Arc::from(Path::new("")), line: None, entry: None },
            |place| Place { entry: None, ..place.clone() },
        );
        let status = status.map(|status| status.as_u16());
        let request = Some(format!("POST Bundle of {} entries", self.places.len()));
        Failure { place, request, status, diagnostics: why.to_owned() }
    }

    /// The failure of one entry.
    pub(super) fn entry_failure(&self, number: usize, status: Option<StatusCode>, why: String) -> Failure {
        let whole = self.failure(status, &why);
        let place = self.places.get(number).cloned().unwrap_or_else(|| whole.place.clone());
        Failure { place, request: self.entry_request(number), ..whole }
    }

    fn entry_request(&self, number: usize) -> Option<String> {
        let bundle: RawBundle<'_> = serde_json::from_slice(&self.body).ok()?;
        let entry: Entry<'_> = serde_json::from_str(bundle.entry.get(number)?.get()).ok()?;
        let request = entry.request?;
        Some(format!("{} {}", request.method, request.url))
    }
}

/// The status at the beginning of `Bundle.entry.response.status`, such as `201 Created`.
fn parse_status(text: &str) -> Option<StatusCode> {
    StatusCode::from_bytes(text.get(..3)?.as_bytes()).ok()
}

fn quote(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match text.trim() {
        "" => "no reason given".to_owned(),
        text => text.chars().take(QUOTE_CHARACTERS_MAX).collect(),
    }
}
