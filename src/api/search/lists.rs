//! What the Lists that a search asks for mark as deleted (R4 List.entry.deleted): the index has the references of all their
//! entries alike.

use std::collections::BTreeMap;

use anamnesis_events::ResourceKey;
use anamnesis_fhir::json::{Document, Limits, Value};
use anamnesis_projections::search::{ListItems, SearchQuery};

use crate::access::scope::Letter;
use crate::api::call::Call;
use crate::error::Failure;

/// The Lists that a query asks for, as they are now; of a further page as they were when the first one was made. A List of
/// which that version has been erased since marks nothing.
///
/// # Errors
/// The log cannot be read.
pub(super) async fn asked_for(
    call: &Call,
    query: &SearchQuery,
) -> Result<BTreeMap<String, ListItems>, Failure> {
    // A read of a transaction sees them where the other ones see everything.
    let position = query.as_of().or(call.at);
    let mut lists = BTreeMap::new();
    // One after the other: each may be as large as a body can be.
    for id in query.lists() {
        let key = ResourceKey::new("List", id.as_str());
        let event = match position {
            Some(position) => call.service.log.current_at(&key, position).await?.map(std::sync::Arc::new),
            None => call.service.compartments.reads().current(key).await?,
        };
        let seen = event.filter(|event| call.sees(Letter::Search, event));
        let payload = seen.map(|event| event.payload.clone());
        if let Some(payload) = payload.filter(|payload| !payload.is_empty()) {
            let document = Document::parse(payload.to_vec(), &Limits::default())?;
            lists.insert(id.clone(), items(id, document.root()));
        }
    }
    Ok(lists)
}

/// Whether the Lists that a query asks for mark what they did when it was read: the index may be newer than they were then.
///
/// # Errors
/// The log cannot be read.
pub(super) async fn are_still(call: &Call, query: &SearchQuery) -> Result<bool, Failure> {
    let now = asked_for(call, query).await?;
    let is_marked = now.values().any(|items| !items.deleted.is_empty());
    Ok(if is_marked { now == *query.known_lists() } else { query.known_lists().is_empty() })
}

fn items(id: &str, list: Value<'_>) -> ListItems {
    let mut items = ListItems::default();
    for entry in list.get("entry").into_iter().flat_map(Value::items) {
        let reference = entry.get("item").and_then(|item| item.get("reference")).and_then(Value::as_str);
        let Some(reference) = reference else { continue };
        let item = match reference.starts_with('#') {
            // What the List itself contains is known by that address.
            true => format!("List/{id}{reference}"),
            false => reference.split_once("/_history/").map_or(&*reference, |(item, _)| item).to_owned(),
        };
        match entry.get("deleted").and_then(Value::as_bool) {
            Some(true) => items.deleted.insert(item),
            _ => items.held.insert(item),
        };
    }
    items
}
