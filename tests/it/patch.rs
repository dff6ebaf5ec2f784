//! `PATCH /{type}/{id}` and `PATCH /{type}?criteria`

use std::collections::HashMap;

use anamnesis::decide::{Rules, Versioning};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, FHIR, Server, Setup, test, test_with};

const JSON_PATCH: (&str, &str) = ("Content-Type", "application/json-patch+json");
const PATIENT: &str = r#"{"resourceType":"Patient","id":"a","identifier":[{"system":"urn:a","value":"1"}],"active":true,"multipleBirthInteger":1}"#;

async fn patch(server: &Server, path: &str, operations: Value) -> Answer {
    server.send("PATCH", path, &[JSON_PATCH], operations.to_string()).await
}

/// A FHIRPath Patch that replaces one element.
pub(crate) fn replace(path: &str, value: Value) -> Value {
    let mut part = json!({ "name": "value" });
    part.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
    json!({ "resourceType": "Parameters", "parameter": [{ "name": "operation", "part": [
        { "name": "type", "valueCode": "replace" }, { "name": "path", "valueString": path }, part,
    ]}]})
}

fn set(active: bool) -> Value {
    json!([{ "op": "replace", "path": "/active", "value": active }])
}

#[test]
fn a_json_patch_makes_a_version_and_leaves_the_rest_as_it_was() {
    test(|server| async move {
        let text = "{\"resourceType\":\"Patient\", \"id\":\"a\",\n \"extension\":[{\"url\":\"urn:x\",\"valueDecimal\":1.10}] ,\"active\":true}";
        server.put("/Patient/a", text).await;
        let answer = patch(&server, "/Patient/a", set(false)).await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, "W/\"2\""), "{}", answer.text());
        assert_eq!(answer.header("location"), format!("{}/Patient/a/_history/2", server.base));
        assert_eq!(answer.header("x-anamnesis-position"), "2");
        assert_eq!(server.get("/Patient/a").await.bytes, answer.bytes);
        let kept = "\n \"extension\":[{\"url\":\"urn:x\",\"valueDecimal\":1.10}] ,\"active\":false}";
        assert!(answer.text().ends_with(kept), "{}", answer.text());
    });
}

#[test]
fn a_fhirpath_patch_is_parameters() {
    test(|server| async move {
        server.put("/Patient/a", PATIENT).await;
        let body = replace("Patient.multipleBirth", json!({ "valueBoolean": false })).to_string();
        let answer = server.send("PATCH", "/Patient/a", &[FHIR], body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let patient = answer.json();
        assert_eq!(
            (&patient["multipleBirthBoolean"], &patient["multipleBirthInteger"]),
            (&json!(false), &Value::Null)
        );
    });
}

#[test]
fn the_answer_is_what_the_client_prefers() {
    test(|server| async move {
        server.put("/Patient/a", PATIENT).await;
        let send = async |prefer, active| {
            let headers = [JSON_PATCH, ("Prefer", prefer)];
            server.send("PATCH", "/Patient/a", &headers, set(active).to_string()).await
        };
        let minimal = send("return=minimal", false).await;
        assert_eq!((minimal.status.as_u16(), minimal.bytes.len()), (200, 0));
        assert_eq!(send("return=OperationOutcome", true).await.json()["resourceType"], "OperationOutcome");
    });
}

#[test]
fn a_patch_that_changes_nothing_makes_no_version() {
    test(|server| async move {
        server.put("/Patient/a", PATIENT).await;
        for operations in [json!([]), set(true), json!([{ "op": "test", "path": "/active", "value": true }])]
        {
            let answer = patch(&server, "/Patient/a", operations).await;
            assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, "W/\"1\""));
        }
        assert_eq!(server.events().await, 1);
    });
}

#[test]
fn what_cannot_be_patched_is_refused_and_nothing_is_written() {
    test(|server| async move {
        server.put("/Patient/a", PATIENT).await;
        let absent = patch(&server, "/Patient/b", set(true)).await;
        assert_eq!((absent.status.as_u16(), absent.outcome().as_str()), (404, "not-found"));
        for (operations, code) in [
            (json!({ "op": "add" }), "structure"),
            (json!([{ "op": "ad", "path": "/active" }]), "structure"),
            (json!([{ "op": "remove", "path": "/gender" }]), "processing"),
            (json!([{ "op": "test", "path": "/active", "value": false }]), "processing"),
            (json!([{ "op": "add", "path": "/birthDate", "value": "yesterday" }]), "value"),
            (json!([{ "op": "add", "path": "/nickname", "value": "x" }]), "structure"),
            (json!([{ "op": "replace", "path": "/id", "value": "b" }]), "invalid"),
            (json!([{ "op": "remove", "path": "/id" }]), "invalid"),
            (json!([{ "op": "replace", "path": "/resourceType", "value": "Person" }]), "invalid"),
            (json!([{ "op": "replace", "path": "/meta/versionId", "value": "7" }]), "invalid"),
            (
                json!([{ "op": "replace", "path": "/meta/lastUpdated", "value": "2020-01-01T00:00:00Z" }]),
                "invalid",
            ),
            (json!([set(false)[0], { "op": "remove", "path": "/gender" }]), "processing"),
        ] {
            let answer = patch(&server, "/Patient/a", operations.clone()).await;
            assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (400, code), "{operations}");
        }
        let index =
            patch(&server, "/Patient/a", json!([set(false)[0], { "op": "remove", "path": "/gender" }])).await;
        assert!(index.text().contains("Operation 1: nothing is there (/gender)"), "{}", index.text());
        for (header, status) in [(FHIR, 400), (JSON_PATCH, 400), (("Content-Type", "text/plain"), 415)] {
            let answer = server.send("PATCH", "/Patient/a", &[header], "").await;
            assert_eq!(answer.status, status, "{header:?}");
            answer.outcome();
        }
        let no_type = server.send("PATCH", "/Patient/a", &[], set(false).to_string()).await;
        assert_eq!(no_type.status, 415);
        assert_eq!(server.events().await, 1);
        server.delete("/Patient/a").await;
        let gone = patch(&server, "/Patient/a", set(false)).await;
        assert_eq!((gone.status.as_u16(), gone.header("etag")), (410, "W/\"2\""));
    });
}

#[test]
fn a_meta_can_be_replaced_where_version_and_time_are_left_to_the_server() {
    test(|server| async move {
        server.put("/Patient/a", PATIENT).await;
        let meta = json!([{ "op": "replace", "path": "/meta", "value": { "tag": [{ "code": "t" }] } }]);
        let answer = patch(&server, "/Patient/a", meta).await.json();
        assert_eq!(
            (&answer["meta"]["versionId"], &answer["meta"]["tag"][0]["code"]),
            (&json!("2"), &json!("t"))
        );
    });
}

#[test]
fn if_match_holds_for_the_version_that_is_patched() {
    test(|server| async move {
        server.put("/Patient/a", PATIENT).await;
        let send = async |tag, active| {
            let headers = [JSON_PATCH, ("If-Match", tag)];
            server.send("PATCH", "/Patient/a", &headers, set(active).to_string()).await
        };
        assert_eq!(send("W/\"1\"", false).await.header("etag"), "W/\"2\"");
        let stale = send("W/\"1\"", true).await;
        assert_eq!((stale.status.as_u16(), stale.outcome().as_str()), (412, "conflict"));
        assert_eq!(send("*", true).await.header("etag"), "W/\"3\"");
    });
}

#[test]
fn where_a_type_demands_a_version_a_patch_names_it() {
    let versioning_of = HashMap::from([("Patient".to_owned(), Versioning::VersionedUpdate)]);
    let rules = Rules { versioning_of, ..Rules::default() };
    test_with(Setup { rules, ..Setup::default() }, |server| async move {
        server.put("/Patient/a", PATIENT).await;
        let without = patch(&server, "/Patient/a", set(false)).await;
        assert_eq!((without.status.as_u16(), without.outcome().as_str()), (400, "required"));
        let statement = server.get("/metadata").await.json();
        let resources = statement["rest"][0]["resource"].as_array().unwrap();
        let versioning = |name: &str| {
            let found = resources.iter().find(|resource| resource["type"] == name).unwrap();
            found["versioning"].as_str().unwrap().to_owned()
        };
        assert_eq!(
            (versioning("Patient").as_str(), versioning("Group").as_str()),
            ("versioned-update", "versioned")
        );
        let headers = [JSON_PATCH, ("If-Match", "W/\"1\"")];
        assert_eq!(server.send("PATCH", "/Patient/a", &headers, set(false).to_string()).await.status, 200);
    });
}

#[test]
fn of_many_patches_at_once_none_is_lost() {
    test(|server| async move {
        server.put("/Patient/a", PATIENT).await;
        let line =
            |n: usize| json!([{ "op": "add", "path": "/identifier/-", "value": { "value": n.to_string() } }]);
        let answers = join_all((0..50).map(|n| patch(&server, "/Patient/a", line(n)))).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        let identifiers = server.get("/Patient/a").await.json()["identifier"].as_array().unwrap().len();
        assert_eq!((identifiers, server.events().await), (51, 51));
    });
}

#[test]
fn of_many_patches_of_one_version_one_is_taken() {
    test(|server| async move {
        server.put("/Patient/a", PATIENT).await;
        let headers = [JSON_PATCH, ("If-Match", "W/\"1\"")];
        let body = set(false).to_string();
        let answers =
            join_all((0..20).map(|_| server.send("PATCH", "/Patient/a", &headers, body.clone()))).await;
        let count = |status| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!((count(200), count(412)), (1, 19));
    });
}

#[test]
fn a_conditional_patch_is_of_the_one_that_matches() {
    test(|server| async move {
        server.put("/Patient/a", PATIENT).await;
        for path in ["/Patient?identifier=urn:a|1", "/Patient?active=true"] {
            let answer =
                patch(&server, path, json!([{ "op": "add", "path": "/gender", "value": "other" }])).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(answer.json()["gender"], "other");
        }
        let none = patch(&server, "/Patient?identifier=urn:a|2", set(false)).await;
        assert_eq!((none.status.as_u16(), none.outcome().as_str()), (404, "not-found"));
        let stale = server
            .send(
                "PATCH",
                "/Patient?identifier=urn:a|1",
                &[JSON_PATCH, ("If-Match", "W/\"1\"")],
                set(false).to_string(),
            )
            .await;
        assert_eq!(stale.status, 412);
        server.put("/Patient/b", PATIENT.replace("\"a\"", "\"b\"")).await;
        let many = patch(&server, "/Patient?identifier=urn:a|1", set(false)).await;
        assert_eq!((many.status.as_u16(), many.outcome().as_str()), (412, "multiple-matches"));
        assert_eq!(patch(&server, "/Patient", set(false)).await.status, 412);
        assert_eq!(patch(&server, "/Patient?activ=true", set(false)).await.status, 400);
        assert_eq!(server.events().await, 3);
    });
}

#[test]
fn a_patch_is_recorded_once_under_its_key() {
    test(|server| async move {
        server.put("/Patient/a", PATIENT).await;
        let headers = [JSON_PATCH, ("Idempotency-Key", "k")];
        let line = json!([{ "op": "add", "path": "/identifier/-", "value": { "value": "2" } }]).to_string();
        let first = server.send("PATCH", "/Patient/a", &headers, line.clone()).await;
        let again = server.send("PATCH", "/Patient/a", &headers, line).await;
        assert_eq!((first.status.as_u16(), again.status.as_u16()), (200, 200));
        assert_eq!((again.header("idempotent-replayed"), &again.bytes), ("true", &first.bytes));
        assert_eq!(server.events().await, 2);
    });
}

#[test]
fn the_capability_statement_says_which_patches_are_taken() {
    test(|server| async move {
        let statement = server.get("/metadata").await.json();
        assert_eq!(
            statement["patchFormat"],
            json!(["application/json-patch+json", "application/fhir+json", "application/fhir+xml"])
        );
        let interactions = statement["rest"][0]["resource"][0]["interaction"].as_array().unwrap();
        assert!(interactions.iter().any(|interaction| interaction["code"] == "patch"));
        let allow = server.send("OPTIONS", "/Patient/a", &[], "").await;
        assert!(allow.header("allow").contains("PATCH"));
    });
}
