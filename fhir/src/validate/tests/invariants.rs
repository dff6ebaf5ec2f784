//! Resources that break invariants of R4, and which ones they break.

use serde_json::{Value as Json, json};

use super::cases::{observation, patient};
use super::issues_of;

#[test]
fn common_invariants_hold() {
    observation(
        json!({"effectivePeriod": {"start": "2020-02-01", "end": "2020-01"}}),
        &["invariant Observation.effective"],
    );
    observation(json!({"effectivePeriod": {"start": "2020-01-02T00:00:00+14:00", "end": "2020-01-01"}}), &[]);
    observation(json!({"effectivePeriod": {"start": "2020-05-01", "end": "2020"}}), &[]);
    observation(json!({"valueQuantity": {"value": 1, "code": "mg"}}), &["invariant Observation.value"]);
    observation(json!({"valueRatio": {"numerator": {"value": 1}}}), &["invariant Observation.value"]);
    observation(json!({"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 2}}}), &[]);
    observation(json!({"valueString": "x", "dataAbsentReason": {"text": "y"}}), &["invariant Observation"]);
    let coded = |coding: Json| {
        json!({"code": {"coding": [coding]}, "valueInteger": 1, "component": [
            {"code": {"coding": [{"system": "http://loinc.org", "code": "1-8"}]}, "valueInteger": 2}
        ]})
    };
    observation(
        coded(json!({"system": "http://loinc.org", "code": "1-8"})),
        &["invariant Observation.component[0]"],
    );
    observation(coded(json!({"system": "http://loinc.org", "code": "2-6"})), &[]);
    patient(json!({"telecom": [{"value": "+41"}]}), &["invariant Patient.telecom[0]"]);
    patient(json!({"photo": [{"data": "AAAA"}]}), &["invariant Patient.photo[0]"]);
    patient(json!({"contact": [{"gender": "male"}]}), &["invariant Patient.contact[0]"]);
}

/// Checks that the resource breaks these invariants and no others, and is well otherwise.
fn broken(resource: Json, expected: &[(&str, &str)]) {
    let issues = issues_of(&resource);
    let found: Vec<(&str, &str)> = issues
        .iter()
        .map(|issue| {
            let (_, key) = issue.diagnostics.rsplit_once('(').unwrap();
            (key.trim_end_matches(')'), issue.expression.as_str())
        })
        .collect();
    assert_eq!(found, expected, "{issues:?}");
}

#[test]
fn invariants_of_resources_are_evaluated() {
    broken(json!({"resourceType": "Organization", "active": true}), &[("org-1", "Organization")]);
    broken(
        json!({"resourceType": "Organization", "name": "x", "telecom": [{"use": "work"}, {"use": "home"}]}),
        &[("org-3", "Organization.telecom[1]")],
    );
    broken(
        json!({"resourceType": "AllergyIntolerance", "patient": {"display": "x"}}),
        &[("ait-1", "AllergyIntolerance")],
    );
    let entry = json!({"fullUrl": "http://example.org/Basic/1", "resource": {"resourceType": "Basic", "code": {"text": "x"}}});
    broken(
        json!({"resourceType": "Bundle", "type": "collection", "total": 2, "entry": [entry, entry]}),
        &[("bdl-1", "Bundle"), ("bdl-7", "Bundle.entry[1].fullUrl")],
    );
    broken(
        json!({"resourceType": "Bundle", "type": "transaction", "entry": [{"fullUrl": "urn:uuid:1"}]}),
        &[("bdl-5", "Bundle.entry[0]"), ("bdl-3", "Bundle")],
    );
    broken(
        json!({"resourceType": "Questionnaire", "status": "draft", "item": [
            {"linkId": "1", "type": "display", "item": [{"linkId": "1", "type": "group"}]}
        ]}),
        &[
            ("que-1", "Questionnaire.item[0].item[0]"),
            ("que-1", "Questionnaire.item[0]"),
            ("que-2", "Questionnaire"),
        ],
    );
    let document = json!({"resourceType": "Bundle", "type": "document", "entry": [{"resource": {"resourceType": "Basic", "code": {"text": "x"}}}]});
    broken(document, &[("bdl-9", "Bundle"), ("bdl-10", "Bundle"), ("bdl-11", "Bundle")]);
    broken(json!({"resourceType": "Bundle", "type": "message"}), &[("bdl-12", "Bundle")]);
    broken(
        json!({"resourceType": "Bundle", "type": "searchset", "total": 1, "entry": [
            {"fullUrl": "http://x/Basic/1/_history/2", "search": {"mode": "match"}, "resource": {"resourceType": "Basic", "code": {"text": "x"}}}
        ]}),
        &[("bdl-8", "Bundle.entry[0]")],
    );
    broken(
        json!({"resourceType": "Bundle", "type": "collection", "entry": [
            {"search": {"mode": "match"}, "resource": {"resourceType": "Basic", "code": {"text": "x"}}, "response": {"status": "200"}}
        ]}),
        &[("bdl-2", "Bundle"), ("bdl-4", "Bundle")],
    );
    let concept = json!({"code": "a"});
    broken(
        json!({"resourceType": "CodeSystem", "status": "draft", "content": "complete", "concept": [{"code": "b", "concept": [concept]}, concept]}),
        &[("csd-1", "CodeSystem")],
    );
    // Dates that cannot be compared break no rule; a date that is before does.
    let task = |modified: &str| json!({"resourceType": "Task", "status": "draft", "intent": "order", "authoredOn": "2020-01-02", "lastModified": modified});
    broken(task("2020"), &[]);
    broken(task("2019"), &[("inv-1", "Task")]);
    broken(
        json!({"resourceType": "Task", "status": "draft", "intent": "order", "authoredOn": "2020-01-02", "lastModified": "2020-01-01"}),
        &[("inv-1", "Task")],
    );
    broken(
        json!({"resourceType": "RiskAssessment", "status": "final", "subject": {"display": "x"}, "prediction": [
            {"probabilityDecimal": 100.5}, {"probabilityRange": {"low": {"value": 1}}}, {"probabilityDecimal": 100.0}
        ]}),
        &[("ras-2", "RiskAssessment.prediction[0]"), ("ras-1", "RiskAssessment.prediction[1].probability")],
    );
}

#[test]
fn invariants_of_types_are_evaluated() {
    let request = |repeat: Json| {
        json!({"resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": {"display": "x"},
            "medicationCodeableConcept": {"text": "x"}, "dosageInstruction": [{"timing": {"repeat": repeat}}]})
    };
    let place = "MedicationRequest.dosageInstruction[0].timing.repeat";
    broken(request(json!({"duration": 1})), &[("tim-1", place)]);
    broken(request(json!({"period": -1, "periodUnit": "d"})), &[("tim-5", place)]);
    broken(request(json!({"periodMax": 1, "countMax": 2})), &[("tim-6", place), ("tim-8", place)]);
    let place = "MedicationRequest.dosageInstruction[0].timing.repeat.bounds";
    broken(
        request(json!({"boundsDuration": {"code": "d", "system": "http://x", "value": 1}})),
        &[("drt-1", place)],
    );
    let range = json!({"low": {"value": 2}, "high": {"value": 1}});
    broken(request(json!({"boundsRange": range})), &[("rng-2", place)]);
    observation(
        json!({"referenceRange": [{"age": {"low": {"value": 1}}}]}),
        &["invariant Observation.referenceRange[0]"],
    );
}

#[test]
fn inside_a_contained_resource_percent_resource_is_that_resource() {
    let contained = |path: &str| {
        let base = json!({"path": path, "min": 0, "max": "*"});
        let element =
            json!({"id": path, "path": path, "definition": "x", "min": 0, "max": "*", "base": base});
        json!({"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": "#s"}, "contained": [
            {"resourceType": "StructureDefinition", "id": "s", "url": "http://x/S", "name": "S", "status": "draft",
                "kind": "complex-type", "abstract": true, "type": "S", "snapshot": {"element": [element]}}
        ]})
    };
    broken(contained("S"), &[]);
    // sdf-8 compares the path with %resource.type.
    let place = "Basic.contained[0]";
    broken(contained("T"), &[("sdf-8", &format!("{place}.snapshot")), ("sdf-11", place)]);
}
