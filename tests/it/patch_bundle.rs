//! PATCH as an entry of a batch or transaction.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::patch::replace;
use crate::support::{Answer, Server, test};

const URN: &str = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520";

async fn run(server: &Server, kind: &str, entries: Value) -> Answer {
    let bundle = json!({ "resourceType": "Bundle", "type": kind, "entry": entries });
    server.post("", bundle.to_string()).await
}

fn entry(url: &str, resource: Value) -> Value {
    json!({ "resource": resource, "request": { "method": "PATCH", "url": url } })
}

/// A JSON Patch in a Binary.
fn binary(operations: Value) -> Value {
    let data = STANDARD.encode(operations.to_string());
    json!({ "resourceType": "Binary", "contentType": "application/json-patch+json", "data": data })
}

async fn patient(server: &Server, id: &str) {
    let body = json!({ "resourceType": "Patient", "id": id, "active": true,
        "identifier": [{ "system": "urn:a", "value": id }] });
    assert_eq!(server.put(&format!("/Patient/{id}"), body.to_string()).await.status, 201);
}

fn deactivate() -> Value {
    replace("Patient.active", json!({ "valueBoolean": false }))
}

#[test]
fn bundles_take_both_kinds_and_conditions() {
    test(|server| async move {
        for kind in ["batch", "transaction"] {
            for id in ["a", "b", "c", "d"] {
                patient(&server, &format!("{kind}-{id}")).await;
            }
            let remove = json!([{ "op": "remove", "path": "/active" }]);
            let answer = run(
                &server,
                kind,
                json!([
                    entry(&format!("Patient/{kind}-a"), deactivate()),
                    entry(&format!("Patient/{kind}-b"), binary(remove.clone())),
                    entry(&format!("Patient?identifier=urn:a|{kind}-c"), deactivate()),
                    entry(&format!("Patient?identifier=urn:a|{kind}-d"), binary(remove)),
                ]),
            )
            .await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let json = answer.json();
            for (index, active) in [json!(false), Value::Null, json!(false), Value::Null].iter().enumerate() {
                let entry = &json["entry"][index];
                assert!(entry["response"]["status"].as_str().unwrap().starts_with("200"), "{entry}");
                assert_eq!(entry["response"]["etag"], "W/\"2\"", "{entry}");
                assert_eq!(&entry["resource"]["active"], active, "{entry}");
            }
        }
        assert_eq!(server.events().await, 16);
    });
}

#[test]
fn a_patch_that_fails_fails_the_transaction_and_its_entry_alone_in_a_batch() {
    test(|server| async move {
        patient(&server, "a").await;
        patient(&server, "b").await;
        let wrong = binary(json!([{ "op": "remove", "path": "/gender" }]));
        let entries = json!([entry("Patient/a", deactivate()), entry("Patient/b", wrong)]);
        let refused = run(&server, "transaction", entries.clone()).await;
        assert_eq!((refused.status.as_u16(), refused.outcome().as_str()), (400, "processing"));
        assert_eq!(refused.json()["issue"][0]["expression"][0], "Bundle.entry[1]");
        assert_eq!(server.events().await, 2);
        let batch = run(&server, "batch", entries).await.json();
        assert!(batch["entry"][0]["response"]["status"].as_str().unwrap().starts_with("200"));
        assert!(batch["entry"][1]["response"]["status"].as_str().unwrap().starts_with("400"));
        assert_eq!(server.events().await, 3);
    });
}

#[test]
fn what_is_no_patch_is_refused_with_its_place() {
    test(|server| async move {
        patient(&server, "a").await;
        let mut other = binary(json!([]));
        other["contentType"] = json!("application/json");
        let mut broken = binary(json!([]));
        broken["data"] = json!("AAAA");
        let patient = json!({ "resourceType": "Patient", "id": "a" });
        for (url, resource, status) in [
            ("Patient/a", other, 400),
            ("Patient/a", broken, 400),
            ("Patient/a", patient, 400),
            ("Patient", deactivate(), 400),
            ("Patient/none", deactivate(), 404),
            ("Patient?identifier=urn:a|none", deactivate(), 404),
            ("Patient?identifer=urn:a|a", deactivate(), 400),
        ] {
            let answer = run(&server, "transaction", json!([entry(url, resource)])).await;
            assert_eq!(answer.status, status, "{url}: {}", answer.text());
            let place = answer.json()["issue"][0]["expression"].to_string();
            assert!(place.contains("Bundle.entry[0]"), "{url}: {}", answer.text());
        }
        assert_eq!(server.events().await, 1);
    });
}

#[test]
fn a_transaction_writes_a_resource_once() {
    test(|server| async move {
        patient(&server, "a").await;
        let by_identifier = entry("Patient?identifier=urn:a|a", deactivate());
        let answer =
            run(&server, "transaction", json!([entry("Patient/a", deactivate()), by_identifier])).await;
        assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (400, "duplicate"));
        let delete = json!({ "request": { "method": "DELETE", "url": "Patient/a" } });
        let answer = run(&server, "transaction", json!([delete, entry("Patient/a", deactivate())])).await;
        assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (400, "duplicate"));
        assert_eq!(server.events().await, 1);
    });
}

#[test]
fn a_patch_can_link_to_what_the_same_transaction_creates() {
    test(|server| async move {
        patient(&server, "a").await;
        patient(&server, "b").await;
        let organization = json!({ "fullUrl": URN, "resource": { "resourceType": "Organization", "name": "o" },
            "request": { "method": "POST", "url": "Organization" } });
        let reference = json!({ "reference": URN });
        let mut fhirpath = replace("Patient", json!({ "valueReference": reference }));
        let parts = fhirpath["parameter"][0]["part"].as_array_mut().unwrap();
        parts[0]["valueCode"] = json!("add");
        parts.push(json!({ "name": "name", "valueString": "managingOrganization" }));
        let operations = json!([{ "op": "add", "path": "/managingOrganization", "value": reference }]);
        let entries =
            json!([entry("Patient/a", fhirpath), organization, entry("Patient/b", binary(operations))]);
        let answer = run(&server, "transaction", entries).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let location = answer.json()["entry"][1]["response"]["location"].as_str().unwrap().to_owned();
        for id in ["a", "b"] {
            let patient = server.get(&format!("/Patient/{id}")).await.json();
            let organization = patient["managingOrganization"]["reference"].as_str().unwrap();
            assert!(location.contains(&format!("/{organization}/_history/1")), "{organization} {location}");
        }
    });
}

#[test]
fn patches_of_many_transactions_are_all_there() {
    test(|server| async move {
        patient(&server, "a").await;
        let answers = join_all((0..12).map(|number| {
            let value = json!({ "value": number.to_string() });
            let line = binary(json!([{ "op": "add", "path": "/identifier/-", "value": value }]));
            run(&server, "transaction", json!([entry("Patient/a", line)]))
        }))
        .await;
        let taken = answers.iter().filter(|answer| answer.status == 200).count();
        assert!(answers.iter().all(|answer| [200, 409].contains(&answer.status.as_u16())));
        let identifiers = server.get("/Patient/a").await.json()["identifier"].as_array().unwrap().len();
        assert_eq!((identifiers, server.events().await), (taken + 1, taken as u64 + 1));
    });
}
