//! System values: decimals, dates, quantities, text, and what is unknown.

use super::{EvalErrorKind, gives, gives_on, plain};

#[test]
fn decimals_are_exact_and_come_from_the_literal() {
    let observation = r#"{"resourceType":"Observation","valueQuantity":{"value":6.3}}"#;
    gives_on(observation, "Observation.value.value = 6.3", &["true"]);
    gives_on(observation, "Observation.value.value * 3 = 18.9", &["true"]);
    let scientific = r#"{"resourceType":"Observation","valueQuantity":{"value":187e-2}}"#;
    gives_on(scientific, "Observation.value.value = 1.87", &["true"]);
    let trailing = r#"{"resourceType":"Observation","valueQuantity":{"value":1.10}}"#;
    gives_on(trailing, "Observation.value.value.toString()", &["1.10"]);
    gives("0.1 + 0.2 = 0.3", &["true"]);
    gives("1.0 / 3.0 * 3.0 ~ 1.0", &["true"]);
}

#[test]
fn overflow_and_division_by_zero_give_nothing() {
    for expression in [
        "2147483647 + 1",
        "-2147483647 - 2",
        "65536 * 65536",
        "1.0 / 0",
        "1 mod 0",
        "7000000000000000000000000000.0 * 100",
        "10.power(100)",
        "(-1).power(0.5)",
        "0.power(-1)",
        "0.ln()",
        "(-4).sqrt()",
        "1000.exp()",
    ] {
        gives(expression, &[]);
    }
}

#[test]
fn aggregates_add_up_in_the_type_of_the_items() {
    gives("(1 | 2 | 3).sum()", &["6"]);
    gives("(1.5 | 2).sum()", &["3.5"]);
    gives("(1 'g').combine(500 'mg').sum()", &["1.5 'g'"]);
    gives("{}.sum()", &[]);
    gives("(1 | 2 | 3 | 4).avg()", &["2.5"]);
    gives("(3 | 1 | 2).min()", &["1"]);
    gives("(@2012-12-31 | @2013-01-01).max()", &["2013-01-01"]);
    assert_eq!(plain("('a' | 'b').sum()"), Err(EvalErrorKind::WrongType { expected: "a number" }));
}

#[test]
fn moments_compare_across_types_precisions_and_zones() {
    gives("@2019-06-01T10:00:00Z > @2019-05-30", &["true"]);
    // The 31st lasts until 12:00Z on the 1st where the day ends last.
    gives("@2019-06-01T10:00:00Z > @2019-05-31", &[]);
    gives("@2019-06-01T10:00:00Z > @2019", &[]);
    gives("@2019-06-01T10:00:00 > @2019-05-31", &["true"]);
    gives("@2019-01 < @2019-01-15", &[]);
    gives("@2019-01 < @2019-02-15", &["true"]);
    gives("@2020-01-01T00:30:00+02:00 = @2019-12-31T22:30:00Z", &["true"]);
    // Without a zone it could be any: only what holds for all of them is known.
    gives("@2020-01-01T12:00:00 < @2020-01-01T13:00:00Z", &[]);
    gives("@2020-01-01T12:00:00 < @2020-01-03T13:00:00Z", &["true"]);
    gives("@2020-01-01T12:00:00 = @2020-01-03T13:00:00Z", &["false"]);
    gives("@2020-01-01 ~ @2020-01-01T12:00:00", &["false"]);
    assert_eq!(plain("@2020-01-01 < 'x'"), Err(EvalErrorKind::Operands));
    assert_eq!(plain("true < false"), Err(EvalErrorKind::Operands));
}

#[test]
fn calendar_arithmetic_keeps_to_the_calendar() {
    gives("@2026-01-31 + 1 month", &["2026-02-28"]);
    gives("@2024-02-29 + 1 year", &["2025-02-28"]);
    gives("@2014 + 23 months", &["2015"]);
    gives("@2016 + 365 days", &["2017"]);
    gives("@2026-02 + 5 weeks", &["2026-03"]);
    gives("@2014 - 1 month", &["2014"]);
    gives("@2019-03-01 - 1 day", &["2019-02-28"]);
    gives("@1999-12-31T23:59:59.5Z + 0.5 's'", &["2000-01-01T00:00:00.0Z"]);
    gives("@1973-12-25T00:00:00.000+10:00 + 42.53 seconds", &["1973-12-25T00:00:42.530+10:00"]);
    gives("@T23:30:00 + 1 hour", &["00:30:00"]);
    gives("@T00:30 - 90 minutes", &["23:00"]);
    gives("@T10 - 30 minutes", &["10"]);
    assert!(plain("@9999-12-31 + 1 day").is_err());
    assert!(plain("@2020-01-01 + 1 'a'").is_err());
    assert!(plain("@T10:00 + 1 day").is_err());
}

#[test]
fn quantities_convert_by_ucum_exactly() {
    gives("1 'cm' = 10.0 'mm'", &["true"]);
    gives("1 'cm' = 1 's'", &[]);
    gives("1 '[in_i]' = 2.54 'cm'", &["true"]);
    gives("3 'm' + 3 'cm'", &["3.03 'm'"]);
    gives("1 year = 12 months", &["true"]);
    gives("1 year = 1 'a'", &[]);
    gives("1 year ~ 1 'a'", &["true"]);
    gives("1 hour = 3600 's'", &["true"]);
    gives("23 'Cel' = 73.4 '[degF]'", &[]);
    gives("5 'wrong-unit' = 5 'wrong-unit'", &["true"]);
    gives("21 'mm' ~ 2 'cm'", &["true"]);
    gives("120 'm' / 60 's' = 2 'm/s'", &["true"]);
    gives("12 days * 45 'm'", &[]);
    gives("3 * 2 'cm'", &["6 'cm'"]);
    gives("120 minutes.toQuantity('h')", &["2 'h'"]);
    gives("(1 'g' | 1000 'mg').count()", &["1"]);
}

#[test]
fn fhir_quantities_are_quantities_unless_they_only_bound_a_value() {
    let text = |more: &str| {
        format!(
            r#"{{"resourceType":"Observation","valueQuantity":{{"value":5,{more}"unit":"mg",
            "system":"http://unitsofmeasure.org","code":"mg"}}}}"#
        )
    };
    gives_on(&text(""), "Observation.value > 4 'mg'", &["true"]);
    gives_on(&text(""), "Observation.value = 0.005 'g'", &["true"]);
    gives_on(&text(""), "Observation.value < 1 'cm'", &[]);
    gives_on(&text(r#""comparator":"<","#), "Observation.value > 4 'mg'", &[]);
}

#[test]
fn text_counts_unicode_characters() {
    gives("'a🔥b'.indexOf('b')", &["2"]);
    gives("'a🔥b'.substring(1, 1)", &["🔥"]);
    gives("'a🔥b'.length()", &["3"]);
    gives("'abcdefg'.substring(3, -1)", &[""]);
    gives("'abcdefg'.substring(7, 1)", &[]);
    gives("'abc abc'.lastIndexOf('a')", &["4"]);
    gives("'a b' ~ 'A\\tB'", &["true"]);
    gives("'MÜLLER' ~ 'müller'", &["true"]);
}

#[test]
fn patterns_find_groups_and_take_flags() {
    gives(
        "'11/30/1972'.replaceMatches('(?<month>\\\\d{1,2})/(?<day>\\\\d{1,2})/(?<year>\\\\d{4})', '${day}-${month}-${year}')",
        &["30-11-1972"],
    );
    gives("'first\\nsecond'.matches('^SECOND', 'im')", &["true"]);
    gives("'first\\nsecond'.matches('^second')", &["false"]);
    gives("'abc'.matches({})", &[]);
    assert_eq!(plain("'abc'.matches('(' + '')"), Err(EvalErrorKind::BadPattern));
    assert!(super::Compiled::new("'abc'.matches('(')", None).is_err());
    assert!(super::Compiled::new("'abc'.matches('(((((a{99}){99}){99}){99}){99})')", None).is_err());
}

#[test]
fn text_formats_round_trip() {
    for format in ["base64", "urlbase64", "hex"] {
        for text in ["", "a", "ab", "abc", "subjects?_d", "ü🔥"] {
            gives(&format!("'{text}'.encode('{format}').decode('{format}')"), &[text]);
        }
    }
    gives("'ff'.decode('hex')", &[]);
    gives("'<a & \"b\">'.escape('html').unescape('html')", &["<a & \"b\">"]);
    gives("'x'.encode('rot13')", &[]);
}

#[test]
fn boundaries_enclose_the_value() {
    gives("0.0034.highBoundary(1)", &["0.1"]);
    gives("@2014-01-01T08.highBoundary()", &["2014-01-01T08:59:59.999-12:00"]);
    gives("@2016-02.highBoundary()", &["2016-02-29"]);
    gives("@2016.lowBoundary()", &["2016-01-01"]);
    gives("@T10:30:15.2.highBoundary()", &["10:30:15.299"]);
    gives("@2014-05-06.lowBoundary(4)", &["2014"]);
    gives("@2014.lowBoundary(5)", &[]);
}

#[test]
fn parts_of_moments() {
    gives("@2014-01-05T10:30:00.002-07:30.yearOf()", &["2014"]);
    gives("@2014-01-05T10:30:00.002-07:30.millisecondOf()", &["2"]);
    gives("@2014-01-05T10:30:00.002-07:30.timezoneOffsetOf()", &["-7.5"]);
    gives("@2014-01-05T10:30:00.002-07:30.dateOf()", &["2014-01-05"]);
    gives("@2014.monthOf()", &[]);
    gives("@T10.hourOf()", &["10"]);
}

#[test]
fn logic_knows_three_values() {
    for (expression, expected) in [
        ("true and {}", ""),
        ("false and {}", "false"),
        ("{} or true", "true"),
        ("{} implies false", ""),
        ("false implies {}", "true"),
        ("true xor {}", ""),
        ("{} xor {}", ""),
    ] {
        assert_eq!(plain(expression).unwrap().concat(), expected, "{expression}");
    }
    assert_eq!(plain("(true | false) and true"), Err(EvalErrorKind::NotSingle));
}

#[test]
fn conversions_follow_the_table() {
    gives("'TRUE'.toBoolean()", &["true"]);
    gives("'1.50'.toDecimal()", &["1.50"]);
    gives("'1.'.convertsToDecimal()", &["false"]);
    gives("'2015-02-30'.convertsToDate()", &["false"]);
    gives("'2015-02-04T10:00:00Z'.toDate()", &["2015-02-04"]);
    gives("@2015.toDateTime() is DateTime", &["true"]);
    gives("'5 \\'mg\\''.toQuantity() = 0.005 'g'", &["true"]);
    gives("'5 mg'.convertsToQuantity()", &["false"]);
    gives("7 days.toString()", &["7 days"]);
}
