//! Utility functions: trace, clock, types, comparability (FHIRPath 2.0.0 sections 5.9 and 10).

use chrono::{Datelike, Timelike};

use super::Call;
use crate::fhirpath::collection::Collection;
use crate::fhirpath::error::{EvalError, EvalErrorKind};
use crate::fhirpath::evaluate::Outcome;
use crate::fhirpath::item::Item;
use crate::fhirpath::quantity;
use crate::fhirpath::temporal::{Date, DateTime, Precision, Time};

/// Gives its input and writes nothing: what it would show are values of patients.
pub(super) fn trace<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    call.text_argument(0)?;
    Ok(input)
}

/// The injected moment, to the millisecond.
fn clock(call: &Call<'_, '_>) -> Result<DateTime, EvalError> {
    let now = call.machine.context.now.ok_or_else(|| call.at(EvalErrorKind::NoClock))?;
    let moment = || {
        let date = Date {
            year: u16::try_from(now.year()).ok()?,
            month: u8::try_from(now.month()).ok()?,
            day: u8::try_from(now.day()).ok()?,
            precision: Precision::Day,
        };
        let time = Time {
            hour: u8::try_from(now.hour()).ok()?,
            minute: u8::try_from(now.minute()).ok()?,
            second: u8::try_from(now.second()).ok()?,
            nanosecond: now.nanosecond() % 1_000_000_000 / 1_000_000 * 1_000_000,
            fraction_digits: 3,
            precision: Precision::Second,
        };
        let offset = i16::try_from(now.offset().local_minus_utc() / 60).ok()?;
        Some(DateTime { date, time: Some(time), offset_minutes: Some(offset) })
    };
    moment().ok_or_else(|| call.at(EvalErrorKind::NoClock))
}

pub(super) fn now<'a>(call: &Call<'_, 'a>, _: Collection<'a>) -> Outcome<'a> {
    Ok(Item::DateTime(clock(call)?).into())
}

pub(super) fn today<'a>(call: &Call<'_, 'a>, _: Collection<'a>) -> Outcome<'a> {
    Ok(Item::Date(clock(call)?.date).into())
}

pub(super) fn time_of_day<'a>(call: &Call<'_, 'a>, _: Collection<'a>) -> Outcome<'a> {
    Ok(clock(call)?.time.map(Item::Time).into())
}

pub(super) fn type_of<'a>(_: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    Ok(input.iter().filter_map(Item::type_info).map(Item::Type).collect())
}

pub(super) fn comparable<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let both = call.quantity(&input)?.zip(call.quantity(&call.argument(0)?)?);
    Ok(Collection::boolean(both.map(|(left, right)| quantity::comparable(&left, &right))))
}
