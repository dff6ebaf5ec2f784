//! Tests of the loader against a scripted server.

mod peer;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Failure, LoadError, Observer, Options, Source, Summary, load};
use peer::{Answer, Peer};

#[derive(Default)]
struct Seen {
    files: Vec<PathBuf>,
    failures: Vec<Failure>,
    last_bytes: u64,
}

impl Observer for Seen {
    fn began(&mut self, files: &[Source]) {
        self.files = files.iter().map(|file| file.path.clone()).collect();
    }

    fn advanced(&mut self, _: &Summary, bytes_read: u64) {
        self.last_bytes = bytes_read;
    }

    fn failed(&mut self, failure: &Failure) {
        self.failures.push(failure.clone());
    }
}

fn options(server: &str, directory: &Path) -> Options {
    Options {
        paths: vec![directory.to_owned()],
        server: server.parse().unwrap(),
        concurrency: 2,
        retries: 2,
        verify: false,
        headers: reqwest::header::HeaderMap::new(),
    }
}

/// A directory with `count` transactions of two entries each.
fn transactions(count: usize) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for number in 0..count {
        fs::write(directory.path().join(format!("{number:03}.json")), transaction("Patient").to_string())
            .unwrap();
    }
    directory
}

fn transaction(kind: &str) -> Value {
    let entry = json!({"resource": {"resourceType": kind}, "request": {"method": "POST", "url": kind}});
    json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry, entry]})
}

async fn run(peer: &Peer, directory: &Path) -> (Summary, Seen) {
    let mut seen = Seen::default();
    let summary =
        load(&options(&peer.address, directory), &mut seen, &CancellationToken::new()).await.unwrap();
    (summary, seen)
}

#[actix_web::test]
async fn everything_of_a_directory_is_sent_and_shared_resources_first() {
    let directory = transactions(3);
    fs::write(directory.path().join("zz.json"), transaction("Organization").to_string()).unwrap();
    let lines: String =
        (0..150).map(|number| format!("{{\"resourceType\":\"Patient\",\"id\":\"{number}\"}}\n")).collect();
    fs::write(directory.path().join("more.ndjson"), lines).unwrap();
    // The others wait until the shared resources are there, also when that takes a repetition.
    let peer = Peer::start(vec![Answer::Busy(503, 0)]).await;
    let (summary, seen) = run(&peer, directory.path()).await;
    let expected = Summary { files: 5, requests: 6, accepted: 158, retries: 1, ..Summary::default() };
    assert_eq!(summary, expected);
    assert!(summary.is_complete() && seen.failures.is_empty());
    let received = peer.received();
    for bundle in &received[..2] {
        assert_eq!(bundle["entry"][0]["resource"]["resourceType"], "Organization");
    }
    assert_eq!(received.iter().filter(|bundle| bundle["type"] == "batch").count(), 2);
    let on_disk: u64 = seen.files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert_eq!(seen.last_bytes, on_disk);
}

#[actix_web::test]
async fn a_busy_server_gets_the_pause_it_asks_for_and_then_the_same_bundle() {
    let directory = transactions(1);
    let peer = Peer::start(vec![Answer::Busy(503, 1), Answer::Busy(429, 0)]).await;
    let begin = Instant::now();
    let (summary, _) = run(&peer, directory.path()).await;
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
    assert_eq!((summary.accepted, summary.retries, summary.repeated_after_break), (2, 2, 0));
    let received = peer.received();
    assert!(received.len() == 3 && received.iter().all(|bundle| *bundle == received[0]));
}

#[actix_web::test]
async fn a_server_that_stays_busy_is_given_up_after_the_repetitions() {
    let directory = transactions(1);
    let peer = Peer::start(vec![Answer::Busy(503, 0), Answer::Busy(503, 0), Answer::Busy(503, 0)]).await;
    let (summary, seen) = run(&peer, directory.path()).await;
    assert_eq!((summary.accepted, summary.failed, summary.retries), (0, 1, 2));
    assert_eq!((seen.failures[0].status, peer.received().len()), (Some(503), 3));
}

#[actix_web::test]
async fn a_refusal_is_final_and_says_which_entry_and_why() {
    let directory = transactions(2);
    let outcome = json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "invalid",
        "diagnostics": "unknown element", "expression": ["Bundle.entry[1].resource.foo"]}]});
    let peer = Peer::start(vec![Answer::Refuse(422, outcome.to_string())]).await;
    let (summary, seen) = run(&peer, directory.path()).await;
    assert_eq!((summary.accepted, summary.failed, summary.retries), (2, 1, 0));
    assert!(!summary.is_complete());
    assert_eq!(peer.received().len(), 2);
    let line = serde_json::to_value(&seen.failures[0]).unwrap();
    assert!(line["file"].as_str().unwrap().ends_with(".json"));
    assert_eq!(line["entry"], 1);
    assert_eq!(line["request"], "POST Patient");
    assert_eq!(line["status"], 422);
    assert_eq!(line["diagnostics"], "unknown element");
}

#[actix_web::test]
async fn a_broken_connection_is_tried_again_and_counted() {
    let directory = transactions(1);
    let peer = Peer::start(vec![Answer::Break]).await;
    let (summary, seen) = run(&peer, directory.path()).await;
    assert_eq!((summary.accepted, summary.retries, summary.repeated_after_break), (2, 1, 1));
    assert!(seen.failures.is_empty());
}

#[actix_web::test]
async fn a_transaction_is_repeated_under_its_key_and_other_bundles_have_none() {
    let directory = transactions(2);
    let line = json!({"resourceType": "Patient", "id": "alone"}).to_string();
    fs::write(directory.path().join("zzz.ndjson"), line).unwrap();
    let peer = Peer::start(vec![Answer::Break, Answer::Replay]).await;
    let options = Options { concurrency: 1, ..options(&peer.address, directory.path()) };
    let summary = load(&options, &mut Seen::default(), &CancellationToken::new()).await.unwrap();
    assert_eq!((summary.accepted, summary.retries, summary.repeated_after_break), (5, 1, 0));
    let keys = peer.keys();
    assert_eq!(keys.len(), 4);
    assert!(keys[0] == keys[1] && keys[0].len() == 38 && keys[1] != keys[2], "{keys:?}");
    assert_eq!(keys[3], "");
}

#[actix_web::test]
async fn only_the_busy_entries_of_a_batch_are_sent_again_and_refused_ones_never() {
    let directory = tempfile::tempdir().unwrap();
    let lines = (0..3).map(|number| format!("{{\"resourceType\":\"Patient\",\"id\":\"{number}\"}}\n"));
    fs::write(directory.path().join("a.ndjson"), lines.collect::<String>()).unwrap();
    let refused =
        json!({"resourceType": "OperationOutcome", "issue": [{"details": {"text": "no such code"}}]});
    let entries = json!([
        {"response": {"status": "201 Created"}},
        {"response": {"status": "400 Bad Request", "outcome": refused}},
        {"response": {"status": "503 Service Unavailable"}},
    ]);
    let mixed = json!({"resourceType": "Bundle", "type": "batch-response", "entry": entries});
    let peer = Peer::start(vec![Answer::Accept(mixed.to_string())]).await;
    let (summary, seen) = run(&peer, directory.path()).await;
    assert_eq!((summary.accepted, summary.failed, summary.retries), (2, 1, 1));
    assert_eq!(
        (seen.failures[0].place.line, seen.failures[0].diagnostics.as_str()),
        (Some(2), "no such code")
    );
    let received = peer.received();
    assert_eq!(received[1]["entry"].as_array().unwrap().len(), 1);
    assert_eq!(received[1]["entry"][0]["resource"]["id"], "2");
}

#[actix_web::test]
async fn an_answer_that_does_not_fit_is_a_failure() {
    let directory = transactions(2);
    let short = json!({"resourceType": "Bundle", "entry": [{"response": {"status": "201"}}]});
    let peer = Peer::start(vec![Answer::Accept("hello".into()), Answer::Accept(short.to_string())]).await;
    let (summary, seen) = run(&peer, directory.path()).await;
    assert_eq!((summary.accepted, summary.failed), (0, 2));
    assert!(seen.failures.iter().all(|failure| failure.diagnostics.contains("unknown what was stored")));
}

#[actix_web::test]
async fn what_cannot_be_read_fails_and_the_rest_is_loaded() {
    let directory = transactions(1);
    fs::write(directory.path().join("bad.json"), "{\"resourceType\":").unwrap();
    fs::write(directory.path().join("bad.ndjson.gz"), "this is no gzip").unwrap();
    let peer = Peer::start(vec![]).await;
    let (summary, seen) = run(&peer, directory.path()).await;
    assert_eq!((summary.accepted, summary.failed, summary.files), (2, 2, 3));
    assert!(seen.failures.iter().all(|failure| failure.status.is_none() && failure.request.is_none()));
}

#[actix_web::test]
async fn verification_finds_what_is_not_as_it_was_sent() {
    let directory = tempfile::tempdir().unwrap();
    let patient = json!({"resourceType": "Patient", "multipleBirthInteger": 1});
    let entry = json!({"resource": patient, "request": {"method": "POST", "url": "Patient"}});
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": vec![entry; 4]});
    fs::write(directory.path().join("a.json"), bundle.to_string()).unwrap();
    let stored = |status: &str, id: &str| json!({"response": {"status": status, "location": format!("Patient/{id}/_history/1")}});
    // The last one existed before, and so may be another.
    let entries =
        [stored("201", "right"), stored("201", "wrong"), stored("201", "gone"), stored("200", "wrong")];
    let answer = json!({"resourceType": "Bundle", "entry": entries});
    let peer = Peer::start(vec![Answer::Accept(answer.to_string())]).await;
    let mut seen = Seen::default();
    let options = Options { verify: true, ..options(&peer.address, directory.path()) };
    let summary = load(&options, &mut seen, &CancellationToken::new()).await.unwrap();
    assert_eq!((summary.accepted, summary.verified, summary.failed), (4, 2, 2));
    let told: Vec<_> =
        seen.failures.iter().map(|failure| (failure.place.entry, failure.diagnostics.as_str())).collect();
    let different = "read back differently: Patient.multipleBirthInteger";
    assert_eq!(told, [(Some(1), different), (Some(2), "Patient/gone cannot be read back")]);
}

#[actix_web::test]
async fn no_more_requests_are_under_way_than_allowed() {
    let directory = transactions(40);
    let peer = Peer::start(vec![Answer::Together(3), Answer::Together(3), Answer::Together(3)]).await;
    let mut seen = Seen::default();
    let options = Options { concurrency: 3, ..options(&peer.address, directory.path()) };
    let summary = load(&options, &mut seen, &CancellationToken::new()).await.unwrap();
    assert_eq!(summary.accepted, 80);
    assert_eq!(peer.most_at_once(), 3);
}

#[actix_web::test]
async fn a_missing_server_is_said_before_anything_is_read() {
    let directory = transactions(1);
    let peer = Peer::start(vec![]).await;
    let address = peer.address.clone();
    peer.stop().await;
    let options = Options { retries: 1, ..options(&address, directory.path()) };
    let outcome = load(&options, &mut Seen::default(), &CancellationToken::new()).await;
    assert!(matches!(outcome, Err(LoadError::NoServer { .. })), "{outcome:?}");
}

#[actix_web::test]
async fn a_server_that_goes_away_ends_the_run() {
    let directory = transactions(30);
    let peer = Peer::start(vec![Answer::Accept(String::new()), Answer::StopServing]).await;
    let options = Options { retries: 0, ..options(&peer.address, directory.path()) };
    let mut seen = Seen::default();
    let summary = load(&options, &mut seen, &CancellationToken::new()).await.unwrap();
    assert!(summary.server_lost && !summary.is_complete());
    assert!(summary.failed < 30, "{summary:?}");
    assert_eq!(summary.failed, seen.failures.len());
}

#[actix_web::test]
async fn stopping_cuts_a_pause_short_and_sends_nothing_more() {
    let directory = transactions(20);
    let peer = Peer::start(vec![Answer::Busy(503, 100), Answer::Busy(503, 100)]).await;
    let stop = CancellationToken::new();
    let mut seen = Seen::default();
    let options = options(&peer.address, directory.path());
    let stopping = async {
        peer.until_received(2).await;
        stop.cancel();
    };
    let (summary, ()) = tokio::join!(load(&options, &mut seen, &stop), stopping);
    let summary = summary.unwrap();
    assert!(summary.interrupted && !summary.is_complete());
    assert_eq!((summary.failed, summary.accepted, peer.received().len()), (2, 0, 2));
}
