//! `GET /{workspace}/$projections`, `POST /{workspace}/$unpark`, and what clients notice of a parked resource.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anamnesis_events::{Draft, Group, Operation, Position, ResourceKey, Version};
use serde_json::{Value, json};

use crate::support::{Answer, FHIR, JSON, Server, Setup, test, test_with};

/// Writes an event that no projection can take, past everything that would refuse it.
pub(crate) async fn break_resource(server: &Server, resource_type: &str, id: &str, version: u32) -> Position {
    let draft = Draft {
        key: ResourceKey::new(resource_type, id),
        operation: if version == 1 { Operation::Create } else { Operation::Update },
        erases: anamnesis_events::Erases::Nothing,
        version: Version::new(version),
        home: format!("{resource_type}/{id}"),
        touches: Vec::new(),
        payload: b"not JSON".to_vec(),
        stamp_at: None,
        identifiers: Vec::new(),
        require_no_identifier: Vec::new(),
        agent: Arc::from("test"),
        source: None,
    };
    let recorded = server.log.append(Group::single(draft)).await.unwrap();
    recorded[0].position
}

async fn put_patient(server: &Server, id: &str, family: &str) {
    let body = format!(r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"{family}"}}]}}"#);
    assert_eq!(server.put(&format!("/Patient/{id}"), body).await.status, 201);
}

async fn unpark(server: &Server, order: Value) -> Answer {
    server.workspace("POST", "/$unpark", &[JSON], order.to_string()).await
}

fn warnings(bundle: &Answer) -> Vec<String> {
    assert_eq!(bundle.status, 200);
    let json = bundle.json();
    let entries = json["entry"].as_array().cloned().unwrap_or_default();
    let outcomes = entries.iter().filter(|entry| entry["search"]["mode"] == "outcome");
    let issues = outcomes.flat_map(|entry| entry["resource"]["issue"].as_array().cloned().unwrap());
    let text = |issue: Value| {
        assert_eq!((&issue["severity"], &issue["code"]), (&json!("warning"), &json!("incomplete")));
        issue["diagnostics"].as_str().unwrap().to_owned()
    };
    issues.map(text).collect()
}

#[test]
fn a_parked_resource_is_marked_in_the_searches_that_it_may_be_missing_from() {
    test(|server| async move {
        put_patient(&server, "a", "Adams").await;
        let body =
            r#"{"resourceType":"Organization","id":"o","identifier":[{"system":"urn:o","value":"1"}]}"#;
        server.put("/Organization/o", body).await;
        assert_eq!(warnings(&server.get("/Patient").await), [""; 0]);
        break_resource(&server, "Patient", "b", 1).await;
        let all = server.get("/Patient").await;
        let [warning] = warnings(&all).try_into().unwrap();
        assert!(warning.contains("1 resource") && warning.contains("Patient/b"), "{warning}");
        assert_eq!(all.json()["entry"][0]["resource"]["id"], "a", "everything else goes on");
        assert_eq!(warnings(&server.get("/Patient?_summary=count").await).len(), 1);
        assert_eq!(warnings(&server.get("/?_type=Patient,Organization").await).len(), 1);
        assert_eq!(warnings(&server.get("/Organization").await), [""; 0]);
        let strict = server.send("GET", "/Patient", &[("Prefer", "handling=strict")], "").await;
        assert_eq!(warnings(&strict).len(), 1);
        for id in 0..12 {
            break_resource(&server, "Patient", &format!("x{id:02}"), 1).await;
        }
        let [warning] = warnings(&server.get("/Patient").await).try_into().unwrap();
        assert!(warning.contains("13 resource") && warning.ends_with("and 3 more."), "{warning}");
    });
}

#[test]
fn criteria_are_not_matched_against_a_type_with_parked_resources() {
    test(|server| async move {
        put_patient(&server, "a", "Adams").await;
        break_resource(&server, "Patient", "b", 1).await;
        let create = async |criteria: &str| {
            let body = r#"{"resourceType":"Patient","identifier":[{"system":"urn:x","value":"1"}]}"#;
            server.send("POST", "/Patient", &[FHIR, ("If-None-Exist", criteria)], body).await
        };
        let refused = create("family=Baker").await;
        assert_eq!((refused.status.as_u16(), refused.outcome().as_str()), (503, "incomplete"));
        assert!(!refused.header("retry-after").is_empty());
        assert_eq!(server.delete("/Patient?family=Adams").await.status, 503);
        assert_eq!(server.get("/Patient/a").await.status, 200, "nothing was deleted");
        let update = r#"{"resourceType":"Patient","name":[{"family":"Adams"}]}"#;
        assert_eq!(server.put("/Patient?family=Adams", update).await.status, 503);
        // The log knows identifiers by itself, and other types are not concerned.
        assert_eq!(create("identifier=urn:x|1").await.status, 201);
        assert_eq!(create("identifier=urn:x|1").await.status, 200);
        let organization = r#"{"resourceType":"Organization","name":"x"}"#;
        let headers = [FHIR, ("If-None-Exist", "name=x")];
        assert_eq!(server.send("POST", "/Organization", &headers, organization).await.status, 201);
    });
}

#[test]
fn what_is_unparked_while_criteria_are_matched_is_not_created_again() {
    const GATE: &str = "SELECT pg_advisory_lock(77)";
    test(|server| async move {
        put_patient(&server, "a", "Adams").await;
        assert_eq!(server.get("/Patient").await.json()["entry"].as_array().unwrap().len(), 1);
        let (client, connection) =
            tokio_postgres::connect(&server.database, tokio_postgres::NoTls).await.unwrap();
        let driver = tokio::spawn(connection);
        // As if the index could not take it; and queries that have their snapshot and then take their time.
        let park = "BEGIN; DELETE FROM anamnesis.search_v1_resource; DELETE FROM anamnesis.search_v1_text;
            DELETE FROM anamnesis.search_v1_span;
            INSERT INTO anamnesis.projection_parked SELECT name, version, log, seq, 'Patient', 'a', 'x'
                FROM anamnesis.projection_checkpoint;
            UPDATE anamnesis.projection_checkpoint SET unparked = unparked + 1; COMMIT";
        client.batch_execute(park).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while warnings(&server.get("/Patient").await).is_empty() {
            assert!(Instant::now() < deadline, "the runner does not notice");
        }
        let slow = "CREATE OR REPLACE FUNCTION anamnesis.search_v1_first_since(
                of_log smallint, of_kind integer, since bigint) RETURNS bigint LANGUAGE plpgsql STABLE STRICT AS $$
            BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN 0; END $$";
        client.batch_execute(slow).await.unwrap();
        client.batch_execute(GATE).await.unwrap();
        let headers = [FHIR, ("If-None-Exist", "_lastUpdated=ge2000-01-01")];
        let body = r#"{"resourceType":"Patient","name":[{"family":"Adams"}]}"#;
        let (created, ()) = tokio::join!(server.send("POST", "/Patient", &headers, body), async {
            let waits = "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database AS d ON d.oid = database
                WHERE locktype = 'advisory' AND objid = 77 AND NOT granted AND datname = current_database())";
            while !client.query_one(waits, &[]).await.unwrap().get::<_, bool>(0) {
                assert!(Instant::now() < deadline, "the criteria are not matched");
            }
            let order = json!({"projection": "search", "resource": "Patient/a"});
            assert_eq!(unpark(&server, order).await.json()["events"], 1);
            client.batch_execute("SELECT pg_advisory_unlock(77)").await.unwrap();
        });
        assert_eq!((created.status.as_u16(), created.outcome().as_str()), (503, "incomplete"));
        let again = server.send("POST", "/Patient", &headers, body).await;
        assert_eq!(again.status, 200, "it is there already");
        drop(client);
        driver.await.unwrap().unwrap();
    });
}

#[test]
fn operators_see_what_is_parked_and_offer_it_again() {
    test(|server| async move {
        let first = break_resource(&server, "Patient", "b", 1).await;
        let second = break_resource(&server, "Patient", "b", 2).await;
        let other = break_resource(&server, "Group", "g", 1).await;
        server.get("/Patient").await;
        let listed = server.workspace("GET", "/$projections", &[], "").await;
        assert_eq!((listed.status.as_u16(), listed.header("content-type")), (200, "application/json"));
        assert!(!listed.text().contains("not JSON"), "an operator's list holds no content");
        let listed = listed.json();
        assert_eq!(listed["head"], other.get());
        let search = &listed["projections"][0];
        let version = &search["versions"][0];
        assert_eq!(
            (&search["name"], &search["active"], &version["state"]),
            (&json!("search"), &json!(1), &json!("active"))
        );
        assert_eq!((&version["position"], &version["lag"]), (&json!(other.get()), &json!(0)));
        assert_eq!((&version["parkedEvents"], &version["parkedResources"]), (&json!(3), &json!(2)));
        assert!(version["lastProgress"].is_string(), "{version}");
        let events = search["parked"]["events"].as_array().unwrap();
        let places: Vec<u64> = events.iter().map(|event| event["position"].as_u64().unwrap()).collect();
        assert_eq!(places, [first.get(), second.get(), other.get()]);
        assert_eq!(
            (&events[0]["resource"], &events[2]["resource"]),
            (&json!("Patient/b"), &json!("Group/g"))
        );
        assert!(events[0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()));

        let page = server.workspace("GET", "/$projections?_count=2", &[], "").await.json();
        assert_eq!(page["projections"][0]["parked"]["next"], second.get());
        let path = format!("/$projections?_count=2&after={second}");
        let page = server.workspace("GET", &path, &[], "").await.json();
        assert_eq!(page["projections"][0]["parked"]["events"].as_array().unwrap().len(), 1);

        let one = unpark(&server, json!({"projection": "search", "resource": "Patient/b"})).await;
        let still = json!({"resources": 1, "events": 0, "stillParked": 1, "next": null});
        assert_eq!((one.status.as_u16(), one.json()), (200, still));
        let some = unpark(&server, json!({"projection": "search", "all": true, "count": 1})).await.json();
        assert_eq!((&some["resources"], &some["next"]), (&json!(1), &json!(first.get())));
        let order = json!({"projection": "search", "all": true, "after": some["next"]});
        let rest = unpark(&server, order).await.json();
        assert_eq!(
            (&rest["resources"], &rest["stillParked"], &rest["next"]),
            (&json!(1), &json!(1), &json!(null))
        );
    });
}

#[test]
fn orders_that_are_not_understood_are_refused() {
    test(|server| async move {
        let order =
            async |body: &str| unpark(&server, serde_json::from_str(body).unwrap()).await.status.as_u16();
        assert_eq!(order(r#"{"projection":"search"}"#).await, 400);
        assert_eq!(order(r#"{"projection":"search","resource":"Patient/1","all":true}"#).await, 400);
        assert_eq!(order(r#"{"projection":"search","resource":"Patient"}"#).await, 400);
        assert_eq!(order(r#"{"projection":"search","everything":true}"#).await, 400);
        assert_eq!(order(r#"{"projection":"other","all":true}"#).await, 404);
        // A form or a script of another site can send this without asking.
        let plain = [("Content-Type", "text/plain")];
        let body = r#"{"projection":"search","all":true}"#;
        assert_eq!(server.workspace("POST", "/$unpark", &plain, body).await.status, 415);
        assert_eq!(server.workspace("POST", "/$rebuild", &plain, body).await.status, 415);
        let unknown = r#"{"projection":"search","resource":"Patient/nope"}"#;
        assert_eq!(order(unknown).await, 404, "nothing of it is parked");
        assert_eq!(server.workspace("GET", "/$projections?version=99", &[], "").await.status, 404);
        for (method, name, allow) in [
            ("PUT", "$projections", "GET"),
            ("POST", "$events", "GET"),
            ("GET", "$rebuild", "POST, DELETE"),
            ("DELETE", "$unpark", "POST"),
        ] {
            let refused = server.workspace(method, &format!("/{name}"), &[], "").await;
            assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, allow), "{method} {name}");
        }
        for bad in ["_count=x", "after=-1", "version=one"] {
            let path = format!("/$projections?{bad}");
            assert_eq!(server.workspace("GET", &path, &[], "").await.status, 400, "{bad}");
        }
    });
}

#[test]
fn a_projection_that_passes_over_most_events_has_no_lag_by_them() {
    test_with(Setup { terminology: true, ..Setup::default() }, |server| async move {
        let set = r#"{"resourceType":"ValueSet","url":"urn:s","status":"active","compose":{"include":[{"system":"urn:c"}]}}"#;
        assert_eq!(server.post("/ValueSet", set).await.status, 201);
        // Its definition is there as soon as it is asked for.
        server.get("/ValueSet/$validate-code?url=urn:s&system=urn:c&code=a").await;
        for id in ["a", "b", "c"] {
            put_patient(&server, id, "Quabbin").await;
        }
        let listed = server.workspace("GET", "/$projections?projection=terminology", &[], "").await.json();
        let version = &listed["projections"][0]["versions"][0];
        assert_eq!((&version["position"], &version["lag"]), (&json!(1), &json!(0)), "{listed}");
        assert_eq!(listed["head"], json!(4));
    });
}
