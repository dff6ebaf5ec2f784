//! Many writers, two appenders, dying connections: the log stays dense, in commit order and complete.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anamnesis_events::*;
use tokio::task::JoinSet;

use crate::support::*;

const WRITERS: usize = 64;
const ROUNDS: usize = 12;
/// Few enough that the writers meet on them all the time.
const SHARED_RESOURCES: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_writers_leave_a_dense_log_in_commit_order() {
    race(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_writers_leave_a_whole_log_when_connections_are_killed() {
    race(true).await;
}

/// Writers on two appenders write bundles over shared resources, mostly with versions that lost the race.
/// Meanwhile a reader follows the log; where `kill` says so, connections are killed all the time.
async fn race(kill: bool) {
    let database = database().await;
    let logs = [open(&database).await, open(&database).await];
    logs[0].append(Group::single(write(key("start"), 1, "a"))).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(follow(open(&database).await, done.clone()));
    let killer = kill.then(|| tokio::spawn(keep_killing(database.clone(), done.clone())));

    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write_rounds(logs[writer % 2].clone(), writer));
    }
    let outcomes: Vec<Outcome> = writers.join_all().await.into_iter().flatten().collect();
    done.store(true, Ordering::SeqCst);
    if let Some(killer) = killer {
        assert!(killer.await.unwrap() > 3, "too few connections were killed for the test to say anything");
    }
    let followed = reader.await.unwrap();

    let events = check_whole(&logs[0]).await;
    assert_eq!(followed, events.iter().map(|event| (event.position, event.hash)).collect::<Vec<_>>());
    check_outcomes(&events, &outcomes);
    let conflict = |outcome: &Outcome| matches!(outcome.answer, Err(AppendError::Conflict { .. }));
    let otherwise = outcomes.iter().filter(|outcome| outcome.answer.is_err() && !conflict(outcome)).count();
    assert!(kill || otherwise == 0, "{otherwise} appends failed though the database was there");
    for log in logs {
        log.close().await;
    }
}

struct Outcome {
    transaction: uuid::Uuid,
    answer: Result<Vec<Recorded>, AppendError>,
}

/// Each round writes a bundle: a resource of its own, and a new version of a shared one.
async fn write_rounds(log: Log, writer: usize) -> Vec<Outcome> {
    let mut outcomes = vec![];
    for round in 0..ROUNDS {
        let shared = key(&format!("shared-{}", (writer * 7 + round) % SHARED_RESOURCES));
        let version = match log.heads(std::slice::from_ref(&shared)).await {
            Ok(heads) => heads[0].as_ref().map_or(1, |head| head.version.get() + 1),
            // The pool lost its connections more often than it tries again: another round.
            Err(_) => continue,
        };
        let own = key(&format!("own-{writer}-{round}"));
        let bundle = group(vec![write(own, 1, "own"), write(shared, version, "shared")]);
        let transaction = bundle.transaction.unwrap();
        outcomes.push(Outcome { transaction, answer: log.append(bundle).await });
    }
    outcomes
}

/// Reads on from the last position that it has seen, as fast as it can, and must never see a hole. That
/// no lower number turns up later is checked by comparing with the log in the end.
async fn follow(log: Log, done: Arc<AtomicBool>) -> Vec<(Position, [u8; 32])> {
    let mut seen: Vec<(Position, [u8; 32])> = vec![];
    loop {
        let finished = done.load(Ordering::SeqCst);
        let after = seen.last().map_or(Position::ZERO, |(position, _)| *position);
        match log.read(after, 100).await {
            Ok(page) => {
                for event in &page {
                    assert_eq!(event.position.get(), seen.len() as u64 + 1);
                    seen.push((event.position, event.hash));
                }
                if page.is_empty() && finished {
                    return seen;
                }
            }
            Err(LogError::Broken { position, reason }) => panic!("at {position}: {reason}"),
            Err(_) => {}
        }
    }
}

async fn keep_killing(database: String, done: Arc<AtomicBool>) -> usize {
    let mut killed = 0;
    while !done.load(Ordering::SeqCst) {
        kill_connections(&database).await;
        killed += 1;
        tokio::time::sleep(std::time::Duration::from_millis(25 + killed as u64 * 13 % 60)).await;
    }
    killed
}

/// Every answer agrees with the log: what was acknowledged is there, what was refused is not.
fn check_outcomes(events: &[Event], outcomes: &[Outcome]) {
    let mut bundles: BTreeMap<uuid::Uuid, Vec<&Event>> = BTreeMap::new();
    for event in events {
        if let Some(transaction) = event.transaction {
            bundles.entry(transaction.id).or_default().push(event);
        }
    }
    let (mut recorded, mut conflicts) = (0, 0);
    for Outcome { transaction, answer } in outcomes {
        let bundle = bundles.get(transaction);
        match answer {
            Ok(answers) => {
                recorded += 1;
                let bundle = bundle.expect("an acknowledged bundle is missing");
                assert_eq!(bundle.len(), 2);
                for (event, answer) in bundle.iter().zip(answers) {
                    assert_eq!(event.position, answer.position);
                    assert_eq!(event.version, answer.version);
                    assert_eq!(event.recorded_at, answer.recorded_at);
                    assert_eq!(event.payload, answer.payload);
                }
            }
            Err(AppendError::OutcomeUnknown) => {}
            Err(error) => {
                conflicts += usize::from(matches!(error, AppendError::Conflict { index: 1, .. }));
                assert!(bundle.is_none(), "refused with {error}, but recorded");
            }
        }
    }
    println!("{recorded} bundles recorded, {conflicts} conflicts, of {}", outcomes.len());
    assert!(recorded >= WRITERS && conflicts >= WRITERS, "the race was none");
    assert!(bundles.len() >= recorded);
}
