//! Bounds: steps, sizes, depth; and that nothing panics on what the parser accepts.

use proptest::prelude::*;

use super::{document, now};
use crate::fhirpath::{Collection, Compiled, Context, EvalErrorKind, Limits};

fn limited(expression: &str, limits: Limits) -> Result<usize, EvalErrorKind> {
    let compiled = Compiled::new(expression, None).unwrap();
    let context = Context::new().with_limits(limits);
    compiled.evaluate_on(Collection::empty(), &context).map(|found| found.len()).map_err(|error| error.kind)
}

const SMALL: Limits = Limits { steps_max: 10_000, items_max: 100, text_bytes_max: 1_000 };

#[test]
fn endless_and_exploding_expressions_end() {
    for (expression, kind) in [
        ("'a'.repeat($this & 'a')", EvalErrorKind::TooLarge),
        ("1.repeatAll(1)", EvalErrorKind::TooLarge),
        (
            "'aaaaaaaaaa'.toChars().aggregate($total & $total & 'aaaaaaaaaa', 'aaaaaaaaaaa')",
            EvalErrorKind::TooLarge,
        ),
        (
            "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.replace('a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')",
            EvalErrorKind::TooLarge,
        ),
        (
            "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'.replaceMatches('a', '$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0$0')",
            EvalErrorKind::TooLarge,
        ),
        ("'aaaaaaaaaaaaa'.toChars().select('aaaaaaaaaaaaa'.toChars())", EvalErrorKind::TooLarge),
        (
            "'0123456789'.toChars().all('0123456789'.toChars().all('0123456789'.toChars().all('0123456789'.toChars().all(true))))",
            EvalErrorKind::TooManySteps,
        ),
    ] {
        assert_eq!(limited(expression, SMALL), Err(kind), "{expression}");
    }
    assert_eq!(limited("'0123456789'.toChars().distinct()", SMALL), Ok(10));
}

#[test]
fn the_deepest_expression_fits_on_a_small_stack() {
    // Threads of tests have 2 MiB, and builds without optimisation have the largest frames.
    let nested = format!("{}1{}", "iif(true, ".repeat(98), ")".repeat(98));
    assert_eq!(limited(&nested, Limits::default()), Ok(1));
    let chain = format!("1{}", " | 1".repeat(240));
    assert_eq!(limited(&chain, Limits::default()), Ok(1));
    let selects = format!("1{}", ".select($this)".repeat(240));
    assert_eq!(limited(&selects, Limits::default()), Ok(1));
    let where_nested = format!("{}true{}", "1.where(".repeat(98), ")".repeat(98));
    assert_eq!(limited(&where_nested, Limits::default()), Ok(1));
}

const RESOURCE: &str = r#"{"resourceType":"Observation","id":"o","status":"final",
    "code":{"coding":[{"system":"http://loinc.org","code":"1-8","display":"x"},{"code":"b"}],"text":"t"},
    "effectivePeriod":{"start":"2020-01","end":"2020-01-02T10:00:00Z"},
    "valueQuantity":{"value":1.50,"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"},
    "subject":{"reference":"Patient/1"},"issued":"not a date",
    "_status":{"extension":[{"url":"u","valueTime":"10:00"}]}}"#;

const TERMS: &str = "value; code.coding; effective.start; effective.end; issued; status; 'a'; ''; 5; -3; 1.25;\
    @2015-02; @2015-02-04T14:34:28Z; @T10:30; 4 days; 1 'mg'; {}; true; $this; %resource;\
    descendants(); children(); subject; now(); (1 | 2 | 3); type();\
    7000000000000000000000000000.0";
const FUNCTIONS: &str = ".first(); .where($this.exists()); .select(code); .toString(); .toQuantity(); .toInteger();\
    .lowBoundary(); .highBoundary(28); .precision(); .resolve(); .abs(); .round(2); .exp();\
    .ln(); .power(3); .power(-2.5); .sqrt(); .log(3); .sum(); .avg(); .min(); .sort();\
    .distinct(); .substring(1); .toChars(); .children(); .ofType(Quantity); .extension('u');\
    .hasValue(); .split(','); .join(','); .encode('base64'); .decode('hex'); .upper();\
    .matches('[a-z]+'); [0]; .yearOf(); .timezoneOffsetOf(); .toDateTime(); .is(string);\
    .as(Period); .getReferenceKey(); .htmlChecks(); .unescape('html'); .ceiling(); .truncate();\
    .repeat(children()); .not()";
const OPERATORS: &str =
    "+; -; *; /; div; mod; &; |; =; ~; !=; !~; <; >=; in; contains; and; or; xor; implies";

/// Expressions that mostly compile: terms with functions and operators put together at random.
fn expressions() -> impl Strategy<Value = String> {
    let one_of =
        |list: &'static str| prop::sample::select(list.split(';').map(str::trim).collect::<Vec<_>>());
    let operand = (one_of(TERMS), prop::collection::vec(one_of(FUNCTIONS), 0..3))
        .prop_map(|(term, functions)| format!("({term}){}", functions.concat()));
    (operand.clone(), one_of(OPERATORS), operand)
        .prop_map(|(left, operator, right)| format!("{left} {operator} {right}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn evaluation_never_panics(expression in expressions()) {
        let document = document(RESOURCE);
        let compiled = Compiled::new(&expression, None).unwrap();
        let context = Context::of(document.root()).with_now(now());
        let _ = compiled.evaluate(document.root(), &context).map(|found| super::shown(&found));
    }
}

#[test]
fn items_without_a_total_order_are_refused_and_do_not_panic() {
    let document = document(RESOURCE);
    for expression in
        ["descendants().distinct().sort()", "descendants().sort()", "descendants().sort(-$this)"]
    {
        let compiled = Compiled::new(expression, None).unwrap();
        let context = Context::of(document.root()).with_now(now());
        let error = compiled.evaluate(document.root(), &context).map(|found| found.len()).unwrap_err();
        assert_eq!(error.kind, EvalErrorKind::Operands, "{expression}");
    }
}
