//! Dates and times of FHIR with their precision, and the span of time that each of them covers.
//!
//! R4 datatypes.html#dateTime: a date may end after the year, the month or the day, and everything it leaves open
//! is covered: `2013-02` is the whole of February. [`Interval`] is that cover in microseconds since 1970 in UTC,
//! closed below and open above, so that two neighbouring days touch and do not overlap.
//!
//! ```
//! use anamnesis_fhir::datetime::DateTime;
//! let noon = DateTime::parse_date_time("1970-01-01T12:00:00+12:00")?.interval();
//! assert_eq!((noon.low, noon.high), (0, 1_000_000));
//! assert!(DateTime::parse_date("2013-02-30").is_err());
//! # Ok::<(), anamnesis_fhir::datetime::DateTimeError>(())
//! ```

mod parse;

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;
/// Microseconds in a minute.
const MINUTE: i64 = 60 * SECOND;
/// Microseconds in an hour.
const HOUR: i64 = 60 * MINUTE;
/// Microseconds in a day.
const DAY: i64 = 24 * HOUR;

/// What a text was wrong about. Holds no part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DateTimeError {
    /// The text does not have the shape of the type.
    #[error("not in the form of this date type")]
    Shape,
    /// The shape is right, but there is no such month, day, hour, minute, second or offset.
    #[error("no such date or time")]
    Range,
    /// A time of day without a time zone where R4 demands one.
    #[error("a time needs a time zone")]
    NoTimeZone,
}

/// How far a date or time is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// `2013`
    Year,
    /// `2013-02`
    Month,
    /// `2013-02-07`
    Day,
    /// `2013-02-07T13`: only FHIRPath literals have it.
    Hour,
    /// `2013-02-07T13:28`: only search values and FHIRPath literals have it.
    Minute,
    /// `2013-02-07T13:28:17`
    Second,
    /// `2013-02-07T13:28:17.2`, with the number of digits given.
    Fraction(u8),
}

/// A date, a dateTime or an instant as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateTime {
    /// 1 to 9999.
    pub year: u16,
    /// 1 to 12; 1 where it is not given.
    pub month: u8,
    /// 1 to 31; 1 where it is not given.
    pub day: u8,
    /// The time of day; midnight where it is not given.
    pub time: Time,
    /// How far it is given.
    pub precision: Precision,
    /// Minutes east of UTC, -840 to 840; `None` where no time zone is written.
    pub offset_minutes: Option<i16>,
}

/// A time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Time {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60; 60 is a leap second.
    pub second: u8,
    /// 0 to 999,999; digits beyond the sixth are cut off.
    pub microsecond: u32,
}

impl Time {
    /// Microseconds since midnight.
    #[must_use]
    pub fn microseconds(self) -> i64 {
        i64::from(self.hour) * HOUR
            + i64::from(self.minute) * MINUTE
            + i64::from(self.second) * SECOND
            + i64::from(self.microsecond)
    }
}

/// A span of time in microseconds since 1970-01-01T00:00:00Z: `low` is in it, `high` is not.
///
/// [`i64::MIN`] and [`i64::MAX`] stand for an open end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Interval {
    /// The first microsecond.
    pub low: i64,
    /// The first microsecond after it.
    pub high: i64,
}

impl Interval {
    /// From the beginning to the end of time.
    pub const ALWAYS: Self = Self { low: i64::MIN, high: i64::MAX };

    /// The span of a Period (R4 datatypes.html#Period): a missing start or end is open, and the end is covered
    /// as far as its precision says.
    ///
    /// ```
    /// use anamnesis_fhir::datetime::{DateTime, Interval};
    /// let day = DateTime::parse_date_time("1970-01-02")?;
    /// assert_eq!(Interval::of_period(None, Some(day)).high, 2 * 86_400_000_000);
    /// # Ok::<(), anamnesis_fhir::datetime::DateTimeError>(())
    /// ```
    #[must_use]
    pub fn of_period(start: Option<DateTime>, end: Option<DateTime>) -> Self {
        Self {
            low: start.map_or(i64::MIN, |start| start.interval().low),
            high: end.map_or(i64::MAX, |end| end.interval().high),
        }
    }
}

impl DateTime {
    /// Reads a `date` (R4 datatypes.html#date): year, year and month, or a whole day.
    ///
    /// # Errors
    /// [`DateTimeError`] where it is no such date; the calendar is checked too (no 30 February).
    pub fn parse_date(text: &str) -> Result<Self, DateTimeError> {
        let value = parse::date_time(text)?;
        if value.precision > Precision::Day { Err(DateTimeError::Shape) } else { Ok(value) }
    }

    /// Reads a `dateTime` (R4 datatypes.html#dateTime): a date, or a time with seconds and time zone.
    ///
    /// # Errors
    /// [`DateTimeError`] where it is none.
    pub fn parse_date_time(text: &str) -> Result<Self, DateTimeError> {
        let value = parse::date_time(text)?;
        match value.precision {
            Precision::Hour | Precision::Minute => Err(DateTimeError::Shape),
            Precision::Second | Precision::Fraction(_) if value.offset_minutes.is_none() => {
                Err(DateTimeError::NoTimeZone)
            }
            _ => Ok(value),
        }
    }

    /// Reads an `instant` (R4 datatypes.html#instant): at least seconds, and a time zone.
    ///
    /// # Errors
    /// [`DateTimeError`] where it is none.
    pub fn parse_instant(text: &str) -> Result<Self, DateTimeError> {
        let value = Self::parse_date_time(text)?;
        if value.precision < Precision::Second { Err(DateTimeError::Shape) } else { Ok(value) }
    }

    /// Reads what a search may ask for (R4 search.html#date): a date, or a time with at least minutes, whose
    /// time zone may be left out.
    ///
    /// # Errors
    /// [`DateTimeError`] where it is none.
    pub fn parse_search(text: &str) -> Result<Self, DateTimeError> {
        let value = parse::date_time(text)?;
        if value.precision == Precision::Hour { Err(DateTimeError::Shape) } else { Ok(value) }
    }

    /// Reads any precision with or without a time zone, as FHIRPath literals have it (without the `@`; the `T`
    /// that such a literal may end with is for the caller to take off).
    ///
    /// # Errors
    /// [`DateTimeError`] where it is none.
    pub fn parse_any(text: &str) -> Result<Self, DateTimeError> {
        parse::date_time(text)
    }

    /// The span of time that the value covers; without a time zone it is read as UTC.
    #[must_use]
    pub fn interval(&self) -> Interval {
        self.interval_at(0)
    }

    /// The span of time that the value covers; a value without a time zone is taken to be
    /// `default_offset_minutes` east of UTC.
    #[must_use]
    pub fn interval_at(&self, default_offset_minutes: i16) -> Interval {
        let offset = i64::from(self.offset_minutes.unwrap_or(default_offset_minutes)) * MINUTE;
        let (year, month) = (i64::from(self.year), self.month);
        let day_number = days_from_epoch(year, month, self.day);
        let low = day_number * DAY + self.time.microseconds() - offset;
        let width = match self.precision {
            Precision::Year => (days_from_epoch(year + 1, 1, 1) - day_number) * DAY,
            Precision::Month => i64::from(days_in_month(self.year, month)) * DAY,
            Precision::Day => DAY,
            Precision::Hour => HOUR,
            Precision::Minute => MINUTE,
            Precision::Second => SECOND,
            Precision::Fraction(digits) => (0..digits.min(6)).fold(SECOND, |width, _| width / 10),
        };
        Interval { low, high: low + width }
    }
}

impl Time {
    /// Reads a `time` (R4 datatypes.html#time): hours, minutes and seconds, maybe a fraction, no time zone.
    ///
    /// # Errors
    /// [`DateTimeError`] where it is none.
    pub fn parse(text: &str) -> Result<Self, DateTimeError> {
        let (time, precision) = Self::parse_any(text)?;
        if precision < Precision::Second { Err(DateTimeError::Shape) } else { Ok(time) }
    }

    /// Reads a time of day of any precision, as FHIRPath literals have it (without `@T`).
    ///
    /// # Errors
    /// [`DateTimeError`] where it is none.
    pub fn parse_any(text: &str) -> Result<(Self, Precision), DateTimeError> {
        parse::time(text)
    }
}

/// How many days the month has in the proleptic Gregorian calendar.
fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar. Years are counted from March, so that the leap day
/// comes last, in eras of 400 years, after which the calendar repeats.
fn days_from_epoch(year: i64, month: u8, day: u8) -> i64 {
    const DAYS_PER_ERA: i64 = 146_097;
    const DAYS_TO_EPOCH: i64 = 719_468;
    let month = i64::from(month);
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - DAYS_TO_EPOCH
}

#[cfg(test)]
mod tests;
