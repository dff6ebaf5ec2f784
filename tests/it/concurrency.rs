//! Many writers at one resource.

use anamnesis_events::LogOptions;
use futures::future::join_all;

use crate::support::{FHIR, Setup, test, test_with};

const WRITERS: usize = 32;

fn body(writer: usize) -> String {
    format!(r#"{{"resourceType":"Patient","id":"a","multipleBirthInteger":{writer}}}"#)
}

#[test]
fn every_update_without_a_condition_gets_a_version_of_its_own() {
    test(|server| async move {
        let writes = (0..WRITERS).map(|writer| server.put("/Patient/a", body(writer)));
        let answers = join_all(writes).await;
        let mut versions: Vec<u32> = Vec::new();
        for answer in &answers {
            assert!(answer.status.is_success(), "{}", answer.text());
            let etag = answer.header("etag");
            versions.push(etag.trim_start_matches("W/\"").trim_end_matches('"').parse().unwrap());
        }
        versions.sort_unstable();
        assert_eq!(versions, (1..=u32::try_from(WRITERS).unwrap()).collect::<Vec<_>>());
        assert_eq!(server.events().await, WRITERS as u64);
    });
}

#[test]
fn one_of_many_guarded_updates_wins() {
    test(|server| async move {
        server.put("/Patient/a", body(1000)).await;
        let guard = [FHIR, ("If-Match", "W/\"1\"")];
        let answers =
            join_all((0..WRITERS).map(|writer| server.send("PUT", "/Patient/a", &guard, body(writer)))).await;
        let won = answers.iter().filter(|answer| answer.status == 200).count();
        let lost = answers.iter().filter(|answer| answer.status == 412).count();
        assert_eq!((won, lost), (1, WRITERS - 1));
        assert_eq!(server.events().await, 2);
    });
}

#[test]
fn creates_in_one_compartment_share_commits() {
    test(|server| async move {
        let body = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/a"}}"#;
        let answers = join_all((0..WRITERS).map(|_| server.post("/Observation", body))).await;
        assert!(answers.iter().all(|answer| answer.status == 201));
        assert_eq!(server.events().await, WRITERS as u64);
    });
}

#[test]
fn reads_at_once_get_what_they_asked_for() {
    test(|server| async move {
        for number in 0..8 {
            let body = format!(r#"{{"resourceType":"Patient","id":"p{number}"}}"#);
            server.put(&format!("/Patient/p{number}"), body).await;
        }
        server.delete("/Patient/p7").await;
        let reads = (0..200).map(|n| {
            let server = &server;
            async move { (n, server.get(&format!("/Patient/p{}", n % 10)).await) }
        });
        for (n, answer) in join_all(reads).await {
            let id = n % 10;
            let status = if id < 7 {
                200
            } else if id == 7 {
                410
            } else {
                404
            };
            assert_eq!(answer.status.as_u16(), status);
            if status == 200 {
                assert_eq!(answer.json()["id"], format!("p{id}"));
            }
        }
    });
}

#[test]
fn large_resources_read_at_once_do_not_fail_each_other() {
    let log = LogOptions { fetch_bytes_max: 20_000, ..LogOptions::default() };
    test_with(Setup { log, ..Setup::default() }, |server| async move {
        let text = "x".repeat(9_000);
        for number in 0..8 {
            let body =
                format!(r#"{{"resourceType":"Patient","id":"p{number}","name":[{{"text":"{text}"}}]}}"#);
            assert_eq!(server.put(&format!("/Patient/p{number}"), body).await.status, 201);
        }
        let reads = (0..64).map(|n| {
            let server = &server;
            async move { server.get(&format!("/Patient/p{}", n % 8)).await.status.as_u16() }
        });
        assert!(join_all(reads).await.iter().all(|status| *status == 200));
    });
}

/// Writes with a Provenance are groups, which the actor does not queue: they have to take turns, as patches do.
#[test]
fn writes_with_a_provenance_take_turns_whatever_they_do() {
    const PATCH: &str = r#"[{"op":"add","path":"/active","value":true}]"#;
    let header = |writer: usize| {
        let who = format!(r#"[{{"who":{{"display":"{writer}"}}}}]"#);
        format!(r#"{{"resourceType":"Provenance","recorded":"2026-01-01T00:00:00Z","agent":{who}}}"#)
    };
    test(|server| async move {
        server.put("/Patient/a", r#"{"resourceType":"Patient","id":"a","active":false}"#).await;
        let one = async |writer: usize| {
            let provenance = header(writer);
            let about = ("X-Provenance", provenance.as_str());
            let patch = ("Content-Type", "application/json-patch+json");
            match writer % 4 {
                0 => server.send("PATCH", "/Patient/a", &[patch, about], PATCH).await,
                1 => server.send("PUT", "/Patient?_id=a", &[FHIR, about], body(writer)).await,
                _ => server.send("PUT", "/Patient/a", &[FHIR, about], body(writer)).await,
            }
        };
        for answer in join_all((0..3 * WRITERS).map(one)).await {
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        let put = async |writer: usize| {
            let provenance = header(writer);
            server
                .send(
                    "PUT",
                    "/Patient/b",
                    &[FHIR, ("X-Provenance", &provenance)],
                    body(writer).replace("\"a\"", "\"b\""),
                )
                .await
        };
        let answers = join_all((0..3 * WRITERS).map(put)).await;
        let mut versions: Vec<u32> = Vec::new();
        for answer in &answers {
            assert!(answer.status.is_success(), "{}", answer.text());
            let etag = answer.header("etag");
            versions.push(etag.trim_start_matches("W/\"").trim_end_matches('"').parse().unwrap());
        }
        versions.sort_unstable();
        assert_eq!(versions, (1..=u32::try_from(3 * WRITERS).unwrap()).collect::<Vec<_>>());
    });
}
