//! Dates, dateTimes and times of any precision, as FHIRPath and FHIR write them.

use std::fmt;

/// How much of a date or time was given (FHIRPath 2.0.0 sections 4.1.5 to 4.1.7). Seconds and fractions are one precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// `2015`
    Year,
    /// `2015-02`
    Month,
    /// `2015-02-04`
    Day,
    /// `T14`
    Hour,
    /// `T14:34`
    Minute,
    /// `T14:34:28` or `T14:34:28.123`
    Second,
}

/// A date of precision year, month or day. Fields that were not given hold their lowest value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Date {
    /// 0 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// Year, month or day.
    pub precision: Precision,
}

/// A time of day of precision hour, minute or second. Fields that were not given are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Time {
    /// 0 to 23 (24 is no hour of FHIR).
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60: a leap second is allowed, as in FHIR's `instant`.
    pub second: u8,
    /// Fraction of the second in nanoseconds.
    pub nanosecond: u32,
    /// Digits of the fraction that were written, 0 to 9; further digits are dropped.
    pub fraction_digits: u8,
    /// Hour, minute or second.
    pub precision: Precision,
}

/// A date with a time of day where one was given, and the offset from UTC where one was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateTime {
    /// Of precision day where there is a time.
    pub date: Date,
    /// The time of day.
    pub time: Option<Time>,
    /// Minutes east of UTC; `None` where no zone was given.
    pub offset_minutes: Option<i16>,
}

impl Date {
    /// Reads `YYYY`, `YYYY-MM` or `YYYY-MM-DD`; `None` where the text is another or no such day exists.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = Self::parse_prefix(text)?;
        rest.is_empty().then_some(date)
    }

    /// Reads the longest date at the start of the text and gives the rest.
    pub(super) fn parse_prefix(text: &str) -> Option<(Self, &str)> {
        let (year, rest) = digits(text, 4)?;
        let year = u16::try_from(year).ok()?;
        let mut date = Self { year, month: 1, day: 1, precision: Precision::Year };
        let Some((month, rest)) = separated(rest, b'-') else { return Some((date, rest)) };
        date.month = u8::try_from(month).ok().filter(|month| (1..=12).contains(month))?;
        date.precision = Precision::Month;
        let Some((day, rest)) = separated(rest, b'-') else { return Some((date, rest)) };
        date.day =
            u8::try_from(day).ok().filter(|day| (1..=days_in_month(year, date.month)).contains(day))?;
        date.precision = Precision::Day;
        Some((date, rest))
    }
}

impl Time {
    /// Reads `hh`, `hh:mm`, `hh:mm:ss` or `hh:mm:ss.fff`; `None` where the text is another or no such time exists.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (time, rest) = Self::parse_prefix(text)?;
        rest.is_empty().then_some(time)
    }

    /// Reads the longest time at the start of the text and gives the rest.
    pub(super) fn parse_prefix(text: &str) -> Option<(Self, &str)> {
        let (hour, rest) = digits(text, 2)?;
        let hour = u8::try_from(hour).ok().filter(|hour| *hour < 24)?;
        let mut time = Self {
            hour,
            minute: 0,
            second: 0,
            nanosecond: 0,
            fraction_digits: 0,
            precision: Precision::Hour,
        };
        let Some((minute, rest)) = separated(rest, b':') else { return Some((time, rest)) };
        time.minute = u8::try_from(minute).ok().filter(|minute| *minute < 60)?;
        time.precision = Precision::Minute;
        let Some((second, rest)) = separated(rest, b':') else { return Some((time, rest)) };
        time.second = u8::try_from(second).ok().filter(|second| *second <= 60)?;
        time.precision = Precision::Second;
        let Some(fraction) = rest.strip_prefix('.') else { return Some((time, rest)) };
        let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return Some((time, rest));
        }
        let (written, rest) = fraction.split_at_checked(length)?;
        for digit in written.bytes().chain(std::iter::repeat(b'0')).take(9) {
            time.nanosecond = time.nanosecond * 10 + u32::from(digit - b'0');
        }
        time.fraction_digits = u8::try_from(length.min(9)).ok()?;
        Some((time, rest))
    }
}

impl DateTime {
    /// Reads a date, or a date, `T`, a time and an optional zone, as FHIR and FHIRPath write them (also `2015T`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, rest) = Date::parse_prefix(text)?;
        if rest.is_empty() {
            return Some(Self { date, time: None, offset_minutes: None });
        }
        let (date_time, rest) = Self::parse_after_date(date, rest.strip_prefix('T')?)?;
        rest.is_empty().then_some(date_time)
    }

    /// Reads what follows the `T`: nothing, or a time with an optional zone.
    pub(super) fn parse_after_date(date: Date, text: &str) -> Option<(Self, &str)> {
        if !text.starts_with(|first: char| first.is_ascii_digit()) {
            return Some((Self { date, time: None, offset_minutes: None }, text));
        }
        if date.precision != Precision::Day {
            return None;
        }
        let (time, rest) = Time::parse_prefix(text)?;
        let (offset_minutes, rest) = match rest.as_bytes().first() {
            Some(b'Z') => (Some(0), rest.get(1..)?),
            Some(sign @ (b'+' | b'-')) => match parse_offset(rest.get(1..)?) {
                Some((minutes, rest)) => (Some(if *sign == b'-' { -minutes } else { minutes }), rest),
                None => (None, rest),
            },
            _ => (None, rest),
        };
        Some((Self { date, time: Some(time), offset_minutes }, rest))
    }

    /// The precision of its last field.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.time.map_or(self.date.precision, |time| time.precision)
    }
}

fn parse_offset(text: &str) -> Option<(i16, &str)> {
    let (hours, rest) = digits(text, 2)?;
    let (minutes, rest) = separated(rest, b':')?;
    // FHIR R4 datatypes.html, instant: offsets run to 14:00.
    if hours > 14 || minutes > 59 || (hours == 14 && minutes > 0) {
        return None;
    }
    Some((i16::try_from(hours * 60 + minutes).ok()?, rest))
}

fn digits(text: &str, count: usize) -> Option<(u32, &str)> {
    let (head, rest) = text.split_at_checked(count)?;
    if !head.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((head.parse().ok()?, rest))
}

/// Two digits behind a separator.
fn separated(text: &str, separator: u8) -> Option<(u32, &str)> {
    if text.as_bytes().first() != Some(&separator) {
        return None;
    }
    digits(text.get(1..)?, 2)
}

/// Days of a month in the Gregorian calendar.
pub(super) fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.year)?;
        if self.precision >= Precision::Month {
            write!(f, "-{:02}", self.month)?;
        }
        if self.precision >= Precision::Day {
            write!(f, "-{:02}", self.day)?;
        }
        Ok(())
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.hour)?;
        if self.precision >= Precision::Minute {
            write!(f, ":{:02}", self.minute)?;
        }
        if self.precision >= Precision::Second {
            write!(f, ":{:02}", self.second)?;
            if self.fraction_digits > 0 {
                let digits = usize::from(self.fraction_digits.min(9));
                let fraction = self.nanosecond / 10_u32.pow(9 - u32::from(self.fraction_digits.min(9)));
                write!(f, ".{fraction:0digits$}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.date)?;
        let Some(time) = &self.time else { return Ok(()) };
        write!(f, "T{time}")?;
        match self.offset_minutes {
            None => Ok(()),
            Some(0) => f.write_str("Z"),
            Some(minutes) => {
                let sign = if minutes < 0 { '-' } else { '+' };
                write!(f, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
            }
        }
    }
}
