//! The span of care dates that `start` and `end` of an operation ask for.

use anamnesis_fhir::datetime::{DateTime as FhirDateTime, Interval};

use crate::error::Failure;

/// From the first moment of `start` to the last of `end`; `None` where neither is given.
///
/// # Errors
/// 400 for what is no date, with its name, and for a start behind the end.
pub(super) fn span(start: Option<&str>, end: Option<&str>) -> Result<Option<Interval>, Failure> {
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
