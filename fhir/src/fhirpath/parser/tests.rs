//! Tests of the parser: precedence, literals, faults with offsets, round trips, arbitrary text.

use proptest::prelude::*;

use super::{Expression, ParseErrorKind};

fn grouped(text: &str) -> String {
    Expression::parse(text).unwrap().to_string()
}

#[test]
fn operators_bind_as_the_specification_orders_them() {
    for (one, other) in [
        ("1 + 2 * 3", "1 + (2 * 3)"),
        ("-a.b", "-(a.b)"),
        ("1 | 1 is Integer", "1 | (1 is Integer)"),
        ("1 > 2 is Boolean", "1 > (2 is Boolean)"),
        ("a = 'x' | 'y'", "a = ('x' | 'y')"),
        ("true and '1' in ('1' | '2')", "true and ('1' in ('1' | '2'))"),
        ("a or b and c implies d", "((a or (b and c)) implies d)"),
        ("a - b - c", "(a - b) - c"),
        ("a < b = c < d", "(a < b) = (c < d)"),
    ] {
        assert_eq!(Expression::parse(one).unwrap(), Expression::parse(other).unwrap(), "{one}");
    }
    assert_ne!(Expression::parse("a - (b - c)").unwrap(), Expression::parse("a - b - c").unwrap());
}

#[test]
fn keywords_may_be_member_names() {
    assert_eq!(grouped("text.div.exists()"), "text.`div`.exists()");
    assert_eq!(grouped("expansion.repeat(contains)"), "expansion.repeat(`contains`)");
    assert_eq!(grouped("as.is(Quantity)"), "`as`.`is`(Quantity)");
}

#[test]
fn literals_keep_what_was_written() {
    for text in
        ["1.10", "@2015T", "@2015-02-04T14:34:28.120Z", "@T14:34:28.0", "4 days", "1 'wk'", "'\\\\\\''"]
    {
        assert_eq!(grouped(text), text);
    }
    assert_eq!(grouped("'\\u0041\\uD83D\\uDE00'"), "'A😀'");
    assert_eq!(grouped("%ext-patient-birthTime"), "%`ext-patient-birthTime`");
}

#[test]
fn faults_say_where_they_are() {
    for (text, offset, kind) in [
        ("2 + 2 /", 7, ParseErrorKind::Expected("a term")),
        ("2 /* x", 2, ParseErrorKind::UnfinishedComment),
        ("a.'b", 2, ParseErrorKind::UnfinishedString),
        ("'\\d'", 1, ParseErrorKind::BadEscape),
        ("'\\uD83D'", 1, ParseErrorKind::BadEscape),
        ("@2015-02-30", 0, ParseErrorKind::BadDate),
        ("@T14:34:28Z", 0, ParseErrorKind::BadDate),
        ("3000000000", 0, ParseErrorKind::NumberOutOfRange),
        ("a # b", 2, ParseErrorKind::UnexpectedCharacter),
        ("a b", 2, ParseErrorKind::Expected("an operator or the end")),
        ("f(a,)", 4, ParseErrorKind::Expected("a term")),
        ("", 0, ParseErrorKind::Expected("a term")),
    ] {
        let error = Expression::parse(text).unwrap_err();
        assert_eq!((error.offset, error.kind), (offset, kind), "{text}");
    }
}

#[test]
fn length_and_depth_are_bounded() {
    for text in ["(".repeat(300), "-".repeat(300), "a(".repeat(300), format!("a{}", ".a".repeat(300))] {
        assert_eq!(Expression::parse(&text).unwrap_err().kind, ParseErrorKind::TooDeep);
    }
    assert_eq!(Expression::parse(&" ".repeat(70_000)).unwrap_err().kind, ParseErrorKind::TooLong);
}

#[test]
fn every_expression_that_r4_publishes_parses() {
    let r4 = crate::definitions::r4();
    let parameters = r4.search_parameters().iter().filter_map(|parameter| parameter.expression);
    let invariants = r4.structures().iter().flat_map(|structure| {
        let elements = structure.elements().iter().flat_map(|element| &element.constraints);
        structure.constraints.iter().chain(elements).map(|constraint| constraint.expression)
    });
    let mut count = 0;
    for text in parameters.chain(invariants) {
        let tree = Expression::parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(Expression::parse(&tree.to_string()), Ok(tree));
        count += 1;
    }
    assert!(count > 1_500, "{count}");
}

/// Texts that are mostly expressions: fragments of the grammar put together at random.
fn fragments() -> impl Strategy<Value = String> {
    let fragment = prop::sample::select(vec![
        "a",
        "Patient",
        "`x y`",
        ".",
        "(",
        ")",
        "[0]",
        "'s'",
        "1",
        "1.50",
        " 'mg'",
        " days",
        "@2015-02",
        "@T10:00",
        "@2015-02-04T14:34:28.123+01:00",
        "%v",
        "$this",
        "{}",
        " + ",
        " - ",
        "-",
        " | ",
        " = ",
        " and ",
        " in ",
        " is Quantity",
        " as FHIR.string",
        ".where(",
        ".f()",
        ", ",
        " contains ",
        "true",
        " ~ ",
        " implies ",
        "/**/",
    ]);
    prop::collection::vec(fragment, 1..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,60}") {
        let _ = Expression::parse(&text);
    }

    #[test]
    fn printed_trees_parse_to_themselves(text in fragments()) {
        if let Ok(tree) = Expression::parse(&text) {
            let printed = tree.to_string();
            prop_assert_eq!(Expression::parse(&printed), Ok(tree), "{}", printed);
        }
    }
}
