//! Contained resources as matches of a search (R4 search.html#contained).

use std::borrow::Cow;

use anamnesis_events::{Event, Position, ResourceKey};
use anamnesis_fhir::json::{Document, Limits, Value};
use anamnesis_projections::search::SearchMatch;

use super::call::Call;
use crate::access::scope::Letter;
use crate::error::Failure;

/// The events of matches, in the order of these. One that contains several of them is read once.
///
/// # Errors
/// When the log cannot be read; 400 where the bodies are too large for one answer.
pub(super) async fn fetch(call: &Call, found: &[SearchMatch]) -> Result<Vec<Event>, Failure> {
    let mut positions: Vec<Position> = found.iter().map(|found| found.position).collect();
    positions.sort_unstable();
    positions.dedup();
    let events = call.service.compartments.reads().fetch(positions).await?;
    // The index has asked its rows already. This is no filter: it would be too late for what is counted and inferred.
    debug_assert!(
        events.iter().all(|event| event.erased.is_some() || call.sees(Letter::Search, event)),
        "a search shows what can be seen"
    );
    let of = |found: &SearchMatch| {
        let at = events.binary_search_by_key(&found.position, |event| event.position).ok()?;
        events.get(at).cloned()
    };
    Ok(found.iter().filter_map(of).collect())
}

/// What is shown of matches, in the same order: the resources, or those that they contain. These are known by the
/// address of their container with their id behind a `#` (R4 search.html#contained).
pub(super) fn shown<'a>(found: impl Iterator<Item = (&'a SearchMatch, Event)>) -> Vec<Event> {
    let mut all: Vec<Shown<'_>> =
        found.enumerate().map(|(at, (found, event))| Shown { at, found, event }).collect();
    all.sort_by_key(|one| one.found.position);
    all.chunk_by_mut(|one, next| one.found.position == next.found.position).for_each(take_out);
    all.sort_by_key(|one| one.at);
    all.into_iter().map(|one| one.event).collect()
}

/// A match and its event.
struct Shown<'a> {
    /// Its place among the matches.
    at: usize,
    found: &'a SearchMatch,
    event: Event,
}

/// Puts contained resources in the place of their container, which is taken apart once.
fn take_out(of_one: &mut [Shown<'_>]) {
    let Some(first) = of_one.iter().find(|one| one.found.contained.is_some()) else { return };
    let container = first.event.payload.clone();
    // What was taken apart for the index can be taken apart again.
    let Ok(document) = Document::parse(&*container, &Limits::default()) else { return };
    let contained: Vec<Value<'_>> =
        document.root().get("contained").into_iter().flat_map(Value::items).collect();
    for Shown { found, event, .. } in of_one {
        let Some(asked) = &found.contained else { continue };
        let Some(alone) = contained.get(asked.place) else { continue };
        event.payload = container.slice(alone.span());
        event.key = ResourceKey::new(found.resource_type, format!("{}#{}", found.id, asked.id));
    }
}

/// The type of a resource that is shown. The key of a contained one has that of its container.
pub(super) fn type_of(shown: &Event) -> Cow<'_, str> {
    let of_key = Cow::Borrowed(&*shown.key.resource_type);
    if !shown.key.id.contains('#') {
        return of_key;
    }
    let document = Document::parse(&*shown.payload, &Limits::default()).ok();
    let named = document.as_ref().and_then(|document| document.root().get("resourceType"));
    named.and_then(Value::as_str).map_or(of_key, |name| Cow::Owned(name.into_owned()))
}
