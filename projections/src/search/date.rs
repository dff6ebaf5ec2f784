//! Date parameters (R4 search.html#date): every date is the span of time that it covers.

use anamnesis_fhir::datetime::DateTime;
use anamnesis_fhir::search::{Extracted, intervals};

use super::Modifier;
use super::atom::{Atom, Criterion, Yield};
use super::bucket::Scale;
use super::entries::Entries;
use super::key::{Class, ParameterKey};
use super::span::{DateEquals, Family, Prefix, Span, SpanBox};
use super::value::{Asked, Refusal, unescape};

/// Spans up to a month are expected to leave few resources.
const SELECTIVE_WIDTH_MAX: i64 = 31 * 86_400_000_000;
/// `ap` takes a tenth of the distance to now (the recommendation of R4 search.html#prefix).
const APPROXIMATE_PART: i64 = 10;

/// Adds what a value is found by. What is no date is not found by it; resources are validated when written.
pub(super) fn index(key: &ParameterKey, extracted: Extracted<'_>, entries: &mut Entries) {
    intervals(extracted, |interval| entries.span(key.of(Class::Span, &[]), Span::of_time(interval), true));
}

/// What a query asks: a prefix and a date.
pub(super) fn criterion(asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    if *asked.modifier != Modifier::None {
        return Err(asked.unsupported_modifier());
    }
    let mut atoms = Vec::new();
    let mut expected = Yield::Some;
    for value in asked.values {
        let (prefix, span, around) = parse(value, asked.options.now.timestamp_micros())?;
        let narrow = span.high.saturating_sub(span.low) <= SELECTIVE_WIDTH_MAX;
        if !(narrow && matches!(prefix, Prefix::Eq | Prefix::Ap)) {
            expected = Yield::Most;
        }
        let boxes = boxes(asked, prefix, family(asked.key), span, around);
        atoms.extend(boxes.into_iter().map(Atom::Span));
    }
    Ok(Criterion::any(atoms, expected))
}

/// The boxes that answer a prefix, by what the server takes for equal.
pub(super) fn boxes(
    asked: &Asked<'_>,
    prefix: Prefix,
    family: Family,
    span: Span,
    around: Span,
) -> Vec<SpanBox> {
    match asked.options.date_equals {
        DateEquals::Contains => prefix.boxes(family, span, span, around),
        DateEquals::Overlaps => prefix.boxes_that_overlap(family, span, around),
    }
}

/// The family of a parameter's spans, by which results are sorted too.
pub(super) fn family(key: &ParameterKey) -> Family {
    Family { scale: Some(Scale::Days), ..Family::new(key.of(Class::Span, &[]), true) }
}

/// The prefix, what the date covers, and what it covers when taken approximately.
pub(super) fn parse(value: &str, now: i64) -> Result<(Prefix, Span, Span), Refusal> {
    let value = unescape(value);
    let (prefix, text) = Prefix::split(&value);
    // A '+' in a time zone that was not percent-encoded has become a space.
    let date = DateTime::parse_search(&text.replace(' ', "+")).map_err(|error| {
        Refusal::BadValue(format!(
            "a date such as 2013-02, 2013-02-07 or 2013-02-07T13:28:17Z is wanted: {error}"
        ))
    })?;
    let span = Span::of_time(date.interval());
    let tolerance = now.abs_diff(span.low) / APPROXIMATE_PART.unsigned_abs();
    let tolerance = i64::try_from(tolerance).unwrap_or(i64::MAX);
    let around = Span { low: span.low.saturating_sub(tolerance), high: span.high.saturating_add(tolerance) };
    Ok((prefix, span, around))
}
