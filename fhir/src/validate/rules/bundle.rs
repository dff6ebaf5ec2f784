//! The invariants of Bundle (bdl-1 to bdl-12) in one pass over its entries: transactions are the bulk of what
//! is written, and two of the rules compare every entry with every other when they are evaluated.

use std::collections::HashSet;

use super::has;
use crate::json::Value;
use crate::validate::issues::IssueCode;
use crate::validate::walk::{At, Walk};

/// Checks a Bundle.
pub(super) fn check<'a>(walk: &mut Walk<'_>, bundle: Value<'a>, at: At<'_, 'a>) {
    let kind = bundle.get("type").and_then(Value::as_str).unwrap_or_default();
    let mut told = |is_broken: bool, what: &str| {
        if is_broken {
            walk.issues.error(IssueCode::Invariant, at.path, bundle, format_args!("{what}"));
        }
    };
    let is_list = matches!(&*kind, "searchset" | "history");
    let is_request = matches!(&*kind, "batch" | "transaction" | "history");
    let is_response = matches!(&*kind, "batch-response" | "transaction-response" | "history");
    told(has(bundle, "total") && !is_list, "a total is for search results and histories only (bdl-1)");
    let entries = || bundle.get("entry").into_iter().flat_map(Value::items);
    let (mut searches, mut requests, mut responses) = (false, true, true);
    for entry in entries() {
        searches |= has(entry, "search");
        requests &= has(entry, "request") == is_request;
        responses &= has(entry, "response") == is_response;
    }
    told(searches && kind != "searchset", "entry.search is for search results only (bdl-2)");
    // Without a type, which is an error of its own, nothing can be said of the entries.
    let is_known = !kind.is_empty();
    told(
        is_known && !requests,
        "entry.request is for a batch, a transaction and a history, for every entry (bdl-3)",
    );
    told(is_known && !responses, "entry.response is for responses and a history, for every entry (bdl-4)");
    let first = || entries().next().and_then(|entry| entry.get("resource")?.get("resourceType")?.as_str());
    match &*kind {
        "document" => {
            let is_identified =
                bundle.get("identifier").is_some_and(|row| has(row, "system") && has(row, "value"));
            told(!is_identified, "a document needs an identifier with system and value (bdl-9)");
            told(bundle.get("timestamp").is_none(), "a document needs a timestamp (bdl-10)");
            told(
                first().as_deref() != Some("Composition"),
                "a document must begin with a Composition (bdl-11)",
            );
        }
        "message" => {
            told(
                first().as_deref() != Some("MessageHeader"),
                "a message must begin with a MessageHeader (bdl-12)",
            );
        }
        _ => {}
    }
    if kind != "history" {
        repeated(walk, bundle, at);
    }
}

/// The entries that repeat another (bdl-7). An entry with no resource, or none with a version, has an empty version.
fn repeated<'a>(walk: &mut Walk<'_>, bundle: Value<'a>, at: At<'_, 'a>) {
    let entries = at.path.child("entry");
    let mut seen = HashSet::new();
    for (index, entry) in bundle.get("entry").into_iter().flat_map(Value::items).enumerate() {
        let Some(full_url) = entry.get("fullUrl") else { continue };
        let version = entry.get("resource").and_then(|resource| resource.get("meta")?.get("versionId"));
        if !seen.insert((full_url.as_str(), version.and_then(Value::as_str))) {
            let text = format_args!("another entry has the same fullUrl and version (bdl-7)");
            let entry = entries.item(index);
            walk.issues.error(IssueCode::Invariant, &entry.child("fullUrl"), full_url, text);
        }
    }
}

/// The rules on one entry: bdl-5 and bdl-8.
pub(super) fn entry(entry: Value<'_>) -> Option<&'static str> {
    if !["resource", "request", "response"].iter().any(|name| has(entry, name)) {
        return Some("an entry needs a resource, a request or a response (bdl-5)");
    }
    let url = entry.get("fullUrl").and_then(Value::as_str);
    url.is_some_and(|url| url.contains("/_history/")).then_some("fullUrl cannot name a version (bdl-8)")
}
