//! Tests of the engine: what HL7's suite leaves out. Parts are in the files of the folder.

mod bounds;
mod elements;
mod surroundings;
mod values;

use chrono::{DateTime, FixedOffset};

use super::{Collection, Compiled, Context, EvalErrorKind, Item};
use crate::json::{Document, Limits};

fn document(text: &str) -> Document {
    Document::parse(text, &Limits::default()).unwrap()
}

fn now() -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339("2026-01-02T03:04:05.678+01:00").unwrap()
}

fn shown(found: &Collection<'_>) -> Vec<String> {
    found.iter().map(Item::to_string).collect()
}

/// What an expression gives on a resource, as texts.
fn on(resource: &str, expression: &str) -> Result<Vec<String>, EvalErrorKind> {
    let document = document(resource);
    let compiled = Compiled::new(expression, None).unwrap();
    let context = Context::of(document.root()).with_now(now());
    compiled.evaluate(document.root(), &context).map(|found| shown(&found)).map_err(|error| error.kind)
}

/// What an expression without input gives.
fn plain(expression: &str) -> Result<Vec<String>, EvalErrorKind> {
    let compiled = Compiled::new(expression, None).unwrap();
    let context = Context::new().with_now(now());
    let found = compiled.evaluate_on(Collection::empty(), &context);
    found.map(|found| shown(&found)).map_err(|error| error.kind)
}

#[track_caller]
fn gives(expression: &str, expected: &[&str]) {
    assert_eq!(plain(expression).unwrap(), expected, "{expression}");
}

#[track_caller]
fn gives_on(resource: &str, expression: &str, expected: &[&str]) {
    assert_eq!(on(resource, expression).unwrap(), expected, "{expression}");
}

#[test]
fn a_compiled_expression_is_shared_by_threads() {
    let compiled = Compiled::new("name.given.where($this.matches('^P'))", Some("Patient")).unwrap();
    let document = document(r#"{"resourceType":"Patient","name":[{"given":["Peter","Jim"]}]}"#);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let found = compiled.evaluate(document.root(), &Context::of(document.root())).unwrap();
                assert_eq!(shown(&found), ["Peter"]);
            });
        }
    });
}
