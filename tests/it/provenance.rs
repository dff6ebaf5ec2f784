//! `X-Provenance`

use serde_json::{Value, json};

use crate::support::{Answer, FHIR, Server, test};

const PATIENT: &str =
    r#"{"resourceType":"Patient","id":"a","identifier":[{"system":"urn:a","value":"1"}],"active":true}"#;
const PROVENANCE: &str =
    r#"{"resourceType":"Provenance","recorded":"2026-01-01T00:00:00Z","agent":[{"who":{"display":"José"}}]}"#;
const JSON_PATCH: (&str, &str) = ("Content-Type", "application/json-patch+json");

async fn send(server: &Server, method: &str, path: &str, more: &[(&str, &str)], body: &str) -> Answer {
    let headers = [&[("X-Provenance", PROVENANCE)], more].concat();
    server.send(method, path, &headers, body.to_owned()).await
}

/// The targets of all Provenances, oldest first.
async fn targets(server: &Server) -> Vec<String> {
    let history = server.get("/Provenance/_history?_sort=_lastUpdated&_count=100").await.json();
    let entries = history["entry"].as_array().cloned().unwrap_or_default();
    let target = |entry: &Value| {
        assert_eq!(entry["resource"]["agent"][0]["who"]["display"], "José");
        entry["resource"]["target"][0]["reference"].as_str().unwrap().to_owned()
    };
    entries.iter().map(target).collect()
}

#[test]
fn every_sort_of_write_has_a_provenance_of_its_version() {
    test(|server| async move {
        let operations = r#"[{"op":"replace","path":"/active","value":false}]"#;
        assert_eq!(send(&server, "PUT", "/Patient/a", &[FHIR], PATIENT).await.status, 201);
        assert_eq!(send(&server, "PATCH", "/Patient/a", &[JSON_PATCH], operations).await.status, 200);
        let path = "/Patient?identifier=urn:a|1";
        assert_eq!(send(&server, "PUT", path, &[FHIR], PATIENT).await.status, 200);
        assert_eq!(send(&server, "PATCH", path, &[JSON_PATCH], operations).await.status, 200);
        let created = send(&server, "POST", "/Patient", &[FHIR], PATIENT).await;
        let condition = ("If-None-Exist", "identifier=urn:a|2");
        let other = PATIENT.replace("\"1\"", "\"2\"");
        let conditional = send(&server, "POST", "/Patient", &[FHIR, condition], &other).await;
        let id = |answer: &Answer| answer.json()["id"].as_str().unwrap().to_owned();
        let mut wanted: Vec<_> = (1..=4).map(|version| format!("Patient/a/_history/{version}")).collect();
        wanted.extend([&created, &conditional].map(|answer| format!("Patient/{}/_history/1", id(answer))));
        assert_eq!(targets(&server).await, wanted);
        assert_eq!(server.events().await, 12);
    });
}

#[test]
fn resource_and_provenance_are_one_group() {
    test(|server| async move {
        send(&server, "PUT", "/Patient/a", &[FHIR], PATIENT).await;
        let events = server.log.read(anamnesis_events::Position::ZERO, 10).await.unwrap();
        assert_eq!(events.len(), 2);
        let transaction = |index: usize| events[index].transaction.as_ref().map(|transaction| transaction.id);
        assert!(transaction(0).is_some());
        assert_eq!(transaction(0), transaction(1));
        let found = server.get("/Provenance?target=Patient/a").await.json();
        assert_eq!(found["entry"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn where_nothing_is_written_nothing_has_a_provenance() {
    test(|server| async move {
        server.put("/Patient/a", PATIENT).await;
        assert_eq!(send(&server, "PUT", "/Patient/a", &[FHIR], PATIENT).await.header("etag"), "W/\"1\"");
        let condition = ("If-None-Exist", "identifier=urn:a|1");
        assert_eq!(send(&server, "POST", "/Patient", &[FHIR, condition], PATIENT).await.status, 200);
        let stale = ("If-Match", "W/\"9\"");
        assert_eq!(send(&server, "PUT", "/Patient/a", &[FHIR, stale], PATIENT).await.status, 412);
        assert_eq!(send(&server, "GET", "/Patient/a", &[], "").await.status, 200);
        assert_eq!(server.events().await, 1);
    });
}

#[test]
fn what_is_no_provenance_without_a_target_is_refused_and_nothing_is_written() {
    test(|server| async move {
        let with_target =
            PROVENANCE.replace("{\"resource", "{\"target\":[{\"reference\":\"Patient/a\"}],\"resource");
        for header in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"resourceType":"Patient"}"#,
            r#"{"resourceType":"Provenance"}"#,
            &PROVENANCE.replace("2026-01-01T00:00:00Z", "yesterday"),
            &with_target,
        ] {
            let headers = [FHIR, ("X-Provenance", header)];
            let answer = server.send("PUT", "/Patient/a", &headers, PATIENT).await;
            assert_eq!(answer.status, 400, "{header}");
            answer.outcome();
        }
        let bundle = json!({ "resourceType": "Bundle", "type": "transaction" }).to_string();
        assert_eq!(send(&server, "POST", "", &[FHIR], &bundle).await.status, 400);
        assert_eq!(server.events().await, 0);
    });
}

#[test]
fn a_write_with_a_provenance_is_recorded_once_under_its_key() {
    test(|server| async move {
        let key = ("Idempotency-Key", "k");
        let first = send(&server, "PUT", "/Patient/a", &[FHIR, key], PATIENT).await;
        let again = send(&server, "PUT", "/Patient/a", &[FHIR, key], PATIENT).await;
        assert_eq!((again.status, again.header("idempotent-replayed")), (first.status, "true"));
        assert_eq!(again.bytes, first.bytes);
        let without = server.send("PUT", "/Patient/a", &[FHIR, key], PATIENT).await;
        assert_eq!(without.status, 422);
        assert_eq!(server.events().await, 2);
    });
}

#[test]
fn a_header_that_would_be_lost_or_garbled_is_refused() {
    test(|server| async move {
        let twice = send(&server, "PUT", "/Patient/a", &[FHIR, ("X-Provenance", PROVENANCE)], PATIENT).await;
        assert_eq!((twice.status.as_u16(), twice.outcome().as_str()), (400, "invalid"));
        assert_eq!(twice.json()["issue"][0]["expression"][0], "X-Provenance");
        assert_eq!(server.events().await, 0);
    });
}
