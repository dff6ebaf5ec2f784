//! Dates and times: what is read, what is refused, what is covered.

use chrono::{Datelike, NaiveDate, TimeZone, Utc};
use proptest::prelude::*;

use super::*;

fn micros(text: &str) -> i64 {
    chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
}

fn covers(text: &str, low: &str, high: &str) {
    let interval = DateTime::parse_search(text).unwrap().interval();
    assert_eq!((interval.low, interval.high), (micros(low), micros(high)), "{text}");
}

#[test]
fn a_partial_date_covers_all_that_it_leaves_open() {
    covers("2013", "2013-01-01T00:00:00Z", "2014-01-01T00:00:00Z");
    covers("2013-02", "2013-02-01T00:00:00Z", "2013-03-01T00:00:00Z");
    covers("2012-02", "2012-02-01T00:00:00Z", "2012-03-01T00:00:00Z");
    covers("2013-12", "2013-12-01T00:00:00Z", "2014-01-01T00:00:00Z");
    covers("2013-02-28", "2013-02-28T00:00:00Z", "2013-03-01T00:00:00Z");
    covers("2013-02-28T13:28", "2013-02-28T13:28:00Z", "2013-02-28T13:29:00Z");
    covers("2013-02-28T13:28:17-05:00", "2013-02-28T18:28:17Z", "2013-02-28T18:28:18Z");
    covers("2013-02-28T13:28:17.25+05:30", "2013-02-28T07:58:17.25Z", "2013-02-28T07:58:17.26Z");
    covers("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z");
    covers("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", "2017-01-01T00:00:01Z");
}

#[test]
fn digits_beyond_microseconds_cover_one_microsecond() {
    let interval = DateTime::parse_instant("2015-02-07T13:28:17.123456789Z").unwrap().interval();
    assert_eq!(interval.low, micros("2015-02-07T13:28:17.123456Z"));
    assert_eq!(interval.high, interval.low + 1);
    let many = format!("2015-02-07T13:28:17.{}Z", "0".repeat(400));
    assert_eq!(DateTime::parse_instant(&many).unwrap().precision, Precision::Fraction(255));
}

#[test]
fn a_value_without_a_time_zone_is_read_where_the_caller_says() {
    let day = DateTime::parse_date("1970-01-01").unwrap();
    assert_eq!(day.interval_at(60).low, -3_600_000_000);
    let told = DateTime::parse_date_time("1970-01-01T00:00:00Z").unwrap();
    assert_eq!(told.interval_at(60).low, 0);
}

#[test]
fn each_type_takes_only_its_own_forms() {
    use DateTimeError::{NoTimeZone, Range, Shape};
    type Reader = fn(&str) -> Result<DateTime, DateTimeError>;
    let cases: &[(&str, [Option<DateTimeError>; 4])] = &[
        // date, dateTime, instant, search
        ("2013", [None, None, Some(Shape), None]),
        ("2013-02", [None, None, Some(Shape), None]),
        ("2013-02-07", [None, None, Some(Shape), None]),
        ("2013-02-07T13", [Some(Shape), Some(Shape), Some(Shape), Some(Shape)]),
        ("2013-02-07T13:28", [Some(Shape), Some(Shape), Some(Shape), None]),
        ("2013-02-07T13:28:17", [Some(Shape), Some(NoTimeZone), Some(NoTimeZone), None]),
        ("2013-02-07T13:28:17Z", [Some(Shape), None, None, None]),
        ("2013-02-07T13:28:17.5+14:00", [Some(Shape), None, None, None]),
        ("2013-02-07T13:28:17.5+14:01", [Some(Range); 4]),
        ("2013-02-07T24:00:00Z", [Some(Range); 4]),
        ("2013-02-07T13:60:00Z", [Some(Range); 4]),
        ("2013-02-07T13:28:17.Z", [Some(Shape); 4]),
        ("2013-02-07T13:28:17z", [Some(Shape); 4]),
        ("2013-02-07t13:28:17Z", [Some(Shape); 4]),
        ("2013-02-29", [Some(Range); 4]),
        ("1900-02-29", [Some(Range); 4]),
        ("2013-13", [Some(Range); 4]),
        ("2013-00", [Some(Range); 4]),
        ("2013-1", [Some(Shape); 4]),
        ("0000", [Some(Range); 4]),
        ("13", [Some(Shape); 4]),
        ("", [Some(Shape); 4]),
        ("2013-", [Some(Shape); 4]),
        (" 2013", [Some(Shape); 4]),
        ("2013 ", [Some(Shape); 4]),
        ("２０１３", [Some(Shape); 4]),
    ];
    let readers: [Reader; 4] =
        [DateTime::parse_date, DateTime::parse_date_time, DateTime::parse_instant, DateTime::parse_search];
    for (text, expected) in cases {
        for (reader, expected) in readers.iter().zip(expected) {
            assert_eq!(reader(text).err(), *expected, "{text}");
        }
    }
    assert!(DateTime::parse_any("2013-02-07T13").is_ok());
    assert!(DateTime::parse_date("2000-02-29").is_ok());
}

#[test]
fn times_of_day_are_read() {
    assert_eq!(Time::parse("13:28:17.5").unwrap().microseconds(), 48_497_500_000);
    assert_eq!(Time::parse("13:28").err(), Some(DateTimeError::Shape));
    assert_eq!(Time::parse("13:28:17Z").err(), Some(DateTimeError::Shape));
    assert_eq!(Time::parse_any("13").unwrap().1, Precision::Hour);
}

#[test]
fn a_period_is_open_where_it_has_no_end() {
    let start = DateTime::parse_date_time("2013").unwrap();
    assert_eq!(Interval::of_period(None, None), Interval::ALWAYS);
    let open = Interval::of_period(Some(start), None);
    assert_eq!((open.low, open.high), (micros("2013-01-01T00:00:00Z"), i64::MAX));
}

#[test]
fn every_day_counts_as_the_calendar_does() {
    let mut day = NaiveDate::from_ymd_opt(1, 1, 1).unwrap();
    for _ in 0..400 * 366 {
        let expected = Utc.from_utc_datetime(&day.and_hms_opt(0, 0, 0).unwrap()).timestamp() / 86_400;
        let (month, date) = (day.month() as u8, day.day() as u8);
        assert_eq!(days_from_epoch(i64::from(day.year()), month, date), expected, "{day}");
        let tomorrow = day.succ_opt().unwrap();
        let is_last = tomorrow.month() != day.month();
        assert_eq!(days_in_month(day.year() as u16, month) == date, is_last, "{day}");
        day = tomorrow;
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}|[0-9T:Z.+-]{0,40}") {
        if let Ok(value) = DateTime::parse_any(&text) {
            prop_assert!(value.interval().low < value.interval().high);
        }
        let _time = Time::parse_any(&text);
    }

    #[test]
    fn instants_agree_with_chrono(at in -62_135_596_800_000_000i64..253_402_300_800_000_000) {
        let text = Utc.timestamp_micros(at).unwrap().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        prop_assert_eq!(DateTime::parse_instant(&text).unwrap().interval(), Interval { low: at, high: at + 1 });
    }
}
