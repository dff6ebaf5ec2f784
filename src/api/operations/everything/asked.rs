//! What a client asks of a record: its parameters, read and checked.

use anamnesis_fhir::datetime::{DateTime as FhirDateTime, Interval};
use chrono::{DateTime, Utc};

use super::PAGE_PARAMETER;
use crate::api::as_of;
use crate::api::call::Call;
use crate::api::history::instant;
use crate::api::operations::Input;
use crate::api::query::GENERAL;
use crate::api::route::resource_type;
use crate::api::subset::Subset;
use crate::error::{Failure, FailureKind, IssueCode};

const KNOWN: [&str; 9] =
    ["start", "end", "_since", "_type", "_count", PAGE_PARAMETER, "_summary", "_elements", as_of::PARAMETER];

/// The parameters of one call.
pub(super) struct Asked {
    /// Only care within this span of time; `None` for all.
    pub(super) care: Option<Interval>,
    /// Only what was recorded at or after this instant.
    pub(super) since: Option<DateTime<Utc>>,
    /// Only these types; empty for all.
    pub(super) types: Vec<String>,
    /// Resources on a page.
    pub(super) count: usize,
    pub(super) subset: Subset,
    /// What was applied, for links.
    pub(super) given: Vec<(String, String)>,
}

impl Asked {
    /// # Errors
    /// 400 for what is no date, type or number; for other parameters where the client is strict.
    pub(super) fn read(call: &Call, input: &Input<'_>) -> Result<Self, Failure> {
        if call.prefer.strict && call.query.others(&KNOWN).any(|(name, _)| !GENERAL.contains(&name.as_str()))
        {
            let text = format!("$everything understands {} only.", KNOWN.join(", "));
            return Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text));
        }
        let mut given = Vec::new();
        let mut text = |name: &str| {
            let value = input.text(name)?.into_owned();
            given.push((name.to_owned(), value.clone()));
            Some(value)
        };
        let (start, end) = (text("start"), text("end"));
        let since = text("_since").map(|value| instant("_since", &value)).transpose()?;
        let page_max = call.service.options.page_size_max;
        let count = match text("_count") {
            None => page_max,
            Some(value) => match value.parse::<usize>() {
                Ok(count) if count > 0 => count.min(page_max),
                _ => return Err(Failure::invalid("_count is a number, 1 or more.")),
            },
        };
        let mut types = Vec::new();
        for value in input.texts("_type") {
            for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let known = resource_type(name).map_err(|_unknown| unknown_type())?;
                types.push(known.to_string());
            }
            given.push(("_type".to_owned(), value.into_owned()));
        }
        let subset = Subset::parse(&call.query)?;
        for name in ["_summary", "_elements"] {
            given.extend(call.query.get(name).map(|value| (name.to_owned(), value.to_owned())));
        }
        let care = care(start.as_deref(), end.as_deref())?;
        Ok(Self { care, since: since.map(|(first, _)| first), types, count, subset, given })
    }

    /// Whether resources of a type are wanted.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|wanted| wanted == name)
    }
}

fn unknown_type() -> Failure {
    Failure::new(FailureKind::Invalid, IssueCode::Value, "_type names a resource type that R4 does not have.")
}

/// The span from the first moment of `start` to the last of `end`.
fn care(start: Option<&str>, end: Option<&str>) -> Result<Option<Interval>, Failure> {
    let parse = |name: &str, value: Option<&str>| {
        let value = value.map(|value| FhirDateTime::parse_search(&value.replace(' ', "+")));
        value.transpose().map_err(|_bad| Failure::invalid(format!("{name} is no FHIR date or time.")))
    };
    let (start, end) = (parse("start", start)?, parse("end", end)?);
    if start.is_none() && end.is_none() {
        return Ok(None);
    }
    let span = Interval::of_period(start, end);
    if span.low >= span.high {
        return Err(Failure::invalid("start is behind end."));
    }
    Ok(Some(span))
}
