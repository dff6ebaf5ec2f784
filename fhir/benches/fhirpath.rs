//! How long it takes to evaluate typical FHIRPath expressions on an Observation and a Patient.
//!
//! `cargo bench -p anamnesis-fhir --bench fhirpath` prints medians in nanoseconds.

use std::hint::black_box;
use std::time::Instant;

use anamnesis_fhir::fhirpath::{Compiled, Context, Expression};
use anamnesis_fhir::json::{Document, Limits};

const OBSERVATION: &str = r#"{
  "resourceType": "Observation",
  "id": "f001",
  "status": "final",
  "category": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory" }] }],
  "code": { "coding": [{ "system": "http://loinc.org", "code": "15074-8", "display": "Glucose [Moles/volume] in Blood" }] },
  "subject": { "reference": "Patient/f001", "display": "A. Patient" },
  "effectivePeriod": { "start": "2013-04-02T09:30:10+01:00" },
  "issued": "2013-04-03T15:30:10.000+01:00",
  "valueQuantity": { "value": 6.3, "unit": "mmol/l", "system": "http://unitsofmeasure.org", "code": "mmol/L" },
  "referenceRange": [{
    "low": { "value": 3.1, "unit": "mmol/l", "system": "http://unitsofmeasure.org", "code": "mmol/L" },
    "high": { "value": 6.2, "unit": "mmol/l", "system": "http://unitsofmeasure.org", "code": "mmol/L" }
  }]
}"#;

const PATIENT: &str = r#"{
  "resourceType": "Patient",
  "id": "example",
  "active": true,
  "name": [
    { "use": "official", "family": "Chalmers", "given": ["Peter", "James"] },
    { "use": "usual", "given": ["Jim"] },
    { "use": "maiden", "family": "Windsor", "given": ["Peter", "James"] }
  ],
  "telecom": [
    { "system": "phone", "value": "(03) 5555 6473", "use": "work" },
    { "system": "phone", "value": "(03) 3410 5613", "use": "mobile" }
  ],
  "gender": "male",
  "birthDate": "1974-12-25",
  "managingOrganization": { "reference": "Organization/1" }
}"#;

const OF_OBSERVATION: [&str; 7] = [
    "Observation.status",
    "Observation.code.coding.code",
    "Observation.value.value = 6.3",
    "(Observation.value as Quantity).unit",
    "Observation.code.coding.where(system = 'http://loinc.org').code",
    "Observation.subject.where(resolve() is Patient)",
    "referenceRange.all(low.empty() or high.empty() or low <= high)",
];

const OF_PATIENT: [&str; 6] = [
    "Patient.birthDate",
    "Patient.name.given",
    "name.where(use = 'official').family",
    "telecom.exists(system = 'phone' and use = 'mobile')",
    "name.given | name.family",
    "descendants().count()",
];

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
    println!("{name:<66} {median:>8} ns {count:>4} found");
}

fn evaluate_all(text: &str, expressions: &[&str]) {
    let document = match Document::parse(text, &Limits::default()) {
        Ok(document) => document,
        Err(error) => return eprintln!("the example is broken: {error}"),
    };
    let context = Context::of(document.root());
    for expression in expressions {
        let compiled = match Compiled::new(expression, None) {
            Ok(compiled) => compiled,
            Err(error) => return eprintln!("{expression}: {error}"),
        };
        measure(expression, || compiled.evaluate(document.root(), &context).map_or(0, |found| found.len()));
    }
}

fn main() {
    evaluate_all(OBSERVATION, &OF_OBSERVATION);
    evaluate_all(PATIENT, &OF_PATIENT);
    let text = "Observation.code.coding.where(system = 'http://loinc.org').code";
    measure("parse a where()", || Expression::parse(text).map_or(0, |_| 1));
    measure("parse and compile a where()", || Compiled::new(text, Some("Observation")).map_or(0, |_| 1));
}
