//! `DELETE /{type}/{id}?hardDelete=true`, `$purge-history`, `_meta-history=false` and the policy `no-version`

use anamnesis::decide::{Rules, Versioning};
use anamnesis_events::{Kind, Position};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::{FHIR, Server, Setup, test, test_with};

/// In no dictionary, and in nothing that the server writes by itself.
pub(crate) const MARKER: &str = "Quxxzymborski";

fn patient(id: &str, family: &str) -> String {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": family}],
        "identifier": [{"system": "urn:x", "value": family}]})
    .to_string()
}

async fn put(server: &Server, id: &str, family: &str) -> String {
    let answer = server.put(&format!("/Patient/{id}"), patient(id, family)).await;
    assert!(answer.status.is_success(), "{answer:?}");
    answer.headers["etag"].to_str().unwrap().to_owned()
}

async fn found(server: &Server, query: &str) -> usize {
    let bundle = server.get(&format!("/Patient?{query}")).await.json();
    bundle["entry"].as_array().map_or(0, Vec::len)
}

async fn kinds(server: &Server) -> Vec<Kind> {
    server.log.read(Position::ZERO, 100).await.unwrap().iter().map(|event| event.kind).collect()
}

/// The marker in any column of any table, in any body of the log, and in what the feed tells.
pub(crate) async fn assert_nothing_is_left(server: &Server) {
    // The index follows the log by a moment.
    let head = server.log.head().await.unwrap();
    server.projection.active().wait_for(head, std::time::Duration::from_secs(60)).await.unwrap();
    let (client, connection) =
        tokio_postgres::connect(&server.database, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
    for row in client.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        let statement = format!("SELECT count(*) FROM {table} AS t WHERE lower(t::text) LIKE $1");
        for text in [MARKER.to_lowercase(), hex(MARKER)] {
            let rows: i64 = client.query_one(&statement, &[&format!("%{text}%")]).await.unwrap().get(0);
            assert_eq!(rows, 0, "{table}");
        }
    }
    drop(client);
    driver.await.unwrap().unwrap();
    for event in server.log.read(Position::ZERO, 1000).await.unwrap() {
        assert!(!String::from_utf8_lossy(&event.payload).contains(MARKER), "{}", event.position);
    }
    let feed = server.client.get(format!("{}/default/$events?from=1", server.root)).send().await.unwrap();
    assert!(!feed.text().await.unwrap().contains(MARKER));
    let mut verified = 0;
    let head = server.log.head().await.unwrap().get();
    while verified < head {
        verified = server.log.verify(Position::new(verified), 100).await.unwrap().position.get();
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn after_a_hard_delete_nothing_readable_is_left() {
    test(|server| async move {
        for family in [MARKER, "Other", MARKER] {
            put(&server, "a", family).await;
        }
        put(&server, "b", "Other").await;
        assert_eq!(found(&server, &format!("family={MARKER}")).await, 1);
        let gone = server.delete("/Patient/a?hardDelete=true").await;
        assert_eq!(gone.status, 204);
        assert_eq!(gone.headers["etag"], "W/\"4\"");
        for path in ["/Patient/a", "/Patient/a/_history", "/Patient/a/_history/1", "/Patient/a/_history/4"] {
            let answer = server.get(path).await;
            assert_eq!(answer.status, 404, "{path}");
        }
        assert_eq!(found(&server, &format!("family={MARKER}")).await, 0);
        assert_eq!(found(&server, "_id=a").await, 0);
        for path in ["/Patient/_history", "/_history"] {
            let bundle = server.get(path).await.json();
            assert_eq!(bundle["entry"].as_array().unwrap().len(), 1, "{path}");
        }
        assert_nothing_is_left(&server).await;
        // Once more there is nothing to do, and nothing is told.
        let again = server.delete("/Patient/a?_hardDelete=true").await;
        assert_eq!(again.status, 204);
        assert!(!again.headers.contains_key("etag"));
        // It may come back, under the next version.
        assert_eq!(put(&server, "a", "New").await, "W/\"5\"");
        assert_eq!(server.get("/Patient/a").await.status, 200);
        assert_eq!(found(&server, "family=New").await, 1);
        assert_eq!(server.get("/Patient/a/_history/3").await.status, 404);
    });
}

#[test]
fn a_resource_that_was_deleted_before_can_still_be_erased() {
    test(|server| async move {
        put(&server, "a", MARKER).await;
        assert_eq!(server.delete("/Patient/a").await.status, 204);
        assert_eq!(server.get("/Patient/a").await.status, 410);
        assert_eq!(server.get("/Patient/a/_history/1").await.status, 200);
        let refused = server.delete("/Patient/a?hardDelete=yes").await;
        assert_eq!(refused.status, 400);
        assert_eq!(server.get("/Patient/a/_history/1").await.status, 200);
        assert_eq!(server.delete("/Patient/a?hardDelete=true").await.status, 204);
        assert_eq!(server.get("/Patient/a").await.status, 404);
        assert_nothing_is_left(&server).await;
    });
}

#[test]
fn a_conditional_delete_can_be_a_hard_one() {
    test(|server| async move {
        for id in ["a", "b"] {
            put(&server, id, MARKER).await;
        }
        put(&server, "c", "Other").await;
        let path = format!("/Patient?identifier=urn:x|{MARKER}&_count=10&hardDelete=true");
        let gone = server.delete(&path).await;
        assert_eq!((gone.status.as_u16(), &gone.headers["items-deleted"]), (204, &"2".parse().unwrap()));
        assert_nothing_is_left(&server).await;
        assert_eq!(server.get("/Patient/c").await.status, 200);
        let refused = server.delete("/Patient?hardDelete=true").await;
        assert!(refused.status.is_client_error(), "no criterion is left: {refused:?}");
        assert_eq!(server.get("/Patient/c").await.status, 200);
    });
}

#[test]
fn bundles_delete_for_good_where_an_entry_says_so() {
    test(|server| async move {
        for (kind, url) in [
            ("transaction", "Patient/a?hardDelete=true".to_owned()),
            ("batch", "Patient/a?_hardDelete=true".to_owned()),
            ("transaction", format!("Patient?identifier=urn:x|{MARKER}&hardDelete=true")),
            ("batch", format!("Patient?identifier=urn:x|{MARKER}&hardDelete=true")),
        ] {
            put(&server, "a", MARKER).await;
            let entry = json!({"request": {"method": "DELETE", "url": url}});
            let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [entry]});
            let answer = server.post("", bundle.to_string()).await;
            assert_eq!(answer.json()["entry"][0]["response"]["status"], "204", "{answer:?}");
            assert_eq!(server.get("/Patient/a").await.status, 404, "{url}");
            assert_nothing_is_left(&server).await;
        }
        let entry = json!({"request": {"method": "DELETE", "url": "Patient/a?hardDelete=maybe"}});
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
        assert_eq!(server.post("", bundle.to_string()).await.status, 400);
    });
}

#[test]
fn a_purge_of_the_history_keeps_the_current_version() {
    test(|server| async move {
        for (method, versions) in [("DELETE", 2), ("POST", 4)] {
            put(&server, "a", MARKER).await;
            put(&server, "a", "Other").await;
            let purged = server.send(method, "/Patient/a/$purge-history", &[], "").await;
            assert_eq!(purged.status, 204, "{purged:?}");
            assert_eq!(purged.headers["etag"], format!("W/\"{versions}\""));
            let read = server.get("/Patient/a").await;
            assert_eq!(read.json()["meta"]["versionId"], versions.to_string());
            assert_eq!(server.get("/Patient/a/_history/1").await.status, 404);
            let history = server.get("/Patient/a/_history").await.json();
            assert_eq!(history["entry"].as_array().unwrap().len(), 1);
            assert_eq!(found(&server, "family=Other").await, 1);
            assert_nothing_is_left(&server).await;
        }
        let nobody = server.send("DELETE", "/Patient/b/$purge-history", &[], "").await;
        assert_eq!(nobody.status, 204);
        // What the actor remembers is still the current version.
        let stale = server.send("PUT", "/Patient/a", &[FHIR, ("if-match", "W/\"3\"")], patient("a", "x"));
        assert_eq!(stale.await.status, 412);
        assert_eq!(put(&server, "a", "Other").await, "W/\"4\"", "the same again");
        assert_eq!(put(&server, "a", "More").await, "W/\"5\"");
    });
}

#[test]
fn of_a_type_without_versions_only_the_current_one_is_kept() {
    let versioning_of = [("Patient".to_owned(), Versioning::NoVersion)].into();
    let rules = Rules { versioning_of, ..Rules::default() };
    test_with(Setup { rules, ..Setup::default() }, |server| async move {
        put(&server, "a", MARKER).await;
        assert_eq!(put(&server, "a", "Other").await, "W/\"2\"");
        assert_nothing_is_left(&server).await;
        assert_eq!(server.get("/Patient/a/_history/1").await.status, 404);
        assert_eq!(put(&server, "a", MARKER).await, "W/\"3\"");
        assert_eq!(server.delete("/Patient/a").await.status, 204);
        assert_eq!(server.get("/Patient/a").await.status, 410, "it is known that it was there");
        assert_nothing_is_left(&server).await;
        assert_eq!(put(&server, "a", "Again").await, "W/\"5\"");
        let statement = server.get("/metadata").await.json();
        let reads_history = |name: &str| {
            let resources = statement["rest"][0]["resource"].as_array().unwrap();
            resources.iter().find(|resource| resource["type"] == name).unwrap()["readHistory"].clone()
        };
        assert_eq!((reads_history("Patient"), reads_history("Basic")), (json!(false), json!(true)));
        let body = r#"{"resourceType":"Basic","id":"a","code":{"text":"1"}}"#;
        server.put("/Basic/a", body).await;
        server.put("/Basic/a", body.replace('1', "2")).await;
        assert_eq!(server.get("/Basic/a/_history/1").await.status, 200, "other types keep theirs");
        let kinds = kinds(&server).await;
        assert_eq!(kinds[1..4], [Kind::ResourceReplaced, Kind::ResourceReplaced, Kind::ResourceWithdrawn]);
    });
}

#[test]
fn an_update_of_meta_alone_can_leave_no_version_behind() {
    test(|server| async move {
        let with_tag = |tag: &str, active: bool| {
            json!({"resourceType": "Patient", "id": "a", "active": active, "meta": {"tag": [{"code": tag}]}})
                .to_string()
        };
        server.put("/Patient/a", with_tag(MARKER, true)).await;
        let answer = server.put("/Patient/a?_meta-history=false", with_tag("other", true)).await;
        assert_eq!(answer.headers["etag"], "W/\"2\"", "the version rises");
        assert_eq!(server.get("/Patient/a/_history/1").await.status, 404);
        assert_nothing_is_left(&server).await;
        // Where more than meta changes, the version before is kept.
        server.put("/Patient/a?_meta-history=false", with_tag("third", false)).await;
        assert_eq!(server.get("/Patient/a/_history/2").await.status, 200);
        server.put("/Patient/a?_meta-history=true", with_tag("fourth", false)).await;
        assert_eq!(server.get("/Patient/a/_history/3").await.status, 200);
    });
}

#[test]
fn entries_and_conditional_writes_can_leave_no_version_behind() {
    test(|server| async move {
        let tagged = |tag: &str| {
            json!({"resourceType": "Patient", "id": "a", "meta": {"tag": [{"code": tag}]},
                "identifier": [{"system": "urn:a", "value": "1"}]})
        };
        let tag =
            |code: &str| json!([{"op": "replace", "path": "/meta/tag/0/code", "value": code}]).to_string();
        let binary = |patch: &str| {
            json!({"resourceType": "Binary", "contentType": "application/json-patch+json",
                "data": STANDARD.encode(patch)})
        };
        server.put("/Patient/a", tagged("0").to_string()).await;
        let mut version = 1;
        for kind in ["batch", "transaction"] {
            for (method, url) in
                [("PUT", "Patient/a"), ("PATCH", "Patient/a"), ("PUT", "Patient?identifier=urn:a|1")]
            {
                for keeps in [false, true] {
                    let code = format!("{kind}{version}");
                    let sign = if url.contains('?') { '&' } else { '?' };
                    let resource = if method == "PUT" { tagged(&code) } else { binary(&tag(&code)) };
                    let url = format!("{url}{sign}_meta-history={keeps}");
                    let entry = json!({"resource": resource, "request": {"method": method, "url": url}});
                    let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [entry]});
                    let answer = server.post("", bundle.to_string()).await;
                    let response = answer.json()["entry"][0]["response"].clone();
                    assert_eq!(response["etag"], format!("W/\"{}\"", version + 1), "{}", answer.text());
                    let before = server.get(&format!("/Patient/a/_history/{version}")).await;
                    assert_eq!(before.status, if keeps { 200 } else { 404 }, "{kind} {method} {url}");
                    version += 1;
                }
            }
        }
        let patch = [("Content-Type", "application/json-patch+json")];
        for (path, keeps) in [("identifier=urn:a|1&_meta-history=false", false), ("identifier=urn:a|1", true)]
        {
            let path = format!("/Patient?{path}");
            let answer = server.send("PATCH", &path, &patch, tag(&format!("patched{keeps}"))).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let before = server.get(&format!("/Patient/a/_history/{version}")).await;
            assert_eq!(before.status, if keeps { 200 } else { 404 }, "{path}");
            version += 1;
            let answer = server.put(&path, tagged(&format!("put{keeps}")).to_string()).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let before = server.get(&format!("/Patient/a/_history/{version}")).await;
            assert_eq!(before.status, if keeps { 200 } else { 404 }, "{path}");
            version += 1;
        }
    });
}

#[test]
fn a_request_that_is_sent_again_after_an_erasure_shows_nothing() {
    test(|server| async move {
        let (key, body) = ([FHIR, ("idempotency-key", "k1")], patient("a", MARKER));
        let first = server.send("PUT", "/Patient/a", &key, body.clone()).await;
        assert_eq!(first.status, 201);
        server.delete("/Patient/a?hardDelete=true").await;
        let again = server.send("PUT", "/Patient/a", &key, body).await;
        assert_eq!((again.status.as_u16(), again.bytes.len()), (201, 0), "{again:?}");
        assert_nothing_is_left(&server).await;
    });
}
