//! `DocumentReference/$docref`: the documents of a patient.

use serde_json::{Value, json};

use crate::support::{Answer, Server, test};

async fn document(server: &Server, id: &str, patient: &str, code: &str, period: Value) {
    let mut body = json!({
        "resourceType": "DocumentReference", "id": id, "status": "current",
        "type": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": format!("Patient/{patient}")},
        "content": [{"attachment": {"url": "Binary/x"}}],
    });
    if !period.is_null() {
        body["context"] = json!({"period": period});
    }
    let answer = server.put(&format!("/DocumentReference/{id}"), body.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let bundle = answer.json();
    assert_eq!((&bundle["resourceType"], &bundle["type"]), (&json!("Bundle"), &json!("searchset")));
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let matches = entries.iter().filter(|entry| entry["search"]["mode"] == "match");
    let mut ids: Vec<_> = matches.map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[test]
fn documents_are_found_by_patient_care_dates_and_type() {
    test(|server| async move {
        document(&server, "1", "a", "34133-9", json!({"start": "2020-01-01", "end": "2020-01-31"})).await;
        document(&server, "2", "a", "34133-9", json!({"start": "2020-06-01"})).await;
        document(&server, "3", "a", "11506-3", json!(null)).await;
        document(&server, "4", "b", "34133-9", json!(null)).await;
        for (query, expected) in [
            ("patient=a", &["1", "2", "3"][..]),
            ("patient=Patient/b", &["4"]),
            ("patient=nobody", &[]),
            ("patient=a&start=2020-01-15", &["1", "2"]),
            ("patient=a&end=2020-01-15", &["1"]),
            ("patient=a&start=2020-02-01&end=2020-03-01", &[]),
            ("patient=a&type=11506-3", &["3"]),
            ("patient=a&type=http://loinc.org|34133-9&on-demand=false", &["1", "2"]),
            ("patient=a&on-demand=true", &[]),
        ] {
            let answer = server.get(&format!("/DocumentReference/$docref?{query}")).await;
            assert_eq!(ids(&answer), expected, "{query}");
        }
        let parameter = |name: &str, kind: &str, value: Value| json!({"name": name, kind: value});
        let concept = json!({"coding": [{"system": "http://loinc.org", "code": "11506-3"}]});
        for kind in [("valueCodeableConcept", concept.clone()), ("valueCoding", concept["coding"][0].clone())]
        {
            let parameters = [parameter("patient", "valueId", json!("a")), parameter("type", kind.0, kind.1)];
            let body = json!({"resourceType": "Parameters", "parameter": parameters});
            let answer = server.post("/DocumentReference/$docref", body.to_string()).await;
            assert_eq!(ids(&answer), ["3"]);
        }
        // The pages behind the first are those of the search.
        let first = server.get("/DocumentReference/$docref?patient=a&_count=2").await;
        let links = first.json()["link"].clone();
        let next =
            links.as_array().unwrap().iter().find(|link| link["relation"] == "next").unwrap()["url"].clone();
        let second = server.get(next.as_str().unwrap().strip_prefix(&server.base).unwrap()).await;
        assert_eq!((ids(&first).len(), ids(&second).len()), (2, 1));
    });
}

#[test]
fn what_docref_cannot_read_is_refused() {
    test(|server| async move {
        for query in [
            "",
            "patient=",
            "patient=a%20b",
            "patient=a&start=x",
            "patient=a&on-demand=maybe",
            "patient=a&profile=x",
            "patient=a&start=2021&end=2020",
        ] {
            let answer = server.get(&format!("/DocumentReference/$docref?{query}")).await;
            assert_eq!(answer.status, 400, "{query}: {}", answer.text());
        }
        for name in ["start", "end"] {
            let answer = server.get(&format!("/DocumentReference/$docref?patient=a&{name}=x")).await;
            let said = answer.json()["issue"][0]["diagnostics"].clone();
            assert_eq!(said, format!("{name} is no FHIR date or time."));
        }
    });
}
