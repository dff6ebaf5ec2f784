//! Calendar arithmetic on partial dates and times (FHIRPath 2.0.0 section 6.7), by days since 1970.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::item::{Quantity, Unit};
use super::temporal::{Date, DateTime, Precision, Time, days_in_month};
use super::unit::CalendarUnit;

const NANOSECONDS_IN_DAY: i128 = 86_400_000_000_000;
const NANOSECONDS_IN_MINUTE: i128 = 60_000_000_000;

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`day_number`]; `None` outside of the years 1 to 9999.
fn from_day_number(number: i64) -> Option<Date> {
    let shifted = number + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Some(Date {
        year: u16::try_from(year).ok().filter(|year| (1..=9999).contains(year))?,
        month: u8::try_from(month).ok()?,
        day: u8::try_from(day).ok()?,
        precision: Precision::Day,
    })
}

fn days_of(date: &Date) -> i64 {
    day_number(i64::from(date.year), i64::from(date.month), i64::from(date.day))
}

fn nanoseconds_of(time: &Time) -> i128 {
    let seconds = i128::from(time.hour) * 3_600 + i128::from(time.minute) * 60 + i128::from(time.second);
    seconds * 1_000_000_000 + i128::from(time.nanosecond)
}

/// A time of day; the precision and the written digits are taken over from another one.
fn time_at(nanoseconds: i128, like: &Time) -> Option<Time> {
    let (seconds, nanosecond) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    let nanosecond = u32::try_from(nanosecond).ok()?;
    let digits_needed = match nanosecond {
        0 => 0,
        _ if nanosecond.is_multiple_of(1_000_000) => 3,
        _ => 9,
    };
    Some(Time {
        hour: u8::try_from(seconds / 3_600).ok()?,
        minute: u8::try_from(seconds / 60 % 60).ok()?,
        second: u8::try_from(seconds % 60).ok()?,
        nanosecond,
        fraction_digits: like.fraction_digits.max(digits_needed),
        precision: like.precision,
    })
}

/// The part of a duration that a time of that precision can take: whole hours, whole minutes, or all of it.
fn fitting(nanoseconds: i128, precision: Precision) -> i128 {
    match precision {
        Precision::Second => nanoseconds,
        Precision::Minute => nanoseconds / NANOSECONDS_IN_MINUTE * NANOSECONDS_IN_MINUTE,
        _ => nanoseconds / (60 * NANOSECONDS_IN_MINUTE) * (60 * NANOSECONDS_IN_MINUTE),
    }
}

/// Moves by nanoseconds over day borders.
fn shift(moment: &DateTime, nanoseconds: i128) -> Option<DateTime> {
    let time = moment.time?;
    let total = nanoseconds_of(&time) + nanoseconds;
    let days = i64::try_from(total.div_euclid(NANOSECONDS_IN_DAY)).ok()?;
    let date = from_day_number(days_of(&moment.date).checked_add(days)?)?;
    let time = time_at(total.rem_euclid(NANOSECONDS_IN_DAY), &time)?;
    Some(DateTime { date, time: Some(time), offset_minutes: moment.offset_minutes })
}

/// The same moment in UTC; `None` where it leaves the years 1 to 9999. A date without a time is left as it is.
pub(super) fn in_utc(moment: &DateTime) -> Option<DateTime> {
    match (moment.time, moment.offset_minutes) {
        (Some(_), Some(minutes)) => {
            let moved = shift(moment, -i128::from(minutes) * NANOSECONDS_IN_MINUTE)?;
            Some(DateTime { offset_minutes: Some(0), ..moved })
        }
        _ => Some(*moment),
    }
}

/// First and last nanosecond since 1970 in UTC that a moment can mean, for any zone where none is given.
pub(super) fn span_nanoseconds(moment: &DateTime) -> (i128, i128) {
    let date = moment.date;
    let (first, last) = match date.precision {
        Precision::Year => (day_number(i64::from(date.year), 1, 1), day_number(i64::from(date.year), 12, 31)),
        Precision::Month => {
            let last = Date { day: days_in_month(date.year, date.month), ..date };
            (days_of(&date), days_of(&last))
        }
        _ => (days_of(&date), days_of(&date)),
    };
    let mut low = i128::from(first) * NANOSECONDS_IN_DAY;
    let mut high = i128::from(last) * NANOSECONDS_IN_DAY;
    match &moment.time {
        None => high += NANOSECONDS_IN_DAY - 1,
        Some(time) => {
            let at = nanoseconds_of(time);
            low += at;
            high += at
                + match time.precision {
                    Precision::Hour => 60 * NANOSECONDS_IN_MINUTE - 1,
                    Precision::Minute => NANOSECONDS_IN_MINUTE - 1,
                    _ => 0,
                };
        }
    }
    match moment.offset_minutes {
        Some(minutes) => {
            let offset = i128::from(minutes) * NANOSECONDS_IN_MINUTE;
            (low - offset, high - offset)
        }
        None => (low - 14 * 60 * NANOSECONDS_IN_MINUTE, high + 12 * 60 * NANOSECONDS_IN_MINUTE),
    }
}

/// Why a duration could not be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CalendarError {
    /// The unit is no time, or not one that the value has.
    Unit,
    /// The result is outside of the years 1 to 9999.
    Range,
}

/// The calendar unit of a duration. The UCUM codes `mo` and `a` have a fixed length that no calendar has, so
/// they are refused (FHIRPath 2.0.0 section 6.7); a unit spelled as a word (`'month'`) means the calendar's.
fn calendar_unit(quantity: &Quantity<'_>) -> Result<CalendarUnit, CalendarError> {
    let unit = match &quantity.unit {
        Unit::Calendar(unit) => Some(*unit),
        Unit::Ucum(code) => {
            CalendarUnit::from_ucum(code).filter(|unit| unit.is_definite()).or(CalendarUnit::from_word(code))
        }
    };
    unit.ok_or(CalendarError::Unit)
}

/// Nanoseconds of a duration up to weeks; fractions count only in seconds and milliseconds.
fn duration_nanoseconds(value: Decimal, unit: CalendarUnit) -> Option<i128> {
    let (scale, fractions) = match unit {
        CalendarUnit::Millisecond => (1_000_000, true),
        CalendarUnit::Second => (1_000_000_000, true),
        CalendarUnit::Minute => (NANOSECONDS_IN_MINUTE, false),
        CalendarUnit::Hour => (60 * NANOSECONDS_IN_MINUTE, false),
        CalendarUnit::Day => (NANOSECONDS_IN_DAY, false),
        _ => (7 * NANOSECONDS_IN_DAY, false),
    };
    let value = if fractions { value } else { value.trunc() };
    value.checked_mul(Decimal::from_i128_with_scale(scale, 0))?.trunc().to_i128()
}

/// The duration in whole units of a precision: 24 months are 2 years, 365 days are 1 year, 30 days 1 month.
fn whole(value: Decimal, unit: CalendarUnit, precision: Precision) -> Option<i64> {
    let months = match unit {
        CalendarUnit::Year => Some(value.trunc().checked_mul(Decimal::from(12))?),
        CalendarUnit::Month => Some(value.trunc()),
        _ => None,
    };
    let amount = match (months, precision) {
        (Some(months), Precision::Year) => months.checked_div(Decimal::from(12))?,
        (Some(months), _) => months,
        (None, precision) => {
            let nanoseconds = duration_nanoseconds(value, unit)?;
            let days = i64::try_from(nanoseconds / NANOSECONDS_IN_DAY).ok()?;
            let length = match precision {
                Precision::Year => 365,
                Precision::Month => 30,
                _ => 1,
            };
            Decimal::from(days / length)
        }
    };
    amount.trunc().to_i64()
}

fn add_months(date: &Date, months: i64) -> Option<Date> {
    let total = (i64::from(date.year) * 12 + i64::from(date.month) - 1).checked_add(months)?;
    let year = u16::try_from(total.div_euclid(12)).ok().filter(|year| (1..=9999).contains(year))?;
    let month = u8::try_from(total.rem_euclid(12) + 1).ok()?;
    // The last day of the month stands in for one that the month does not have.
    Some(Date { year, month, day: date.day.min(days_in_month(year, month)), ..*date })
}

/// Adds a duration to a date; its precision stays.
pub(super) fn add_to_date(date: &Date, duration: &Quantity<'_>) -> Result<Date, CalendarError> {
    let unit = calendar_unit(duration)?;
    let amount = whole(duration.value, unit, date.precision).ok_or(CalendarError::Range)?;
    let moved = match (unit, date.precision) {
        (_, Precision::Year) => amount.checked_mul(12).and_then(|months| add_months(date, months)),
        (CalendarUnit::Year | CalendarUnit::Month, _) | (_, Precision::Month) => add_months(date, amount),
        _ => days_of(date).checked_add(amount).and_then(from_day_number),
    };
    moved.ok_or(CalendarError::Range)
}

/// Adds a duration to a moment; precision and zone stay.
pub(super) fn add_to_date_time(
    moment: &DateTime,
    duration: &Quantity<'_>,
) -> Result<DateTime, CalendarError> {
    let unit = calendar_unit(duration)?;
    if moment.time.is_none() || !unit.is_definite() {
        let date = add_to_date(&moment.date, duration)?;
        return Ok(DateTime { date, ..*moment });
    }
    let nanoseconds = duration_nanoseconds(duration.value, unit).ok_or(CalendarError::Range)?;
    shift(moment, fitting(nanoseconds, moment.precision())).ok_or(CalendarError::Range)
}

/// Adds a duration to a time of day, around midnight where it must.
pub(super) fn add_to_time(time: &Time, duration: &Quantity<'_>) -> Result<Time, CalendarError> {
    let unit = calendar_unit(duration)?;
    if unit > CalendarUnit::Hour {
        return Err(CalendarError::Unit);
    }
    let nanoseconds = duration_nanoseconds(duration.value, unit).ok_or(CalendarError::Range)?;
    let total =
        nanoseconds_of(time).checked_add(fitting(nanoseconds, time.precision)).ok_or(CalendarError::Range)?;
    time_at(total.rem_euclid(NANOSECONDS_IN_DAY), time).ok_or(CalendarError::Range)
}
