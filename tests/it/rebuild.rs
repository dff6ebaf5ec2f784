//! `POST` and `DELETE /{workspace}/$rebuild`: the index is built again while searches go on.

use std::time::Duration;

use serde_json::{Value, json};

use super::parked::break_resource;
use crate::support::{Answer, JSON, Server, test};

async fn rebuild(server: &Server, order: Value) -> Answer {
    server.workspace("POST", "/$rebuild", &[JSON], order.to_string()).await
}

async fn versions(server: &Server) -> Vec<Value> {
    let listed = server.workspace("GET", "/$projections", &[], "").await.json();
    listed["projections"][0]["versions"].as_array().unwrap().clone()
}

/// Asks until the versions are as wanted.
async fn until(server: &Server, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let asked = async {
        loop {
            let versions = versions(server).await;
            if is_so(&versions) {
                return versions;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked).await.unwrap()
}

fn states(versions: &[Value]) -> Vec<String> {
    versions.iter().map(|one| format!("{} {}", one["version"], one["state"].as_str().unwrap())).collect()
}

#[test]
fn a_rebuild_takes_over_while_searches_go_on() {
    test(|server| async move {
        for id in 0..30 {
            let body = format!(r#"{{"resourceType":"Patient","id":"{id}","gender":"other"}}"#);
            assert_eq!(server.put(&format!("/Patient/{id}"), body).await.status, 201);
        }
        let page = server.get("/Patient?gender=other&_sort=_id&_count=20").await.json();
        let next = page["link"][1]["url"].as_str().unwrap().split("/fhir").nth(1).unwrap().to_owned();
        let begun = rebuild(&server, json!({"projection": "search"})).await;
        let expected = json!({"projection": "search", "version": 2, "started": true});
        assert_eq!((begun.status.as_u16(), begun.json()), (202, expected));
        let mut written = 30;
        while states(&versions(&server).await) != ["2 active"] {
            let body = format!(r#"{{"resourceType":"Patient","id":"{written}","gender":"other"}}"#);
            assert_eq!(server.put(&format!("/Patient/{written}"), body).await.status, 201);
            written += 1;
            let found = server.get("/Patient?gender=other&_summary=count").await.json();
            assert_eq!(found["total"], written, "{found}");
            assert!(found["entry"].is_null(), "{found}");
        }
        let page = server.get(&next).await.json();
        assert_eq!(page["entry"].as_array().unwrap().len(), 10, "a page of before the switch: {page}");
        let again = rebuild(&server, json!({"projection": "search"})).await;
        assert_eq!(again.json()["version"], 3, "a number is not given twice");
    });
}

#[test]
fn rebuilds_that_are_not_there_or_not_known_are_refused() {
    test(|server| async move {
        assert_eq!(server.workspace("DELETE", "/$rebuild", &[], "").await.status, 404);
        assert_eq!(rebuild(&server, json!({"projection": "other"})).await.status, 404);
        assert_eq!(rebuild(&server, json!({})).await.status, 400);
        assert_eq!(rebuild(&server, json!({"projection": "search", "version": 7})).await.status, 400);
        let elsewhere = format!("{}/other/$rebuild", server.root);
        let request = server.client.post(elsewhere).json(&json!({"projection": "search"}));
        assert_eq!(request.send().await.unwrap().status(), 404);
    });
}

#[test]
fn a_version_that_has_parked_more_waits_for_an_operator() {
    test(|server| async move {
        assert_eq!(server.put("/Patient/a", r#"{"resourceType":"Patient","id":"a"}"#).await.status, 201);
        break_resource(&server, "Patient", "b", 1).await;
        server.get("/Patient").await;
        // The active version has lost it: another program took what this one cannot.
        let (client, connection) =
            tokio_postgres::connect(&server.database, tokio_postgres::NoTls).await.unwrap();
        let driver = tokio::spawn(connection);
        client.execute("DELETE FROM anamnesis.projection_parked", &[]).await.unwrap();
        let order = json!({"projection": "search"});
        assert_eq!(rebuild(&server, order.clone()).await.status, 202);
        let waiting = until(&server, |versions| versions.iter().any(|one| one["waiting"].is_string())).await;
        assert_eq!(states(&waiting), ["1 active", "2 building"]);
        assert_eq!(waiting[1]["parkedResources"], 1);
        // The same job, not another one.
        let again = rebuild(&server, order.clone()).await;
        assert_eq!((again.status.as_u16(), &again.json()["version"]), (200, &json!(2)));
        let cancelled = server.workspace("DELETE", "/$rebuild?projection=search", &[], "").await;
        assert_eq!((cancelled.status.as_u16(), &cancelled.json()["version"]), (200, &json!(2)));
        until(&server, |versions| states(versions) == ["1 active"]).await;
        assert_eq!(rebuild(&server, order).await.json()["version"], 3);
        until(&server, |versions| versions.iter().any(|one| one["waiting"].is_string())).await;
        let forced = rebuild(&server, json!({"projection": "search", "force": true})).await;
        assert_eq!((forced.status.as_u16(), &forced.json()["version"]), (200, &json!(3)));
        until(&server, |versions| states(versions) == ["3 active"]).await;
        drop(client);
        driver.await.unwrap().unwrap();
    });
}

#[test]
fn an_index_of_a_later_program_is_replaced_only_by_force() {
    test(|server| async move {
        assert_eq!(server.put("/Patient/a", r#"{"resourceType":"Patient","id":"a"}"#).await.status, 201);
        assert_eq!(server.get("/Patient").await.status, 200);
        let (client, connection) =
            tokio_postgres::connect(&server.database, tokio_postgres::NoTls).await.unwrap();
        let driver = tokio::spawn(connection);
        client.execute("UPDATE anamnesis.projection_version SET schema = schema + 1", &[]).await.unwrap();
        let refused = async {
            while server.get("/Patient").await.status != 503 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), refused).await.unwrap();
        let ordered = rebuild(&server, json!({"projection": "search"})).await;
        assert_eq!(
            (ordered.status.as_u16(), ordered.json()["issue"][0]["code"].as_str()),
            (409, Some("conflict"))
        );
        assert_eq!(states(&versions(&server).await), ["1 active"], "nor by itself");
        assert_eq!(rebuild(&server, json!({"projection": "search", "force": true})).await.status, 202);
        until(&server, |versions| states(versions) == ["2 active"]).await;
        let found = server.get("/Patient").await;
        assert_eq!(found.json()["entry"].as_array().unwrap().len(), 1);
        drop(client);
        driver.await.unwrap().unwrap();
    });
}
