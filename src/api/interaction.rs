//! The table of interactions: what is served where. `Allow`, the dispatcher and `/metadata` follow it.

use actix_web::http::Method;
use anamnesis_events::ResourceKey;

use super::access::Needs;
use super::bounds::{self, Obeys};
use super::operation::{Level, Operation};
use super::route::Place;
use crate::access::Action;
use crate::access::scope::Letter;

/// Something that a client can do (R4 http.html).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interaction {
    Read,
    VersionRead,
    Update,
    Patch,
    Delete,
    HistoryOfInstance,
    Create,
    ConditionalUpdate,
    ConditionalPatch,
    ConditionalDelete,
    HistoryOfType,
    HistoryOfSystem,
    Transaction,
    Batch,
    SearchSystem,
    SearchType,
    SearchCompartment,
    Capabilities,
    ReindexStatus,
    ReindexCancel,
    ExportStatus,
    ExportCancel,
    ExportFile,
    /// A `$operation`, which has a table of its own.
    Operation(&'static Operation),
}

impl Interaction {
    /// Whether it writes.
    pub(super) fn is_write(self) -> bool {
        match self {
            Self::Create
            | Self::Update
            | Self::Patch
            | Self::Delete
            | Self::ConditionalUpdate
            | Self::ConditionalPatch
            | Self::ConditionalDelete
            | Self::Transaction
            | Self::Batch => true,
            Self::Operation(operation) => operation.writes,
            Self::Read
            | Self::VersionRead
            | Self::HistoryOfInstance
            | Self::HistoryOfType
            | Self::HistoryOfSystem
            | Self::SearchSystem
            | Self::SearchType
            | Self::SearchCompartment
            | Self::Capabilities
            | Self::ReindexStatus
            | Self::ReindexCancel
            | Self::ExportStatus
            | Self::ExportCancel
            | Self::ExportFile => false,
        }
    }

    /// What whoever calls it with this method needs, whatever else the request says.
    pub(super) fn needs(self, method: &Method) -> Needs {
        match self {
            Self::Operation(operation) => operation.needs(method),
            // What is in no row is not served.
            _ => TABLE.iter().find(|row| row.interaction == self).map_or(Needs::NOBODY, |row| row.needs),
        }
    }

    /// How it obeys scopes.
    pub(super) fn obeys(self) -> Obeys {
        use Letter::{Create, Delete, Read, Search, Update};
        match self {
            Self::Read | Self::VersionRead | Self::HistoryOfInstance => Obeys::Clause(&[Read]),
            Self::SearchSystem | Self::SearchType | Self::SearchCompartment => Obeys::Clause(&[Search]),
            Self::Create => Obeys::Clause(&[Create]),
            Self::Update | Self::Patch => Obeys::Clause(&[Update]),
            Self::Delete => Obeys::Clause(&[Delete]),
            Self::ConditionalUpdate | Self::ConditionalPatch => Obeys::Clause(&[Search, Update]),
            Self::ConditionalDelete => Obeys::Clause(&[Search, Delete]),
            // The log has no clause: a history of many resources is all of it.
            Self::HistoryOfType | Self::HistoryOfSystem => Obeys::Whole(&[Read]),
            Self::Transaction | Self::Batch => Obeys::Entries,
            Self::Capabilities => Obeys::Nothing,
            Self::ReindexStatus | Self::ReindexCancel => Obeys::Whole(bounds::ALL),
            // Each export is its token's own.
            Self::ExportStatus | Self::ExportCancel | Self::ExportFile => Obeys::Some(&[Search]),
            Self::Operation(operation) => operation.obeys,
        }
    }

    /// Its name in metrics and spans.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Read => "fhir/read",
            Self::VersionRead => "fhir/vread",
            Self::Update => "fhir/update",
            Self::Patch => "fhir/patch",
            Self::Delete => "fhir/delete",
            Self::HistoryOfInstance => "fhir/history-instance",
            Self::Create => "fhir/create",
            Self::ConditionalUpdate => "fhir/conditional-update",
            Self::ConditionalPatch => "fhir/conditional-patch",
            Self::ConditionalDelete => "fhir/conditional-delete",
            Self::HistoryOfType => "fhir/history-type",
            Self::HistoryOfSystem => "fhir/history-system",
            Self::Transaction | Self::Batch => "fhir/bundle",
            Self::SearchSystem => "fhir/search-system",
            Self::SearchType => "fhir/search-type",
            Self::SearchCompartment => "fhir/search-compartment",
            Self::Capabilities => "fhir/capabilities",
            Self::ReindexStatus => "fhir/reindex-status",
            Self::ReindexCancel => "fhir/reindex-cancel",
            Self::ExportStatus => "fhir/export-status",
            Self::ExportCancel => "fhir/export-cancel",
            Self::ExportFile => "fhir/export-file",
            Self::Operation(operation) => operation.label,
        }
    }
}

/// The sorts of places, without the names in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlaceKind {
    System,
    Metadata,
    SystemHistory,
    SystemSearch,
    ReindexJob,
    ExportJob,
    ExportFile,
    Type,
    TypeHistory,
    TypeSearch,
    Instance,
    InstanceHistory,
    Version,
    Compartment,
    CompartmentSearch,
    /// Not in this table: see [`super::operation`].
    Operation,
}

/// Where the CapabilityStatement lists an interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed {
    /// In `rest.resource.interaction`, with this code.
    OfType(&'static str),
    /// In `rest.interaction`, with this code.
    OfSystem(&'static str),
    /// Elsewhere: as a flag of the type, or not at all.
    Elsewhere,
}

/// One row of the table.
pub(super) struct Row {
    pub(super) method: Method,
    pub(super) place: PlaceKind,
    pub(super) interaction: Interaction,
    pub(super) listed: Listed,
    /// What whoever asks for it needs; [`super::access`] adds what depends on the request.
    pub(super) needs: Needs,
}

const fn row(
    method: Method,
    place: PlaceKind,
    interaction: Interaction,
    listed: Listed,
    needs: Needs,
) -> Row {
    Row { method, place, interaction, listed, needs }
}

const READ: Needs = Needs::all(&[Action::ReadById]);
const SEARCH: Needs = Needs::all(&[Action::Search]);
const REINDEX: Needs = Needs::all(&[Action::Reindex]);
const EXPORT: Needs = Needs::all(&[Action::Export]);
/// Its answer is the whole resource, and its tests ask about it.
const PATCH: Needs = Needs::all(&[Action::ReadById, Action::Update]);
const CONDITIONAL_UPDATE: Needs = Needs::all(&[Action::Search, Action::Update, Action::Create]);
const CONDITIONAL_PATCH: Needs = Needs::all(&[Action::Search, Action::ReadById, Action::Update]);
const CONDITIONAL_DELETE: Needs = Needs::all(&[Action::Search, Action::Delete]);

/// What is served. HEAD is served wherever GET is.
pub(super) const TABLE: &[Row] = &[
    row(Method::GET, PlaceKind::Instance, Interaction::Read, Listed::OfType("read"), READ),
    row(Method::GET, PlaceKind::Version, Interaction::VersionRead, Listed::OfType("vread"), READ),
    row(
        Method::PUT,
        PlaceKind::Instance,
        Interaction::Update,
        Listed::OfType("update"),
        Needs::all(&[Action::Update]),
    ),
    row(Method::PATCH, PlaceKind::Instance, Interaction::Patch, Listed::OfType("patch"), PATCH),
    row(
        Method::DELETE,
        PlaceKind::Instance,
        Interaction::Delete,
        Listed::OfType("delete"),
        Needs::all(&[Action::Delete]),
    ),
    row(
        Method::GET,
        PlaceKind::InstanceHistory,
        Interaction::HistoryOfInstance,
        Listed::OfType("history-instance"),
        READ,
    ),
    row(
        Method::GET,
        PlaceKind::TypeHistory,
        Interaction::HistoryOfType,
        Listed::OfType("history-type"),
        SEARCH,
    ),
    row(
        Method::POST,
        PlaceKind::Type,
        Interaction::Create,
        Listed::OfType("create"),
        Needs::all(&[Action::Create]),
    ),
    row(Method::PUT, PlaceKind::Type, Interaction::ConditionalUpdate, Listed::Elsewhere, CONDITIONAL_UPDATE),
    row(Method::PATCH, PlaceKind::Type, Interaction::ConditionalPatch, Listed::Elsewhere, CONDITIONAL_PATCH),
    row(
        Method::DELETE,
        PlaceKind::Type,
        Interaction::ConditionalDelete,
        Listed::Elsewhere,
        CONDITIONAL_DELETE,
    ),
    row(
        Method::GET,
        PlaceKind::SystemHistory,
        Interaction::HistoryOfSystem,
        Listed::OfSystem("history-system"),
        SEARCH,
    ),
    // Both are posted to the service itself; the bundle says which it is.
    row(
        Method::POST,
        PlaceKind::System,
        Interaction::Transaction,
        Listed::OfSystem("transaction"),
        Needs::OfEntries,
    ),
    row(Method::POST, PlaceKind::System, Interaction::Batch, Listed::OfSystem("batch"), Needs::OfEntries),
    row(Method::GET, PlaceKind::Type, Interaction::SearchType, Listed::OfType("search-type"), SEARCH),
    row(Method::POST, PlaceKind::TypeSearch, Interaction::SearchType, Listed::Elsewhere, SEARCH),
    row(Method::GET, PlaceKind::System, Interaction::SearchSystem, Listed::OfSystem("search-system"), SEARCH),
    row(Method::POST, PlaceKind::SystemSearch, Interaction::SearchSystem, Listed::Elsewhere, SEARCH),
    row(Method::GET, PlaceKind::Compartment, Interaction::SearchCompartment, Listed::Elsewhere, SEARCH),
    row(
        Method::POST,
        PlaceKind::CompartmentSearch,
        Interaction::SearchCompartment,
        Listed::Elsewhere,
        SEARCH,
    ),
    row(Method::GET, PlaceKind::ReindexJob, Interaction::ReindexStatus, Listed::Elsewhere, REINDEX),
    row(Method::DELETE, PlaceKind::ReindexJob, Interaction::ReindexCancel, Listed::Elsewhere, REINDEX),
    row(Method::GET, PlaceKind::ExportJob, Interaction::ExportStatus, Listed::Elsewhere, EXPORT),
    row(Method::DELETE, PlaceKind::ExportJob, Interaction::ExportCancel, Listed::Elsewhere, EXPORT),
    row(Method::GET, PlaceKind::ExportFile, Interaction::ExportFile, Listed::Elsewhere, EXPORT),
    row(Method::GET, PlaceKind::Metadata, Interaction::Capabilities, Listed::Elsewhere, Needs::Nothing),
];

/// The interaction of a method at a place; a HEAD is a GET whose body is left out when the answer is written.
pub(super) fn find(method: &Method, place: &Place) -> Option<Interaction> {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    if let Place::Operation(operation, _) = place {
        return operation.methods.contains(method).then_some(Interaction::Operation(operation));
    }
    let kind = place.kind();
    TABLE.iter().find(|row| row.place == kind && row.method == *method).map(|row| row.interaction)
}

/// What an entry of a bundle asks for by POST or DELETE that is no interaction with a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Called {
    /// `$purge-history`
    Purge(ResourceKey),
    /// A search by POST.
    Search,
    /// An operation that writes nothing.
    Operation,
    /// An operation that sets something off that cannot be taken back.
    Acting,
}

/// What is called at a path; `None` for what is not served there, and for operations that write something else.
pub(crate) fn called(method: &Method, path: &str) -> Option<Called> {
    let place = Place::parse(path).ok()?;
    match (find(method, &place)?, place) {
        (Interaction::Operation(operation), Place::Operation(_, level)) => match level {
            Level::Instance(key) if operation.name == "$purge-history" => Some(Called::Purge(key)),
            _ if operation.writes => None,
            _ if operation.acts_by.contains(method) => Some(Called::Acting),
            _ => Some(Called::Operation),
        },
        (Interaction::SearchSystem | Interaction::SearchType | Interaction::SearchCompartment, _) => {
            Some(Called::Search)
        }
        _ => None,
    }
}

/// The methods that are served at a place, for the header `Allow`.
pub(super) fn allow(place: &Place) -> String {
    let kind = place.kind();
    let mut methods: Vec<&str> = match place {
        Place::Operation(operation, _) => operation.methods.iter().map(Method::as_str).collect(),
        _ => TABLE.iter().filter(|row| row.place == kind).map(|row| row.method.as_str()).collect(),
    };
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    methods.dedup();
    methods.join(", ")
}
