//! How long it takes to parse a typical Observation, to extract its search values and to find its compartments.
//!
//! `cargo bench -p anamnesis-fhir --bench extract` prints medians in nanoseconds.

use std::hint::black_box;
use std::time::Instant;

use anamnesis_fhir::compartment::{Place, memberships, patient_compartments};
use anamnesis_fhir::json::{Document, Limits};
use anamnesis_fhir::references::{links, may_hold_indirect_links};
use anamnesis_fhir::search::SearchRegistry;

/// A blood pressure as Synthea writes it, with profile, two components and all references.
const OBSERVATION: &str = r#"{
  "resourceType": "Observation",
  "id": "5c6d8a3e-0d3c-4f0e-9a55-8b8f6a7d2c11",
  "meta": { "versionId": "1", "lastUpdated": "2024-03-01T10:00:00.123456Z",
    "profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-blood-pressure"] },
  "identifier": [{ "system": "https://example.org/observations", "value": "8715-22" }],
  "status": "final",
  "category": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/observation-category",
    "code": "vital-signs", "display": "vital-signs" }] }],
  "code": { "coding": [{ "system": "http://loinc.org", "code": "85354-9",
    "display": "Blood pressure panel with all children optional" }], "text": "Blood pressure" },
  "subject": { "reference": "Patient/b1f3c1de-6f3a-4d68-9d3e-6d6a1c2f7a01" },
  "encounter": { "reference": "Encounter/4d2a7a0c-93b5-4b53-ae3a-2f9a4e0b8f42" },
  "effectiveDateTime": "2019-05-14T08:13:22-04:00",
  "issued": "2019-05-14T08:13:22.345-04:00",
  "performer": [{ "reference": "Practitioner/0000016d-3a85-4cca-0000-000000000122" }],
  "component": [
    { "code": { "coding": [{ "system": "http://loinc.org", "code": "8462-4", "display": "Diastolic" }] },
      "valueQuantity": { "value": 79, "unit": "mm[Hg]", "system": "http://unitsofmeasure.org", "code": "mm[Hg]" } },
    { "code": { "coding": [{ "system": "http://loinc.org", "code": "8480-6", "display": "Systolic" }] },
      "valueQuantity": { "value": 119.0, "unit": "mm[Hg]", "system": "http://unitsofmeasure.org", "code": "mm[Hg]" } }
  ]
}"#;

const ROUNDS: usize = 2_000;
const SAMPLES: usize = 31;

/// Prints the median time of one call.
fn measure(name: &str, mut work: impl FnMut() -> usize) {
    let count = work();
    let mut nanoseconds: Vec<u128> = (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..ROUNDS {
                black_box(work());
            }
            start.elapsed().as_nanos() / ROUNDS as u128
        })
        .collect();
    nanoseconds.sort_unstable();
    let median = nanoseconds.get(SAMPLES / 2).copied().unwrap_or_default();
    println!("{name:<44} {median:>8} ns {count:>6} found");
}

fn main() {
    let limits = Limits::default();
    let document = match Document::parse(OBSERVATION, &limits) {
        Ok(document) => document,
        Err(error) => return eprintln!("the example is broken: {error}"),
    };
    let root = document.root();
    let start = Instant::now();
    let registry = SearchRegistry::r4();
    println!("{:<44} {:>8} ms", "know the parameters of R4, once", start.elapsed().as_millis());
    let start = Instant::now();
    registry.extract_all("Observation", root, |_, _| {});
    println!("{:<44} {:>8} µs", "compile the parameters of one type, once", start.elapsed().as_micros());

    let place = Place { resource_type: "Observation", id: "5c6d8a3e", bases: &[] };
    measure("parse", || Document::parse(OBSERVATION, &limits).map_or(0, |document| document.len()));
    measure("extract all parameters in one walk", || {
        let mut count = 0;
        registry
            .extract_all("Observation", root, |_, found| count += black_box(found).value.len().min(1) + 1);
        count
    });
    measure("extract each parameter by itself", || {
        let parameters = registry.parameters("Observation").iter();
        parameters.map(|parameter| black_box(parameter.extract(root)).len()).sum()
    });
    measure("extract one parameter (code)", || {
        registry.get("Observation", "code").map_or(0, |parameter| black_box(parameter.extract(root)).len())
    });
    measure("patient compartments", || black_box(patient_compartments(&place, root)).len());
    measure("compartments of all kinds", || black_box(memberships(&place, root)).len());
    measure("links", || black_box(links(root, "Observation")).len());
    measure("look whether links can be indirect", || {
        usize::from(black_box(may_hold_indirect_links(OBSERVATION)))
    });
}
