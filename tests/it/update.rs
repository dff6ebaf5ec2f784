//! `PUT /{type}/{id}`

use std::collections::HashMap;

use anamnesis::decide::{Rules, Versioning};

use crate::support::{FHIR, Setup, test, test_with};

const ONE: &str = r#"{"resourceType":"Patient","id":"a","active":true}"#;
const TWO: &str = r#"{"resourceType":"Patient","id":"a","active":false}"#;

#[test]
fn update_creates_and_then_makes_versions() {
    test(|server| async move {
        let created = server.put("/Patient/a", ONE).await;
        assert_eq!(created.status, 201);
        assert_eq!(created.header("location"), format!("{}/Patient/a/_history/1", server.base));
        let updated = server.put("/Patient/a", TWO).await;
        assert_eq!((updated.status.as_u16(), updated.header("etag")), (200, "W/\"2\""));
        assert_eq!(updated.header("x-anamnesis-position"), "2");
        assert_eq!(server.get("/Patient/a").await.bytes, updated.bytes);
        assert_eq!(server.get("/Patient/a/_history/1").await.bytes, created.bytes);
        assert_eq!(server.get("/Patient/a/_history/2").await.bytes, updated.bytes);
        for absent in ["3", "0", "01", "x"] {
            let answer = server.get(&format!("/Patient/a/_history/{absent}")).await;
            assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (404, "not-found"), "{absent}");
        }
    });
}

#[test]
fn identical_content_makes_no_version() {
    test(|server| async move {
        let created = server
            .put(
                "/Patient/a",
                r#"{"resourceType":"Patient","id":"a","active":true,"meta":{"tag":[{"code":"t"}]}}"#,
            )
            .await;
        // Another order, other white space, an escape, and what a client that read it sends back.
        let again = r#" {"id":"\u0061","meta":{"versionId":"1","lastUpdated":"2020-01-01T00:00:00Z","tag":[{"code":"t"}]},
            "active":true,"resourceType":"Patient"}"#;
        let answer = server.put("/Patient/a", again).await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, "W/\"1\""));
        assert_eq!(answer.bytes, created.bytes);
        assert_eq!(answer.header("last-modified"), created.header("last-modified"));
        assert_eq!(server.events().await, 1);
        let other = again.replace("\"t\"", "\"u\"");
        assert_eq!(server.put("/Patient/a", other).await.header("etag"), "W/\"2\"");
    });
}

#[test]
fn the_literal_of_a_decimal_is_content() {
    test(|server| async move {
        let body = |value: &str| {
            format!(
                r#"{{"resourceType":"Observation","id":"a","status":"final","code":{{"text":"x"}},"valueQuantity":{{"value":{value}}}}}"#
            )
        };
        for (version, value) in ["1.10", "1.1", "1.100", "11e-1", "0.00000000000000000001"].iter().enumerate()
        {
            let answer = server.put("/Observation/a", body(value)).await;
            assert_eq!(answer.header("etag"), format!("W/\"{}\"", version + 1), "{value}");
            let read = server.get("/Observation/a").await.text();
            assert!(read.contains(&format!(r#""value":{value}}}"#)), "{read}");
        }
    });
}

#[test]
fn if_match_guards_an_update() {
    test(|server| async move {
        let absent = server.send("PUT", "/Patient/a", &[FHIR, ("If-Match", "W/\"1\"")], ONE).await;
        assert_eq!(absent.status, 404);
        server.put("/Patient/a", ONE).await;
        let stale = server.send("PUT", "/Patient/a", &[FHIR, ("If-Match", "W/\"2\"")], TWO).await;
        assert_eq!((stale.status.as_u16(), stale.outcome().as_str()), (412, "conflict"));
        let bad = server.send("PUT", "/Patient/a", &[FHIR, ("If-Match", "1")], TWO).await;
        assert_eq!((bad.status.as_u16(), bad.outcome().as_str()), (400, "invalid"));
        let foreign = server.send("PUT", "/Patient/a", &[FHIR, ("If-Match", "W/\"abc\"")], TWO).await;
        assert_eq!(foreign.status, 412);
        assert_eq!(server.events().await, 1);
        let list = [FHIR, ("If-Match", "W/\"9\", W/\"1\"")];
        assert_eq!(server.send("PUT", "/Patient/a", &list, TWO).await.header("etag"), "W/\"2\"");
        let any = server.send("PUT", "/Patient/a", &[FHIR, ("If-Match", "*")], ONE).await;
        assert_eq!(any.header("etag"), "W/\"3\"");
    });
}

#[test]
fn if_none_match_star_only_creates() {
    test(|server| async move {
        let headers = [FHIR, ("If-None-Match", "*")];
        assert_eq!(server.send("PUT", "/Patient/a", &headers, ONE).await.status, 201);
        assert_eq!(server.send("PUT", "/Patient/a", &headers, TWO).await.status, 412);
        server.delete("/Patient/a").await;
        let again = server.send("PUT", "/Patient/a", &headers, TWO).await;
        assert_eq!((again.status.as_u16(), again.header("etag")), (201, "W/\"3\""));
    });
}

#[test]
fn the_id_in_the_body_is_the_id_in_the_path() {
    test(|server| async move {
        for body in [r#"{"resourceType":"Patient","id":"b"}"#, r#"{"resourceType":"Patient"}"#] {
            let answer = server.put("/Patient/a", body).await;
            assert_eq!(answer.status, 400);
            answer.outcome();
        }
        let other = server.put("/Patient/a", r#"{"resourceType":"Group","id":"a"}"#).await;
        assert_eq!(other.status, 400);
        assert_eq!(server.events().await, 0);
    });
}

#[test]
fn policies_are_kept() {
    let rules = Rules {
        update_creates: false,
        versioning_of: HashMap::from([("Group".to_owned(), Versioning::VersionedUpdate)]),
        ..Rules::default()
    };
    test_with(Setup { rules, ..Setup::default() }, |server| async move {
        let refused = server.put("/Patient/a", ONE).await;
        assert_eq!((refused.status.as_u16(), refused.outcome().as_str()), (405, "not-supported"));
        assert!(!refused.header("allow").is_empty());
        let group = r#"{"resourceType":"Group","type":"person","actual":true}"#;
        let id = server.post("/Group", group).await.json()["id"].as_str().unwrap().to_owned();
        let changed = format!(r#"{{"resourceType":"Group","id":"{id}","type":"animal","actual":true}}"#);
        let bare = server.put(&format!("/Group/{id}"), changed.clone()).await;
        assert_eq!((bare.status.as_u16(), bare.outcome().as_str()), (400, "required"));
        // Whichever version there is, the client has not seen it.
        let any = [FHIR, ("If-Match", "*")];
        let any = server.send("PUT", &format!("/Group/{id}"), &any, changed.clone()).await;
        assert_eq!((any.status.as_u16(), any.outcome().as_str()), (400, "required"));
        let guarded = [FHIR, ("If-Match", "W/\"1\"")];
        let answer = server.send("PUT", &format!("/Group/{id}"), &guarded, changed).await;
        assert_eq!(answer.status, 200);
    });
}
