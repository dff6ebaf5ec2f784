//! `GET /{workspace}/$actors`

use std::time::Duration;

use anamnesis::actors::ActorOptions;

use crate::support::{Server, Setup, test, test_with};

async fn actors(server: &Server) -> serde_json::Value {
    let answer = server.client.get(format!("{}/default/$actors", server.root)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

#[test]
fn resources_of_a_patient_are_handled_by_the_patients_actor() {
    test(|server| async move {
        for body in [
            r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/a"}}"#,
            r#"{"resourceType":"Observation","status":"final","code":{"text":"y"},"subject":{"reference":"Patient/a"}}"#,
        ] {
            assert_eq!(server.post("/Observation", body).await.status, 201);
        }
        server.put("/Organization/o", r#"{"resourceType":"Organization","id":"o","name":"o"}"#).await;
        let listed = &actors(&server).await["services"]["fhir"];
        assert_eq!(listed["total"], 2, "{listed}");
        let find = |name: &str| {
            let actors = listed["actors"].as_array().unwrap();
            actors
                .iter()
                .find(|actor| actor["compartment"].as_str().unwrap().starts_with(name))
                .unwrap()
                .clone()
        };
        assert_eq!(find("Patient/a")["cachedHeads"], 2);
        assert_eq!(find("Organization/~")["cachedHeads"], 1);
        assert!(listed["cachedBytes"].as_u64().unwrap() > 500);
        let missing = server.client.get(format!("{}/nowhere/$actors", server.root)).send().await.unwrap();
        assert_eq!(missing.status(), 404);
    });
}

#[test]
fn idle_actors_are_put_to_rest_and_wake_again() {
    let actors_options = ActorOptions {
        idle_timeout: Duration::ZERO,
        sweep_interval: Duration::from_millis(5),
        ..ActorOptions::default()
    };
    test_with(Setup { actors: actors_options, ..Setup::default() }, |server| async move {
        for round in 1..=20 {
            let body = format!(r#"{{"resourceType":"Patient","id":"a","multipleBirthInteger":{round}}}"#);
            let answer = server.put("/Patient/a", body).await;
            assert_eq!(answer.header("etag"), format!("W/\"{round}\""));
        }
        // Bounded: the sweep comes every few milliseconds.
        for _ in 0..1000 {
            let listed = actors(&server).await;
            if listed["services"]["fhir"]["total"] == 0 {
                assert_eq!(listed["services"]["fhir"]["cachedBytes"], 0);
                return;
            }
        }
        panic!("the actor stays resident");
    });
}
