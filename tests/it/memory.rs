//! The actors' memory: bounded in bytes, whatever comes.

use std::time::Duration;

use anamnesis::actors::{ActorOptions, Compartments, MemoryUse};
use futures::{StreamExt, stream};

use crate::support::{Hold, Server, Setup, eventually, in_time, test_with};

/// Clients at the same time.
const CLIENTS: usize = 16;

fn bounded(memory_bytes_max: usize) -> Setup {
    let sweep_interval = Duration::from_millis(20);
    let actors = ActorOptions { memory_bytes_max, sweep_interval, ..ActorOptions::default() };
    Setup { actors, ..Setup::default() }
}

fn usage(actors: &Compartments) -> MemoryUse {
    actors.memory().usage()
}

/// Writes, again where there is no room now; how often it was refused.
async fn put(server: &Server, path: String, body: String) -> usize {
    for refused in 0..1000 {
        let answer = server.put(&path, body.clone()).await;
        let memory = usage(&server.compartments);
        assert!(memory.bytes <= memory.bytes_max, "{memory:?}");
        match answer.status.as_u16() {
            200 | 201 => return refused,
            503 => assert_eq!((answer.outcome().as_str(), answer.header("retry-after")), ("transient", "1")),
            other => panic!("{other}: {}", answer.text()),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("refused again and again");
}

fn patient(id: &str) -> String {
    let text = "x".repeat(1000);
    format!(r#"{{"resourceType":"Patient","id":"{id}","name":[{{"text":"{text}"}}]}}"#)
}

fn observation(id: &str, round: usize) -> String {
    let text = "x".repeat(500);
    format!(
        r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"text":"{text}"}},"subject":{{"reference":"Patient/large"}},"valueInteger":{round}}}"#
    )
}

#[test]
fn many_patients_touched_once_stay_within_the_memory() {
    const PATIENTS: usize = 1000;
    test_with(bounded(512 << 10), |server| async move {
        let writes = stream::iter(0..PATIENTS).map(|n| {
            let (path, body) = (format!("/Patient/p{n}"), patient(&format!("p{n}")));
            put(&server, path, body)
        });
        let refused: usize =
            in_time("writes", writes.buffer_unordered(CLIENTS).collect::<Vec<_>>()).await.into_iter().sum();
        let residents = server.compartments.residents(10);
        let memory = residents.memory;
        assert!(memory.bytes_peak <= 512 << 10, "{memory:?}");
        assert!(memory.bytes_peak > 256 << 10, "it was used: {memory:?}");
        assert!(residents.rested.for_room > 500, "{residents:?}");
        assert_eq!(residents.refused.memory_full, refused as u64);
        assert_eq!(server.events().await, PATIENTS as u64);
        // What is at hand is what was touched last.
        assert!(residents.total < PATIENTS / 2, "{residents:?}");
        let first = residents.actors.first().unwrap();
        let number: usize = first.compartment.trim_start_matches("Patient/p").parse().unwrap();
        assert!(number > PATIENTS / 2, "{first:?}");
    });
}

#[test]
fn a_compartment_with_many_resources_stays_within_the_memory() {
    const RESOURCES: usize = 600;
    test_with(bounded(384 << 10), |server| async move {
        for round in 0..2 {
            let writes = stream::iter(0..RESOURCES).map(|n| {
                let id = format!("o{n}");
                put(&server, format!("/Observation/{id}"), observation(&id, round))
            });
            in_time("writes", writes.buffer_unordered(CLIENTS).collect::<Vec<_>>()).await;
        }
        let residents = server.compartments.residents(10);
        let memory = residents.memory;
        assert!(memory.bytes_peak <= 384 << 10 && memory.bytes_peak > 192 << 10, "{memory:?}");
        assert!(residents.actors.iter().all(|actor| actor.cached_heads < RESOURCES), "{residents:?}");
        assert_eq!(server.events().await, 2 * RESOURCES as u64);
    });
}

#[test]
fn what_is_put_to_rest_gives_its_memory_back() {
    let mut setup = bounded(256 << 20);
    setup.actors.idle_timeout = Duration::ZERO;
    test_with(setup, |server| async move {
        for n in 0..20 {
            put(&server, format!("/Patient/p{n}"), patient(&format!("p{n}"))).await;
        }
        eventually("all memory is back", async || usage(&server.compartments).bytes == 0).await;
        let residents = server.compartments.residents(10);
        assert_eq!((residents.total, residents.queued), (0, 0));
        assert!(residents.rested.idle >= 20 && residents.memory.bytes_peak > 1000, "{residents:?}");
    });
}

#[test]
fn writes_that_wait_count_and_one_too_many_is_503_and_not_written() {
    test_with(bounded(2 << 20), |server| async move {
        let hold = Hold::appends(&server.database).await;
        let text = "x".repeat(200 << 10);
        let body =
            |n: usize| format!(r#"{{"resourceType":"Patient","id":"p{n}","name":[{{"text":"{text}"}}]}}"#);
        let writes = (0..12).map(|n| {
            let server = server.clone();
            let body = body(n);
            tokio::spawn(async move { server.put(&format!("/Patient/p{n}"), body).await })
        });
        let writes: Vec<_> = writes.collect();
        // Each counts twice its 200 kB: some fit, not all.
        eventually("each waits or is refused", async || {
            let residents = server.compartments.residents(0);
            residents.queued + usize::try_from(residents.refused.memory_full).unwrap() == 12
        })
        .await;
        let memory = usage(&server.compartments);
        assert!(memory.command_bytes > 1_600 << 10 && memory.bytes <= 2 << 20, "{memory:?}");
        hold.until_waiting(1).await;
        hold.release().await;
        let mut written = Vec::new();
        for (n, write) in writes.into_iter().enumerate() {
            let answer = in_time("an answer", write).await.unwrap();
            match answer.status.as_u16() {
                201 => written.push(format!("p{n}")),
                503 => {
                    assert_eq!(answer.outcome(), "transient");
                    let after = (answer.header("retry-after"), answer.header("x-ms-retry-after-ms"));
                    assert_eq!(after, ("1", "1000"));
                }
                other => panic!("{other}: {}", answer.text()),
            }
        }
        let events = server.log.read(anamnesis_events::Position::ZERO, 100).await.unwrap();
        let mut recorded: Vec<String> = events.iter().map(|event| event.key.id.to_string()).collect();
        recorded.sort();
        written.sort();
        assert_eq!(recorded, written);
        assert!((4..=5).contains(&written.len()), "{written:?}");
        assert_eq!(usage(&server.compartments).command_bytes, 0);
        assert_eq!(server.put("/Patient/again", patient("again")).await.status, 201, "it recovers");
    });
}
