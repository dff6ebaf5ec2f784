//! What an interaction is in the words of an AuditEvent: the code of the RESTful interaction, the action, the resource.

use anamnesis_audit::Action;
use anamnesis_events::ResourceKey;

use crate::api::interaction::Interaction;
use crate::api::operation::Level;
use crate::api::route::Place;
use crate::audit::Access;

/// Notes what is asked for.
pub(in crate::api) fn note_interaction(
    access: &Access,
    interaction: Option<Interaction>,
    place: &Place,
    (path, query): (&str, &str),
) {
    let Some(interaction) = interaction else {
        // No interaction, but a resource may be named all the same.
        return access.asks("", Action::E, named(place));
    };
    let (subtype, action) = words(interaction);
    access.asks(subtype, action, named(place));
    // What was looked for matters also where nothing was given.
    let is_of_many = matches!(action, Action::E)
        || matches!(place, Place::ExportJob(_) | Place::ExportFile(..))
        || matches!(interaction, Interaction::HistoryOfType);
    if !query.is_empty() || is_of_many && !matches!(place, Place::System) {
        access.queries(path, query);
    }
}

/// The code and the action of an interaction (R4 valueset-audit-event-sub-type.html, valueset-audit-event-action.html).
fn words(interaction: Interaction) -> (&'static str, Action) {
    match interaction {
        Interaction::Read => ("read", Action::R),
        Interaction::VersionRead => ("vread", Action::R),
        Interaction::Update | Interaction::ConditionalUpdate => ("update", Action::U),
        Interaction::Patch | Interaction::ConditionalPatch => ("patch", Action::U),
        Interaction::Delete | Interaction::ConditionalDelete => ("delete", Action::D),
        Interaction::Create => ("create", Action::C),
        Interaction::HistoryOfInstance => ("history-instance", Action::R),
        Interaction::HistoryOfType => ("history-type", Action::R),
        Interaction::HistoryOfSystem => ("history-system", Action::R),
        Interaction::Batch => ("batch", Action::E),
        Interaction::Transaction => ("transaction", Action::E),
        Interaction::SearchSystem => ("search-system", Action::E),
        Interaction::SearchType => ("search-type", Action::E),
        // R4 has no code of its own for it.
        Interaction::SearchCompartment => ("search", Action::E),
        Interaction::Capabilities => ("capabilities", Action::R),
        Interaction::ReindexStatus => ("$reindex", Action::R),
        Interaction::ReindexCancel => ("$reindex", Action::D),
        Interaction::ExportStatus => ("$export-status", Action::R),
        Interaction::ExportCancel => ("$export-status", Action::D),
        Interaction::ExportFile => ("$export-file", Action::R),
        Interaction::Operation(operation) if ["$purge", "$purge-history"].contains(&operation.name) => {
            (operation.name, Action::D)
        }
        Interaction::Operation(operation) => (operation.name, Action::E),
    }
}

/// The resource that a place names.
fn named(place: &Place) -> Option<&ResourceKey> {
    match place {
        Place::Instance(key)
        | Place::InstanceHistory(key)
        | Place::Version(key, _)
        | Place::Compartment(key, _)
        | Place::CompartmentSearch(key, _)
        | Place::Operation(_, Level::Instance(key)) => Some(key),
        _ => None,
    }
}
