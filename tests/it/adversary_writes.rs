//! An app that is bounded to one patient tries to change, to take over, or to learn of what is another's, by writing.

use anamnesis::api::Conditions;
use serde_json::{Value, json};

use crate::adversary::{Asked, Both, coded, get, observation, of_patient, refer, send, with_both};

fn new(patient: &str) -> Value {
    let mut new = observation("x", patient, "n");
    new.as_object_mut().unwrap().remove("id");
    new["identifier"] = json!([{"system": "http://i", "value": "new"}]);
    new
}

fn with(mut resource: Value, name: &str, value: Value) -> Value {
    resource[name] = value;
    resource
}

fn when(asked: Asked, conditions: Conditions) -> Asked {
    Asked { conditions, ..asked }
}

fn matching(versions: &str) -> Conditions {
    Conditions { if_match: Some(versions.to_owned()), ..Conditions::default() }
}

fn unless(criteria: &str) -> Conditions {
    Conditions { if_none_exist: Some(criteria.to_owned()), ..Conditions::default() }
}

/// The versions of everything on the server that holds all.
async fn versions(both: &Both) -> Vec<String> {
    let history = both.all.get("/_history?_count=1000").await.json();
    let entries = history["entry"].as_array().unwrap().iter();
    entries.map(|entry| format!("{} {}", entry["fullUrl"], entry["response"]["etag"])).collect()
}

#[test]
fn what_is_hidden_is_written_by_no_way() {
    with_both(|both| async move {
        let app = of_patient("a", "patient/*.cruds");
        let before = versions(&both).await;
        let patch = json!([{"op": "test", "path": "/status", "value": "final"}]);
        for (asked, status) in [
            // What is there, and what is not.
            (send("PUT", "Observation/b1", observation("b1", "a", "x")), 404),
            (send("PUT", "Observation/b1", observation("b1", "b", "x")), 404),
            (send("PUT", "Observation/nothing", observation("nothing", "a", "x")), 404),
            (when(send("PUT", "Observation/b1", observation("b1", "a", "x")), matching("W/\"1\"")), 404),
            (when(send("PUT", "Observation/b1", observation("b1", "a", "x")), matching("W/\"7\"")), 404),
            (
                when(
                    send("PUT", "Observation/b1", observation("b1", "a", "x")),
                    Conditions { if_none_match: Some("*".to_owned()), ..Conditions::default() },
                ),
                404,
            ),
            (send("PUT", "Patient/b", json!({"resourceType": "Patient", "id": "b"})), 404),
            (send("PATCH", "Observation/b1", patch.clone()), 404),
            (send("PATCH", "Observation/nothing", patch.clone()), 404),
            (when(send("PATCH", "Observation/b1", patch.clone()), matching("W/\"1\"")), 404),
            (Asked { method: "DELETE", ..get("Observation/b1") }, 204),
            (Asked { method: "DELETE", ..get("Observation/nothing") }, 204),
            (when(Asked { method: "DELETE", ..get("Observation/b1") }, matching("W/\"1\"")), 404),
            (when(Asked { method: "DELETE", ..get("Observation/b1") }, matching("W/\"7\"")), 404),
            (Asked { method: "DELETE", ..get("Observation/b1?hardDelete=true") }, 403),
            (Asked { method: "DELETE", ..get("Observation/a1?hardDelete=true") }, 403),
            // By criteria.
            (send("PUT", "Observation?identifier=http://i|b1", observation("b1", "a", "x")), 404),
            (send("PATCH", "Observation?identifier=http://i|b1", patch.clone()), 404),
            (Asked { method: "DELETE", ..get("Observation?identifier=http://i|b1") }, 204),
            (Asked { method: "DELETE", ..get("Observation?code=z&_count=9") }, 204),
            (Asked { method: "DELETE", ..get("Observation?subject:Patient.name=birch") }, 204),
            // Into the record of somebody else, or of nobody.
            (send("POST", "Observation", new("b")), 403),
            (send("POST", "Observation", with(new("a"), "performer", json!([refer("Patient/b")]))), 403),
            (send("POST", "Patient", json!({"resourceType": "Patient"})), 403),
            (send("POST", "Practitioner", json!({"resourceType": "Practitioner"})), 403),
            (send("PUT", "Practitioner/d", json!({"resourceType": "Practitioner", "id": "d"})), 403),
            (
                send(
                    "PUT",
                    "Organization/h",
                    json!({"resourceType": "Organization", "id": "h", "name": "x"}),
                ),
                403,
            ),
            (send("POST", "ValueSet", json!({"resourceType": "ValueSet", "status": "active"})), 403),
            (
                send(
                    "POST",
                    "Subscription",
                    json!({"resourceType": "Subscription", "status": "requested", "reason": "r",
                        "criteria": "Observation?", "channel": {"type": "rest-hook", "endpoint": "http://127.0.0.1:1"}}),
                ),
                403,
            ),
            (send("PUT", "Observation/a2", observation("a2", "b", "y")), 403),
            (
                send(
                    "PUT",
                    "Observation/a2",
                    with(observation("a2", "a", "y"), "performer", json!([refer("Patient/b")])),
                ),
                403,
            ),
            // Out of the record of somebody else.
            (send("PUT", "Observation/ba", observation("ba", "a", "w")), 403),
            (Asked { method: "DELETE", ..get("Observation/ba") }, 403),
            (Asked { method: "DELETE", ..get("Appointment/p") }, 403),
            (
                send(
                    "PATCH",
                    "Observation/a2",
                    json!([{"op": "replace", "path": "/subject/reference", "value": "Patient/b"}]),
                ),
                403,
            ),
            (
                send(
                    "PUT",
                    "Patient/a",
                    json!({"resourceType": "Patient", "id": "a", "link": [{"other": refer("Patient/c"), "type": "refer"}]}),
                ),
                403,
            ),
        ] {
            let told = both.answers(&app, &asked, status).await;
            both.check(told.version.is_none(), || format!("{asked:?}: {told:?}"));
        }
        assert_eq!(versions(&both).await, before, "nothing was written");
    });
}

#[test]
fn what_is_its_own_is_written() {
    with_both(|both| async move {
        let app = of_patient("a", "patient/*.cruds");
        for (asked, status) in [
            (send("POST", "Observation", new("a")), 201),
            (send("PUT", "Observation/a2", observation("a2", "a", "y2")), 200),
            (
                send(
                    "PATCH",
                    "Observation/a2",
                    json!([{"op": "replace", "path": "/status", "value": "amended"}]),
                ),
                200,
            ),
            (
                send(
                    "PUT",
                    "Observation?identifier=http://i|a2",
                    with(observation("a2", "a", "y3"), "status", json!("final")),
                ),
                200,
            ),
            (
                send(
                    "PUT",
                    "Observation?identifier=http://i|unknown",
                    with(new("a"), "status", json!("amended")),
                ),
                201,
            ),
            // What is of both stays of both.
            (
                send(
                    "PUT",
                    "Observation/ba",
                    with(observation("ba", "b", "w2"), "performer", json!([refer("Patient/a")])),
                ),
                200,
            ),
            (Asked { method: "DELETE", ..get("Observation/a2") }, 204),
            // What was deleted is not made anew under its id.
            (send("PUT", "Observation/a2", observation("a2", "a", "y")), 404),
        ] {
            both.answers(&app, &asked, status).await;
        }
    });
}

#[test]
fn criteria_match_what_can_be_seen() {
    with_both(|both| async move {
        let app = of_patient("a", "patient/*.cruds");
        // Nobody is told that somebody else holds an identifier.
        for (criteria, status) in [
            ("identifier=http://i|b1", 201),
            ("code=z", 201),
            ("identifier=http://i|a1", 200),
            ("subject:Patient.name=birch", 201),
            ("_id=b2", 201),
        ] {
            let asked = when(send("POST", "Observation", new("a")), unless(criteria));
            both.answers(&app, &asked, status).await;
        }
        // Without the right to search nothing is matched at all.
        let writer = of_patient("a", "patient/Observation.cu");
        let asked = when(send("POST", "Observation", new("a")), unless("identifier=http://i|a1"));
        assert_eq!(both.same(&writer, &asked).await.status, 403);
        assert_eq!(both.same(&writer, &send("POST", "Observation", new("a"))).await.status, 201);
        assert_eq!(both.same(&writer, &get("Observation/a1")).await.status, 403);
        assert_eq!(
            both.same(&writer, &Asked { method: "DELETE", ..get("Observation/a1") }).await.status,
            403
        );
        let reader = of_patient("a", "patient/*.read");
        for asked in [
            send("POST", "Observation", new("a")),
            send("PUT", "Observation/a1", observation("a1", "a", "x")),
            Asked { method: "DELETE", ..get("Observation/a1") },
            send("PATCH", "Observation/a1", json!([])),
        ] {
            both.answers(&reader, &asked, 403).await;
        }
    });
}

fn bundle(kind: &str, entries: Vec<Value>) -> Asked {
    send("POST", "", json!({"resourceType": "Bundle", "type": kind, "entry": entries}))
}

fn entry(method: &str, url: &str) -> Value {
    json!({"request": {"method": method, "url": url}})
}

fn writing(method: &str, url: &str, resource: Value) -> Value {
    json!({"request": {"method": method, "url": url}, "resource": resource})
}

#[test]
fn bundles_are_bounded_entry_by_entry() {
    with_both(|both| async move {
        let app = of_patient("a", "patient/*.cruds");
        let before = versions(&both).await;
        let batch = bundle(
            "batch",
            vec![
                entry("GET", "Patient/b"),
                entry("GET", "Patient/a"),
                entry("GET", "Observation?code=z"),
                entry("GET", "Practitioner?_has:Observation:performer:code=z"),
                entry("GET", "Patient/b/$everything"),
                entry("GET", "Observation/b1/_history"),
                entry("DELETE", "Observation/b1"),
                writing("PUT", "Observation/b1", observation("b1", "a", "x")),
                writing("POST", "Observation", new("b")),
                entry("DELETE", "Observation?code=z"),
            ],
        );
        let told = both.same(&app, &batch).await;
        let json = told.json();
        let statuses: Vec<&str> = json["entry"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["response"]["status"].as_str().unwrap()[..3])
            .collect();
        assert_eq!(statuses, ["404", "200", "200", "200", "404", "404", "204", "404", "403", "204"]);
        for (entries, status) in [
            (vec![entry("GET", "Patient/b")], 404),
            (vec![entry("GET", "Observation?code=z")], 200),
            (vec![entry("DELETE", "Observation/b1")], 200),
            (vec![entry("DELETE", "Observation?identifier=http://i|b1")], 200),
            (vec![writing("PUT", "Observation/b1", observation("b1", "a", "x"))], 404),
            (vec![writing("POST", "Observation", new("b"))], 403),
            (
                vec![writing(
                    "POST",
                    "Encounter",
                    json!({"resourceType": "Encounter", "status": "planned",
                "class": {"code": "AMB"}, "subject": refer("Patient/b")}),
                )],
                403,
            ),
            (vec![writing("PUT", "Observation/ba", observation("ba", "a", "w"))], 403),
            // References by criteria lead to what can be seen.
            (
                vec![writing(
                    "POST",
                    "Observation",
                    with(new("a"), "hasMember", json!([refer("Observation?identifier=http://i|b1")])),
                )],
                400,
            ),
            (
                vec![writing(
                    "POST",
                    "Observation",
                    with(new("a"), "subject", refer("Patient?identifier=http://i|b")),
                )],
                400,
            ),
            (
                vec![writing(
                    "POST",
                    "Observation",
                    with(new("a"), "hasMember", json!([refer("Observation?code=z")])),
                )],
                400,
            ),
        ] {
            both.answers(&app, &bundle("transaction", entries), status).await;
        }
        assert_eq!(versions(&both).await, before, "nothing was written");
        for entries in [
            vec![
                writing("POST", "Observation", new("a")),
                writing(
                    "POST",
                    "Condition",
                    json!({"resourceType": "Condition", "subject": refer("Patient/a"), "code": coded("n")}),
                ),
            ],
            vec![writing("PUT", "Observation?identifier=http://i|other", new("a"))],
            vec![writing(
                "POST",
                "Observation",
                with(new("a"), "subject", refer("Patient?identifier=http://i|a")),
            )],
        ] {
            both.answers(&app, &bundle("transaction", entries), 200).await;
        }
        let reader = of_patient("a", "patient/*.rs");
        let told = both.same(&reader, &bundle("transaction", vec![entry("DELETE", "Observation/a1")])).await;
        assert_eq!(told.status, 403);
    });
}

#[test]
fn a_provenance_that_comes_along_is_a_write_as_well() {
    with_both(|both| async move {
        let provenance = json!({"resourceType": "Provenance", "recorded": "2024-01-01T00:00:00Z",
            "agent": [{"who": refer("Practitioner/d")}]});
        let asked =
            Asked { provenance: Some(provenance.to_string()), ..send("POST", "Observation", new("a")) };
        for scopes in ["patient/Observation.c", "patient/*.cruds"] {
            let told = both.same(&of_patient("a", scopes), &asked).await;
            assert_eq!(told.status, 403, "{scopes}: {}", told.body);
        }
    });
}
