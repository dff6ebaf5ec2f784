//! The spans of time that the values of a date parameter cover (R4 search.html#date).

use super::Extracted;
use crate::datetime::{DateTime, Interval};
use crate::json::Value;

/// Hands over the span of time that a value covers: of a `Timing` the one from its first event to its last, bounds
/// included, because only its outer limits count (R4 search.html#date). What is no date has none.
///
/// ```
/// use anamnesis_fhir::json::{Document, Limits};
/// use anamnesis_fhir::search::{SearchRegistry, intervals};
/// let text = r#"{"resourceType":"Procedure","performedDateTime":"2020-05"}"#;
/// let document = Document::parse(text, &Limits::default())?;
/// let mut spans = Vec::new();
/// let date = SearchRegistry::r4().get("Procedure", "date").unwrap();
/// date.extract_each(document.root(), |found| intervals(found, |span| spans.push(span)));
/// assert_eq!(spans[0].high - spans[0].low, 31 * 86_400_000_000);
/// # Ok::<(), anamnesis_fhir::json::ParseError>(())
/// ```
pub fn intervals(extracted: Extracted<'_>, mut each: impl FnMut(Interval)) {
    let value = extracted.value;
    match extracted.fhir_type {
        "Period" => period(value).into_iter().for_each(each),
        "Timing" => {
            let events = value.get("event").into_iter().flat_map(Value::items);
            let events = events.filter_map(date_time).map(|event| event.interval());
            let bounds = value.get("repeat").and_then(|repeat| repeat.get("boundsPeriod"));
            let all = events.chain(bounds.and_then(period));
            let outer = |one: Interval, other: Interval| Interval {
                low: one.low.min(other.low),
                high: one.high.max(other.high),
            };
            all.reduce(outer).into_iter().for_each(each);
        }
        _ => date_time(value).into_iter().for_each(|date| each(date.interval())),
    }
}

fn date_time(value: Value<'_>) -> Option<DateTime> {
    DateTime::parse_date_time(&value.as_str()?).ok()
}

fn period(value: Value<'_>) -> Option<Interval> {
    let start = value.get("start").and_then(date_time);
    let end = value.get("end").and_then(date_time);
    (start.is_some() || end.is_some()).then(|| Interval::of_period(start, end))
}
