//! The reader of dates and times: digits at fixed places, one pass, no tables.

use super::{DateTime, DateTimeError, Precision, Time, days_in_month};

type Parsed<T> = Result<T, DateTimeError>;

/// The text that is left to read.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// Steps over `expected` where it comes next.
    fn take(&mut self, expected: u8) -> bool {
        match self.0.split_first() {
            Some((first, rest)) if *first == expected => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// Reads exactly `count` digits, at most four.
    fn digits(&mut self, count: usize) -> Parsed<u16> {
        let (digits, rest) = self.0.split_at_checked(count).ok_or(DateTimeError::Shape)?;
        let mut number = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return Err(DateTimeError::Shape);
            }
            number = number * 10 + u16::from(digit - b'0');
        }
        self.0 = rest;
        Ok(number)
    }

    /// Reads two digits that must be within the bounds.
    fn two(&mut self, low: u8, high: u8) -> Parsed<u8> {
        let number = u8::try_from(self.digits(2)?).map_err(|_| DateTimeError::Range)?;
        if (low..=high).contains(&number) { Ok(number) } else { Err(DateTimeError::Range) }
    }

    fn end(&self) -> Parsed<()> {
        if self.0.is_empty() { Ok(()) } else { Err(DateTimeError::Shape) }
    }
}

/// Reads a date or a date with a time, of any precision.
pub(super) fn date_time(text: &str) -> Parsed<DateTime> {
    let mut cursor = Cursor(text.as_bytes());
    let year = cursor.digits(4)?;
    if year == 0 {
        return Err(DateTimeError::Range);
    }
    let mut value = DateTime {
        year,
        month: 1,
        day: 1,
        time: Time::default(),
        precision: Precision::Year,
        offset_minutes: None,
    };
    if !cursor.take(b'-') {
        cursor.end()?;
        return Ok(value);
    }
    value.month = cursor.two(1, 12)?;
    value.precision = Precision::Month;
    if !cursor.take(b'-') {
        cursor.end()?;
        return Ok(value);
    }
    value.day = cursor.two(1, days_in_month(year, value.month))?;
    value.precision = Precision::Day;
    if cursor.take(b'T') {
        (value.time, value.precision) = time_of_day(&mut cursor)?;
        value.offset_minutes = offset(&mut cursor)?;
    }
    cursor.end()?;
    Ok(value)
}

/// Reads a time of day, of any precision.
pub(super) fn time(text: &str) -> Parsed<(Time, Precision)> {
    let mut cursor = Cursor(text.as_bytes());
    let read = time_of_day(&mut cursor)?;
    cursor.end()?;
    Ok(read)
}

fn time_of_day(cursor: &mut Cursor<'_>) -> Parsed<(Time, Precision)> {
    let mut time = Time { hour: cursor.two(0, 23)?, ..Time::default() };
    if !cursor.take(b':') {
        return Ok((time, Precision::Hour));
    }
    time.minute = cursor.two(0, 59)?;
    if !cursor.take(b':') {
        return Ok((time, Precision::Minute));
    }
    time.second = cursor.two(0, 60)?;
    if !cursor.take(b'.') {
        return Ok((time, Precision::Second));
    }
    let mut digits = 0u8;
    let mut place = 100_000;
    while let Some(digit @ b'0'..=b'9') = cursor.peek() {
        cursor.take(digit);
        time.microsecond += u32::from(digit - b'0') * place;
        place /= 10;
        digits = digits.saturating_add(1);
    }
    if digits == 0 { Err(DateTimeError::Shape) } else { Ok((time, Precision::Fraction(digits))) }
}

/// Reads `Z`, `+hh:mm` or `-hh:mm`, or nothing.
fn offset(cursor: &mut Cursor<'_>) -> Parsed<Option<i16>> {
    const OFFSET_MAX: i16 = 14 * 60;
    if cursor.take(b'Z') {
        return Ok(Some(0));
    }
    let sign = if cursor.take(b'+') {
        1
    } else if cursor.take(b'-') {
        -1
    } else {
        return Ok(None);
    };
    let hours = i16::from(cursor.two(0, 14)?);
    if !cursor.take(b':') {
        return Err(DateTimeError::Shape);
    }
    let minutes = hours * 60 + i16::from(cursor.two(0, 59)?);
    if minutes > OFFSET_MAX { Err(DateTimeError::Range) } else { Ok(Some(sign * minutes)) }
}
