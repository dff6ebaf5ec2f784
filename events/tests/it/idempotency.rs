//! Appends under idempotency keys: a reply that was lost can be asked for again, and nothing is written twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anamnesis_events::*;
use chrono::DateTime;
use futures::future::join_all;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::*;

/// The group under a key, as a request with this fingerprint.
fn keyed(key: u128, fingerprint: u8, group: Group) -> Group {
    let asked = Idempotency { key: Uuid::from_u128(key), fingerprint: [fingerprint; 32], note: vec![7, 8] };
    Group { idempotency: Some(asked), ..group }
}

fn single(id: &str, version: u32) -> Group {
    Group::single(write(key(id), version, "a"))
}

/// The answers but for whether they are replays; all must say the same of that.
fn strip(recorded: Vec<Recorded>, replayed: bool) -> Vec<Recorded> {
    assert!(recorded.iter().all(|one| one.replayed == replayed), "{recorded:?}");
    recorded.into_iter().map(|one| Recorded { replayed: false, ..one }).collect()
}

#[tokio::test]
async fn a_repeated_append_is_answered_with_what_was_recorded_the_first_time() {
    let database = database().await;
    let log = open(&database).await;
    let bundle = || {
        let drafts = vec![write(key("1"), 1, "a"), write(key("2"), 1, "b"), write(key("1"), 2, "c")];
        keyed(1, 1, group(drafts))
    };
    let first = strip(log.append(bundle()).await.unwrap(), false);
    assert_eq!(strip(log.append(bundle()).await.unwrap(), true), first);
    // The resources have moved on since, and another node and a restarted one are asked.
    log.append(single("1", 3)).await.unwrap();
    let other = open(&database).await;
    assert_eq!(strip(other.append(bundle()).await.unwrap(), true), first);
    let remembered = other.remembered(Uuid::from_u128(1)).await.unwrap().unwrap();
    assert_eq!((remembered.fingerprint, remembered.note), ([1; 32], vec![7, 8]));
    let positions: Vec<u64> = remembered.events.iter().map(|event| event.position.get()).collect();
    assert_eq!(positions, [1, 2, 3]);
    assert_eq!(other.remembered(Uuid::from_u128(2)).await.unwrap(), None);
    assert_eq!(check_whole(&log).await.len(), 4);
}

#[tokio::test]
async fn a_key_that_stands_for_another_request_is_refused() {
    let log = fresh_log().await;
    log.append(keyed(1, 1, single("1", 1))).await.unwrap();
    let other = log.append(keyed(1, 2, single("2", 1))).await;
    assert_eq!(other, Err(AppendError::KeyReused));
    assert_eq!(check_whole(&log).await.len(), 1);
}

/// Both are queued before the appender runs, so they come in one batch.
#[tokio::test]
async fn one_key_twice_in_one_batch_is_recorded_once() {
    let log = fresh_log().await;
    let appends = [
        log.append(keyed(1, 1, single("1", 1))),
        log.append(keyed(1, 1, single("1", 1))),
        log.append(keyed(1, 2, single("2", 1))),
        log.append(single("3", 1)),
    ];
    let mut answers = join_all(appends).await.into_iter();
    let first = strip(answers.next().unwrap().unwrap(), false);
    assert_eq!(strip(answers.next().unwrap().unwrap(), true), first);
    assert_eq!(answers.next().unwrap(), Err(AppendError::KeyReused));
    assert_eq!(answers.next().unwrap().unwrap()[0].position, Position::new(2));
    assert_eq!(check_whole(&log).await.len(), 2);
}

#[tokio::test]
async fn a_conflict_is_not_remembered() {
    let log = fresh_log().await;
    let early = log.append(keyed(1, 1, single("1", 2))).await;
    assert!(matches!(early, Err(AppendError::Conflict { .. })), "{early:?}");
    log.append(single("1", 1)).await.unwrap();
    let again = strip(log.append(keyed(1, 1, single("1", 2))).await.unwrap(), false);
    assert_eq!(again[0].version, Version::new(2));
    assert_eq!(check_whole(&log).await.len(), 2);
}

#[tokio::test]
async fn a_writer_that_went_away_finds_what_it_wrote() {
    let log = fresh_log().await;
    {
        let mut gone = std::pin::pin!(log.append(keyed(1, 1, single("1", 1))));
        assert!(futures::poll!(&mut gone).is_pending(), "queued, and nobody waits for the answer");
    }
    let again = strip(log.append(keyed(1, 1, single("1", 1))).await.unwrap(), true);
    assert_eq!(again[0].position, Position::new(1));
    assert_eq!(check_whole(&log).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_appenders_that_race_for_a_key_record_it_once() {
    const KEYS: u128 = 40;
    let database = database().await;
    let logs = [open(&database).await, open(&database).await];
    let mut writers = JoinSet::new();
    for number in 0..KEYS {
        for writer in 0..4 {
            let log = logs[writer % 2].clone();
            // Each try draws an id of its own, as a server does for a create.
            let id = format!("{number}-{writer}");
            writers.spawn(async move { (number, log.append(keyed(number, 1, single(&id, 1))).await) });
        }
    }
    let mut outcomes: Vec<Vec<Recorded>> = vec![vec![]; KEYS as usize];
    for (number, answer) in writers.join_all().await {
        outcomes[number as usize].extend(answer.unwrap());
    }
    for outcome in &outcomes {
        assert_eq!(outcome.iter().filter(|one| !one.replayed).count(), 1);
        assert!(outcome.iter().all(|one| one.position == outcome[0].position));
        assert!(outcome.iter().all(|one| one.payload == outcome[0].payload));
    }
    assert_eq!(check_whole(&logs[0]).await.len(), KEYS as usize);
}

#[tokio::test]
async fn keys_are_forgotten_after_their_time_and_not_before() {
    let minutes = Arc::new(AtomicI64::new(0));
    let clock = {
        let minutes = minutes.clone();
        Arc::new(move || DateTime::from_timestamp(minutes.load(Ordering::SeqCst) * 60, 0).unwrap())
    };
    let database = database().await;
    let options = LogOptions {
        clock,
        idempotency_retention: Duration::from_secs(60 * 60),
        idempotency_sweep: Duration::from_millis(10),
        ..LogOptions::default()
    };
    let log = Log::open(&database, "default", options).await.unwrap();
    log.append(keyed(1, 1, single("1", 1))).await.unwrap();
    minutes.store(40, Ordering::SeqCst);
    log.append(keyed(2, 1, single("2", 1))).await.unwrap();
    // More than one statement takes, as old as the first.
    statement(
        &database,
        "INSERT INTO anamnesis.idempotency
         SELECT recorded_at, first_seq, events, log, gen_random_uuid(), fingerprint
         FROM anamnesis.idempotency, generate_series(1, 2500) WHERE first_seq = 1",
    )
    .await;
    minutes.store(61, Ordering::SeqCst);
    let old = "SELECT count(*) FROM anamnesis.idempotency WHERE first_seq = 1";
    until("the old keys are forgotten", || async { number(&database, old).await == 0 }).await;
    assert!(log.remembered(Uuid::from_u128(1)).await.unwrap().is_none());
    assert!(log.remembered(Uuid::from_u128(2)).await.unwrap().is_some());
    // Nothing is known of the first request any more, so it is decided anew.
    let again = log.append(keyed(1, 1, single("1", 1))).await;
    assert!(matches!(again, Err(AppendError::Conflict { .. })), "{again:?}");
    let again = log.append(keyed(2, 1, single("2", 1))).await.unwrap();
    assert!(again[0].replayed);
}

#[tokio::test]
async fn a_note_beyond_the_bound_is_refused() {
    let log = fresh_log().await;
    let mut large = keyed(1, 1, single("1", 1));
    large.idempotency.as_mut().unwrap().note = vec![0; NOTE_BYTES_MAX + 1];
    assert!(matches!(log.append(large).await, Err(AppendError::Invalid { .. })));
    let mut full = keyed(1, 1, single("1", 1));
    full.idempotency.as_mut().unwrap().note = vec![1; NOTE_BYTES_MAX];
    log.append(full).await.unwrap();
    let remembered = log.remembered(Uuid::from_u128(1)).await.unwrap().unwrap();
    assert_eq!(remembered.note.len(), NOTE_BYTES_MAX);
}
