//! Clients that go away in the middle of a write, at every stage of it: the write is whole or not there, nothing is held
//! for whoever is gone, and the next client is served.

use std::collections::HashMap;
use std::time::Duration;

use anamnesis::actors::ActorOptions;
use anamnesis_events::Position;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{FHIR, Hold, Server, Setup, eventually, in_time, test_with};

/// Resources in a bundle.
const BUNDLE: usize = 3;

/// How a client goes: it says goodbye, or its machine is switched off and the connection is reset.
const WAYS: [bool; 2] = [false, true];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Single,
    Bundle,
}

const KINDS: [Kind; 2] = [Kind::Single, Kind::Bundle];

impl Kind {
    fn events(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Bundle => BUNDLE,
        }
    }
}

/// Actors that rest as soon as they can, so that whatever is not given back shows.
fn restless() -> Setup {
    let actors = ActorOptions {
        idle_timeout: Duration::ZERO,
        sweep_interval: Duration::from_millis(5),
        ..ActorOptions::default()
    };
    Setup { actors, ..Setup::default() }
}

fn patient(id: &str, names: usize) -> serde_json::Value {
    let names: Vec<_> = (0..names).map(|_| json!({"text": "x".repeat(100_000)})).collect();
    let mut patient = json!({"resourceType": "Patient", "id": id, "active": true});
    if !names.is_empty() {
        patient["name"] = names.into();
    }
    patient
}

/// A write of `id`, or of `id-0` and so on, byte by byte; where its body begins.
fn request(kind: Kind, id: &str, names: usize) -> (Vec<u8>, usize) {
    let (line, body) = match kind {
        Kind::Single => (format!("PUT /default/fhir/Patient/{id}"), patient(id, names)),
        Kind::Bundle => {
            let entries: Vec<_> = (0..BUNDLE)
                .map(|n| {
                    let id = format!("{id}-{n}");
                    let request = json!({"method": "PUT", "url": format!("Patient/{id}")});
                    json!({"resource": patient(&id, names), "request": request})
                })
                .collect();
            let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
            ("POST /default/fhir".to_owned(), bundle)
        }
    };
    bytes(&line, "", &body)
}

fn bytes(line: &str, headers: &str, body: &serde_json::Value) -> (Vec<u8>, usize) {
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: x\r\ncontent-type: application/fhir+json\r\n{headers}content-length: {length}\r\n\r\n"
    );
    let begins = head.len();
    ((head + &body).into_bytes(), begins)
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.root.trim_start_matches("http://")).await.unwrap()
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
}

fn leave(stream: TcpStream, reset: bool) {
    if reset {
        stream.set_zero_linger().unwrap();
    }
    drop(stream);
}

/// Reads an answer's status; its body is small and comes with it.
async fn status(stream: &mut TcpStream) -> u16 {
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        assert_ne!(in_time("an answer", stream.read_buf(&mut answer)).await.unwrap(), 0);
    }
    String::from_utf8_lossy(&answer[9..12]).parse().unwrap()
}

/// Checks that nothing is held any more, that bundles are whole, and that the next client is served. How many events each
/// write has, by the first part of the id.
async fn settle(server: &Server) -> HashMap<String, usize> {
    eventually("nothing is held for anybody", async || {
        let residents = server.compartments.residents(0);
        (residents.queued, residents.total, residents.memory.bytes) == (0, 0, 0)
    })
    .await;
    let next = in_time("the next client", server.put("/Patient/next", patient("next", 0).to_string())).await;
    assert!(next.status.is_success(), "{}", next.text());
    assert_eq!(in_time("a read", server.get("/Patient/next")).await.status, 200);
    let events = server.log.read(Position::ZERO, 1000).await.unwrap();
    let mut of_write = HashMap::new();
    let mut of_transaction: HashMap<_, Vec<u32>> = HashMap::new();
    for event in &events {
        let write = event.key.id.split('-').next().unwrap().to_owned();
        *of_write.entry(write).or_default() += 1;
        if let Some(transaction) = event.transaction {
            let indices = of_transaction.entry((transaction.id, transaction.size)).or_default();
            indices.push(transaction.index);
        }
    }
    for ((id, size), indices) in of_transaction {
        assert_eq!(indices, (0..size).collect::<Vec<_>>(), "the bundle {id} is not whole");
    }
    of_write.remove("next");
    of_write
}

#[test]
fn while_it_sends_the_request_nothing_is_written() {
    test_with(restless(), |server| async move {
        for kind in KINDS {
            let (bytes, body) = request(kind, "cut", 0);
            for cut in [1, body / 2, body - 1, body, body + 1, body.midpoint(bytes.len()), bytes.len() - 1] {
                for reset in WAYS {
                    let mut stream = connect(&server).await;
                    send(&mut stream, &bytes[..cut]).await;
                    leave(stream, reset);
                }
            }
        }
        assert_eq!(settle(&server).await, HashMap::new());
    });
}

#[test]
fn while_it_sends_its_second_request_the_first_stays_written() {
    test_with(restless(), |server| async move {
        let mut expected = HashMap::new();
        for (n, (kind, reset)) in
            KINDS.into_iter().flat_map(|kind| WAYS.map(|reset| (kind, reset))).enumerate()
        {
            let mut stream = connect(&server).await;
            let first = format!("first{n}");
            send(&mut stream, &request(kind, &first, 0).0).await;
            assert!(matches!(status(&mut stream).await, 200 | 201));
            expected.insert(first, kind.events());
            let (bytes, body) = request(kind, "cut", 0);
            send(&mut stream, &bytes[..body.midpoint(bytes.len())]).await;
            leave(stream, reset);
        }
        assert_eq!(settle(&server).await, expected);
    });
}

#[test]
fn while_its_write_waits_behind_another_it_is_whole_or_not_there() {
    test_with(restless(), |server| async move {
        for (n, (kind, reset)) in
            KINDS.into_iter().flat_map(|kind| WAYS.map(|reset| (kind, reset))).enumerate()
        {
            let hold = Hold::appends(&server.database).await;
            let before = server.events().await;
            let (id, writer) = (format!("w{n}"), server.clone());
            let first = match kind {
                Kind::Single => id.clone(),
                Kind::Bundle => format!("{id}-0"),
            };
            let (path, body) = (format!("/Patient/{first}"), patient(&first, 0).to_string());
            let occupant = tokio::spawn(async move { writer.put(&path, body).await.status });
            hold.until_waiting(1).await;
            let mut gone = connect(&server).await;
            send(&mut gone, &request(kind, &id, 0).0).await;
            eventually("it waits", async || server.compartments.residents(0).queued == 2).await;
            leave(gone, reset);
            let mut stays = connect(&server).await;
            send(&mut stays, &request(Kind::Single, &format!("s{n}"), 0).0).await;
            eventually("another one waits", async || server.compartments.residents(0).queued >= 2).await;
            hold.release().await;
            assert_eq!(in_time("who was before", occupant).await.unwrap(), 201);
            assert_eq!(status(&mut stays).await, 201, "who comes after is served");
            drop(stays);
            let events = settle(&server).await;
            assert_eq!(events[&format!("s{n}")], 1);
            let of_gone = events[&id] - 1;
            // Content that is there already makes no version, and a bundle may lose against the occupant.
            assert!(of_gone <= kind.events(), "{kind:?}: {of_gone} events; {before} before");
        }
    });
}

#[test]
fn while_its_append_is_under_way_the_write_is_recorded_whole() {
    test_with(restless(), |server| async move {
        let mut expected = HashMap::new();
        for (n, (kind, reset)) in
            KINDS.into_iter().flat_map(|kind| WAYS.map(|reset| (kind, reset))).enumerate()
        {
            let hold = Hold::appends(&server.database).await;
            let mut stream = connect(&server).await;
            // On a connection that has been used before, every second time.
            if reset {
                send(&mut stream, b"GET /default/fhir/Patient/none HTTP/1.1\r\nhost: x\r\n\r\n").await;
                assert_eq!(status(&mut stream).await, 404);
            }
            send(&mut stream, &request(kind, &format!("w{n}"), 0).0).await;
            hold.until_waiting(1).await;
            leave(stream, reset);
            // The server serves others, so it has had the time to notice.
            assert_eq!(server.get("/metadata").await.status, 200);
            hold.release().await;
            expected.insert(format!("w{n}"), kind.events());
            let expected = &expected;
            eventually("it is recorded", async || {
                server.events().await >= expected.values().sum::<usize>() as u64
            })
            .await;
        }
        assert_eq!(settle(&server).await, expected);
    });
}

#[test]
fn while_the_answer_is_written_the_write_stays() {
    test_with(restless(), |server| async move {
        let mut expected = HashMap::new();
        for (n, (kind, reset)) in
            KINDS.into_iter().flat_map(|kind| WAYS.map(|reset| (kind, reset))).enumerate()
        {
            let mut stream = connect(&server).await;
            // Far more than the buffers between the two take.
            let names = 81 / kind.events();
            send(&mut stream, &request(kind, &format!("w{n}"), names).0).await;
            let mut begin = [0; 12];
            in_time("an answer", stream.read_exact(&mut begin)).await.unwrap();
            assert!(begin.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(&begin));
            leave(stream, reset);
            expected.insert(format!("w{n}"), kind.events());
        }
        assert_eq!(settle(&server).await, expected);
    });
}

#[test]
fn without_waiting_for_its_answers_every_request_is_whole_or_not_there() {
    const ROUNDS: usize = 20;
    test_with(restless(), |server| async move {
        for n in 0..ROUNDS {
            for kind in KINDS {
                let mut stream = connect(&server).await;
                let mut requests = Vec::new();
                for part in ["a", "b", "c"] {
                    requests.extend(request(kind, &format!("w{n}{part}"), 0).0);
                }
                send(&mut stream, &requests).await;
                leave(stream, n % 2 == 0);
            }
        }
        // Single writes and bundles have other ids.
        for (write, events) in settle(&server).await {
            assert!([1, BUNDLE, 1 + BUNDLE].contains(&events), "{write}: {events}");
        }
    });
}

#[test]
fn the_turn_of_its_criteria_ends_with_the_write_and_not_with_the_client() {
    test_with(restless(), |server| async move {
        for (n, (kind, reset)) in
            KINDS.into_iter().flat_map(|kind| WAYS.map(|reset| (kind, reset))).enumerate()
        {
            let criteria = format!("family=Turn{n}");
            let body = json!({"resourceType": "Patient", "name": [{"family": format!("Turn{n}")}]});
            let (bytes, _) = match kind {
                Kind::Single => {
                    bytes("POST /default/fhir/Patient", &format!("if-none-exist: {criteria}\r\n"), &body)
                }
                Kind::Bundle => {
                    let request = json!({"method": "POST", "url": "Patient", "ifNoneExist": criteria});
                    let entries = [json!({"resource": body, "request": request})];
                    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
                    bytes("POST /default/fhir", "", &bundle)
                }
            };
            let before = server.events().await;
            let hold = Hold::appends(&server.database).await;
            let mut stream = connect(&server).await;
            send(&mut stream, &bytes).await;
            hold.until_waiting(1).await;
            leave(stream, reset);
            assert_eq!(server.get("/metadata").await.status, 200);
            let (other, same) = (server.clone(), body.to_string());
            let next = tokio::spawn(async move {
                other.send("POST", "/Patient", &[FHIR, ("If-None-Exist", &criteria)], same).await.status
            });
            hold.release().await;
            // It is the same client that tries again, say: it finds what it wrote.
            assert_eq!(in_time("the next with the same criteria", next).await.unwrap(), 200, "{kind:?}");
            assert_eq!(server.events().await, before + 1);
        }
        settle(&server).await;
    });
}
