//! The reads of a transaction: how often they are done, counted by the statements of searches; and that they see one state.

use std::time::Duration;

use anamnesis::access::Principal;
use anamnesis::api::{ApiOptions, Body, Request, dispatch};
use anamnesis_projections::search::{ExplainOptions, explained};
use serde_json::{Value, json};

use crate::bundle_rules::{request, run, with};
use crate::support::{Server, Setup, test, test_with};

/// The statements of the searches in a bundle, and its answer.
async fn statements(server: &Server, kind: &str, entries: Value) -> (usize, Value) {
    let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": entries});
    let request = Request {
        principal: Principal::anonymous(),
        method: actix_web::http::Method::POST,
        body: Body::Bytes(bundle.to_string().into_bytes()),
        base: server.base.clone(),
        correlation_id: "count".to_owned(),
        ..Request::default()
    };
    let (answer, told) =
        explained(ExplainOptions::default(), Box::pin(dispatch(&server.service, request))).await;
    let body = answer.unwrap().body.unwrap();
    (told.statements.len(), serde_json::from_slice(&body).unwrap())
}

#[test]
fn a_transaction_that_writes_nothing_reads_once() {
    test(|server| async move {
        let patient = json!({"resourceType": "Patient", "id": "a", "name": [{"family": "Osler"}]});
        server.put("/Patient/a", patient.to_string()).await;
        let reads =
            || vec![request("GET", "Patient?family=Osler"), request("GET", "Patient?_id=a&_total=accurate")];
        let entries = || Value::from(reads());
        let (once, batch) = statements(&server, "batch", entries()).await;
        assert!(once >= 2, "{batch}");
        let (count, answer) = statements(&server, "transaction", entries()).await;
        // What was there before is asked for as well where nothing is counted: all reads see one state.
        assert_eq!(count, once + 1, "each is done once");
        for index in [0, 1] {
            let found = &answer["entry"][index]["resource"]["entry"][0]["resource"]["id"];
            assert_eq!(found, "a", "{answer}");
        }
        // What is written is to be seen: a trial before, the answer after.
        let mut entries = reads();
        entries.push(with(
            json!({"resourceType": "Patient", "id": "b", "name": [{"family": "Osler"}]}),
            "PUT",
            "Patient/b",
        ));
        let (count, answer) = statements(&server, "transaction", Value::from(entries)).await;
        assert_eq!(count, 2 * once + 1);
        assert_eq!(answer["entry"][0]["resource"]["entry"].as_array().unwrap().len(), 2, "{answer}");
    });
}

/// The versions of the resources of both kinds of answers, in the order of the entries.
fn versions(answer: &Value) -> Vec<String> {
    let version = |resource: &Value| resource["meta"]["versionId"].as_str().unwrap_or_default().to_owned();
    let of_entry = |entry: &Value| {
        let resource = &entry["resource"];
        match resource["entry"].as_array() {
            Some(entries) => entries.iter().map(|one| version(&one["resource"])).max().unwrap_or_default(),
            None => version(resource),
        }
    };
    answer["entry"].as_array().unwrap().iter().map(of_entry).collect()
}

#[test]
fn the_reads_of_a_transaction_see_one_state() {
    // A search that an index is late for shows what that has, and says so.
    let api = ApiOptions { search_wait: Duration::from_secs(60), ..ApiOptions::default() };
    test_with(Setup { api, ..Setup::default() }, |server| async move {
        let both = |number: usize| {
            let basic = |id: &str| {
                let text = number.to_string();
                let body = json!({"resourceType": "Basic", "id": id, "code": {"coding": [{"code": "z"}], "text": text}});
                with(body, "PUT", &format!("Basic/{id}"))
            };
            json!([basic("a"), basic("b")])
        };
        assert_eq!(run(&server, "transaction", both(0)).await.status, 200);
        let writing = {
            let server = server.clone();
            tokio::spawn(async move {
                for number in 1..=150 {
                    assert_eq!(run(&server, "transaction", both(number)).await.status, 200);
                }
            })
        };
        let mut seen = std::collections::BTreeSet::new();
        for round in 0.. {
            let mut entries = vec![
                request("GET", "Basic/a"),
                request("GET", "Basic?code=z&_id=a"),
                request("GET", "Basic/b/_history?_count=1"),
                request("GET", "Basic/b"),
            ];
            // With something that is written, and without.
            if round % 2 == 0 {
                entries.push(with(json!({"resourceType": "Basic", "code": {"text": "x"}}), "POST", "Basic"));
            }
            let answer = run(&server, "transaction", Value::from(entries)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let mut versions = versions(&answer.json());
            versions.truncate(4);
            versions.dedup();
            assert_eq!(versions.len(), 1, "{versions:?}");
            seen.extend(versions);
            if writing.is_finished() {
                break;
            }
        }
        writing.await.unwrap();
        assert!(seen.len() > 2, "the reads met writes: {seen:?}");
    });
}
