//! How long it takes to load the definitions and to validate a typical Observation.
//!
//! `cargo bench -p anamnesis-fhir --bench validate` prints the fastest and the median sample in nanoseconds; on a
//! busy machine the fastest says more.

use std::hint::black_box;
use std::time::Instant;

use anamnesis_fhir::definitions::r4;
use anamnesis_fhir::json::{Document, Limits};
use anamnesis_fhir::terminology;
use anamnesis_fhir::validate::profile::{Demands, Published, Surroundings, check};
use anamnesis_fhir::validate::{Options, validate};

/// A laboratory value with narrative, as a hospital sends it.
const OBSERVATION: &str = r#"{
  "resourceType": "Observation",
  "id": "f001",
  "meta": { "profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"] },
  "text": { "status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p><b>Glucose</b>: 6.3 mmol/l</p></div>" },
  "identifier": [{ "use": "official", "system": "http://example.org/observations", "value": "6323" }],
  "status": "final",
  "category": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory" }] }],
  "code": { "coding": [{ "system": "http://loinc.org", "code": "15074-8", "display": "Glucose [Moles/volume] in Blood" }] },
  "subject": { "reference": "Patient/f001", "display": "A. Patient" },
  "encounter": { "reference": "Encounter/f001" },
  "effectivePeriod": { "start": "2013-04-02T09:30:10+01:00" },
  "issued": "2013-04-03T15:30:10.000+01:00",
  "performer": [{ "reference": "Practitioner/f005", "display": "A. Doctor" }],
  "valueQuantity": { "value": 6.3, "unit": "mmol/l", "system": "http://unitsofmeasure.org", "code": "mmol/L" },
  "interpretation": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "code": "H" }] }],
  "referenceRange": [{
    "low": { "value": 3.1, "unit": "mmol/l", "system": "http://unitsofmeasure.org", "code": "mmol/L" },
    "high": { "value": 6.2, "unit": "mmol/l", "system": "http://unitsofmeasure.org", "code": "mmol/L" }
  }]
}"#;

/// A vital sign that declares its profile.
const HEART_RATE: &str = r#"{
  "resourceType": "Observation",
  "meta": { "profile": ["http://hl7.org/fhir/StructureDefinition/heartrate"] },
  "status": "final",
  "category": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs" }] }],
  "code": { "coding": [{ "system": "http://loinc.org", "code": "8867-4", "display": "Heart rate" }] },
  "subject": { "reference": "Patient/example" },
  "effectiveDateTime": "1999-07-02",
  "valueQuantity": { "value": 44, "unit": "beats/minute", "system": "http://unitsofmeasure.org", "code": "/min" }
}"#;

const ROUNDS: usize = 200;
const SAMPLES: usize = 301;

/// Prints the time of one call.
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
    let fastest = nanoseconds.first().copied().unwrap_or_default();
    println!("{name:<44} {fastest:>8} ns {median:>8} ns {count:>6} found");
}

fn main() {
    let limits = Limits::default();
    let document = match Document::parse(OBSERVATION, &limits) {
        Ok(document) => document,
        Err(error) => return eprintln!("the example is broken: {error}"),
    };
    let start = Instant::now();
    let structures = r4().structures().len();
    println!(
        "{:<44} {:>8} µs {structures:>6} structures",
        "load the definitions, once",
        start.elapsed().as_micros()
    );
    println!("{:<44} {:>8} bytes", "the Observation", OBSERVATION.len());
    measure("parse", || Document::parse(OBSERVATION, &limits).map_or(0, |document| document.len()));
    let plain = Options { invariants: false, ..Options::default() };
    measure("validate without FHIRPath", || validate(black_box(document.root()), &plain).len());
    let rate = match Document::parse(HEART_RATE, &limits) {
        Ok(document) => document,
        Err(error) => return eprintln!("the example is broken: {error}"),
    };
    let around = Surroundings { profiles: &Published, terminology: &terminology::Published };
    let demands = Demands::default();
    measure("check against a profile (heart rate of R4)", || {
        check(black_box(rate.root()), &demands, &around).len()
    });
    measure("validate", || validate(black_box(document.root()), &Options::default()).len());
}
