//! `_sort` (R4 search.html#sort): by which values, and which way.

use anamnesis_fhir::definitions;
use anamnesis_fhir::search::SearchParameterKind;

use super::Catalogue;
use super::parse::sanitised;
use crate::search::key::{ParameterKey, type_number};
use crate::search::span::Family;
use crate::search::{date, number, quantity, string};

/// What resources are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SortBy {
    /// The time of the last update, which is the order of the log.
    Recorded,
    /// The id.
    Id,
    /// The name of the resource type.
    Type,
    /// The beginnings of a family of spans.
    Span(Family),
    /// A family of folded texts.
    Text { family: i64 },
}

/// One key of the order. Resources without a value come last, both ways; of several values the lowest counts in
/// ascending order and the highest in descending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SortKey {
    pub(crate) by: SortBy,
    pub(crate) descending: bool,
}

/// Numbers of all types in the order of their names, for [`SortBy::Type`].
pub(crate) fn kinds_by_name() -> Vec<i32> {
    let mut names = definitions::r4().resource_types().to_vec();
    names.sort_unstable();
    names.into_iter().map(type_number).collect()
}

/// Reads one part of `_sort`.
///
/// # Errors
/// Why the index has no order for it, and what it has one for.
pub(super) fn sort_key(
    catalogue: &Catalogue,
    log: i16,
    types: &[String],
    text: &str,
) -> Result<SortKey, String> {
    let (code, descending) = text.strip_prefix('-').map_or((text, false), |code| (code, true));
    let by = match (code, types) {
        ("_lastUpdated", _) => SortBy::Recorded,
        ("_id", _) => SortBy::Id,
        ("_type", _) => SortBy::Type,
        (_, [resource_type]) => {
            let is_alias = catalogue.aliases.get(resource_type, code).is_some();
            let Some(parameter) = catalogue.get(resource_type, code).filter(|_| !is_alias) else {
                let reason = format!("{} is no search parameter of {resource_type}", sanitised(code));
                return Err(format!("{reason}; {}", what_can(catalogue, resource_type)));
            };
            if !parameter.has_expression() {
                let reason = format!("{} has no values to sort by", sanitised(code));
                return Err(format!("{reason}; {}", what_can(catalogue, resource_type)));
            }
            let key = ParameterKey::new(log, resource_type, code);
            match parameter.kind() {
                SearchParameterKind::Date => SortBy::Span(date::family(&key)),
                SearchParameterKind::Number => SortBy::Span(number::family(&key)),
                SearchParameterKind::Quantity => SortBy::Span(quantity::family(&key)),
                SearchParameterKind::String => SortBy::Text { family: string::family(&key) },
                other => {
                    let (code, kind) = (sanitised(code), other.code());
                    let reason = format!("{code} is of type {kind}, of which the index has no order");
                    return Err(format!("{reason}; {}", what_can(catalogue, resource_type)));
                }
            }
        }
        _ => {
            let reason = format!("{} would have an order of its own in each type", sanitised(code));
            return Err(format!("{reason}; several types are sorted by _id, _lastUpdated, _type"));
        }
    };
    Ok(SortKey { by, descending })
}

/// What a type can be sorted by.
fn what_can(catalogue: &Catalogue, resource_type: &str) -> String {
    use SearchParameterKind::{Date, Number, Quantity, String};
    let of_type = catalogue.parameters(resource_type).filter(|parameter| {
        parameter.has_expression() && matches!(parameter.kind(), Date | Number | Quantity | String)
    });
    let mut codes: Vec<&str> = of_type.map(|parameter| parameter.code()).collect();
    codes.extend(["_id", "_lastUpdated", "_type"]);
    codes.sort_unstable();
    codes.dedup();
    format!("{resource_type} is sorted by {}", codes.join(", "))
}
