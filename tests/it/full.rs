//! Queues that are full: refused with 429 or 503 and Retry-After; what is refused is not written, what is answered is.

use std::sync::Arc;

use anamnesis::actors::ActorOptions;
use anamnesis::api::{ApiOptions, Arriving};
use anamnesis::decide::{Candidate, Command, Decision, Provenance, Rules, decide};
use anamnesis_events::{Group, LogOptions, Position, ResourceKey};
use anamnesis_fhir::json::{Document, Limits};
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

use crate::support::{Answer, FHIR, Hold, Server, Setup, eventually, in_time, test, test_with};

/// Reads that wait in the server's queue at the most.
const QUEUE_MAX: usize = 2048;

fn patient(id: &str) -> String {
    format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#)
}

/// Checks a refusal as clients know it, and says which it is.
fn refused(answer: &Answer) -> (u16, String) {
    let after = (answer.header("retry-after"), answer.header("x-ms-retry-after-ms"));
    assert_eq!(after, ("1", "1000"), "{}", answer.text());
    (answer.status.as_u16(), answer.outcome())
}

#[test]
fn reads_beyond_the_queue_are_503_and_all_others_are_answered() {
    test(|server| async move {
        server.put("/Patient/a", patient("a")).await;
        let hold = Hold::reads(&server.database).await;
        let read = |_| {
            let reads = server.compartments.reads().clone();
            tokio::spawn(async move { reads.current(ResourceKey::new("Patient", "a")).await })
        };
        let taken: Vec<_> = (0..3 * 64).map(read).collect();
        hold.until_waiting(3).await;
        // All workers wait for the database, so nobody takes anything out of the queue any more.
        let queued: Vec<_> = (0..=QUEUE_MAX).map(read).collect();
        eventually("the queue is full", async || queued.iter().any(JoinHandle::is_finished)).await;
        for answer in [
            server.get("/Patient/a").await,
            // An update has to know what is there.
            server.put("/Patient/b", patient("b")).await,
        ] {
            assert_eq!(refused(&answer), (503, "transient".to_owned()));
        }
        hold.release().await;
        let mut served = 0;
        for read in in_time("reads", join_all(taken.into_iter().chain(queued))).await {
            served += usize::from(read.unwrap().is_ok());
        }
        // A worker takes what is there when it comes: between one and 64.
        assert!((QUEUE_MAX + 3..=QUEUE_MAX + 3 * 64).contains(&served), "{served} were served");
        assert_eq!(server.get("/Patient/a").await.header("etag"), "W/\"1\"", "nothing was written");
        assert_eq!(server.events().await, 1);
    });
}

/// A resource of the patient `a`, with some text.
fn observation(id: &str, text_bytes: usize) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x".repeat(text_bytes)},
        "subject": {"reference": "Patient/a"}, "identifier": [{"system": "http://x", "value": id}]})
}

fn bundle(kind: &str, entries: Value) -> String {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries}).to_string()
}

fn put_entry(id: &str, text_bytes: usize) -> Value {
    json!({"resource": observation(id, text_bytes), "request": {"method": "PUT", "url": format!("Observation/{id}")}})
}

type Case = (&'static str, String, Vec<(&'static str, &'static str)>, String);

/// One write of each kind into the compartment of the patient `a`; each makes `writes_of` events when it is let in.
fn cases(text_bytes: usize) -> Vec<Case> {
    let mut named = observation("x", text_bytes);
    named.as_object_mut().unwrap().remove("id");
    let conditional = |value: &str| {
        let mut resource = named.clone();
        resource["identifier"][0]["value"] = value.into();
        resource.to_string()
    };
    let entries =
        json!([put_entry("t1", text_bytes), put_entry("t2", text_bytes), put_entry("t3", text_bytes)]);
    vec![
        ("PUT", "/Observation/put".into(), vec![FHIR], observation("put", text_bytes).to_string()),
        ("POST", "/Observation".into(), vec![FHIR], conditional("post")),
        (
            "POST",
            "/Observation".into(),
            vec![FHIR, ("If-None-Exist", "identifier=http://x|create")],
            conditional("create"),
        ),
        ("PUT", "/Observation?identifier=http://x|update".into(), vec![FHIR], conditional("update")),
        ("POST", String::new(), vec![FHIR], bundle("transaction", entries)),
    ]
}

/// Events that [`cases`] and the batch of [`Server::send_all`] make.
const EVENTS: u64 = 4 + 3 + 2;

async fn send(server: &Server, (method, path, headers, body): &Case) -> Answer {
    in_time(path, server.send(method, path, headers, body.clone())).await
}

fn spawn_put(server: &Arc<Server>, id: &str, text_bytes: usize) -> JoinHandle<Answer> {
    let (server, path) = (server.clone(), format!("/Observation/{id}"));
    let body = observation(id, text_bytes).to_string();
    tokio::spawn(async move { server.put(&path, body).await })
}

/// Queues a write in the log itself, and comes back when it waits there.
async fn append(server: &Server, id: &str, text_bytes: usize) -> JoinHandle<()> {
    let document = Document::parse(observation(id, text_bytes).to_string(), &Limits::default()).unwrap();
    let candidate = Arc::new(Candidate::new(ResourceKey::new("Observation", id), document, &[]));
    let command = Command::Create { candidate, unless_held: Vec::new() };
    let provenance = Provenance::of("test".into());
    let Ok(Decision::Append(draft)) = decide(&command, None, &Rules::default(), &provenance) else {
        panic!("nothing to append");
    };
    let log = server.log.clone();
    let mut append = Box::pin(async move { log.append(Group::single(*draft)).await.map(|_| ()) });
    assert!(futures::poll!(&mut append).is_pending());
    tokio::spawn(async move { append.await.unwrap() })
}

/// Sends every kind of write while a write, and `others` behind it in the log, fill something up, and checks that each is
/// refused with `expected` and not written; lets the others go on, and checks that they are written, and that everything is
/// taken when it comes again.
async fn refuses_all(server: Arc<Server>, others: &[&str], text_bytes: usize, expected: (u16, &str)) {
    let expected = (expected.0, expected.1.to_owned());
    let mut batch = vec![put_entry("b1", text_bytes), put_entry("b2", text_bytes)];
    batch.push(json!({"request": {"method": "GET", "url": "Patient/a"}}));
    let batch: Case = ("POST", String::new(), vec![FHIR], bundle("batch", batch.into()));
    assert_eq!(server.put("/Patient/a", patient("a")).await.status, 201);
    let hold = Hold::appends(&server.database).await;
    let first = spawn_put(&server, "first", text_bytes);
    hold.until_waiting(1).await;
    let mut appends = Vec::new();
    for id in others {
        appends.push(append(&server, id, text_bytes).await);
    }
    for case in cases(text_bytes) {
        assert_eq!(refused(&send(&server, &case).await), expected, "{} {}", case.0, case.1);
    }
    let answer = send(&server, &batch).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let entries = answer.json()["entry"].clone();
    for index in 0..2 {
        let response = &entries[index]["response"];
        assert_eq!(response["status"], expected.0.to_string(), "{response}");
        assert_eq!(response["outcome"]["issue"][0]["code"], *expected.1, "{response}");
    }
    assert_eq!(entries[2]["response"]["status"], "200", "reads go on: {entries}");
    let before = server.events().await;
    assert_eq!(before, 1, "nothing was written");
    hold.release().await;
    assert_eq!(in_time("the first", first).await.unwrap().status, 201);
    for append in in_time("the others", join_all(appends)).await {
        append.unwrap();
    }
    let events = server.log.read(Position::new(1), 100).await.unwrap();
    let recorded: Vec<_> = events.iter().map(|event| event.key.id.as_str()).collect();
    assert_eq!(recorded, [&["first"], others].concat());
    for case in cases(text_bytes).iter().chain([&batch]) {
        let answer = send(&server, case).await;
        assert!(answer.status.is_success(), "{}: {}", case.1, answer.text());
    }
    assert_eq!(server.events().await, 2 + others.len() as u64 + EVENTS);
    let residents = server.compartments.residents(0);
    assert_eq!((residents.queued, residents.memory.command_bytes), (0, 0));
}

#[test]
fn a_full_compartment_refuses_every_kind_of_write_with_429() {
    let actors = ActorOptions { queue_max: 1, ..ActorOptions::default() };
    test_with(Setup { actors, ..Setup::default() }, |server| async move {
        refuses_all(server.clone(), &[], 10, (429, "throttled")).await;
        assert_eq!(server.compartments.residents(0).refused.queue_full, 7);
    });
}

#[test]
fn a_full_memory_refuses_every_kind_of_write_with_503() {
    let actors = ActorOptions { memory_bytes_max: 100_000, ..ActorOptions::default() };
    test_with(Setup { actors, ..Setup::default() }, |server| async move {
        refuses_all(server.clone(), &[], 30_000, (503, "transient")).await;
        let residents = server.compartments.residents(0);
        assert_eq!(residents.refused.memory_full, 7);
        // The transaction alone is larger than the whole, and was let in when there was nothing else.
        assert!(residents.memory.bytes_peak < 200_000, "{residents:?}");
    });
}

#[test]
fn a_full_queue_of_the_log_refuses_every_kind_of_write_with_503() {
    // One group is under way and one waits.
    let log = LogOptions { queue_groups_max: 1, ..LogOptions::default() };
    test_with(Setup { log, ..Setup::default() }, |server| async move {
        refuses_all(server, &["second"], 10, (503, "transient")).await;
    });
}

#[test]
fn as_many_bytes_as_the_log_takes_refuse_every_kind_of_write_with_503() {
    let log = LogOptions { queue_bytes_max: 50_000, ..LogOptions::default() };
    test_with(Setup { log, ..Setup::default() }, |server| async move {
        refuses_all(server, &["second", "third"], 15_000, (503, "transient")).await;
    });
}

#[test]
fn a_batch_goes_on_where_one_of_its_compartments_is_full() {
    let actors = ActorOptions { queue_max: 1, ..ActorOptions::default() };
    test_with(Setup { actors, ..Setup::default() }, |server| async move {
        let hold = Hold::appends(&server.database).await;
        let first = spawn_put(&server, "first", 10);
        hold.until_waiting(1).await;
        let other = json!({"resource": {"resourceType": "Patient", "id": "b"},
            "request": {"method": "PUT", "url": "Patient/b"}});
        let batch = bundle("batch", json!([put_entry("refused", 10), other]));
        let sender = server.clone();
        let batch = tokio::spawn(async move { sender.post("", batch).await });
        eventually("the first entry is refused", async || {
            server.compartments.residents(0).refused.queue_full == 1
        })
        .await;
        hold.release().await;
        assert_eq!(in_time("the first", first).await.unwrap().status, 201);
        let answer = in_time("the batch", batch).await.unwrap().json();
        let status = |index: usize| answer["entry"][index]["response"]["status"].clone();
        assert_eq!([status(0), status(1)], ["429", "201"], "{answer}");
        let events = server.log.read(Position::ZERO, 10).await.unwrap();
        assert_eq!(events.iter().map(|event| event.key.id.as_str()).collect::<Vec<_>>(), ["first", "b"]);
    });
}

#[test]
fn a_delete_is_refused_as_any_other_write() {
    let actors = ActorOptions { queue_max: 1, ..ActorOptions::default() };
    test_with(Setup { actors, ..Setup::default() }, |server| async move {
        let identified =
            r#"{"resourceType":"Patient","id":"a","identifier":[{"system":"http://x","value":"a"}]}"#;
        server.put("/Patient/a", identified).await;
        let hold = Hold::appends(&server.database).await;
        let first = spawn_put(&server, "first", 10);
        hold.until_waiting(1).await;
        for path in ["/Patient/a", "/Patient?identifier=http://x|a"] {
            assert_eq!(refused(&server.delete(path).await), (429, "throttled".to_owned()), "{path}");
        }
        hold.release().await;
        assert_eq!(in_time("the first", first).await.unwrap().status, 201);
        assert_eq!(server.get("/Patient/a").await.status, 200);
        assert_eq!(server.delete("/Patient?identifier=http://x|a").await.status, 204);
    });
}

#[test]
fn bodies_that_arrive_side_by_side_share_their_memory() {
    let arriving = Arriving::new(1 << 20);
    let api = ApiOptions { arriving: arriving.clone(), ..ApiOptions::default() };
    test_with(Setup { api, ..Setup::default() }, |server| async move {
        let address = server.root.trim_start_matches("http://").to_owned();
        let head = "PUT /default/fhir/Patient/a HTTP/1.1\r\nhost: x\r\ncontent-type: application/fhir+json\r\n\
                    content-length: 2000000\r\n\r\n";
        // Each holds most of the memory, and does not go on.
        let mut slow = tokio::net::TcpStream::connect(&address).await.unwrap();
        slow.write_all(head.as_bytes()).await.unwrap();
        slow.write_all(&vec![b' '; 900_000]).await.unwrap();
        // Before that, it could be the one that is refused.
        eventually("the slow one holds it", async || arriving.left() < 400_000).await;
        let refused_id = sent_until(&server, 503).await;
        assert_eq!(server.get(&format!("/Patient/{refused_id}")).await.status, 404, "nothing was written");
        assert_eq!(server.put("/Patient/c", patient("c")).await.status, 201, "there is room for a small one");
        drop(slow);
        sent_until(&server, 201).await;
    });
}

/// Sends large bodies until one is answered so, and gives its id: what another connection sends or gives up arrives a
/// moment later.
async fn sent_until(server: &Server, status: u16) -> String {
    for number in 0..1000 {
        let id = format!("until-{status}-{number}");
        let answer = server.put(&format!("/Patient/{id}"), patient(&id) + &" ".repeat(400_000)).await;
        if answer.status == status {
            if status == 503 {
                assert_eq!(refused(&answer), (503, "transient".to_owned()));
            }
            return id;
        }
        assert!([201, 503].contains(&answer.status.as_u16()), "{}", answer.status);
        tokio::task::yield_now().await;
    }
    panic!("none was answered with {status}");
}
