//! What work weighs in memory while it waits and runs.

use anamnesis_events::{Group, ResourceKey};

use crate::decide::Command;

/// What a command costs beside its resource: message, answer, futures, its places in queues.
const COMMAND_BYTES: usize = 2048;
/// What a draft or a key costs beside its payload and names: its own fields and its places in lists.
const ITEM_BYTES: usize = 512;
/// What an identifier or a compartment's name costs: its text, for the longest that are common, and its place.
const NAME_BYTES: usize = 160;
/// What a value of a parsed document costs.
const VALUE_BYTES: usize = 40;

/// A command: the parsed resource, and the draft that it becomes.
pub(super) fn of_command(command: &Command) -> usize {
    let (Command::Create { candidate, .. } | Command::Update { candidate, .. }) = command else {
        return COMMAND_BYTES;
    };
    let text = candidate.document.text().len();
    // The text is there twice once it has been decided about.
    let resource = 2 * text + candidate.document.len() * VALUE_BYTES;
    let names = (candidate.identifiers.len() + candidate.placement.touches.len()) * NAME_BYTES;
    COMMAND_BYTES + resource + names
}

/// Drafts that belong together.
pub(super) fn of_group(group: &Group) -> usize {
    let names = |draft: &anamnesis_events::Draft| {
        draft.identifiers.len() + draft.touches.len() + draft.require_no_identifier.len()
    };
    let drafts =
        group.drafts.iter().map(|draft| draft.payload.len() + ITEM_BYTES + names(draft) * NAME_BYTES);
    let note = group.idempotency.as_ref().map_or(0, |idempotency| idempotency.note.len());
    COMMAND_BYTES + drafts.sum::<usize>() + note
}

/// A note that names resources.
pub(super) fn of_keys(keys: &[ResourceKey]) -> usize {
    keys.len() * ITEM_BYTES
}
