//! `Patient/{id}/$purge`, `$legal-hold` and `$legal-hold-release`

use std::sync::Arc;

use anamnesis::decide::{Rules, Versioning};
use anamnesis_events::keys::{Encryption, parse_master_keys};
use anamnesis_events::{Draft, Erases, Group, Kind, LogOptions, Operation, Position, Version};
use serde_json::{Value, json};

use crate::erasure::{MARKER, assert_nothing_is_left};
use crate::support::{Answer, FHIR, Server, Setup, eventually, test, test_with};

const MASTER: &str = "a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn patient(id: &str, family: &str) -> String {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": family}],
        "identifier": [{"system": "urn:x", "value": family}]})
    .to_string()
}

fn observation(id: &str, subject: &str, text: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": text},
        "subject": {"reference": format!("Patient/{subject}")}})
}

async fn put(server: &Server, path: &str, body: impl Into<String>) -> Answer {
    let answer = server.put(path, body.into()).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
    answer
}

async fn purge(server: &Server, id: &str) -> Answer {
    server.post(&format!("/Patient/{id}/$purge"), "").await
}

/// The value of a parameter of an answer.
fn value(answer: &Answer, name: &str) -> Value {
    let json = answer.json();
    let parameters = json["parameter"].as_array().unwrap_or_else(|| panic!("{json}"));
    let found = parameters.iter().find(|one| one["name"] == name).cloned().unwrap_or_default();
    let value = found.as_object().and_then(|one| one.iter().find(|(name, _)| name.starts_with("value")));
    value.map(|(_, value)| value.clone()).unwrap_or_default()
}

/// What is told to remain of a sort.
fn remaining(answer: &Answer, what: &str) -> Value {
    let json = answer.json();
    let parameters = json["parameter"].as_array().unwrap().iter();
    let mut remains = parameters.filter(|one| one["name"] == "remains");
    let found = remains.find(|one| one["part"][0]["valueCode"] == what);
    found.unwrap_or_else(|| panic!("nothing of {what}: {json}"))["part"].clone()
}

/// A patient with a record, of which each part has the marker; and another one without.
async fn fill(server: &Server) {
    put(server, "/Patient/a", patient("a", MARKER)).await;
    put(server, "/Patient/b", patient("b", "Other")).await;
    for text in [MARKER, "other", MARKER] {
        put(server, "/Observation/1", observation("1", "a", text).to_string()).await;
    }
    put(server, "/Observation/deleted", observation("deleted", "a", MARKER).to_string()).await;
    assert_eq!(server.delete("/Observation/deleted").await.status, 204);
    put(server, "/Observation/moved", observation("moved", "a", MARKER).to_string()).await;
    put(server, "/Observation/moved", observation("moved", "b", "other").to_string()).await;
    put(server, "/Observation/b", observation("b", "b", "other").to_string()).await;
    let group = json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true,
        "member": [{"entity": {"reference": "Patient/b"}}, {"entity": {"reference": "Patient/a"}}]});
    put(server, "/Group/g", group.to_string()).await;
    let attends = |id: &str| json!({"actor": {"reference": format!("Patient/{id}")}, "status": "accepted"});
    let appointment = json!({"resourceType": "Appointment", "id": "both", "status": "proposed",
        "participant": [attends("b"), attends("a")]});
    put(server, "/Appointment/both", appointment.to_string()).await;
}

/// What is told of the purge of a record as it was filled, with one more observation.
fn assert_report(purged: &Answer, (then, ended): (u64, u64)) {
    assert_eq!(value(purged, "status"), "purged");
    // The patient, the observations 1 (three versions), 2, the deleted one and the one that was moved.
    assert_eq!((value(purged, "resources"), value(purged, "versions")), (json!(5), json!(7)));
    assert_eq!(value(purged, "begun"), json!(then + 1));
    assert_eq!(value(purged, "ended"), json!(ended));
    assert_eq!(value(purged, "keyDestroyed"), false);
    let groups = remaining(purged, "groups");
    assert_eq!(
        (&groups[2]["valueDecimal"], &groups[3]["valueReference"]["reference"]),
        (&json!(1), &json!("Group/g"))
    );
    let references = remaining(purged, "references");
    assert_eq!(references[4]["valueReference"]["reference"], "Appointment/both", "{references}");
    for what in ["envelopes", "audit-log", "stream", "database-files", "backups", "exports"] {
        assert!(remaining(purged, what)[1]["valueString"].as_str().unwrap().len() > 30);
    }
}

#[test]
fn after_a_purge_nothing_readable_is_left_of_a_patient() {
    test(|server| async move {
        fill(&server).await;
        let entries = json!([
            {"request": {"method": "PUT", "url": "Observation/2"}, "resource": observation("2", "a", MARKER)},
            {"request": {"method": "GET", "url": format!("Patient?family={MARKER}")}},
        ]);
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries}).to_string();
        let key = [FHIR, ("idempotency-key", "k1")];
        assert_eq!(server.send("POST", "", &key, bundle.clone()).await.status, 200);
        let first_page = server.get("/Patient/a/$everything?_count=1").await.json();
        let next = first_page["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next");
        let next = next.unwrap()["url"].as_str().unwrap().strip_prefix(&server.base).unwrap().to_owned();
        let then = server.events().await;

        let purged = purge(&server, "a").await;
        assert_eq!(purged.status, 200, "{}", purged.text());
        assert_report(&purged, (then, server.events().await));
        for path in [
            "/Patient/a",
            "/Observation/1",
            "/Observation/1/_history",
            "/Observation/1/_history/1",
            "/Observation/2",
            "/Observation/deleted",
            "/Observation/moved/_history/1",
            "/Patient/a/$everything",
        ] {
            assert_eq!(server.get(path).await.status, 404, "{path}");
        }
        for path in ["/Patient/b", "/Observation/b", "/Observation/moved", "/Group/g", "/Appointment/both"] {
            assert_eq!(server.get(path).await.status, 200, "{path}");
        }
        for path in [
            next.as_str(),
            "/Patient/a/Observation",
            "/Observation?patient=a",
            &format!("/Patient/a/Observation?_asOf={then}"),
            &format!("/Patient?family={MARKER}"),
        ] {
            let answer = server.get(path).await;
            assert!(!answer.text().contains(&format!("\"text\":\"{MARKER}")), "{path}: {}", answer.text());
            assert!(
                answer.json()["entry"].as_array().is_none_or(|all| all
                    .iter()
                    .all(|entry| entry["resource"]["resourceType"] == "OperationOutcome"
                        || entry["resource"]["resourceType"] == "Appointment")),
                "{path}: {}",
                answer.text()
            );
        }
        let again = server.send("POST", "", &key, bundle).await;
        assert_eq!((again.status.as_u16(), again.outcome().as_str()), (410, "deleted"));
        assert_nothing_is_left(&server).await;
        let actors = server.compartments.residents(100).actors;
        let actor = actors.iter().find(|one| one.compartment == "Patient/a");
        assert!(actor.is_none_or(|one| one.cached_heads == 0), "{actor:?}");

        // Once more there is nothing to do; under its id a patient may come back, and go again.
        let twice = purge(&server, "a").await;
        assert_eq!(
            (value(&twice, "status"), value(&twice, "ended")),
            (json!("purged-before"), value(&purged, "ended"))
        );
        assert_eq!(put(&server, "/Patient/a", patient("a", MARKER)).await.headers["etag"], "W/\"3\"");
        assert_eq!(value(&purge(&server, "a").await, "versions"), json!(1));
        assert_nothing_is_left(&server).await;
    });
}

/// The beginning of a purge whose server has ended.
async fn begin(server: &Server, id: &str, version: u32) {
    let home = format!("Patient/{id}");
    let draft = Draft {
        key: anamnesis_events::ResourceKey::new("Patient", id),
        operation: Operation::Purge,
        erases: Erases::Nothing,
        version: Version::new(version),
        touches: vec![home.clone()],
        home,
        payload: vec![],
        stamp_at: None,
        identifiers: vec![],
        require_no_identifier: vec![],
        agent: "somebody".into(),
        source: None,
    };
    server.log.append(Group::single(draft)).await.unwrap();
}

#[test]
fn a_patient_that_is_being_purged_takes_no_writes_until_that_has_ended() {
    test(|server| async move {
        fill(&server).await;
        begin(&server, "a", 1).await;
        let before = server.events().await;
        let transaction = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
            {"request": {"method": "PUT", "url": "Patient/c"}, "resource": {"resourceType": "Patient", "id": "c"}},
            {"request": {"method": "DELETE", "url": "Observation/1"}}]});
        for answer in [
            server.put("/Patient/a", patient("a", "x")).await,
            server.put("/Observation/new", observation("new", "a", "x").to_string()).await,
            server.delete("/Observation/1").await,
            server.post("", transaction.to_string()).await,
            server.post("/Patient/a/$legal-hold?reason=x", "").await,
        ] {
            assert_eq!(
                (answer.status.as_u16(), answer.outcome().as_str()),
                (423, "transient"),
                "{}",
                answer.text()
            );
            assert_eq!(answer.header("retry-after"), "5");
        }
        assert_eq!(server.events().await, before);
        put(&server, "/Observation/b", observation("b", "b", "new").to_string()).await;
        assert_eq!(server.get("/Patient/a").await.status, 200, "reads go on");
        assert_eq!(value(&purge(&server, "a").await, "status"), "purged");
        assert_nothing_is_left(&server).await;
        put(&server, "/Patient/a", patient("a", "x")).await;
    });
}

#[test]
fn a_server_that_starts_goes_on_with_what_was_interrupted() {
    test(|server| async move {
        fill(&server).await;
        begin(&server, "a", 1).await;
        let next = server.beside().await;
        eventually("the purge goes on by itself", async || next.log.open_purges().await.unwrap().is_empty())
            .await;
        let last = server.log.read(Position::ZERO, 1000).await.unwrap().pop().unwrap();
        assert_eq!((last.kind, &*last.agent), (Kind::CompartmentPurged, "somebody"));
        assert_nothing_is_left(&next).await;
        next.stop().await;
    });
}

#[test]
fn a_purge_destroys_the_data_key() {
    let encryption = Encryption::new(Arc::new(parse_master_keys(MASTER).unwrap()));
    let log = LogOptions { encryption: Some(encryption), ..LogOptions::default() };
    test_with(Setup { log, ..Setup::default() }, |server| async move {
        fill(&server).await;
        assert_eq!(value(&purge(&server, "a").await, "keyDestroyed"), true);
        assert_eq!(server.get("/Observation/moved").await.status, 200);
        assert_nothing_is_left(&server).await;
        put(&server, "/Patient/a", patient("a", "New")).await;
        assert_eq!(server.get("/Patient/a").await.status, 200);
    });
}

#[test]
fn what_a_purge_does_not_take_is_refused() {
    test(|server| async move {
        fill(&server).await;
        let before = server.events().await;
        let key = [FHIR, ("idempotency-key", "k")];
        let provenance = r#"{"resourceType":"Provenance","recorded":"2026-01-01T00:00:00Z",
            "agent":[{"who":{"display":"x"}}]}"#
            .replace('\n', "");
        let entry = json!([{"request": {"method": "POST", "url": "Patient/a/$purge"}}]);
        let bundle = |kind: &str| json!({"resourceType": "Bundle", "type": kind, "entry": entry}).to_string();
        assert_eq!(purge(&server, "never").await.status, 404);
        assert_eq!(server.get("/Patient/a/$purge").await.status, 405);
        assert_eq!(server.post("/Observation/1/$purge", "").await.status, 404);
        for answer in [
            server.post("/Patient/a/$purge?keep=1", "").await,
            server.post("/Patient/a/$purge", observation("1", "a", "x").to_string()).await,
            server.send("POST", "/Patient/a/$purge", &key, "").await,
            server.send("POST", "/Patient/a/$purge", &[FHIR, ("if-match", "W/\"1\"")], "").await,
            server.send("POST", "/Patient/a/$purge", &[FHIR, ("x-provenance", &provenance)], "").await,
            server.post("", bundle("transaction")).await,
        ] {
            assert_eq!(answer.status, 400, "{}", answer.text());
        }
        let batch = server.post("", bundle("batch")).await.json();
        let status = batch["entry"][0]["response"]["status"].as_str().unwrap();
        assert!(status.starts_with('4'), "{batch}");
        assert_eq!(server.events().await, before);
    });
}

#[test]
fn a_group_whose_first_member_is_the_patient_is_not_lost_to_the_others() {
    test(|server| async move {
        fill(&server).await;
        let group = |members: &[&str]| {
            let member = |id: &&str| json!({"entity": {"reference": format!("Patient/{id}")}});
            let members: Vec<Value> = members.iter().map(member).collect();
            json!({"resourceType": "Group", "id": "first", "type": "person", "actual": true, "name": MARKER,
                "member": members})
        };
        put(&server, "/Group/first", group(&["a", "b"]).to_string()).await;
        let before = server.events().await;
        let refused = purge(&server, "a").await;
        assert_eq!((refused.status.as_u16(), refused.outcome().as_str()), (409, "business-rule"));
        assert!(refused.text().contains("Group/first"), "{}", refused.text());
        assert_eq!(server.events().await, before);
        let mut without = group(&["b"]);
        without["name"] = "of others".into();
        put(&server, "/Group/first", without.to_string()).await;
        assert_eq!(purge(&server, "a").await.status, 200);
        assert_eq!(server.get("/Group/first").await.status, 200);
        assert_nothing_is_left(&server).await;
    });
}

/// What places a hold.
fn asked(reason: &str, until: &str) -> String {
    json!({"resourceType": "Parameters", "parameter": [{"name": "reason", "valueString": reason},
        {"name": "until", "valueDate": until}]})
    .to_string()
}

#[test]
fn a_legal_hold_has_a_reason_and_may_name_a_day() {
    test(|server| async move {
        fill(&server).await;
        let hold = "/Patient/a/$legal-hold";
        let before = server.events().await;
        for (body, code) in [
            (r#"{"resourceType":"Parameters"}"#.to_owned(), "required"),
            (asked(" ", "2027-01-31"), "required"),
            (asked("x", "2027-01"), "value"),
            (asked("x", "2027-02-30"), "value"),
            (asked(&"x".repeat(2001), "2027-01-31"), "too-long"),
        ] {
            let refused = server.post(hold, body).await;
            assert_eq!(
                (refused.status.as_u16(), refused.outcome().as_str()),
                (400, code),
                "{}",
                refused.text()
            );
        }
        assert_eq!(server.events().await, before);
        assert_eq!(server.post(hold, asked("x", "2027-02-28")).await.status, 201);
    });
}

#[test]
fn a_legal_hold_refuses_erasures_and_is_told_of() {
    test(|server| async move {
        fill(&server).await;
        let hold = "/Patient/a/$legal-hold";
        assert_eq!(value(&server.get(hold).await, "held"), false);
        assert_eq!(server.get("/Patient/never/$legal-hold").await.status, 404);
        let placed = server.post(hold, asked(&format!("Case {MARKER}"), "2027-01-31")).await;
        assert_eq!(placed.status, 201, "{}", placed.text());
        let shown = server.get(hold).await;
        assert_eq!(value(&shown, "held"), true);
        assert_eq!(value(&shown, "reason"), format!("Case {MARKER}"));
        assert_eq!((value(&shown, "until"), value(&shown, "by")), (json!("2027-01-31"), json!("anonymous")));
        let since = value(&shown, "since").as_str().unwrap()[..19].to_owned();

        let entry = |url: &str| json!([{"request": {"method": "DELETE", "url": url}}]);
        let transaction = json!({"resourceType": "Bundle", "type": "transaction",
            "entry": entry("Observation/1?hardDelete=true")});
        let before = server.events().await;
        for answer in [
            purge(&server, "a").await,
            server.delete("/Patient/a?hardDelete=true").await,
            server.delete("/Observation/1?hardDelete=true").await,
            server.delete("/Observation/deleted?hardDelete=true").await,
            server.delete("/Observation/1/$purge-history").await,
            server.delete("/Observation/moved/$purge-history").await,
            server.post("", transaction.to_string()).await,
            server.post(hold, asked("again", "2027-01-31")).await,
        ] {
            let text = answer.text();
            assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (423, "business-rule"), "{text}");
            assert!(text.contains(&since) && !text.contains(MARKER), "{text}");
        }
        let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": entry("Observation/1?hardDelete=true")});
        let batch = server.post("", batch.to_string()).await.json();
        assert_eq!(batch["entry"][0]["response"]["status"], "423", "{batch}");
        assert_eq!(server.events().await, before);
        // Reads, writes and deletes go on; so does what is of others.
        assert_eq!(server.get("/Patient/a").await.status, 200);
        put(&server, "/Patient/a", patient("a", "Later")).await;
        assert_eq!(server.delete("/Observation/1").await.status, 204);
        assert_eq!(server.get("/Observation/1/_history/1").await.status, 200);
        assert_eq!(server.delete("/Observation/b?hardDelete=true").await.status, 204);

        let release = "/Patient/a/$legal-hold-release";
        let released = server.post(release, "").await;
        assert_eq!((released.status.as_u16(), value(&released, "held")), (200, json!(false)));
        assert!(!released.header("x-anamnesis-position").is_empty());
        assert_eq!(
            server.post(release, "").await.header("x-anamnesis-position"),
            "",
            "there is none any more"
        );
        assert_eq!(value(&server.get(hold).await, "held"), false);
        assert_eq!(value(&purge(&server, "a").await, "status"), "purged");
        assert_nothing_is_left(&server).await;
    });
}

#[test]
fn what_is_held_keeps_its_versions_under_any_policy() {
    let rules = Rules { versioning: Versioning::NoVersion, ..Rules::default() };
    test_with(Setup { rules, ..Setup::default() }, |server| async move {
        put(&server, "/Patient/a", patient("a", "1")).await;
        put(&server, "/Patient/a", patient("a", "2")).await;
        assert_eq!(server.get("/Patient/a/_history/1").await.status, 404);
        assert_eq!(server.post("/Patient/a/$legal-hold?reason=x", "").await.status, 201);
        put(&server, "/Patient/a", patient("a", "3")).await;
        put(&server, "/Patient/a?_meta-history=false", patient("a", "4")).await;
        assert_eq!(server.delete("/Patient/a").await.status, 204);
        for version in 2..=4 {
            assert_eq!(server.get(&format!("/Patient/a/_history/{version}")).await.status, 200, "{version}");
        }
        assert_eq!(server.post("/Patient/a/$legal-hold-release", "").await.status, 200);
        put(&server, "/Patient/a", patient("a", "6")).await;
        put(&server, "/Patient/a", patient("a", "7")).await;
        assert_eq!(server.get("/Patient/a/_history/6").await.status, 404, "the policy is back");
    });
}
