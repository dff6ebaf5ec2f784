//! Published resources are valid: the examples of R4, those of US Core, and patients made by Synthea.
//!
//! The corpus is not part of the repository (`support/corpus.rs`); without it these tests fail.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "support/corpus.rs"]
#[expect(dead_code, reason = "each test uses its part of the corpus")]
mod corpus;

use std::collections::BTreeMap;
use std::fs::{self, File};

use anamnesis_fhir::json::{Document, Limits};
use anamnesis_fhir::validate::{Issue, Options, Severity, validate};

/// Errors that examples of the specification really have: file, expression, and what is wrong with them.
const SPECIFICATION_EXCEPTIONS: &[Exception] = &[
    (
        "devicemetric-example.json",
        "DeviceMetric.parent",
        "points at a DeviceDefinition where R4 allows Device only",
    ),
    (
        "deviceusestatement-example.json",
        "DeviceUseStatement.reasonReference[0]",
        "points at a Procedure, which R4 does not allow there",
    ),
    (
        "eventdefinition-example.json",
        "EventDefinition.text.div",
        "the narrative is nothing but white space (txt-2)",
    ),
];

/// Errors that R4's own definitions really have: id, expression, and what is wrong with them.
const DEFINITION_EXCEPTIONS: &[Exception] = &[
    ("Definition", "StructureDefinition", "is not abstract and has no base (sdf-4)"),
    ("Event", "StructureDefinition", "is not abstract and has no base (sdf-4)"),
    ("FiveWs", "StructureDefinition", "is not abstract and has no base (sdf-4)"),
    ("Request", "StructureDefinition", "is not abstract and has no base (sdf-4)"),
    (
        "example-composition",
        "StructureDefinition",
        "has a differential only, which the corpus leaves out (sdf-6)",
    ),
    (
        "example-section-library",
        "StructureDefinition",
        "has a differential only, which the corpus leaves out (sdf-6)",
    ),
    ("codesystem-extensions-CodeSystem-author", "SearchParameter.base", "has no base"),
    ("codesystem-extensions-CodeSystem-effective", "SearchParameter.base", "has no base"),
    ("codesystem-extensions-CodeSystem-end", "SearchParameter.base", "has no base"),
    ("codesystem-extensions-CodeSystem-keyword", "SearchParameter.base", "has no base"),
    ("codesystem-extensions-CodeSystem-workflow", "SearchParameter.base", "has no base"),
    (
        "questionnaireresponse-extensions-QuestionnaireResponse-item-subject",
        "SearchParameter.id",
        "has an id of 67 letters",
    ),
    ("valueset-extensions-ValueSet-author", "SearchParameter.base", "has no base"),
    ("valueset-extensions-ValueSet-effective", "SearchParameter.base", "has no base"),
    ("valueset-extensions-ValueSet-end", "SearchParameter.base", "has no base"),
    ("valueset-extensions-ValueSet-keyword", "SearchParameter.base", "has no base"),
    ("valueset-extensions-ValueSet-workflow", "SearchParameter.base", "has no base"),
];

/// File or id, expression, reason.
type Exception = (&'static str, &'static str, &'static str);

/// The resources of an NDJSON file with the names of the files that they come from.
fn lines(folder: &str, name: &str) -> Vec<(String, String)> {
    let base = corpus::folder().join(folder);
    let packed = File::open(base.join(format!("{name}.ndjson.zst"))).unwrap();
    let text = String::from_utf8(zstd::decode_all(packed).unwrap()).unwrap();
    let index = fs::read_to_string(base.join(format!("{name}.index.tsv"))).unwrap();
    let names = index.lines().skip(1).map(|row| row.split('\t').nth(3).unwrap().to_owned());
    names.zip(text.lines().map(str::to_owned)).collect()
}

fn errors(text: &str) -> Vec<Issue> {
    let document = Document::parse(text.as_bytes().to_vec(), &Limits::default()).unwrap();
    let options = Options { issues_max: 10_000, ..Options::default() };
    let mut issues = validate(document.root(), &options);
    issues.retain(|issue| issue.severity >= Severity::Warning);
    issues
}

/// Checks that the errors are exactly the known ones, and tells the warnings.
fn check(resources: &[(String, String)], exceptions: &[Exception]) {
    let mut unexpected = Vec::new();
    let mut expected: BTreeMap<(String, String), bool> = exceptions
        .iter()
        .map(|(file, expression, _)| ((file.to_string(), expression.to_string()), false))
        .collect();
    let mut valid = 0;
    for (file, text) in resources {
        let found = errors(text);
        valid += usize::from(found.iter().all(|issue| !issue.severity.is_error()));
        for issue in found {
            let line = format!(
                "{file}: {} {} {}: {}",
                issue.severity.code(),
                issue.code.code(),
                issue.expression,
                issue.diagnostics
            );
            let place = (file.clone(), issue.expression.clone());
            match expected.get_mut(&place) {
                Some(seen) if issue.severity.is_error() => *seen = true,
                _ if issue.severity.is_error() => unexpected.push(line),
                _ => println!("{line}"),
            }
        }
    }
    println!("{valid} of {} valid", resources.len());
    assert!(unexpected.is_empty(), "{} unexpected errors:\n{}", unexpected.len(), unexpected.join("\n"));
    let unused: Vec<_> = expected.iter().filter(|(_, seen)| !**seen).collect();
    assert!(unused.is_empty(), "exceptions that are none: {unused:?}");
}

#[test]
fn the_examples_of_the_specification_are_valid() {
    check(&lines("spec-examples", "spec-examples-dev"), SPECIFICATION_EXCEPTIONS);
}

#[test]
fn the_examples_of_us_core_are_valid() {
    check(&lines("us-core", "us-core-examples-dev"), &[]);
}

#[test]
fn the_definitions_of_r4_are_valid() {
    let mut resources = Vec::new();
    for name in [
        "SearchParameter",
        "CompartmentDefinition",
        "OperationDefinition",
        "CodeSystem",
        "ConceptMap",
        "ValueSet",
        "StructureDefinition",
        "us-core-3.1.1",
    ] {
        let packed = File::open(corpus::folder().join(format!("definitions/{name}.ndjson.zst"))).unwrap();
        let text = String::from_utf8(zstd::decode_all(packed).unwrap()).unwrap();
        resources.extend(text.lines().map(|line| {
            let resource: serde_json::Value = serde_json::from_str(line).unwrap();
            (resource["id"].as_str().unwrap().to_owned(), line.to_owned())
        }));
    }
    check(&resources, DEFINITION_EXCEPTIONS);
}

#[test]
fn patients_of_synthea_are_valid() {
    let bundles: Vec<_> =
        corpus::synthea().iter().map(|bundle| ("bundle".to_owned(), bundle.text().to_owned())).collect();
    assert!(bundles.len() >= 10);
    check(&bundles, &[]);
}
