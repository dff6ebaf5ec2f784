//! `Idempotency-Key`: a request whose reply was lost is sent again and has one effect and one answer.

use std::sync::Arc;

use anamnesis::actors::{ActorOptions, Compartments, Outcome, Terms, WriteError};
use anamnesis::decide::{Candidate, Command, Provenance, Rules};
use anamnesis_events::{Idempotency, ResourceKey};
use anamnesis_fhir::json::{Document, Limits};
use futures::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::adversary::principal;
use crate::support::{Answer, FHIR, Server, test};

const PATIENT: &str =
    r#"{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"1"}],"gender":"female"}"#;

fn key(text: &'static str) -> (&'static str, &'static str) {
    ("Idempotency-Key", text)
}

fn numbered(number: u32) -> String {
    format!(r#"{{"resourceType":"Patient","id":"a","multipleBirthInteger":{number}}}"#)
}

/// What a client goes by: status, version, place, time and body.
fn told(answer: &Answer) -> (u16, Vec<String>, Vec<u8>) {
    let headers = ["etag", "location", "last-modified", "x-anamnesis-position"];
    let headers = headers.into_iter().map(|name| answer.header(name).to_owned()).collect();
    (answer.status.as_u16(), headers, answer.bytes.clone())
}

/// The same answer as the first, and said to be a replay.
fn assert_replayed(first: &Answer, again: &Answer) {
    assert_eq!(first.header("idempotent-replayed"), "", "{}", first.text());
    assert_eq!(again.header("idempotent-replayed"), "true", "{} {}", again.status, again.text());
    assert_eq!(told(first), told(again));
}

async fn both(
    server: &Server,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> [Answer; 2] {
    let first = server.send(method, path, headers, body.to_owned()).await;
    let events = server.events().await;
    let again = server.send(method, path, headers, body.to_owned()).await;
    assert_eq!(server.events().await, events, "nothing is written twice");
    [first, again]
}

#[test]
fn a_repeated_create_gives_the_first_id_again() {
    test(|server| async move {
        let headers = [FHIR, key("\"create-1\"")];
        let [first, again] = both(&server, "POST", "/Patient", &headers, PATIENT).await;
        assert_eq!(first.status, 201);
        assert_replayed(&first, &again);
        // In quotes or without, it is the same key.
        let bare = server.send("POST", "/Patient", &[FHIR, key("create-1")], PATIENT).await;
        assert_replayed(&first, &bare);
        let minimal = [FHIR, key("create-1"), ("Prefer", "return=minimal")];
        let minimal = server.send("POST", "/Patient", &minimal, PATIENT).await;
        assert_eq!((minimal.status.as_u16(), minimal.bytes.len()), (201, 0), "preferences are those of now");
        let other = server.send("POST", "/Patient", &[FHIR, key("create-2")], PATIENT).await;
        assert_ne!(other.header("location"), first.header("location"));
        assert_eq!(server.events().await, 2);
    });
}

#[test]
fn a_repeated_update_or_delete_is_not_done_again_when_others_have_written_since() {
    test(|server| async move {
        let created = both(&server, "PUT", "/Patient/a", &[FHIR, key("put-1")], &numbered(1)).await;
        assert_eq!(created[0].status, 201);
        assert_replayed(&created[0], &created[1]);
        let guarded = [FHIR, key("put-2"), ("If-Match", "W/\"1\"")];
        let updated = both(&server, "PUT", "/Patient/a", &guarded, &numbered(2)).await;
        assert_eq!(updated[0].status, 200);
        assert_replayed(&updated[0], &updated[1]);
        server.put("/Patient/a", numbered(3)).await;
        // Done again it would be version 4, or a 412.
        let late = server.send("PUT", "/Patient/a", &guarded, numbered(2)).await;
        assert_replayed(&updated[0], &late);
        let deleted = both(&server, "DELETE", "/Patient/a", &[key("delete-1")], "").await;
        assert_eq!((deleted[0].status.as_u16(), deleted[0].header("etag")), (204, "W/\"4\""));
        assert_replayed(&deleted[0], &deleted[1]);
        server.put("/Patient/a", numbered(5)).await;
        let late = server.send("DELETE", "/Patient/a", &[key("delete-1")], "").await;
        assert_replayed(&deleted[0], &late);
        assert_eq!(server.get("/Patient/a").await.header("etag"), "W/\"5\"");
    });
}

#[test]
fn conditional_writes_are_repeated_as_what_they_did() {
    test(|server| async move {
        let headers = [FHIR, key("create"), ("If-None-Exist", "identifier=urn:x|1")];
        let created = both(&server, "POST", "/Patient", &headers, PATIENT).await;
        // Without the key the second would be 200, with the match.
        assert_eq!(created[0].status, 201);
        assert_replayed(&created[0], &created[1]);
        let changed = PATIENT.replace("female", "male");
        let path = "/Patient?identifier=urn:x|1";
        let updated = both(&server, "PUT", path, &[FHIR, key("update")], &changed).await;
        assert_eq!((updated[0].status.as_u16(), updated[0].header("etag")), (200, "W/\"2\""));
        assert_replayed(&updated[0], &updated[1]);
        let made = PATIENT.replace("\"1\"", "\"2\"");
        let path_of_new = "/Patient?identifier=urn:x|2";
        let made = both(&server, "PUT", path_of_new, &[FHIR, key("make")], &made).await;
        assert_eq!(made[0].status, 201);
        assert_replayed(&made[0], &made[1]);
        let deleted = both(&server, "DELETE", path, &[key("delete")], "").await;
        assert_eq!(deleted[0].status, 204);
        assert_replayed(&deleted[0], &deleted[1]);
    });
}

#[test]
fn a_key_for_another_request_is_unprocessable() {
    test(|server| async move {
        let base = [FHIR, key("one")];
        server.send("PUT", "/Patient/a", &base, numbered(1)).await;
        let matching = [FHIR, key("one"), ("If-Match", "W/\"1\"")];
        let others = [
            server.send("PUT", "/Patient/a", &base, numbered(2)).await,
            server.send("PUT", "/Patient/a?_pretty=true", &base, numbered(1)).await,
            server.send("PUT", "/Patient/b", &base, numbered(1).replace("\"a\"", "\"b\"")).await,
            server.send("PUT", "/Patient/a", &matching, numbered(1)).await,
            server.send("DELETE", "/Patient/a", &[key("one")], "").await,
            server.send("POST", "/Patient", &base, numbered(1)).await,
        ];
        for other in others {
            assert_eq!(other.status, 422, "{}", other.text());
            assert_eq!(other.outcome(), "business-rule");
        }
        assert_eq!(server.events().await, 1);
    });
}

#[test]
fn what_is_no_key_is_refused_and_reads_take_no_notice() {
    test(|server| async move {
        let long: &'static str = Box::leak("x".repeat(256).into_boxed_str());
        for text in ["", "\"\"", "\"open", "two words", "a,b", long] {
            let answer = server.send("POST", "/Patient", &[FHIR, key(text)], PATIENT).await;
            assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (400, "value"), "{text}");
        }
        let twice = server.send("POST", "/Patient", &[FHIR, key("a"), key("b")], PATIENT).await;
        assert_eq!(twice.status, 400);
        assert_eq!(server.events().await, 0);
        let longest = key(&long[..255]);
        assert_eq!(server.send("POST", "/Patient", &[FHIR, longest], PATIENT).await.status, 201);
        assert_eq!(server.send("GET", "/Patient", &[key("two words")], "").await.status, 200);
    });
}

#[test]
fn what_was_not_recorded_is_decided_anew() {
    test(|server| async move {
        let guarded = [FHIR, key("one"), ("If-Match", "W/\"2\"")];
        server.put("/Patient/a", numbered(1)).await;
        assert_eq!(server.send("PUT", "/Patient/a", &guarded, numbered(9)).await.status, 412);
        server.put("/Patient/a", numbered(2)).await;
        let now = both(&server, "PUT", "/Patient/a", &guarded, &numbered(9)).await;
        assert_eq!((now[0].status.as_u16(), now[0].header("etag")), (200, "W/\"3\""));
        assert_replayed(&now[0], &now[1]);
        // The very same content makes no version, so there is nothing to remember.
        let same = both(&server, "PUT", "/Patient/a", &[FHIR, key("two")], &numbered(9)).await;
        assert!(same.iter().all(|answer| answer.header("etag") == "W/\"3\""));
        assert!(same.iter().all(|answer| answer.header("idempotent-replayed").is_empty()));
        let gone = both(&server, "DELETE", "/Patient/never", &[key("three")], "").await;
        assert!(gone.iter().all(|answer| answer.status == 204));
    });
}

#[test]
fn one_key_many_times_at_once_writes_once() {
    test(|server| async move {
        let race = [FHIR, key("race")];
        let posts = (0..32).map(|_| server.send("POST", "/Patient", &race, PATIENT));
        let answers = join_all(posts).await;
        assert!(answers.iter().all(|answer| told(answer) == told(&answers[0])));
        let fresh = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_empty());
        assert_eq!(fresh.count(), 1);
        assert_eq!((answers[0].status.as_u16(), server.events().await), (201, 1));
        // Guarded: whoever comes second in the queue would be refused, had the first one not been it.
        server.put("/Patient/a", numbered(1)).await;
        let guarded = [FHIR, key("guarded"), ("If-Match", "W/\"1\"")];
        let puts = (0..32).map(|_| server.send("PUT", "/Patient/a", &guarded, numbered(2)));
        let answers = join_all(puts).await;
        assert!(answers.iter().all(|answer| told(answer) == told(&answers[0])), "{:?}", answers[0]);
        assert_eq!((answers[0].status.as_u16(), server.events().await), (200, 3));
    });
}

#[test]
fn one_key_with_two_requests_at_once_is_one_of_them() {
    test(|server| async move {
        let puts = (0..16).map(|number| {
            let server = &server;
            async move { server.send("PUT", "/Patient/a", &[FHIR, key("one")], numbered(number)).await }
        });
        let answers = join_all(puts).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 422).count(), 15, "{statuses:?}");
        assert_eq!(server.events().await, 1);
    });
}

/// A transaction with everything that leaves no event of its own beside what does.
fn transaction() -> Value {
    let urn = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a";
    let observation = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
        "subject": {"reference": urn}});
    json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"request": {"method": "GET", "url": "Patient/same"}},
        {"resource": observation, "request": {"method": "POST", "url": "Observation"}},
        {"fullUrl": urn, "resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}},
        {"resource": {"resourceType": "Patient", "id": "same"}, "request": {"method": "PUT", "url": "Patient/same"}},
        {"request": {"method": "DELETE", "url": "Patient/gone"}},
        {"request": {"method": "DELETE", "url": "Patient/never"}},
        {"request": {"method": "DELETE", "url": "Patient?identifier=urn:x|nobody"}},
        {"resource": {"resourceType": "Patient"},
         "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:x|1"}},
        {"request": {"method": "DELETE", "url": "Patient/there"}},
    ]})
}

#[test]
fn a_repeated_transaction_gives_every_entry_its_first_answer() {
    test(|server| async move {
        for id in ["same", "gone", "there"] {
            let body = json!({"resourceType": "Patient", "id": id}).to_string();
            server.put(&format!("/Patient/{id}"), body).await;
        }
        server.delete("/Patient/gone").await;
        server.post("/Patient", PATIENT).await;
        let headers = [FHIR, key("bundle"), ("X-Correlation-Id", "the-same")];
        let [first, again] = both(&server, "POST", "", &headers, &transaction().to_string()).await;
        assert_eq!(first.status, 200, "{}", first.text());
        assert_replayed(&first, &again);
        let statuses: Vec<String> = first.json()["entry"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["response"]["status"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(statuses, ["200", "201", "201", "200", "204", "204", "204", "200", "204"]);
        // What others do since does not show but in what is read.
        server.put("/Patient/same", r#"{"resourceType":"Patient","id":"same","gender":"male"}"#).await;
        let late = server.send("POST", "", &headers, transaction().to_string()).await;
        let (mut late, mut first) = (late.json(), first.json());
        assert_eq!(late["entry"][0]["resource"]["meta"]["versionId"], "2");
        late["entry"][0].take();
        first["entry"][0].take();
        assert_eq!(late, first);
    });
}

#[test]
fn a_transaction_sent_many_times_at_once_is_recorded_once() {
    test(|server| async move {
        server.put("/Patient/same", r#"{"resourceType":"Patient","id":"same"}"#).await;
        let headers = [FHIR, key("bundle"), ("X-Correlation-Id", "the-same")];
        let posts = (0..16).map(|_| server.send("POST", "", &headers, transaction().to_string()));
        let answers = join_all(posts).await;
        for answer in &answers {
            assert_eq!(told(answer), told(&answers[0]));
        }
        assert_eq!(answers[0].status, 200);
        let fresh = answers.iter().filter(|answer| answer.header("idempotent-replayed").is_empty());
        assert_eq!(fresh.count(), 1);
        // Two patients (the identifier was not there) and an observation.
        assert_eq!(server.events().await, 4);
    });
}

#[test]
fn several_writes_in_one_request_take_no_key() {
    test(|server| async move {
        server.post("/Patient", PATIENT).await;
        let mut batch = transaction();
        batch["type"] = json!("batch");
        let answer = server.send("POST", "", &[FHIR, key("one")], batch.to_string()).await;
        assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (400, "not-supported"));
        let path = "/Patient?identifier=urn:x|1&_count=5";
        let answer = server.send("DELETE", path, &[key("two")], "").await;
        assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (400, "not-supported"));
        assert_eq!(server.events().await, 1);
    });
}

#[test]
fn a_body_that_is_read_off_the_worker_is_compared_too() {
    test(|server| async move {
        let body = |letter: &str| {
            let text = letter.repeat(400_000);
            format!(r#"{{"resourceType":"Patient","name":[{{"text":"{text}"}}]}}"#)
        };
        let [first, again] = both(&server, "POST", "/Patient", &[FHIR, key("large")], &body("x")).await;
        assert_eq!(first.status, 201);
        assert_replayed(&first, &again);
        let other = server.send("POST", "/Patient", &[FHIR, key("large")], body("y")).await;
        assert_eq!(other.status, 422);
    });
}

#[test]
fn the_actors_of_another_server_know_the_key() {
    test(|server| async move {
        let start = || Compartments::start(server.log.clone(), Rules::default(), ActorOptions::default());
        let nodes = [start().unwrap(), start().unwrap()];
        let create = |node: &Compartments, id: &str| {
            let document = Document::parse(PATIENT, &Limits::default()).unwrap();
            let candidate = Arc::new(Candidate::new(ResourceKey::new("Patient", id), document, &[]));
            let command = Command::Create { candidate, unless_held: Vec::new() };
            let provenance = Provenance::of(Arc::from("test"));
            let once = Idempotency { key: Uuid::from_u128(1), fingerprint: [1; 32], note: vec![] };
            let node = node.clone();
            async move { node.submit_on(command, provenance, Terms { idempotency: Some(once), kept: None }).await }
        };
        assert!(matches!(create(&nodes[0], "a").await, Ok(Outcome::Written { .. })));
        assert!(matches!(create(&nodes[1], "b").await, Err(WriteError::AlreadyRecorded)));
        let remembered = server.log.remembered(Uuid::from_u128(1)).await.unwrap().unwrap();
        assert_eq!(remembered.events[0].key.id, "a");
        assert_eq!(server.events().await, 1);
        nodes.iter().for_each(Compartments::stop);
    });
}

#[test]
fn what_was_done_for_one_patient_is_not_told_to_who_acts_for_another() {
    use anamnesis::access::grant::Claims;
    use anamnesis::api::{Body, Request, dispatch};
    test(|server| async move {
        // Scopes of users do not differ by the patient in context, and the same app brings the same key.
        let of = |patient: Option<&'static str>, fhir_user: &'static str| {
            principal("user/*.cruds", &Claims { patient, fhir_user: Some(fhir_user), ..Claims::default() })
        };
        let create = async |patient, fhir_user| {
            let request = Request {
                principal: of(patient, fhir_user),
                method: actix_web::http::Method::POST,
                path: "/Patient".to_owned(),
                idempotency_key: Some("same".to_owned()),
                body: Body::Bytes(PATIENT.as_bytes().to_vec()),
                base: server.base.clone(),
                correlation_id: "asked".to_owned(),
                ..Request::default()
            };
            Box::pin(dispatch(&server.service, request)).await.unwrap().location.unwrap()
        };
        let first = create(Some("a"), "Practitioner/1").await;
        assert_eq!(create(Some("a"), "Practitioner/1").await, first, "it is the same request");
        let of_others =
            [(Some("b"), "Practitioner/1"), (None, "Practitioner/1"), (Some("a"), "Practitioner/2")];
        for (patient, fhir_user) in of_others {
            assert_ne!(create(patient, fhir_user).await, first, "{patient:?} {fhir_user}");
        }
        assert_eq!(server.events().await, 4);
    });
}
