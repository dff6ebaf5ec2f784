//! How often a transaction reads, counted by the statements of its searches.

use anamnesis::api::negotiate::Prefer;
use anamnesis::api::{Body, Conditions, Request, dispatch};
use anamnesis_projections::search::{ExplainOptions, explained};
use serde_json::{Value, json};

use crate::bundle_rules::{request, with};
use crate::support::{Server, test};

/// The statements of the searches in a bundle, and its answer.
async fn statements(server: &Server, kind: &str, entries: Value) -> (usize, Value) {
    let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": entries});
    let request = Request {
        method: actix_web::http::Method::POST,
        path: String::new(),
        query: String::new(),
        conditions: Conditions::default(),
        idempotency_key: None,
        provenance: None,
        prefer: Prefer::default(),
        eventual: false,
        partial: false,
        explicable: false,
        parallel: false,
        profile_validation: None,
        body: Body::Bytes(bundle.to_string().into_bytes()),
        base: server.base.clone(),
        correlation_id: "count".to_owned(),
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
        assert_eq!(count, once, "each is done once");
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
        assert_eq!(count, 2 * once);
        assert_eq!(answer["entry"][0]["resource"]["entry"].as_array().unwrap().len(), 2, "{answer}");
    });
}
