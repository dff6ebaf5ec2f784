//! What happens when there is too much, or when clients go away.

use anamnesis::actors::ActorOptions;
use futures::future::join_all;
use tokio::io::AsyncWriteExt;

use crate::support::{Setup, test, test_with};

fn body(number: usize) -> String {
    format!(r#"{{"resourceType":"Patient","id":"a","multipleBirthInteger":{number}}}"#)
}

#[test]
fn a_full_compartment_is_429_and_loses_nothing() {
    let actors = ActorOptions { queue_max: 2, ..ActorOptions::default() };
    test_with(Setup { actors, ..Setup::default() }, |server| async move {
        let answers = join_all((0..40).map(|number| server.put("/Patient/a", body(number)))).await;
        let written = answers.iter().filter(|answer| answer.status.is_success()).count();
        let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
        assert_eq!(written + refused.len(), 40);
        assert!(!refused.is_empty() && written >= 2, "{written} written");
        for answer in refused {
            assert_eq!((answer.outcome().as_str(), answer.header("retry-after")), ("throttled", "1"));
        }
        assert_eq!(server.events().await, written as u64);
        assert!(server.put("/Patient/a", body(99)).await.status.is_success(), "it recovers");
    });
}

#[test]
fn more_compartments_than_may_be_resident_are_served() {
    let actors = ActorOptions { resident_max: 8, ..ActorOptions::default() };
    test_with(Setup { actors, ..Setup::default() }, |server| async move {
        for round in 0..4 {
            let writes = (0..8).map(|number| {
                let id = format!("r{round}-{number}");
                let body = format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#);
                let server = &server;
                async move { server.put(&format!("/Patient/{id}"), body).await.status.as_u16() }
            });
            for status in join_all(writes).await {
                assert!([201, 503].contains(&status), "{status}");
            }
        }
        assert!(server.compartments.residents(100).total <= 16);
    });
}

#[test]
fn a_client_that_goes_away_takes_no_append_along() {
    test(|server| async move {
        let address = server.root.trim_start_matches("http://").to_owned();
        for number in 0..20 {
            let body = body(number);
            let request = format!(
                "PUT /default/fhir/Patient/a HTTP/1.1\r\nhost: x\r\ncontent-type: application/fhir+json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
            drop(stream);
        }
        // What was begun is whole, and the compartment works on.
        let answer = server.put("/Patient/a", body(1000)).await;
        assert!(answer.status.is_success());
        let events = server.events().await;
        let version: u64 = answer.json()["meta"]["versionId"].as_str().unwrap().parse().unwrap();
        assert!(version >= 1 && events >= version);
        let residents = || server.compartments.residents(10);
        for _ in 0..1000 {
            if residents().queued == 0 {
                return;
            }
            tokio::task::yield_now().await;
            server.get("/Patient/a").await;
        }
        panic!("work is left over: {:?}", residents());
    });
}

#[test]
fn a_stopped_server_answers_what_it_has() {
    test(|server| async move {
        let actors = &server.compartments;
        server.put("/Patient/a", body(1)).await;
        actors.stop();
        let answer = server.put("/Patient/a", body(2)).await;
        assert_eq!(answer.status, 503);
        answer.outcome();
        let read = server.get("/Patient/a").await;
        assert_eq!((read.status.as_u16(), read.outcome().as_str()), (503, "transient"));
    });
}

#[test]
fn a_closed_log_is_503_for_writes_and_an_outcome_says_so() {
    test(|server| async move {
        server.put("/Patient/a", body(1)).await;
        server.log.close().await;
        let observation = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"}}"#;
        for answer in
            [server.put("/Patient/a", body(2)).await, server.post("/Observation", observation).await]
        {
            assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (503, "transient"));
            assert!(!answer.header("retry-after").is_empty());
        }
        assert_eq!(server.get("/Patient/a").await.header("etag"), "W/\"1\"");
    });
}
