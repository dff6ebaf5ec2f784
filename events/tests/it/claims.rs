//! Claims: one holder at a time over two servers, given back on every way out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anamnesis_events::{ClaimError, LogOptions};
use futures::future::join_all;

use crate::hand::{Hand, waiting};
use crate::support::{database, fresh_log_with, open};

fn slots<const N: usize>(slots: [u16; N]) -> BTreeSet<u16> {
    slots.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_holds_a_slot_over_all_servers() {
    let database = database().await;
    let logs = [open(&database).await, open(&database).await];
    let inside = Arc::new(AtomicUsize::new(0));
    // Some of the sets overlap, in both orders.
    let sets = [slots([1]), slots([1, 2]), slots([2, 1, 3]), slots([0, 1])];
    join_all((0..40).map(|number| {
        let (log, inside, set) = (&logs[number % 2], inside.clone(), &sets[number % 4]);
        async move {
            let claim = log.claim(set).await.unwrap();
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "somebody else holds slot 1");
            log.head().await.unwrap();
            assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
            assert!(!claim.is_lost());
        }
    }))
    .await;
    for log in logs {
        log.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_slots_and_other_logs_are_not_waited_for() {
    let (one, two) =
        (fresh_log_with(LogOptions::default()).await, fresh_log_with(LogOptions::default()).await);
    let _held = one.claim(&slots([1])).await.unwrap();
    let _beside = one.claim(&slots([2])).await.unwrap();
    let _elsewhere = two.claim(&slots([1])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_given_up_while_it_waits_holds_nothing() {
    let database = database().await;
    let (one, two) = (open(&database).await, open(&database).await);
    let held = one.claim(&slots([1])).await.unwrap();
    let other = two.clone();
    let given_up = tokio::spawn(async move { other.claim(&slots([1])).await.map(drop) });
    waiting(&database, "wait_event = 'advisory'", 1).await;
    given_up.abort();
    drop(held);
    drop(one.claim(&slots([1])).await.unwrap());
    drop(two.claim(&slots([1])).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_a_lost_claim() {
    let database = database().await;
    let (one, two) = (open(&database).await, open(&database).await);
    let held = one.claim(&slots([1])).await.unwrap();
    let hand = Hand::new(&database).await;
    hand.run(
        "SELECT pg_terminate_backend(pid) FROM pg_locks
         WHERE locktype = 'advisory'
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .await;
    drop(two.claim(&slots([1])).await.unwrap());
    while !held.is_lost() {
        tokio::task::yield_now().await;
    }
    drop(held);
    drop(one.claim(&slots([1])).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_log_gives_back_too() {
    let database = database().await;
    let (one, two) = (open(&database).await, open(&database).await);
    let held = one.claim(&slots([1])).await.unwrap();
    one.close().await;
    drop(held);
    drop(two.claim(&slots([1])).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_too_long_for_a_connection_is_told_so() {
    let log = fresh_log_with(LogOptions { claims_max: 1, ..LogOptions::default() }).await;
    let held = log.claim(&slots([1])).await.unwrap();
    assert!(matches!(log.claim(&slots([2])).await, Err(ClaimError::Busy)));
    drop(held);
    drop(log.claim(&slots([2])).await.unwrap());
}
