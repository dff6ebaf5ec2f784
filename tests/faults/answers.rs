//! Reads answers: what was done, what was refused, what is not known, and what a search found.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::http::{Reply, id_of, version_of};
use crate::records::{Asked, Outcome, Told, Verb};

/// What the server says when even it does not know.
const NOT_KNOWN: &str = "is not known";

#[derive(Deserialize)]
struct Bundle {
    #[serde(default)]
    entry: Vec<Entry>,
    total: Option<u32>,
}

#[derive(Deserialize)]
struct Entry {
    resource: Option<Box<RawValue>>,
    response: Option<Response>,
    search: Option<Search>,
}

#[derive(Deserialize)]
struct Response {
    status: String,
    location: Option<String>,
    etag: Option<String>,
    outcome: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Search {
    mode: String,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

/// What became of a request of one resource.
pub(crate) fn outcome_of(reply: &Reply, asked: &Asked) -> Outcome {
    let id = reply.location.as_deref().and_then(id_of).or_else(|| asked.id.clone());
    let version = reply.etag.as_deref().and_then(version_of);
    let body = (!reply.body.is_empty()).then(|| reply.body.clone());
    judge(asked, Told { status: reply.status, id, version, body }, || {
        String::from_utf8_lossy(&reply.body).into_owned()
    })
}

fn judge(asked: &Asked, told: Told, said: impl FnOnce() -> String) -> Outcome {
    match told.status {
        200..=299 => Outcome::Done(told),
        404 | 410 if asked.verb == Verb::Read => Outcome::Done(told),
        // A mistake of the server, complained of elsewhere: anything may have happened.
        500 => Outcome::Unknown,
        _ if said().contains(NOT_KNOWN) => Outcome::Unknown,
        _ => Outcome::Refused,
    }
}

/// Whether the server says of a whole request that it does not know what became of it.
pub(crate) fn is_unknown(reply: &Reply) -> bool {
    let is_failure = reply.status >= 500;
    is_failure && (reply.status == 500 || String::from_utf8_lossy(&reply.body).contains(NOT_KNOWN))
}

/// Whether the answer to a repetition settles what became of the request: not where the server had no time for it, or
/// saw others at work.
pub(crate) fn is_last_word(reply: &Reply) -> bool {
    reply.status < 500 && !matches!(reply.status, 409 | 429)
}

/// What became of the entries of a bundle, in their order.
pub(crate) fn entries_of(reply: &Reply, asked: &[Asked]) -> Vec<Outcome> {
    if reply.status != 200 {
        // The whole bundle was refused; so was each entry.
        return asked.iter().map(|asked| outcome_of(reply, asked)).collect();
    }
    let bundle: Bundle = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(bundle.entry.len(), asked.len(), "one answer for each entry");
    let outcomes = bundle.entry.into_iter().zip(asked).map(|(entry, asked)| {
        let response = entry.response.unwrap();
        let told = Told {
            status: response.status.parse().unwrap(),
            id: response.location.as_deref().and_then(id_of).or_else(|| asked.id.clone()),
            version: response.etag.as_deref().and_then(version_of),
            body: entry.resource.map(|raw| Bytes::from(raw.get().to_owned())),
        };
        judge(asked, told, || response.outcome.map(|raw| raw.get().to_owned()).unwrap_or_default())
    });
    outcomes.collect()
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct Searched {
    pub(crate) ids: Vec<String>,
    pub(crate) total: Option<u32>,
    /// Whether it says that the newest changes may be missing.
    pub(crate) is_late: bool,
}

pub(crate) fn searched(reply: &Reply) -> Option<Searched> {
    if reply.status != 200 {
        return None;
    }
    let bundle: Bundle = serde_json::from_slice(&reply.body).ok()?;
    let is_match = |entry: &&Entry| entry.search.as_ref().is_some_and(|search| search.mode == "match");
    let id = |entry: &Entry| {
        let named: Named = serde_json::from_str(entry.resource.as_ref()?.get()).ok()?;
        Some(named.id)
    };
    let ids = bundle.entry.iter().filter(is_match).filter_map(id).collect();
    let is_late = bundle.entry.iter().any(|entry| !is_match(&entry));
    Some(Searched { ids, total: bundle.total, is_late })
}
