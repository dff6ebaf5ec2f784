//! What a client asks of an export: its parameters, read and checked.

use anamnesis_fhir::compartment::in_compartment_params;
use anamnesis_fhir::datetime::DateTime as FhirDateTime;
use chrono::{DateTime, TimeZone, Utc};

use super::exports;
use crate::api::call::Call;
use crate::api::query::{GENERAL, encode};
use crate::api::route::resource_type;
use crate::clock;
use crate::error::{Failure, FailureKind, IssueCode};
use crate::exports::Level;

/// What is understood.
const KNOWN: [&str; 6] = ["_type", "_typeFilter", "_since", "_till", "_outputFormat", "_isParallel"];
/// What other servers understand, AHDS among them: left out where the client is lenient, because it would only make less of
/// the files, or say where they are.
const NOT_OFFERED: [&str; 6] =
    ["_elements", "_container", "_maxCount", "includeAssociatedData", "patient", "organizeOutputBy"];
/// The names of NDJSON (Bulk Data Access IG 2.0, "Query Parameters").
const FORMATS: [&str; 3] = ["application/fhir+ndjson", "application/ndjson", "ndjson"];
/// Filters of one export: each is a test of every resource of its type.
const FILTERS_MAX: usize = 50;
/// The kind of compartments that are exported.
const PATIENT: &str = "Patient";

/// The parameters of one call.
#[derive(Debug)]
pub(super) struct Asked {
    /// Only these types; `None` for all.
    pub(super) types: Option<Vec<String>>,
    /// Searches of types.
    pub(super) filters: Vec<String>,
    /// Only what was recorded after this instant.
    pub(super) since: Option<DateTime<Utc>>,
    /// Only what was recorded up to this instant.
    pub(super) till: Option<DateTime<Utc>>,
}

impl Asked {
    /// # Errors
    /// 400 for what is not understood, unless the client is lenient and it does no harm; 403 for types that the scopes of
    /// the token do not reach.
    pub(super) fn read(call: &Call, level: &Level) -> Result<Self, Failure> {
        for (name, _) in call.query.others(&KNOWN) {
            let name = name.as_str();
            let is_left_out = call.prefer.lenient && !name.starts_with("_anonymization");
            if !GENERAL.contains(&name) && !is_left_out {
                return Err(unknown(name));
            }
        }
        if let Some(format) = call.query.once(&["_outputFormat"])?
            && !FORMATS.contains(&format.replace(' ', "+").as_str())
        {
            let text = "_outputFormat is application/fhir+ndjson, application/ndjson or ndjson.";
            return Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text).at("_outputFormat"));
        }
        call.query.flag(&["_isParallel"])?;
        let instant = |name: &str| -> Result<_, Failure> {
            call.query.once(&[name])?.map(|text| instant(name, text)).transpose()
        };
        let types = types(call, level)?;
        let filters = filters(call, types.as_deref())?;
        Ok(Self { types, filters, since: instant("_since")?, till: instant("_till")? })
    }
}

/// The types that are asked for.
fn types(call: &Call, level: &Level) -> Result<Option<Vec<String>>, Failure> {
    let values: Vec<&str> =
        call.query.0.iter().filter(|(name, _)| name == "_type").map(|(_, value)| value.as_str()).collect();
    if values.is_empty() {
        return Ok(None);
    }
    let mut types = Vec::new();
    for name in values.iter().flat_map(|value| value.split(',')).map(str::trim) {
        let known = resource_type(name).map_err(|_unknown| {
            Failure::new(FailureKind::Invalid, IssueCode::Value, "_type names resource types of R4.")
                .at("_type")
        })?;
        if *level != Level::System && *known != *PATIENT && in_compartment_params(PATIENT, &known).is_empty()
        {
            if call.prefer.lenient {
                continue;
            }
            let text = format!(
                "Resources of type {known} are in no patient's compartment, so that they are not exported here."
            );
            return Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text).at("_type"));
        }
        if call.bounds.as_ref().is_some_and(|bounds| !bounds.search().has_some(&known)) {
            let text = format!("The scopes of the token do not allow search (s) of {known}.");
            return Err(Failure::forbidden(text));
        }
        types.push(known.to_string());
    }
    types.sort_unstable();
    types.dedup();
    Ok(Some(types))
}

/// The filters that are asked for.
fn filters(call: &Call, types: Option<&[String]>) -> Result<Vec<String>, Failure> {
    let wrong = |text: String| Failure::new(FailureKind::Invalid, IssueCode::Value, text).at("_typeFilter");
    let values = call.query.0.iter().filter(|(name, _)| name == "_typeFilter");
    let mut filters = Vec::new();
    for filter in values.flat_map(|(_, value)| parted(value)) {
        let name = filter.split('?').next().unwrap_or_default();
        if !types.unwrap_or_default().iter().any(|known| known == name) {
            return Err(wrong("The type of each _typeFilter stands in _type too.".to_owned()));
        }
        exports(call)?.check_filter(&call.base, filter).map_err(|why| {
            wrong(format!("A _typeFilter of {name} cannot be understood: {}.", why.trim_end_matches('.')))
        })?;
        filters.push(filter.to_owned());
    }
    match filters.len() <= FILTERS_MAX {
        true => Ok(filters),
        false => Err(wrong(format!("There are more than {FILTERS_MAX} of _typeFilter."))),
    }
}

/// The filters in a value: those of version 1 of the guide stand behind commas, as values of criteria may.
fn parted(value: &str) -> Vec<&str> {
    let begins = |rest: &str| rest.split_once('?').is_some_and(|(name, _)| resource_type(name).is_ok());
    let commas = value.match_indices(',').map(|(at, _)| at);
    let ends = commas.filter(|at| value.get(at + 1..).is_some_and(begins)).chain([value.len()]);
    let mut from = 0;
    let mut parts = Vec::new();
    for end in ends {
        parts.extend(value.get(from..end));
        from = end + 1;
    }
    parts
}

fn unknown(name: &str) -> Failure {
    let text = match name {
        "_container" => "_container is not understood: this server keeps the files itself.".to_owned(),
        _ if NOT_OFFERED.contains(&name) => {
            format!("{name} is not offered; with Prefer: handling=lenient it is left out.")
        }
        _ if name.starts_with("_anonymization") => "This server does not make data anonymous.".to_owned(),
        _ => {
            format!("The parameter {} is not known here, where there are {}.", encode(name), KNOWN.join(", "))
        }
    };
    Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text)
}

/// An instant, or the beginning of a day, a month or a year (AHDS takes them too).
fn instant(name: &str, text: &str) -> Result<DateTime<Utc>, Failure> {
    let bad = || {
        let text = format!("{name} is a FHIR instant, such as 2024-05-01T00:00:00Z.");
        Failure::new(FailureKind::Invalid, IssueCode::Value, text).at(name)
    };
    // An offset's plus sign arrives as a space where a client did not encode it.
    let time = FhirDateTime::parse_date_time(&text.replace(' ', "+")).map_err(|_bad| bad())?;
    let time = Utc.timestamp_micros(time.interval().low).single().ok_or_else(bad)?;
    match time > clock::now() {
        true => Err(Failure::invalid(format!("{name} lies in the future.")).at(name)),
        false => Ok(time),
    }
}
