//! Routes: what a path below a service's base names (R4 http.html section 3.1.0.1).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use anamnesis_events::{ResourceKey, Version};
use anamnesis_fhir::definitions::r4;
use anamnesis_fhir::references::is_id;
use percent_encoding::percent_decode_str;

use super::interaction::PlaceKind;
use super::operation::{self, Level, Operation};
use crate::error::{Failure, IssueCode};

/// What a path names. Resource types are known ones and ids are well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The base itself.
    System,
    /// `/metadata`
    Metadata,
    /// `/_history`
    SystemHistory,
    /// `/_search`
    SystemSearch,
    /// `/_operations/reindex/{id}`
    ReindexJob(String),
    /// `/_operations/export/{id}`
    ExportJob(String),
    /// `/_operations/export/{id}/Patient-1.ndjson`
    ExportFile(String, Arc<str>, u32),
    /// `/Patient`
    Type(Arc<str>),
    /// `/Patient/_history`
    TypeHistory(Arc<str>),
    /// `/Patient/_search`
    TypeSearch(Arc<str>),
    /// `/Patient/1`
    Instance(ResourceKey),
    /// `/Patient/1/_history`
    InstanceHistory(ResourceKey),
    /// `/Patient/1/_history/2`
    Version(ResourceKey, Version),
    /// `/Patient/1/Observation`; `None` for `*`
    Compartment(ResourceKey, Option<Arc<str>>),
    /// `/Patient/1/Observation/_search`
    CompartmentSearch(ResourceKey, Option<Arc<str>>),
    /// `/$name`, `/Patient/$name`, `/Patient/1/$name`
    Operation(&'static Operation, Level),
}

impl Place {
    /// What sort of place it is.
    pub(super) fn kind(&self) -> PlaceKind {
        match self {
            Self::System => PlaceKind::System,
            Self::Metadata => PlaceKind::Metadata,
            Self::SystemHistory => PlaceKind::SystemHistory,
            Self::SystemSearch => PlaceKind::SystemSearch,
            Self::ReindexJob(_) => PlaceKind::ReindexJob,
            Self::ExportJob(_) => PlaceKind::ExportJob,
            Self::ExportFile(..) => PlaceKind::ExportFile,
            Self::Type(_) => PlaceKind::Type,
            Self::TypeHistory(_) => PlaceKind::TypeHistory,
            Self::TypeSearch(_) => PlaceKind::TypeSearch,
            Self::Instance(_) => PlaceKind::Instance,
            Self::InstanceHistory(_) => PlaceKind::InstanceHistory,
            Self::Version(..) => PlaceKind::Version,
            Self::Compartment(..) => PlaceKind::Compartment,
            Self::CompartmentSearch(..) => PlaceKind::CompartmentSearch,
            Self::Operation(..) => PlaceKind::Operation,
        }
    }

    /// The type of the resources that are meant, where it is one.
    pub(super) fn resource_type(&self) -> Option<&str> {
        match self {
            Self::Type(name)
            | Self::TypeHistory(name)
            | Self::TypeSearch(name)
            | Self::Operation(_, Level::Type(name)) => Some(name),
            Self::Instance(key)
            | Self::InstanceHistory(key)
            | Self::Version(key, _)
            | Self::Operation(_, Level::Instance(key)) => Some(&key.resource_type),
            _ => None,
        }
    }

    /// Whether a POST here brings the parameters of a search.
    pub(super) fn is_search(&self) -> bool {
        matches!(self, Self::SystemSearch | Self::TypeSearch(_) | Self::CompartmentSearch(..))
    }

    /// Reads the segments below the base.
    ///
    /// # Errors
    /// 400 for malformed ids, encodings and misspelt types; 404 for what does not exist.
    pub(crate) fn parse(path: &str) -> Result<Self, Failure> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments: Vec<Cow<'_, str>> = match path.strip_prefix('/').unwrap_or(path) {
            "" => Vec::new(),
            path => path.split('/').map(decode).collect::<Result<_, _>>()?,
        };
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        Ok(match segments.as_slice() {
            [] => Self::System,
            ["metadata"] => Self::Metadata,
            ["_history"] => Self::SystemHistory,
            ["_search"] => Self::SystemSearch,
            ["_operations", "reindex", id] if is_id(id) => Self::ReindexJob((*id).to_owned()),
            ["_operations", "export", id] if is_id(id) => Self::ExportJob((*id).to_owned()),
            ["_operations", "export", id, file] if is_id(id) => export_file(id, file)?,
            [name] if name.starts_with('$') => operation_at(name, Level::System)?,
            [one] => Self::Type(resource_type(one)?),
            [one, "_history"] => Self::TypeHistory(resource_type(one)?),
            [one, "_search"] => Self::TypeSearch(resource_type(one)?),
            [one, name] if name.starts_with('$') => operation_at(name, Level::Type(resource_type(one)?))?,
            [one, id] => Self::Instance(key(one, id)?),
            [one, id, "_history"] => Self::InstanceHistory(key(one, id)?),
            [one, id, "_history", version] => {
                let key = key(one, id)?;
                Self::Version(key, self::version(version)?)
            }
            [one, id, name] if name.starts_with('$') => operation_at(name, Level::Instance(key(one, id)?))?,
            [one, id, target] => Self::Compartment(compartment(one, id)?, target_type(target)?),
            [one, id, target, "_search"] => {
                Self::CompartmentSearch(compartment(one, id)?, target_type(target)?)
            }
            _ => return Err(Failure::not_found("There is nothing at this path.")),
        })
    }
}

/// Parameters are not stored (R4 parameters.html).
const WITHOUT_ENDPOINT: &str = "Parameters";

/// The types that have an endpoint.
pub(super) fn resource_types() -> impl Iterator<Item = &'static str> {
    r4().resource_types().iter().copied().filter(|name| *name != WITHOUT_ENDPOINT)
}

/// The one shared copy of a resource type's name.
///
/// # Errors
/// 404 for an unknown type; 400 where only the case is wrong.
pub(crate) fn resource_type(name: &str) -> Result<Arc<str>, Failure> {
    static NAMES: OnceLock<HashMap<&'static str, Arc<str>>> = OnceLock::new();
    let names = NAMES.get_or_init(|| resource_types().map(|name| (name, Arc::from(name))).collect());
    if let Some(known) = names.get(name) {
        return Ok(known.clone());
    }
    if name == WITHOUT_ENDPOINT {
        let text = "Parameters go in and out of operations; R4 gives them no endpoint.";
        return Err(Failure::new(crate::error::FailureKind::NotFound, IssueCode::NotSupported, text));
    }
    match names.keys().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(known) => {
            Err(Failure::invalid(format!("Names of resource types are case-sensitive; this one is {known}.")))
        }
        None => Err(Failure::new(
            crate::error::FailureKind::NotFound,
            IssueCode::NotSupported,
            "R4 has no resource type of this name.",
        )),
    }
}

fn export_file(id: &str, file: &str) -> Result<Place, Failure> {
    let named = file.strip_suffix(".ndjson").and_then(|name| name.split_once('-'));
    let named = named.and_then(|(name, number)| Some((resource_type(name).ok()?, number.parse().ok()?)));
    let (name, number) = named.ok_or_else(|| Failure::not_found("There is nothing at this path."))?;
    Ok(Place::ExportFile(id.to_owned(), name, number))
}

fn key(name: &str, id: &str) -> Result<ResourceKey, Failure> {
    let resource_type = resource_type(name)?;
    if is_id(id) { Ok(ResourceKey::new(resource_type, id)) } else { Err(bad_id()) }
}

fn compartment(name: &str, id: &str) -> Result<ResourceKey, Failure> {
    let key = key(name, id)?;
    match r4().compartment(name) {
        Some(_) => Ok(key),
        None => {
            Err(Failure::not_found("There is nothing at this path: R4 defines no compartments of this type."))
        }
    }
}

fn target_type(name: &str) -> Result<Option<Arc<str>>, Failure> {
    if name == "*" { Ok(None) } else { resource_type(name).map(Some) }
}

fn version(text: &str) -> Result<Version, Failure> {
    if !is_id(text) {
        return Err(bad_id());
    }
    // Versions count from 1 without leading zeros; anything else is a version that does not exist.
    let known = text.parse::<u32>().ok().filter(|number| *number > 0 && number.to_string() == text);
    known.map(Version::new).ok_or_else(|| Failure::not_found("The resource has no such version."))
}

fn bad_id() -> Failure {
    Failure::new(
        crate::error::FailureKind::Invalid,
        IssueCode::Value,
        "An id has 1 to 64 characters out of A-Z, a-z, 0-9, '-' and '.'.",
    )
}

fn operation_at(name: &str, level: Level) -> Result<Place, Failure> {
    match operation::find(name, &level) {
        Some(operation) => Ok(Place::Operation(operation, level)),
        None => Err(Failure::new(
            crate::error::FailureKind::NotFound,
            IssueCode::NotSupported,
            "This server does not offer an operation of this name here.",
        )),
    }
}

fn decode(segment: &str) -> Result<Cow<'_, str>, Failure> {
    percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_bad| Failure::invalid("The path is not UTF-8 after percent-decoding."))
}
