//! Dates read naively: from which to which microsecond, the second not included.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, TimeZone, Utc};

/// What a date covers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Covered {
    pub(crate) from: i64,
    pub(crate) until: i64,
}

/// For what has no beginning or no end.
pub(crate) const NEVER: i64 = i64::MIN;
pub(crate) const EVER: i64 = i64::MAX;

fn at(date: NaiveDate) -> i64 {
    Utc.from_utc_datetime(&date.and_time(NaiveTime::MIN)).timestamp_micros()
}

/// Reads a year, a month, a day, or a time; without a zone it is UTC.
pub(crate) fn covered(text: &str) -> Option<Covered> {
    let digits = text.len();
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok();
    if digits < 4 {
        return None;
    }
    let year = i32::try_from(number(0..4)?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(5..7).unwrap_or(1), number(8..10).unwrap_or(1))?;
    let next = match digits {
        4 => date.with_year(year + 1)?,
        7 => date.checked_add_months(Months::new(1))?,
        10 => date.checked_add_days(Days::new(1))?,
        _ => return time(text),
    };
    Some(Covered { from: at(date), until: at(next) })
}

fn time(text: &str) -> Option<Covered> {
    let (day, clock) = text.split_once('T')?;
    let zone_at = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone_at);
    let zone = if zone.is_empty() { "Z" } else { zone };
    let (seconds, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let (full, width) = match (seconds.len(), fraction.len()) {
        (5, _) => (format!("{day}T{seconds}:00{zone}"), 60_000_000),
        (_, 0) => (format!("{day}T{seconds}{zone}"), 1_000_000),
        (_, digits) => {
            let width = 10_i64.pow(6 - u32::try_from(digits).ok()?);
            (format!("{day}T{seconds}.{fraction}{zone}"), width)
        }
    };
    let from = DateTime::parse_from_rfc3339(&full).ok()?.timestamp_micros();
    Some(Covered { from, until: from + width })
}

/// R4 search.html#prefix, word by word. `resource` and `search` are what the two values cover.
pub(crate) fn holds(prefix: &str, resource: Covered, search: Covered, now: i64) -> bool {
    let contains = search.from <= resource.from && resource.until <= search.until;
    // "the range above the search value intersects (i.e. overlaps) with the range of the target value"
    let above = resource.until > search.until;
    let below = resource.from < search.from;
    match prefix {
        "eq" => contains,
        "ne" => !contains,
        "gt" => above,
        "lt" => below,
        "ge" => above || contains,
        "le" => below || contains,
        "sa" => resource.from >= search.until,
        "eb" => resource.until <= search.from,
        "ap" => {
            let tolerance = (now - search.from).abs() / 10;
            resource.from < search.until + tolerance && resource.until > search.from - tolerance
        }
        other => panic!("no such prefix: {other}"),
    }
}

#[test]
fn dates_cover_what_they_say() {
    let day = 86_400_000_000;
    assert_eq!(covered("1970"), Some(Covered { from: 0, until: 365 * day }));
    assert_eq!(covered("1970-02"), Some(Covered { from: 31 * day, until: 59 * day }));
    assert_eq!(covered("1970-01-02"), Some(Covered { from: day, until: 2 * day }));
    assert_eq!(covered("1970-01-01T00:00"), Some(Covered { from: 0, until: 60_000_000 }));
    assert_eq!(covered("1970-01-01T01:00:00+01:00"), Some(Covered { from: 0, until: 1_000_000 }));
    assert_eq!(covered("1970-01-01T00:00:00.5Z"), Some(Covered { from: 500_000, until: 600_000 }));
}
