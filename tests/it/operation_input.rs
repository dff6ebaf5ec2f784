//! Parameters of operations in a body that do not consist of what they should: passed over, they would let the operation
//! answer another question.

use serde_json::{Value, json};

use crate::support::{Server, test};

async fn post(server: &Server, path: &str, entry: Value) -> crate::support::Answer {
    let body = json!({"resourceType": "Parameters", "parameter": [entry]});
    server.post(path, body.to_string()).await
}

#[test]
fn a_parameter_without_its_value_is_refused() {
    test(|server| async move {
        server.put("/Patient/a", json!({"resourceType": "Patient", "id": "a"}).to_string()).await;
        let expand = "/ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender";
        let gender = "system=http://hl7.org/fhir/administrative-gender";
        let validate = format!(
            "/ValueSet/$validate-code?url=http://hl7.org/fhir/ValueSet/administrative-gender&{gender}"
        );
        for (path, name) in [
            ("/Patient/a/$everything", "_type"),
            ("/Patient/a/$everything", "start"),
            ("/Patient/a/$everything", "_asOf"),
            ("/Observation/$lastn?patient=a&code=x", "max"),
            ("/DocumentReference/$docref?patient=a", "start"),
            ("/DocumentReference/$docref?patient=a", "type"),
            (expand, "filter"),
            (expand, "valueSet"),
            (&format!("{validate}&code=male"), "display"),
            (&validate, "coding"),
            (&format!("/CodeSystem/$validate-code?{gender}&code=male"), "version"),
            (&format!("/CodeSystem/$lookup?{gender}&code=male"), "property"),
            (&format!("/CodeSystem/$subsumes?{gender}&codeA=male&codeB=male"), "version"),
            (&format!("/ConceptMap/$translate?url=http://x&{gender}&code=male"), "dependency"),
            ("/$reindex", "targetResourceTypes"),
            ("/CodeSystem/$import?system=http://x", "concept"),
            ("/Patient/a/$validate", "profile"),
            ("/Patient/$member-match", "MemberPatient"),
        ] {
            let parts = json!([{"name": "x"}]);
            for entry in [
                json!({"name": name}),
                json!({"name": name, "extension": [{"url": "http://x", "valueString": "y"}]}),
                json!({"name": name, "valueString": "x", "valueCode": "y"}),
                json!({"name": name, "valueString": "x", "part": parts}),
                json!({"name": name, "part": []}),
            ] {
                let answer = post(&server, path, entry.clone()).await;
                let found = (answer.status.as_u16(), answer.outcome());
                assert_eq!(found, (400, "structure".to_owned()), "{path} {entry}: {}", answer.text());
                assert!(answer.text().contains(name), "{path} {entry}: {}", answer.text());
                assert_eq!(answer.json()["issue"][0]["expression"][0], "Parameters.parameter[0]", "{path}");
            }
        }
        for entry in [
            json!({"name": "start", "part": [{"name": "value", "valueDate": "2020-01-01"}]}),
            json!({"name": "start", "valuePeriod": {"start": "2020-01-01"}}),
            json!({"name": "_type", "resource": {"resourceType": "Patient"}}),
            json!({"name": "_type", "valueCode": null}),
        ] {
            let answer = post(&server, "/Patient/a/$everything", entry.clone()).await;
            assert_eq!(answer.status, 400, "{entry}: {}", answer.text());
        }
        let nameless = post(&server, "/Patient/a/$everything", json!({"valueString": "x"})).await;
        assert_eq!((nameless.status.as_u16(), nameless.outcome().as_str()), (400, "required"));
        assert_eq!(server.events().await, 1);
    });
}

#[test]
fn parts_of_a_record_are_asked_for_in_a_body_too() {
    test(|server| async move {
        let body = json!({"resourceType": "Patient", "id": "a", "active": true, "gender": "male"});
        server.put("/Patient/a", body.to_string()).await;
        let some =
            post(&server, "/Patient/a/$everything", json!({"name": "_elements", "valueString": "active"}))
                .await;
        let shown = &some.json()["entry"][0]["resource"];
        assert_eq!((&shown["active"], &shown["gender"]), (&json!(true), &Value::Null), "{}", some.text());
        assert!(
            some.json()["link"][0]["url"].as_str().unwrap().contains("_elements=active"),
            "{}",
            some.text()
        );
        let count = json!({"name": "_count", "valueInteger": 1});
        assert_eq!(
            post(&server, "/DocumentReference/$docref?patient=a", count).await.status,
            400,
            "not unheard"
        );
    });
}
