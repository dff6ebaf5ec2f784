//! What is written and asked for: Observations of 1–3 kB as a hospital's monitor or laboratory would send them.

use std::fmt::Write as _;

/// Codes that the Observations are spread over: LOINC, display, unit.
const CODES: [(&str, &str, &str); 8] = [
    ("8867-4", "Heart rate", "/min"),
    ("9279-1", "Respiratory rate", "/min"),
    ("8310-5", "Body temperature", "Cel"),
    ("2708-6", "Oxygen saturation in Arterial blood", "%"),
    ("29463-7", "Body weight", "kg"),
    ("8302-2", "Body height", "cm"),
    ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%"),
    ("2339-0", "Glucose [Mass/volume] in Blood", "mg/dL"),
];

/// How many patients there are for a number of Observations: about 100 each, as over a year of care.
pub(crate) fn patients(resources: usize) -> usize {
    (resources / 100).max(1)
}

/// The code of the n-th Observation of a patient.
pub(crate) fn code(n: usize) -> &'static str {
    CODES.get(n % CODES.len()).map_or("", |(code, _, _)| code)
}

/// One Observation of about 1.3 kB; `n` makes its value and time.
pub(crate) fn observation(patient: &str, n: usize) -> String {
    let (code, display, unit) = CODES.get(n % CODES.len()).copied().unwrap_or(("", "", ""));
    let (day, month, year) = (1 + n % 28, 1 + (n / 28) % 12, 2015 + (n / 336) % 10);
    let (hour, minute, value) = (n % 24, n % 60, 40 + n % 90);
    format!(
        r#"{{"resourceType":"Observation","meta":{{"profile":["http://hl7.org/fhir/StructureDefinition/vitalsigns"]}},"text":{{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>{display}: {value}.50 {unit}, measured at the bedside and taken over from the monitor without changes.</p></div>"}},"identifier":[{{"system":"urn:oid:2.16.840.1.113883.19.5.99.{p}","value":"obs-{patient}-{n}"}}],"status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital Signs"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"{code}","display":"{display}"}}],"text":"{display}"}},"subject":{{"reference":"Patient/{patient}","display":"Patient {patient}"}},"effectiveDateTime":"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:00+01:00","issued":"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:30.000+01:00","valueQuantity":{{"value":{value}.50,"unit":"{unit}","system":"http://unitsofmeasure.org","code":"{unit}"}},"interpretation":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"N","display":"Normal"}}]}}],"referenceRange":[{{"low":{{"value":40.0,"unit":"{unit}"}},"high":{{"value":140.0,"unit":"{unit}"}}}}]}}"#,
        p = n % 7
    )
}

/// A transaction bundle that PUTs patients.
pub(crate) fn patient_bundle(ids: std::ops::Range<usize>) -> String {
    bundle(ids.map(|i| {
        let resource = format!(
            r#"{{"resourceType":"Patient","id":"bench-{i}","name":[{{"family":"Bench{i}","given":["Load"]}}],"gender":"female","birthDate":"1970-01-01"}}"#
        );
        ("PUT", format!("Patient/bench-{i}"), resource)
    }))
}

/// A transaction bundle that POSTs Observations, numbered within their patient.
pub(crate) fn observation_bundle(of: impl Iterator<Item = (usize, usize)>) -> String {
    bundle_of("Observation", of.map(|(patient, n)| observation(&format!("bench-{patient}"), n)))
}

/// A transaction bundle that POSTs resources of one type.
pub(crate) fn bundle_of(resource_type: &str, resources: impl Iterator<Item = String>) -> String {
    bundle(resources.map(|resource| ("POST", resource_type.to_owned(), resource)))
}

fn bundle(entries: impl Iterator<Item = (&'static str, String, String)>) -> String {
    let mut out = String::from(r#"{"resourceType":"Bundle","type":"transaction","entry":["#);
    for (index, (method, url, resource)) in entries.enumerate() {
        if index > 0 {
            out.push(',');
        }
        // Writing to a string cannot fail.
        let _written =
            write!(out, r#"{{"resource":{resource},"request":{{"method":"{method}","url":"{url}"}}}}"#);
    }
    out.push_str("]}");
    out
}
