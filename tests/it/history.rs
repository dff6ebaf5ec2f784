//! `GET /{type}/{id}/_history`, `GET /{type}/_history`, `GET /_history`

use serde_json::Value;

use crate::support::{Server, test};

async fn three_versions(server: &Server) {
    for active in ["true", "false", "true"] {
        let body = format!(r#"{{"resourceType":"Patient","id":"a","active":{active}}}"#);
        assert!(server.put("/Patient/a", body).await.status.is_success());
    }
}

fn versions(bundle: &Value) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let etag = |entry: &Value| entry["response"]["etag"].as_str().unwrap().to_owned();
    entries
        .iter()
        .map(|entry| format!("{}{}", entry["request"]["method"].as_str().unwrap(), etag(entry)))
        .collect()
}

fn link(bundle: &Value, relation: &str) -> Option<String> {
    let links = bundle["link"].as_array()?;
    links
        .iter()
        .find(|link| link["relation"] == relation)
        .map(|link| link["url"].as_str().unwrap().to_owned())
}

#[test]
fn history_of_an_instance_is_newest_first_and_shows_deletes() {
    test(|server| async move {
        three_versions(&server).await;
        assert_eq!(server.delete("/Patient/a").await.status, 204);
        let answer = server.get("/Patient/a/_history").await;
        assert_eq!(answer.status, 200);
        let bundle = answer.json();
        assert_eq!(bundle["resourceType"], "Bundle");
        assert_eq!(bundle["type"], "history");
        assert_eq!(versions(&bundle), ["DELETEW/\"4\"", "PUTW/\"3\"", "PUTW/\"2\"", "PUTW/\"1\""]);
        assert!(bundle["entry"][0].get("resource").is_none());
        assert_eq!(bundle["entry"][0]["response"]["status"], "204");
        assert_eq!(bundle["entry"][0]["request"]["url"], "Patient/a");
        assert_eq!(bundle["entry"][1]["resource"]["meta"]["versionId"], "3");
        assert_eq!(bundle["entry"][1]["fullUrl"], format!("{}/Patient/a", server.base));
        assert_eq!(
            bundle["entry"][1]["response"]["lastModified"],
            bundle["entry"][1]["resource"]["meta"]["lastUpdated"]
        );
        assert_eq!(link(&bundle, "self").unwrap(), format!("{}/Patient/a/_history", server.base));
        assert_eq!(link(&bundle, "next"), None);
    });
}

#[test]
fn history_tells_creates_from_updates_that_created() {
    test(|server| async move {
        let posted = server.post("/Patient", r#"{"resourceType":"Patient"}"#).await.json();
        server.put("/Patient/chosen", r#"{"resourceType":"Patient","id":"chosen"}"#).await;
        let bundle = server.get("/Patient/_history").await.json();
        let request = |index: usize| bundle["entry"][index]["request"].clone();
        assert_eq!(request(0), serde_json::json!({"method": "PUT", "url": "Patient/chosen"}));
        assert_eq!(request(1), serde_json::json!({"method": "POST", "url": "Patient"}));
        assert_eq!(bundle["entry"][1]["resource"]["id"], posted["id"]);
    });
}

#[test]
fn pages_are_stable_under_writes() {
    test(|server| async move {
        three_versions(&server).await;
        let first = server.get("/Patient/_history?_count=2").await.json();
        assert_eq!(versions(&first), ["PUTW/\"3\"", "PUTW/\"2\""]);
        server.put("/Patient/a", r#"{"resourceType":"Patient","id":"a","active":false}"#).await;
        let next = link(&first, "next").unwrap();
        let second = server.get(next.strip_prefix(&server.base).unwrap()).await.json();
        assert_eq!(versions(&second), ["PUTW/\"1\""]);
        assert_eq!(link(&second, "next"), None);
        let oldest = server.get("/_history?_sort=_lastUpdated&_count=3").await.json();
        assert_eq!(versions(&oldest), ["PUTW/\"1\"", "PUTW/\"2\"", "PUTW/\"3\""]);
        let next = link(&oldest, "next").unwrap();
        let rest = server.get(next.strip_prefix(&server.base).unwrap()).await.json();
        assert_eq!(versions(&rest), ["PUTW/\"4\""]);
    });
}

#[test]
fn times_cut_the_history() {
    test(|server| async move {
        three_versions(&server).await;
        let all = server.get("/_history").await.json();
        let time =
            |index: usize| all["entry"][index]["response"]["lastModified"].as_str().unwrap().to_owned();
        let since = server.get(&format!("/_history?_since={}", time(1))).await.json();
        assert_eq!(versions(&since), ["PUTW/\"3\"", "PUTW/\"2\""]);
        let before = server.get(&format!("/_history?_before={}", time(1))).await.json();
        assert_eq!(versions(&before), ["PUTW/\"1\""]);
        let at = server.get(&format!("/Patient/a/_history?_at={}", time(1))).await.json();
        assert_eq!(versions(&at), ["PUTW/\"2\""]);
        for bad in
            ["_since=yesterday", "_before=2999-01-01", "_count=-1", "_count=x", "_sort=name", "_page=x"]
        {
            let answer = server.get(&format!("/Patient/a/_history?{bad}")).await;
            assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (400, "invalid"), "{bad}");
        }
        let both = server.get("/_history?_at=2020&_since=2020").await;
        assert_eq!(both.status, 400);
    });
}

#[test]
fn history_of_what_never_was_is_404() {
    test(|server| async move {
        let answer = server.get("/Patient/nobody/_history").await;
        assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (404, "not-found"));
        let empty = server.get("/Patient/_history").await;
        assert_eq!(empty.status, 200);
        assert!(empty.json().get("entry").is_none());
    });
}

#[test]
fn versions_are_counted() {
    test(|server| async move {
        three_versions(&server).await;
        assert_eq!(server.delete("/Patient/a").await.status, 204);
        server.put("/Patient/b", r#"{"resourceType":"Patient","id":"b"}"#).await;
        server.put("/Group/c", r#"{"resourceType":"Group","id":"c","type":"person","actual":true}"#).await;
        let all = server.get("/_history").await.json();
        let second = all["entry"][4]["response"]["lastModified"].as_str().unwrap().to_owned();
        for (history, total) in [
            ("/Patient/a/_history?_summary=count", 4),
            ("/Patient/_history?_summary=count&_count=1", 5),
            ("/_history?_summary=count&_sort=_lastUpdated", 6),
            ("/Device/_history?_summary=count", 0),
            (&format!("/_history?_summary=count&_since={second}"), 5),
            (&format!("/Patient/a/_history?_summary=count&_at={second}"), 1),
            ("/_history?_summary=count&_asOf=2", 2),
        ] {
            let answer = server.send("GET", history, &[("Prefer", "handling=strict")], "").await;
            let bundle = answer.json();
            assert_eq!(
                (&bundle["type"], &bundle["total"]),
                (&"history".into(), &total.into()),
                "{history}: {bundle}"
            );
            assert!(bundle.get("entry").is_none(), "{bundle}");
            assert_eq!(link(&bundle, "self").unwrap(), format!("{}{history}", server.base));
        }
        assert_eq!(server.get("/Patient/nobody/_history?_summary=count").await.status, 404);
        let other = server.send("GET", "/_history?_summary=true", &[("Prefer", "handling=strict")], "").await;
        assert_eq!(other.status, 400);
    });
}
