//! `$events`: the change feed over HTTP.

use futures::StreamExt;
use serde_json::Value;

use crate::support::{FHIR, Server, test};

async fn fill(server: &Server) {
    for (path, body) in [
        ("/Patient/a", r#"{"resourceType":"Patient","id":"a"}"#),
        ("/Patient/b", r#"{"resourceType":"Patient","id":"b"}"#),
        (
            "/Basic/x",
            "{\n  \"resourceType\":\"Basic\",\r\n \"id\":\"x\",\"code\":{\"text\":\"a\\nb\"},\"subject\":{\"reference\":\"Patient/a\"}}",
        ),
    ] {
        assert_eq!(server.put(path, body).await.status, 201, "{path}");
    }
    assert_eq!(server.delete("/Patient/b").await.status, 204);
}

async fn lines(server: &Server, query: &str) -> Vec<Value> {
    let response = server.client.get(format!("{}/default/$events{query}", server.root)).send().await.unwrap();
    assert_eq!(response.status(), 200, "{query}");
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let text = response.text().await.unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn positions(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["sequence"].as_str().unwrap()).collect()
}

#[test]
fn events_come_in_order_as_cloud_events() {
    test(|server| async move {
        fill(&server).await;
        let all = lines(&server, "").await;
        assert_eq!(positions(&all), ["1", "2", "3", "4"]);
        let first = &all[0];
        assert_eq!(first["specversion"], "1.0");
        assert_eq!(first["type"], "org.anamnesis.ResourceCreated.v1");
        assert_eq!(first["source"], "/default/fhir");
        assert_eq!(first["subject"], "Patient/a/_history/1");
        assert_eq!(first["home"], "Patient/a");
        assert_eq!(first["time"], first["data"]["meta"]["lastUpdated"]);
        assert_eq!(first["data"]["id"], "a");
        assert_eq!(all[2]["data"]["code"]["text"], "a\nb");
        assert_eq!(all[3]["type"], "org.anamnesis.ResourceDeleted.v1");
        assert!(all[3].get("data").is_none());
        assert_eq!(all[3]["previous"], "2");
    });
}

#[test]
fn a_part_can_be_asked_for() {
    test(|server| async move {
        fill(&server).await;
        for (query, expected) in [
            ("?from=3", vec!["3", "4"]),
            ("?from=2&to=3", vec!["2", "3"]),
            ("?from=99", vec![]),
            ("?_type=Basic", vec!["3"]),
            ("?_type=Patient,Basic&from=2", vec!["2", "3", "4"]),
            ("?compartment=Patient/a", vec!["1", "3"]),
            ("?to=99&body=false", vec!["1", "2", "3", "4"]),
        ] {
            let found = lines(&server, query).await;
            assert_eq!(positions(&found), expected, "{query}");
            assert_eq!(
                found.iter().any(|line| line.get("data").is_some()),
                !found.is_empty() && !query.contains("body=false")
            );
        }
    });
}

#[test]
fn wrong_parameters_are_named() {
    test(|server| async move {
        for query in [
            "?from=0",
            "?from=x",
            "?to=-1",
            "?follow=maybe",
            "?_type=Nothing",
            "?compartment=x",
            "?nonsense=1",
        ] {
            let url = format!("{}/default/$events{query}", server.root);
            let response = server.client.get(url).send().await.unwrap();
            assert!(response.status().is_client_error(), "{query}");
            let outcome: Value = response.json().await.unwrap();
            assert_eq!(outcome["resourceType"], "OperationOutcome", "{query}");
        }
        let elsewhere = server.client.get(format!("{}/none/$events", server.root)).send().await.unwrap();
        assert_eq!(elsewhere.status(), 404);
    });
}

/// Reads server-sent events until there are so many.
async fn server_sent(server: &Server, last_seen: Option<&str>, count: usize) -> Vec<(String, Value)> {
    let url = format!("{}/default/$events", server.root);
    let mut request = server.client.get(url).header("accept", "text/event-stream");
    if let Some(last) = last_seen {
        request = request.header("last-event-id", last);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.bytes_stream();
    let mut text = String::new();
    while text.matches("\n\n").count() < count {
        text.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
    }
    let event = |block: &str| {
        let (id, data) = block.split_once('\n').unwrap();
        let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        (id.strip_prefix("id: ").unwrap().to_owned(), data)
    };
    text.split_terminator("\n\n").map(event).collect()
}

#[test]
fn followers_hear_of_what_is_written_and_resume_where_they_were() {
    test(|server| async move {
        fill(&server).await;
        let writer = server.clone();
        let follower = tokio::spawn({
            let server = server.clone();
            async move { server_sent(&server, None, 6).await }
        });
        for _ in 0..2 {
            writer.send("POST", "/Patient", &[FHIR], r#"{"resourceType":"Patient"}"#).await;
        }
        let heard = follower.await.unwrap();
        assert_eq!(
            heard.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(),
            ["1", "2", "3", "4", "5", "6"]
        );
        assert!(heard.iter().all(|(id, event)| event["sequence"] == id.as_str()));
        let resumed = server_sent(&server, Some("4"), 2).await;
        assert_eq!(resumed[0].0, "5");
    });
}
