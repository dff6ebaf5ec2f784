//! The published cases of FHIRPath Patch and JSON Patch: each gives the document or the refusal that the suite wants.

#![expect(clippy::unwrap_used, reason = "a broken corpus fails the test")]

use anamnesis_fhir::json::{Document, Limits, Value};
use anamnesis_fhir::patch::Patch;
use serde_json::Value as Json;

#[expect(dead_code, reason = "only the folder is needed here")]
#[path = "support/corpus.rs"]
mod corpus;

/// Cases where the suite contradicts the specification, with the reason. There are none.
const DIFFERING: &[(&str, &str)] = &[];

fn cases(file: &str) -> Document {
    parse(&std::fs::read_to_string(corpus::folder().join("patch").join(file)).unwrap())
}

fn parse(text: &str) -> Document {
    Document::parse(text, &Limits::default()).unwrap()
}

fn member<'a>(case: Value<'a>, name: &str) -> Document {
    parse(case.get(name).unwrap().raw())
}

/// Runs a case; what differs, if anything does.
fn differs(case: Value<'_>, input: &str, patch: &Result<Patch, String>, output: &str) -> Option<String> {
    let patched = patch
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|patch| patch.apply(&member(case, input)).map_err(|error| error.to_string()));
    match (patched, case.get("error"), case.get(output)) {
        (Ok(_), Some(_), _) => Some("must be refused, and is not".into()),
        (Err(_), Some(_), _) => None,
        (Err(error), None, _) => Some(format!("is refused: {error}")),
        (Ok(patched), None, wanted) => {
            let wanted: Json = serde_json::from_str(wanted.unwrap().raw()).unwrap();
            let found: Json = serde_json::from_str(patched.text()).unwrap();
            (wanted != found).then(|| format!("gives {found}"))
        }
    }
}

fn check(file: &str, name: &str, count: usize, run: impl Fn(Value<'_>) -> Option<String>) {
    let cases = cases(file);
    assert_eq!(cases.root().len(), count, "the suite has another number of cases than it had");
    let mut wrong = Vec::new();
    for case in cases.root().items() {
        let title = case.get(name).unwrap().as_str().unwrap();
        let is_listed = DIFFERING.iter().any(|(listed, _)| *listed == title);
        match run(case) {
            Some(difference) if !is_listed => wrong.push(format!("{title}: {difference}")),
            None if is_listed => wrong.push(format!("{title}: is listed as differing, and passes")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_case_of_fhirpath_patch_passes() {
    check("fhirpath-patch-tests.json", "name", 33, |case| {
        let patch = Patch::fhirpath(&member(case, "diff")).map_err(|error| error.to_string());
        differs(case, "input", &patch, "output")
    });
}

#[test]
fn every_case_of_json_patch_passes() {
    check("json-patch-tests.json", "comment", 16, |case| {
        let patch = Patch::json(&member(case, "patch")).map_err(|error| error.to_string());
        differs(case, "doc", &patch, "expected")
    });
}
