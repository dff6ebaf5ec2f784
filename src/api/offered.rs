//! Everything that a FHIR service offers, as examples: one request for each row of the tables.

use actix_web::http::Method;

use super::interaction::{PlaceKind, TABLE};
use super::operation::{OPERATIONS, Types};

/// One thing that can be asked of a FHIR service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offered {
    /// Its name in metrics and spans.
    pub label: &'static str,
    /// The method.
    pub method: String,
    /// A path below the service, with a slash where there is one.
    pub path: String,
}

/// All that is offered, in the order of the tables.
#[must_use]
pub fn offered() -> Vec<Offered> {
    let interactions = TABLE.iter().map(|row| (row.interaction.label(), &row.method, path(row.place)));
    let mut all: Vec<Offered> = interactions.map(one).collect();
    for operation in OPERATIONS {
        let on = |types: Types| match types {
            Types::None => None,
            Types::All => Some("Patient"),
            Types::Only(names) => names.first().copied(),
        };
        let of_system = operation.on_system.then(|| format!("/{}", operation.name));
        let of_type = on(operation.on_types).map(|name| format!("/{name}/{}", operation.name));
        let of_instance = on(operation.on_instances).map(|name| format!("/{name}/1/{}", operation.name));
        for path in [of_system, of_type, of_instance].into_iter().flatten() {
            all.extend(operation.methods.iter().map(|method| one((operation.label, method, path.clone()))));
        }
    }
    all.dedup();
    all
}

fn one((label, method, path): (&'static str, &Method, String)) -> Offered {
    Offered { label, method: method.to_string(), path }
}

fn path(place: PlaceKind) -> String {
    match place {
        // Operations have a table of their own.
        PlaceKind::System | PlaceKind::Operation => "",
        PlaceKind::Metadata => "/metadata",
        PlaceKind::SystemHistory => "/_history",
        PlaceKind::SystemSearch => "/_search",
        PlaceKind::ReindexJob => "/_operations/reindex/1",
        PlaceKind::ExportJob => "/_operations/export/1",
        PlaceKind::ExportFile => "/_operations/export/1/Patient-1.ndjson",
        PlaceKind::Type => "/Patient",
        PlaceKind::TypeHistory => "/Patient/_history",
        PlaceKind::TypeSearch => "/Patient/_search",
        PlaceKind::Instance => "/Patient/1",
        PlaceKind::InstanceHistory => "/Patient/1/_history",
        PlaceKind::Version => "/Patient/1/_history/1",
        PlaceKind::Compartment => "/Patient/1/Observation",
        PlaceKind::CompartmentSearch => "/Patient/1/Observation/_search",
    }
    .to_owned()
}
