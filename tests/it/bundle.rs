//! Batches and transactions.

use serde_json::{Value, json};

use crate::support::{Answer, Server, Setup, test, test_with};

const A: &str = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a";
const B: &str = "urn:uuid:88f151c0-a954-468a-88bd-5ae15c08e059";

fn bundle(kind: &str, entries: Value) -> String {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries}).to_string()
}

async fn transaction(server: &Server, entries: Value) -> Answer {
    server.post("", bundle("transaction", entries)).await
}

fn patient(family: &str) -> Value {
    json!({"resourceType": "Patient", "name": [{"family": family}]})
}

fn observation(subject: &str) -> Value {
    json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": subject}})
}

fn post(full_url: &str, resource: Value) -> Value {
    let kind = resource["resourceType"].clone();
    json!({"fullUrl": full_url, "resource": resource, "request": {"method": "POST", "url": kind}})
}

fn entry(method: &str, url: &str) -> Value {
    json!({"request": {"method": method, "url": url}})
}

fn put(url: &str, resource: Value) -> Value {
    json!({"resource": resource, "request": {"method": "PUT", "url": url}})
}

/// Status and issue codes and expressions of a refusal.
fn refusal(answer: &Answer) -> (u16, Vec<(String, String)>) {
    let outcome = answer.json();
    assert_eq!(outcome["resourceType"], "OperationOutcome", "{outcome}");
    let issues = outcome["issue"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), issues.map(|i| (text(&i["code"]), text(&i["expression"][0]))).collect())
}

fn id_of(answer: &Value, index: usize) -> String {
    let location = answer["entry"][index]["response"]["location"].as_str().unwrap();
    location.split('/').rev().nth(2).unwrap().to_owned()
}

#[test]
fn a_transaction_is_one_group_of_events_with_its_links_resolved() {
    test(|server| async move {
        let mut observation = observation(A);
        observation["text"] = json!({"status": "generated",
            "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"{A}\">who</a></div>")});
        observation["identifier"] = json!([{"system": "urn:x", "value": A}]);
        let entries = json!([post(B, observation), post(A, patient("Osler"))]);
        let answer = transaction(&server, entries).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-anamnesis-position"), "2");
        let response = answer.json();
        assert_eq!(response["type"], "transaction-response");
        let patient = id_of(&response, 1);
        for (index, kind) in ["Observation", "Patient"].into_iter().enumerate() {
            let entry = &response["entry"][index];
            assert_eq!(entry["response"]["status"], "201");
            assert_eq!(entry["response"]["etag"], "W/\"1\"");
            assert_eq!(entry["resource"]["resourceType"], kind);
            let location = entry["response"]["location"].as_str().unwrap();
            assert!(location.starts_with(&format!("{}/{kind}/", server.base)), "{location}");
        }
        let read = server.get(&format!("/Observation/{}", id_of(&response, 0))).await.json();
        assert_eq!(read["subject"]["reference"], format!("Patient/{patient}"));
        assert!(read["text"]["div"].as_str().unwrap().contains(&format!("href=\"Patient/{patient}\"")));
        assert_eq!(read["identifier"][0]["value"], A, "a string is no link");
        let events = server.log.read(anamnesis_events::Position::ZERO, 10).await.unwrap();
        let transactions: Vec<_> = events.iter().map(|e| e.transaction.unwrap()).collect();
        assert_eq!(transactions.len(), 2);
        assert_eq!((transactions[0].id, transactions[0].size), (transactions[1].id, 2));
        assert_eq!(events[0].home, format!("Patient/{patient}"), "the link counts when the home is found");
    });
}

#[test]
fn entries_are_done_in_the_order_of_the_rules_and_answered_in_their_own() {
    test(|server| async move {
        server.put("/Patient/old", r#"{"resourceType":"Patient","id":"old"}"#).await;
        let entries = json!([
            entry("GET", "Patient/new"),
            put("Patient/new", json!({"resourceType": "Patient", "id": "new"})),
            post(A, patient("Posted")),
            entry("DELETE", "Patient/old"),
        ]);
        let response = transaction(&server, entries).await.json();
        let status = |index: usize| response["entry"][index]["response"]["status"].clone();
        assert_eq!([status(0), status(1), status(2), status(3)], ["200", "201", "201", "204"], "{response}");
        assert_eq!(response["entry"][0]["resource"]["id"], "new", "what was written is read");
        let events = server.log.read(anamnesis_events::Position::new(1), 10).await.unwrap();
        let kinds: Vec<_> = events.iter().map(|event| event.operation.name()).collect();
        assert_eq!(kinds, ["delete", "create", "create"]);
        assert_eq!(events[2].key.id, "new", "POST before PUT");
    });
}

#[test]
fn one_bad_entry_and_nothing_is_written() {
    test(|server| async move {
        server.put("/Patient/p", r#"{"resourceType":"Patient","id":"p"}"#).await;
        let good = post(A, patient("Good"));
        let wrong_version = json!({"resource": {"resourceType": "Patient", "id": "p", "active": true},
            "request": {"method": "PUT", "url": "Patient/p", "ifMatch": "W/\"7\""}});
        let invalid = json!({"fullUrl": B, "resource": {"resourceType": "Patient", "gender": "x", "nonsense": 1},
            "request": {"method": "POST", "url": "Patient"}});
        let dangling = post(B, observation("urn:uuid:00000000-0000-4000-8000-000000000000"));
        let cases = [
            (wrong_version, 412, vec![("conflict", "Bundle.entry[1]")]),
            (
                invalid,
                400,
                vec![
                    ("code-invalid", "Bundle.entry[1].resource.gender"),
                    ("structure", "Bundle.entry[1].resource.nonsense"),
                ],
            ),
            (dangling, 400, vec![("not-found", "Bundle.entry[1].resource.subject.reference")]),
            (post(A, patient("Same")), 400, vec![("invariant", "Bundle.entry[1].fullUrl")]),
            (entry("POST", "Patient"), 400, vec![("required", "Bundle.entry[1].resource")]),
            (entry("PUT", "Patient/p"), 400, vec![("required", "Bundle.entry[1].resource")]),
            (entry("DELETE", "Patient"), 400, vec![("value", "Bundle.entry[1].request.url")]),
            (put("Observation/p", patient("x")), 400, vec![("value", "Bundle.entry[1].request.url")]),
            (
                put("Patient/other", json!({"resourceType": "Patient", "id": "p"})),
                400,
                vec![("invalid", "Bundle.entry[1]")],
            ),
            (
                entry("DELETE", "http://elsewhere/Patient/p"),
                400,
                vec![("value", "Bundle.entry[1].request.url")],
            ),
            (
                post(B, observation("Patient?identifier=http://x|none")),
                400,
                vec![("not-found", "Bundle.entry[1].resource.subject.reference")],
            ),
        ];
        for (bad, status, expected) in cases {
            let answer = transaction(&server, json!([good, bad])).await;
            let (found, issues) = refusal(&answer);
            let issues: Vec<_> = issues.iter().map(|(code, place)| (code.as_str(), place.as_str())).collect();
            for issue in &expected {
                assert!(issues.contains(issue), "{issue:?} not in {issues:?} for {bad}");
            }
            assert_eq!(found, status, "{bad}");
        }
        assert_eq!(server.events().await, 1, "only the patient of the preparation is in the log");
    });
}

#[test]
fn one_resource_in_two_entries_is_refused() {
    test(|server| async move {
        let update = put("Patient/p", json!({"resourceType": "Patient", "id": "p"}));
        let answer = transaction(&server, json!([update, entry("DELETE", "Patient/p")])).await;
        assert_eq!(refusal(&answer), (400, vec![("duplicate".into(), "Bundle.entry[1].request.url".into())]));
        let conditional = |url: &str| {
            json!({"fullUrl": url, "resource": patient("x"), "request":
                {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=http://x|1"}})
        };
        let answer = transaction(&server, json!([conditional(A), conditional(B)])).await;
        assert_eq!(
            refusal(&answer),
            (400, vec![("duplicate".into(), "Bundle.entry[1].request.ifNoneExist".into())])
        );
        assert_eq!(server.events().await, 0);
    });
}

#[test]
fn conditions_find_what_is_there_and_create_what_is_not() {
    test(|server| async move {
        let mut practitioner =
            json!({"resourceType": "Practitioner", "identifier": [{"system": "http://npi", "value": "1"}]});
        let entries = |practitioner: &Value| {
            json!([
                {"fullUrl": A, "resource": practitioner, "request":
                    {"method": "POST", "url": "Practitioner", "ifNoneExist": "identifier=http://npi|1"}},
                {"fullUrl": B, "resource": {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"},
                    "participant": [{"individual": {"reference": A}}]}, "request": {"method": "POST", "url": "Encounter"}},
                post("urn:uuid:7ac5f5b2-0c47-4b0c-8e1c-7d1e2d5c1f00", json!({"resourceType": "Task", "status": "draft",
                    "intent": "order", "owner": {"reference": "Practitioner?identifier=http://npi|1"}})),
            ])
        };
        let first = transaction(&server, entries(&practitioner)).await;
        assert_eq!(first.status, 200, "{}", first.text());
        let first = first.json();
        let id = id_of(&first, 0);
        practitioner["active"] = json!(true);
        let second = transaction(&server, entries(&practitioner)).await.json();
        assert_eq!(second["entry"][0]["response"]["status"], "200", "{second}");
        assert_eq!(id_of(&second, 0), id);
        assert!(second["entry"][0]["resource"].get("active").is_none(), "what was found is not changed");
        for response in [&first, &second] {
            let reference = format!("Practitioner/{id}");
            let individual = &response["entry"][1]["resource"]["participant"][0]["individual"]["reference"];
            assert_eq!(individual, &json!(reference));
            assert_eq!(response["entry"][2]["resource"]["owner"]["reference"], json!(reference));
        }
        let update = json!([{"resource": {"resourceType": "Practitioner", "active": false, "identifier": [{"system": "http://npi", "value": "1"}]},
            "request": {"method": "PUT", "url": "Practitioner?identifier=http://npi|1"}}]);
        let updated = transaction(&server, update).await.json();
        assert_eq!((id_of(&updated, 0), &updated["entry"][0]["response"]["status"]), (id, &json!("200")));
        let delete = json!([entry("DELETE", "Practitioner?identifier=http://npi|1")]);
        let deleted = transaction(&server, delete.clone()).await.json();
        assert_eq!(deleted["entry"][0]["response"]["status"], "204");
        assert_eq!(
            transaction(&server, delete).await.json()["entry"][0]["response"]["status"],
            "204",
            "nothing left"
        );
    });
}

#[test]
fn concurrent_transactions_create_on_a_condition_once() {
    test(|server| async move {
        let entries = json!([
            {"fullUrl": A, "resource": {"resourceType": "Organization", "name": "x", "identifier": [{"system": "http://o", "value": "1"}]},
             "request": {"method": "POST", "url": "Organization", "ifNoneExist": "identifier=http://o|1"}},
            post(B, json!({"resourceType": "Patient", "managingOrganization": {"reference": A}})),
        ]);
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let (server, entries) = (server.clone(), entries.clone());
                tokio::spawn(async move { transaction(&server, entries).await })
            })
            .collect();
        let mut organizations = std::collections::HashSet::new();
        for task in tasks {
            let answer = task.await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
            let response = answer.json();
            let id = id_of(&response, 0);
            let reference = &response["entry"][1]["resource"]["managingOrganization"]["reference"];
            assert_eq!(reference, &json!(format!("Organization/{id}")));
            organizations.insert(id);
        }
        assert_eq!(organizations.len(), 1);
        assert_eq!(server.events().await, 17, "one organization, sixteen patients");
    });
}

#[test]
fn a_batch_goes_on_behind_an_entry_that_fails() {
    test(|server| async move {
        let entries = json!([
            post(A, patient("First")),
            post(B, json!({"resourceType": "Patient", "gender": "x"})),
            {"resource": patient("x")},
            entry("GET", "Patient/none"),
            put("Patient/p", json!({"resourceType": "Patient", "id": "p"})),
            entry("GET", "Patient/p"),
            entry("DELETE", "Patient/p"),
            entry("PATCH", "Patient/p"),
        ]);
        let answer = server.post("", bundle("batch", entries)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let response = answer.json();
        assert_eq!(response["type"], "batch-response");
        let statuses: Vec<_> =
            response["entry"].as_array().unwrap().iter().map(|e| e["response"]["status"].clone()).collect();
        assert_eq!(statuses, ["201", "400", "400", "404", "201", "200", "204", "400"], "{response}");
        let outcome = &response["entry"][1]["response"]["outcome"]["issue"][0];
        assert_eq!(outcome["expression"][0], "Patient.gender");
        assert_eq!(server.events().await, 3);
    });
}

#[test]
fn a_batch_side_by_side_is_answered_in_its_order() {
    test(|server| async move {
        let entries: Vec<Value> = (0..100)
            .map(|n| put(&format!("Patient/p{n}"), json!({"resourceType": "Patient", "id": format!("p{n}")})))
            .collect();
        let headers = [("content-type", "application/fhir+json"), ("x-bundle-processing-logic", "parallel")];
        let answer = server.send("POST", "", &headers, bundle("batch", json!(entries))).await;
        let response = answer.json();
        for n in 0..100 {
            assert_eq!(response["entry"][n]["response"]["status"], "201");
            assert_eq!(id_of(&response, n), format!("p{n}"));
        }
        assert_eq!(answer.header("x-anamnesis-position"), "100");
    });
}

#[test]
fn bundles_are_bounded_and_of_the_right_kind() {
    let setup = Setup {
        api: anamnesis::api::ApiOptions { bundle_entries_max: 3, ..Default::default() },
        ..Setup::default()
    };
    test_with(setup, |server| async move {
        let four = json!([
            entry("GET", "metadata"),
            entry("GET", "metadata"),
            entry("GET", "metadata"),
            entry("GET", "metadata")
        ]);
        let (status, issues) = refusal(&server.post("", bundle("batch", four)).await);
        assert_eq!((status, issues), (400, vec![("too-long".into(), "Bundle.entry".into())]));
        for (body, place) in [
            (bundle("collection", json!([])), "Bundle.type"),
            (r#"{"resourceType":"Bundle"}"#.to_owned(), "Bundle.type"),
            (r#"{"resourceType":"Patient"}"#.to_owned(), "Bundle"),
        ] {
            let (status, issues) = refusal(&server.post("", body.clone()).await);
            assert_eq!((status, issues[0].1.as_str()), (400, place), "{body}");
        }
        for body in ["", "[]", "{", "null"] {
            assert_eq!(refusal(&server.post("", body).await).0, 400, "{body}");
        }
        let empty = server.post("", bundle("transaction", json!([]))).await;
        assert_eq!(empty.status, 400, "an empty array is not valid JSON for FHIR: {}", empty.text());
        let none = server.post("", r#"{"resourceType":"Bundle","type":"transaction"}"#).await;
        assert_eq!((none.status.as_u16(), none.json()["type"].clone()), (200, json!("transaction-response")));
    });
}

#[test]
fn what_comes_back_is_what_the_client_prefers() {
    test(|server| async move {
        for kind in ["transaction", "batch"] {
            let body = bundle(kind, json!([post(A, patient("x"))]));
            let send = async |prefer: &'static str| {
                let headers = [("content-type", "application/fhir+json"), ("prefer", prefer)];
                server.send("POST", "", &headers, body.clone()).await.json()["entry"][0].clone()
            };
            let minimal = send("return=minimal").await;
            assert!(
                minimal.get("resource").is_none() && minimal["response"].get("outcome").is_none(),
                "{kind}: {minimal}"
            );
            assert_eq!(send("return=representation").await["resource"]["resourceType"], "Patient", "{kind}");
            let told = send("return=OperationOutcome").await;
            assert_eq!(told["response"]["outcome"]["resourceType"], "OperationOutcome", "{kind}: {told}");
        }
    });
}

#[test]
fn decimals_of_a_bundle_keep_their_digits() {
    test(|server| async move {
        let body = format!(
            r#"{{"resourceType":"Bundle","type":"transaction","entry":[{{"fullUrl":"{A}","resource":{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},"valueQuantity":{{"value":1.10,"unit":"mg"}},"subject":{{"reference":"{B}"}}}},"request":{{"method":"POST","url":"Observation"}}}},{{"fullUrl":"{B}","resource":{{"resourceType":"Patient"}},"request":{{"method":"POST","url":"Patient"}}}}]}}"#
        );
        let response = server.post("", body).await;
        assert_eq!(response.status, 200, "{}", response.text());
        let id = id_of(&response.json(), 0);
        assert!(server.get(&format!("/Observation/{id}")).await.text().contains(r#""value":1.10,"#));
    });
}

#[test]
fn what_a_transaction_deletes_cannot_be_what_it_finds() {
    test(|server| async move {
        let patient =
            r#"{"resourceType":"Patient","id":"p","identifier":[{"system":"http://d","value":"1"}]}"#;
        server.put("/Patient/p", patient).await;
        let entries = json!([
            entry("DELETE", "Patient/p"),
            {"fullUrl": A, "resource": {"resourceType": "Patient", "identifier": [{"system": "http://d", "value": "1"}]},
             "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=http://d|1"}},
        ]);
        let (status, issues) = refusal(&transaction(&server, entries).await);
        assert_eq!(
            (status, issues),
            (400, vec![("duplicate".into(), "Bundle.entry[1].request.ifNoneExist".into())])
        );
        assert_eq!(server.get("/Patient/p").await.status, 200);
    });
}

#[test]
fn references_to_our_own_address_are_relative_ones() {
    test(|server| async move {
        let own = format!("{}/Patient/p", server.base);
        let answer = server.post("/Observation", observation(&own).to_string()).await;
        assert_eq!(answer.json()["subject"]["reference"], "Patient/p");
        let response = transaction(&server, json!([post(A, observation(&own))])).await.json();
        assert_eq!(response["entry"][0]["resource"]["subject"]["reference"], "Patient/p");
        let elsewhere = observation("http://elsewhere.example/fhir/Patient/p").to_string();
        let answer = server.post("/Observation", elsewhere).await;
        assert_eq!(answer.json()["subject"]["reference"], "http://elsewhere.example/fhir/Patient/p");
        let events = server.log.read(anamnesis_events::Position::ZERO, 10).await.unwrap();
        let homes: Vec<_> = events.iter().map(|event| event.home.split('/').next().unwrap()).collect();
        assert_eq!(homes, ["Patient", "Patient", "Observation"]);
    });
}
