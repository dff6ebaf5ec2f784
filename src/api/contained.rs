//! Contained resources as matches of a search (R4 search.html#contained).

use anamnesis_events::{Event, ResourceKey};
use anamnesis_fhir::json::{Document, Limits};
use anamnesis_projections::search::SearchMatch;

/// What is shown of a match: the resource, or the one that it contains. That one is known by the address of its container
/// with its id behind a `#` (R4 search.html#contained).
pub(super) fn shown(found: &SearchMatch, event: Event) -> Event {
    let Some(contained) = &found.contained else { return event };
    let alone = Document::parse(&*event.payload, &Limits::default()).ok().and_then(|document| {
        let value = document.root().get("contained")?.items().nth(contained.place)?;
        Some(event.payload.slice(value.span()))
    });
    // What was taken apart for the index can be taken apart again.
    let Some(payload) = alone else { return event };
    let key = ResourceKey::new(found.resource_type, format!("{}#{}", found.id, contained.id));
    Event { key, payload, ..event }
}
