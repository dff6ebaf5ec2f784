//! Valid resources, written for these tests, that use much of what validation looks at.

use serde_json::{Value as Json, json};

pub(super) fn all() -> Vec<Json> {
    vec![
        patient(),
        observation(),
        medication_request(),
        bundle(),
        questionnaire(),
        example_scenario(),
        parameters(),
    ]
}

pub(super) fn patient() -> Json {
    json!({
        "resourceType": "Patient",
        "id": "p-1",
        "meta": {"versionId": "1", "lastUpdated": "2024-02-29T23:59:60.123Z", "profile": ["http://example.org/p|1"]},
        "implicitRules": "http://example.org/rules",
        "language": "de-CH",
        "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Ada</p></div>"},
        "contained": [{"resourceType": "Organization", "id": "o1", "name": "Clinic\u{a0}East"}],
        "extension": [{
            "url": "http://example.org/birth",
            "extension": [
                {"url": "place", "valueAddress": {"city": "Bern"}},
                {"url": "time", "_valueDateTime": {"extension": [{"url": "http://example.org/none", "valueCode": "unknown"}]}}
            ]
        }],
        "identifier": [{"use": "official", "system": "urn:oid:1.2.3", "value": "42", "assigner": {"display": "A"}}],
        "active": true,
        "name": [{
            "use": "official",
            "family": "Lovelace",
            "given": ["Ada", null, "King"],
            "_given": [null, {"extension": [{"url": "http://example.org/masked", "valueBoolean": true}]}, {"id": "g3"}],
            "period": {"start": "1835-07", "end": "1852-11-27"}
        }],
        "telecom": [{"system": "phone", "value": "+41", "rank": 1}],
        "gender": "female",
        "birthDate": "1815-12-10",
        "_birthDate": {"extension": [{"url": "http://example.org/time", "valueTime": "10:00:00"}]},
        "deceasedDateTime": "1852-11-27T12:00:00+01:00",
        "multipleBirthInteger": 2,
        "contact": [{"relationship": [{"text": "mother"}], "name": {"text": "Anne"}}],
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "de"}]}, "preferred": true}],
        "generalPractitioner": [
            {"reference": "Practitioner/1"},
            {"reference": "http://example.org/fhir/Organization/2/_history/3"},
            {"type": "Practitioner", "identifier": {"system": "http://example.org", "value": "7"}},
            {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e1"}
        ],
        "managingOrganization": {"reference": "#o1"}
    })
}

pub(super) fn observation() -> Json {
    json!({
        "resourceType": "Observation",
        "id": "o-1",
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9", "display": "Blood pressure"}], "text": "BP"},
        "subject": {"reference": "Patient/p-1", "type": "Patient"},
        "effectivePeriod": {"start": "2024-01-01T10:00:00Z"},
        "issued": "2024-01-01T10:00:00.000+01:00",
        "valueQuantity": {"value": 0.80, "comparator": "<", "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
        "referenceRange": [{"low": {"value": 1}, "high": {"value": 2.5e1}}],
        "component": [
            {"code": {"text": "systolic"}, "valueInteger": -2147483648i64, "referenceRange": [{"text": "any"}]},
            {"code": {"text": "data"}, "valueSampledData": {
                "origin": {"value": 0}, "period": 10, "dimensions": 1, "data": "1 2 3"
            }}
        ]
    })
}

pub(super) fn medication_request() -> Json {
    json!({
        "resourceType": "MedicationRequest",
        "contained": [{"resourceType": "Medication", "id": "m", "manufacturer": {"reference": "#"}}],
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": {"text": "Aspirin"},
        "subject": {"reference": "Patient/p-1"},
        "dosageInstruction": [{
            "timing": {"repeat": {"boundsDuration": {"value": 3, "unit": "d"}, "frequency": 1, "period": 1, "periodUnit": "d", "timeOfDay": ["08:00:00"]}},
            "asNeededBoolean": false,
            "doseAndRate": [{"doseQuantity": {"value": 1}}]
        }]
    })
}

pub(super) fn bundle() -> Json {
    json!({
        "resourceType": "Bundle",
        "type": "transaction",
        "timestamp": "2024-01-01T00:00:00Z",
        "entry": [
            {
                "fullUrl": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
                "resource": patient(),
                "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=a|b"}
            },
            {
                "resource": {"resourceType": "Condition", "clinicalStatus": {"coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}
                ]}, "subject": {"reference": "Patient?identifier=a|b"}},
                "request": {"method": "PUT", "url": "Condition/1"}
            },
            {
                "resource": {"resourceType": "Binary", "contentType": "text/plain", "data": "aGVsbG8="},
                "request": {"method": "POST", "url": "Binary"}
            }
        ]
    })
}

pub(super) fn questionnaire() -> Json {
    json!({
        "resourceType": "Questionnaire",
        "contained": [{"resourceType": "ValueSet", "id": "answers", "status": "draft"}],
        "status": "active",
        "item": [{"linkId": "1", "type": "group", "item": [
            {"linkId": "1.1", "type": "choice", "answerValueSet": "#answers"},
            {"linkId": "1.2", "type": "decimal", "initial": [{"valueDecimal": 1.0e-3}], "maxLength": 5}
        ]}]
    })
}

pub(super) fn example_scenario() -> Json {
    json!({
        "resourceType": "ExampleScenario",
        "status": "draft",
        "instance": [{"resourceId": "i1", "resourceType": "Patient", "name": "A patient"}]
    })
}

pub(super) fn parameters() -> Json {
    json!({
        "resourceType": "Parameters",
        "parameter": [
            {"name": "resource", "resource": observation()},
            {"name": "parts", "part": [{"name": "id", "valueId": "a.b-C"}, {"name": "oid", "valueOid": "urn:oid:2.16.840"}]},
            {"name": "uuid", "valueUuid": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"},
            {"name": "b", "valueBase64Binary": "AA==\n"},
            {"name": "u", "valueUnsignedInt": 0}, {"name": "p", "valuePositiveInt": 2147483647},
            {"name": "m", "valueMarkdown": "# Title\n\n* item"}, {"name": "url", "valueUrl": "https://example.org/?q=%20"}
        ]
    })
}
