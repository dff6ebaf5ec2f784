//! What a client asks of a record: its parameters, read and checked.

use anamnesis_fhir::datetime::Interval;
use chrono::{DateTime, Utc};

use super::PAGE_PARAMETER;
use crate::api::as_of;
use crate::api::call::Call;
use crate::api::history::instant;
use crate::api::operations::{Input, Takes, care};
use crate::api::query::Query;
use crate::api::route::{resource_type, resource_types};
use crate::api::subset::Subset;
use crate::error::{Failure, FailureKind, Issue, IssueCode};

const TAKES: Takes = Takes {
    operation: "$everything",
    once: &["start", "end", "_since", "_count", PAGE_PARAMETER, "_summary", "_elements", as_of::PARAMETER],
    often: &["_type"],
    ..Takes::NOTHING
};

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
    /// What there is to say of parameters that are not known.
    pub(super) left_out: Vec<Issue>,
}

impl Asked {
    /// # Errors
    /// 400 for what is no date, type or number; for other parameters where the client is strict.
    pub(super) fn read(call: &Call, input: &Input<'_>) -> Result<Self, Failure> {
        let mut left_out = TAKES.check(call, input)?;
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
            for name in value.split(',').map(str::trim) {
                let known = resource_type(name).map_err(|_unknown| unknown_type())?;
                types.push(known.to_string());
            }
            given.push(("_type".to_owned(), value.into_owned()));
        }
        let mut parts = Query::default();
        for name in ["_summary", "_elements"] {
            parts.0.extend(input.text(name).map(|value| (name.to_owned(), value.into_owned())));
        }
        let subset = Subset::parse(&parts)?;
        let of_types: Vec<&str> = match types.is_empty() {
            true => resource_types().collect(),
            false => types.iter().map(String::as_str).collect(),
        };
        left_out.extend(subset.without_element(call, &of_types)?);
        if subset == Subset::Count {
            let text = "$everything does not count: a record is known when it has been read.";
            return Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text).at("_summary"));
        }
        given.extend(parts.0);
        let care = care::span(start.as_deref(), end.as_deref())?;
        Ok(Self { care, since: since.map(|(first, _)| first), types, count, subset, given, left_out })
    }

    /// Whether resources of a type are wanted.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|wanted| wanted == name)
    }
}

fn unknown_type() -> Failure {
    Failure::new(FailureKind::Invalid, IssueCode::Value, "_type names a resource type that R4 does not have.")
}
