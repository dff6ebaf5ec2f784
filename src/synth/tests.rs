//! Tests of whole bundles: that they stay the same, hang together and are plausible.

mod plausibility;

use std::collections::BTreeSet;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{GeneratedBundle, Generator, SharedResources};

fn parse(bundle: &GeneratedBundle) -> Value {
    serde_json::from_slice(&bundle.json).unwrap()
}

fn resources(bundle: &Value) -> impl Iterator<Item = &Value> {
    bundle["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"])
}

/// The bytes are a promise: benchmarks and recorded logs are compared between versions. A change here is a
/// change that users notice.
#[test]
fn the_bytes_are_the_same_on_every_machine_and_in_every_version() {
    let digest = |seed| {
        let generator = Generator::new(seed);
        let mut hasher = Sha256::new();
        hasher.update(generator.directory().json);
        for index in 1..=40 {
            hasher.update(generator.patient(index).json);
        }
        hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    assert_eq!([digest(1), digest(42)], ["de25923d181a7788", "2013e8b4a3739f7d"]);
}

#[test]
fn a_patient_depends_on_seed_number_and_day_alone() {
    let generator = Generator::new(5);
    let alone = generator.patient(77);
    let after_others = (70..=77).map(|index| generator.patient(index)).next_back().unwrap();
    assert_eq!(alone, after_others);
    assert_eq!(alone, Generator::new(5).as_of((2026, 1, 1)).patient(77));
    assert_ne!(alone, generator.patient(78));
    assert_ne!(alone, Generator::new(6).patient(77));
    assert_ne!(alone, Generator::new(5).as_of((2024, 1, 1)).patient(77));
}

#[test]
fn a_bundle_refers_to_nothing_but_its_own_entries() {
    let generator = Generator::new(1);
    for bundle in (1..=60).map(|index| generator.patient(index)).chain([generator.directory()]) {
        let value = parse(&bundle);
        let entries = value["entry"].as_array().unwrap();
        assert_eq!(entries.len(), bundle.resource_count());
        let known: BTreeSet<&str> = entries.iter().map(|entry| entry["fullUrl"].as_str().unwrap()).collect();
        assert_eq!(known.len(), entries.len(), "two entries share a fullUrl");
        for reference in references(&value) {
            assert!(known.contains(reference), "{reference} is not in the bundle");
        }
    }
}

#[test]
fn conditional_references_find_what_the_directory_brings() {
    let generator = Generator::new(1).shared_resources(SharedResources::Conditional);
    let directory = parse(&generator.directory());
    let known: BTreeSet<String> = directory["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let request = &entry["request"];
            format!("{}?{}", request["url"].as_str().unwrap(), request["ifNoneExist"].as_str().unwrap())
        })
        .collect();
    let (mut conditional, mut local) = (0, 0);
    for index in 1..=20 {
        let bundle = parse(&generator.patient(index));
        for reference in references(&bundle) {
            if reference.starts_with("urn:uuid:") {
                local += 1;
            } else {
                conditional += 1;
                assert!(known.contains(reference), "{reference} is not in the directory");
            }
        }
        assert!(resources(&bundle).all(|resource| resource["resourceType"] != "Organization"));
    }
    assert!(conditional > 1_000 && local > 1_000);
}

#[test]
fn both_ways_of_sharing_tell_the_same_story() {
    let included = parse(&Generator::new(9).patient(3));
    let conditional = parse(&Generator::new(9).shared_resources(SharedResources::Conditional).patient(3));
    let urls = |bundle: &Value| -> Vec<String> {
        let own = bundle["entry"].as_array().unwrap().iter();
        own.filter(|entry| entry["request"]["ifNoneExist"].is_null())
            .map(|entry| entry["fullUrl"].to_string())
            .collect()
    };
    assert_eq!(urls(&included), urls(&conditional));
}

/// All `reference` members of a bundle.
fn references(value: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member {
                        Value::String(text) if name == "reference" => found.push(text.as_str()),
                        other => open.push(other),
                    }
                }
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    found
}

/// Everything generated passes the checks that the server makes of what comes in.
#[test]
fn every_resource_is_valid_r4() {
    use anamnesis_fhir::json::{Document, Limits};
    use anamnesis_fhir::validate::{Options, validate};
    let check = |name: &str, bundle: &GeneratedBundle| {
        let text = std::str::from_utf8(&bundle.json).unwrap();
        let document = Document::parse(text, &Limits::default()).unwrap();
        let issues = validate(document.root(), &Options::default());
        let told: Vec<String> = issues
            .iter()
            .map(|issue| format!("{:?} {}: {}", issue.severity, issue.expression, issue.diagnostics))
            .collect();
        assert!(told.is_empty(), "{name}: {told:#?}");
    };
    for (shared, patients) in [(SharedResources::Included, 200), (SharedResources::Conditional, 20)] {
        let generator = Generator::new(1).shared_resources(shared);
        check("the directory", &generator.directory());
        for index in 1..=patients {
            check(&format!("patient {index}"), &generator.patient(index));
        }
    }
}
