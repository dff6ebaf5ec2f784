//! `_sort` (R4 search.html#sort): by which values, and which way.

use anamnesis_fhir::search::SearchParameterKind;

use super::Catalogue;
use crate::search::key::ParameterKey;
use crate::search::span::Family;
use crate::search::{date, number, quantity, string};

/// What resources are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SortBy {
    /// The time of the last update, which is the order of the log.
    Recorded,
    /// The id.
    Id,
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

/// Reads one part of `_sort`. `None` where the index has no order for it.
pub(super) fn sort_key(catalogue: &Catalogue, log: i16, types: &[String], text: &str) -> Option<SortKey> {
    let (code, descending) = text.strip_prefix('-').map_or((text, false), |code| (code, true));
    let by = match (code, types) {
        ("_lastUpdated", _) => SortBy::Recorded,
        ("_id", _) => SortBy::Id,
        (_, [resource_type]) => {
            // What has no expression has no values either.
            let parameter = catalogue.get(resource_type, code).filter(|found| found.has_expression())?;
            let key = ParameterKey::new(log, resource_type, code);
            match parameter.kind() {
                SearchParameterKind::Date => SortBy::Span(date::family(&key)),
                SearchParameterKind::Number => SortBy::Span(number::family(&key)),
                SearchParameterKind::Quantity => SortBy::Span(quantity::family(&key)),
                SearchParameterKind::String => SortBy::Text { family: string::family(&key) },
                _ => return None,
            }
        }
        // Other parameters have an order of their own in each type.
        _ => return None,
    };
    Some(SortKey { by, descending })
}
