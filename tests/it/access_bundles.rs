//! Bundles of somebody who may not do all that is in them.

use serde_json::{Value, json};

use crate::support::authority::{Authority, Key, bearer};
use crate::support::{Answer, FHIR, Server, Setup, runtime, test_with};

struct Scene {
    server: std::sync::Arc<Server>,
    authority: Authority,
    key: Key,
}

impl Scene {
    async fn send(&self, role: &str, kind: &str, entries: Value) -> Answer {
        let token = self.key.sign(&self.authority.claims(role));
        let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": entries});
        let headers = [("Authorization", &*bearer(&token)), FHIR];
        self.server.send("POST", "", &headers, bundle.to_string()).await
    }
}

fn test<T: Future<Output = ()>>(body: impl FnOnce(Scene) -> T) {
    let key = Key::new("one");
    let authority = Authority::start(&[&key]);
    let gate = runtime().block_on(async { authority.gate() });
    let setup = Setup { gate: Some(gate), ..Setup::default() };
    test_with(setup, |server| body(Scene { server, authority, key }));
}

fn entry(method: &str, url: &str) -> Value {
    json!({"request": {"method": method, "url": url}})
}

fn with(mut entry: Value, resource: Value) -> Value {
    entry["resource"] = resource;
    entry
}

fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id})
}

fn put(id: &str) -> Value {
    with(entry("PUT", &format!("Patient/{id}")), patient(id))
}

#[test]
fn a_batch_does_what_may_be_done_and_refuses_the_rest() {
    test(async |scene| {
        let entries = json!([
            put("a"),
            entry("GET", "Patient/a"),
            entry("GET", "Patient"),
            entry("DELETE", "Patient/a")
        ]);
        let answer = scene.send("FHIR Data Reader", "batch", entries.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let statuses = |answer: &Answer| -> Vec<String> {
            let json = answer.json();
            let all = json["entry"].as_array().unwrap();
            all.iter().map(|one| one["response"]["status"].as_str().unwrap()[..3].to_owned()).collect()
        };
        assert_eq!(statuses(&answer), ["403", "404", "200", "403"], "{}", answer.text());
        assert_eq!(answer.json()["entry"][0]["response"]["outcome"]["issue"][0]["code"], "forbidden");
        assert_eq!(scene.server.events().await, 0);
        let answer = scene.send("FHIR Data Contributor", "batch", entries).await;
        assert_eq!(statuses(&answer), ["201", "200", "200", "204"], "{}", answer.text());
    });
}

#[test]
fn a_transaction_with_one_entry_that_may_not_be_done_is_refused_whole() {
    test(async |scene| {
        let hard = entry("DELETE", "Patient/a?hardDelete=true");
        let purge = entry("DELETE", "Patient/a/$purge-history");
        let parameter = with(entry("POST", "SearchParameter"), json!({"resourceType": "SearchParameter"}));
        for (role, refused) in [
            ("FHIR Data Reader", put("b")),
            ("FHIR Data Reader", with(entry("POST", "Patient"), json!({"resourceType": "Patient"}))),
            ("FHIR Data Reader", entry("DELETE", "Patient/a")),
            ("FHIR Data Writer", hard),
            ("FHIR Data Writer", purge),
            ("FHIR Data Writer", parameter),
            ("Auditor", entry("GET", "Patient/a")),
            ("Operator", entry("GET", "Patient?_id=a")),
            ("FHIR Data Converter", entry("HEAD", "Patient/a")),
            ("FHIR SMART User", entry("GET", "Patient/a")),
        ] {
            let answer = scene.send(role, "transaction", json!([put("a"), refused.clone()])).await;
            assert_eq!(answer.status, 403, "{role} {refused}: {}", answer.text());
            assert_eq!(answer.outcome(), "forbidden");
            assert!(answer.text().contains("Bundle.entry[1]"), "{}", answer.text());
        }
        assert_eq!(scene.server.events().await, 0, "nothing is written");
    });
}

#[test]
fn a_refusal_does_not_tell_whether_there_is_something() {
    test(async |scene| {
        assert_eq!(scene.send("FHIR Data Contributor", "batch", json!([put("there")])).await.status, 200);
        let token = scene.key.sign(&scene.authority.claims("Operator"));
        let line = bearer(&token);
        for (method, there, not_there) in [
            ("GET", "/Patient/there", "/Patient/not-there"),
            ("DELETE", "/Patient/there", "/Patient/not-there"),
            ("GET", "/Patient/there/_history", "/Patient/not-there/_history"),
            ("GET", "/Patient/there/$everything", "/Patient/not-there/$everything"),
            ("GET", "/Patient?_id=there", "/Patient?_id=not-there"),
        ] {
            let mut told = Vec::new();
            for path in [there, not_there] {
                let answer = scene.server.send(method, path, &[("Authorization", &line)], "").await;
                let mut outcome = answer.json();
                outcome.as_object_mut().unwrap().remove("id");
                told.push((answer.status, outcome, answer.headers.contains_key("etag")));
            }
            assert_eq!(told[0], told[1], "{method} {there}");
            assert_eq!(told[0].0, 403);
        }
    });
}

#[test]
fn an_idempotency_key_is_of_one_writer() {
    test(async |scene| {
        let mut ids = Vec::new();
        for role in ["FHIR Data Contributor", "FHIR Data Writer", "FHIR Data Writer"] {
            let line = bearer(&scene.key.sign(&scene.authority.claims(role)));
            let headers = [("Authorization", &*line), FHIR, ("Idempotency-Key", "\"same\"")];
            let made = scene.server.send("POST", "/Patient", &headers, r#"{"resourceType":"Patient"}"#).await;
            assert_eq!(made.status, 201, "{}", made.text());
            ids.push(made.json()["id"].clone());
        }
        assert_ne!(ids[0], ids[1], "what one has done is not told to another");
        assert_eq!(ids[1], ids[2]);
    });
}
