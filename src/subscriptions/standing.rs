//! The status of a Subscription, written by the server: through the actor, as a client would write it.

use std::sync::Arc;

use anamnesis_events::{ResourceKey, Version};
use anamnesis_fhir::json::{Document, Limits, Splice, quote};

use super::Context;
use super::definition::Status;
use super::matching::TYPE;
use crate::decide::{Candidate, Command, Expected, Provenance};

/// Who writes, in the log.
pub(super) const AGENT: &str = "anamnesis/subscriptions";

/// What the server says of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) status: Status,
    /// `Subscription.error`; taken away where there is none.
    pub(super) error: Option<String>,
}

/// Writes the change as a new version of the one that is known; of no other, so that nothing that a client has written
/// meanwhile is undone. A failure is logged, and tried again when the subscription is looked at next.
pub(super) async fn write(context: &Context, id: &str, version: Version, payload: &[u8], change: &Change) {
    let Some(document) = changed(payload, change) else {
        tracing::error!(subscription = %id, "The status of a subscription cannot be written into it.");
        return;
    };
    let key = ResourceKey::new(TYPE, id);
    let bases = &context.compartments.rules().bases;
    // What was checked when it was written is not refused because of what has changed since.
    let candidate = Arc::new(Candidate::new(key, document, bases).unchecked());
    let expected = Expected::Versions(vec![version]);
    let command = Command::Update { candidate, expected, unless_held: Vec::new() };
    let provenance = Provenance::of(Arc::from(AGENT));
    match context.compartments.submit(command, provenance).await {
        Ok(_) => {
            tracing::info!(subscription = %id, status = change.status.code(), "A subscription has another status.")
        }
        Err(error) => {
            tracing::warn!(subscription = %id, %error, "The status of a subscription was not written.")
        }
    }
}

/// The resource with another status; all other bytes stay.
fn changed(payload: &[u8], change: &Change) -> Option<Document> {
    let document = Document::parse(payload.to_vec(), &Limits::default()).ok()?;
    let mut splice = Splice::new();
    splice.replace_string(document.root().get("status")?, change.status.code());
    let known = document.root().get("error");
    match (&change.error, known) {
        (Some(error), Some(known)) => splice.replace_string(known, error),
        (Some(error), None) => splice.insert_after(document.root().get("status")?, "error", &quote(error)),
        (None, Some(_)) => splice.remove_members(document.root(), &["error"]),
        (None, None) => {}
    }
    let bytes = splice.apply_to(&document).ok()?;
    Document::parse(bytes, &Limits::default()).ok()
}
