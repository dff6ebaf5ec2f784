//! Boundaries of what a value of limited precision can mean, and precisions (later drafts, section 5.9).

use rust_decimal::{Decimal, RoundingStrategy};

use super::Call;
use crate::fhirpath::collection::Collection;
use crate::fhirpath::evaluate::Outcome;
use crate::fhirpath::item::{Item, Quantity};
use crate::fhirpath::temporal::{Date, DateTime, Precision, Time, days_in_month};

/// Digits behind the point of a decimal boundary, unless asked otherwise.
const DECIMAL_DIGITS: i32 = 8;
/// Most digits that a Decimal holds.
const DECIMAL_DIGITS_MAX: u32 = 28;
/// Zones reach from 14 hours before UTC to 12 behind it; the earliest moment lies in the first.
const EARLIEST_OFFSET_MINUTES: i16 = 14 * 60;
const LATEST_OFFSET_MINUTES: i16 = -12 * 60;

/// Which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Low,
    High,
}

pub(super) fn low<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    boundary(call, &input, End::Low)
}

pub(super) fn high<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    boundary(call, &input, End::High)
}

fn boundary<'a>(call: &Call<'_, 'a>, input: &Collection<'a>, end: End) -> Outcome<'a> {
    let asked = call.integer_argument(0)?;
    let Some(item) = call.one(input)? else { return Ok(Collection::empty()) };
    let digits = asked.unwrap_or(DECIMAL_DIGITS);
    let found = match item {
        Item::Integer(number) => decimal(Decimal::from(number), digits, end).map(Item::Decimal),
        Item::Decimal(number) => decimal(number, digits, end).map(Item::Decimal),
        Item::Quantity(found) => {
            decimal(found.value, digits, end).map(|value| Item::Quantity(Quantity::new(value, found.unit)))
        }
        Item::Date(date) => date_at(&date, asked.unwrap_or(8), end).map(Item::Date),
        Item::DateTime(moment) => date_time_at(&moment, asked.unwrap_or(17), end).map(Item::DateTime),
        Item::Time(time) => time_at(&time, asked.unwrap_or(9), end).map(Item::Time),
        _ => return call.wrong("a number, a quantity, a date or a time"),
    };
    Ok(found.into())
}

/// The least or greatest number that rounds to this one, cut to a number of digits away from it.
fn decimal(number: Decimal, digits: i32, end: End) -> Option<Decimal> {
    let digits = u32::try_from(digits).ok().filter(|digits| *digits <= DECIMAL_DIGITS_MAX)?;
    let half = Decimal::try_new(5, number.scale().checked_add(1)?).ok()?;
    let (exact, strategy) = match end {
        End::Low => (number.checked_sub(half)?, RoundingStrategy::ToNegativeInfinity),
        End::High => (number.checked_add(half)?, RoundingStrategy::ToPositiveInfinity),
    };
    let mut rounded = exact.round_dp_with_strategy(digits, strategy);
    rounded.rescale(digits);
    (rounded.scale() == digits).then_some(rounded)
}

fn date_at(date: &Date, digits: i32, end: End) -> Option<Date> {
    let precision = match digits {
        4 => Precision::Year,
        6 => Precision::Month,
        8 => Precision::Day,
        _ => return None,
    };
    let high = end == End::High;
    let mut filled = *date;
    if date.precision < Precision::Month {
        filled.month = if high { 12 } else { 1 };
    }
    if date.precision < Precision::Day {
        filled.day = if high { days_in_month(filled.year, filled.month) } else { 1 };
    }
    // Fields beyond the precision hold their lowest value.
    if precision < Precision::Month {
        filled.month = 1;
    }
    if precision < Precision::Day {
        filled.day = 1;
    }
    Some(Date { precision, ..filled })
}

fn time_at(time: &Time, digits: i32, end: End) -> Option<Time> {
    let (precision, fraction_digits) = match digits {
        2 => (Precision::Hour, 0),
        4 => (Precision::Minute, 0),
        6 => (Precision::Second, 0),
        9 => (Precision::Second, 3),
        _ => return None,
    };
    let high = end == End::High;
    let mut filled = Time { precision, fraction_digits, ..*time };
    if time.precision < Precision::Minute {
        filled.minute = if high { 59 } else { 0 };
    }
    if time.precision < Precision::Second {
        filled.second = if high { 59 } else { 0 };
    }
    if high && time.fraction_digits < 9 {
        filled.nanosecond += 10_u32.pow(9 - u32::from(time.fraction_digits)) - 1;
    }
    // Fields beyond the precision hold their lowest value.
    filled.nanosecond = if fraction_digits == 0 { 0 } else { filled.nanosecond / 1_000_000 * 1_000_000 };
    if precision < Precision::Second {
        filled.second = 0;
    }
    if precision < Precision::Minute {
        filled.minute = 0;
    }
    Some(filled)
}

fn date_time_at(moment: &DateTime, digits: i32, end: End) -> Option<DateTime> {
    if digits <= 8 {
        let date = date_at(&moment.date, digits, end)?;
        return Some(DateTime { date, time: None, offset_minutes: None });
    }
    let date = date_at(&moment.date, 8, end)?;
    let unknown = Time {
        hour: if end == End::High { 23 } else { 0 },
        minute: 0,
        second: 0,
        nanosecond: 0,
        fraction_digits: 0,
        precision: Precision::Hour,
    };
    let time = time_at(&moment.time.unwrap_or(unknown), digits - 8, end)?;
    let offset = match end {
        End::Low => EARLIEST_OFFSET_MINUTES,
        End::High => LATEST_OFFSET_MINUTES,
    };
    Some(DateTime { date, time: Some(time), offset_minutes: moment.offset_minutes.or(Some(offset)) })
}

pub(super) fn precision<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    let digits = match call.one(&input)? {
        None => return Ok(Collection::empty()),
        Some(Item::Integer(_)) => 0,
        Some(Item::Decimal(number)) => number.scale(),
        Some(Item::Quantity(found)) => found.value.scale(),
        Some(Item::Date(date)) => date_digits(date.precision),
        Some(Item::DateTime(moment)) => match &moment.time {
            Some(time) => 8 + time_digits(time),
            None => date_digits(moment.date.precision),
        },
        Some(Item::Time(time)) => time_digits(&time),
        Some(_) => return call.wrong("a number, a date or a time"),
    };
    Ok(i32::try_from(digits).ok().map(Item::Integer).into())
}

fn date_digits(precision: Precision) -> u32 {
    match precision {
        Precision::Year => 4,
        Precision::Month => 6,
        _ => 8,
    }
}

fn time_digits(time: &Time) -> u32 {
    match time.precision {
        Precision::Hour => 2,
        Precision::Minute => 4,
        _ => 6 + u32::from(time.fraction_digits),
    }
}
