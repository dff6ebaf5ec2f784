//! Named interleavings that other event stores got wrong, stepped by hand: who holds the lock, who waits, who aborts,
//! who comes late.

use std::time::Duration;

use anamnesis_events::*;
use futures::future::join_all;

use crate::hand::{Hand, waiting};
use crate::support::*;

/// Delays the insert of an event whose id begins with `slow` until nobody else holds the advisory lock; refuses one
/// whose id begins with `poison`; counts all that are tried.
const TRIGGER: &str = "
    CREATE SEQUENCE anamnesis.tried;
    CREATE FUNCTION anamnesis.meddle() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM nextval('anamnesis.tried');
        IF NEW.id LIKE 'slow%' THEN PERFORM pg_advisory_xact_lock(4711); END IF;
        IF NEW.id LIKE 'poison%' THEN
            RAISE EXCEPTION 'not this one' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER meddle BEFORE INSERT ON anamnesis.event FOR EACH ROW EXECUTE FUNCTION anamnesis.meddle()";

fn single(id: &str, version: u32) -> Group {
    Group::single(write(key(id), version, "a"))
}

/// A log with one event, and a trigger that meddles with what comes next.
async fn meddled() -> (String, Log) {
    let database = database().await;
    let log = open(&database).await;
    log.append(single("first", 1)).await.unwrap();
    statement(&database, TRIGGER).await;
    (database, log)
}

fn ids(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.key.id.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_appenders_the_second_waits_and_readers_see_no_hole() {
    let (database, one) = meddled().await;
    let two = open(&database).await;
    let reader = open(&database).await;
    let mut feed = reader.feed(Position::new(1));
    let hand = Hand::new(&database).await;
    hand.run("SELECT pg_advisory_lock(4711)").await;

    // The first has compared its heads and is in the middle of its insert, under the log's lock.
    let slow = tokio::spawn({
        let one = one.clone();
        async move { one.append(group(vec![write(key("slow"), 1, "a"), write(key("with"), 1, "a")])).await }
    });
    waiting(&database, "wait_event = 'advisory'", 1).await;
    // The second has nothing to do with the resources of the first, and waits all the same.
    let fast = tokio::spawn({
        let two = two.clone();
        async move { two.append(single("fast", 1)).await }
    });
    waiting(&database, "wait_event IN ('transactionid', 'tuple')", 1).await;
    for _ in 0..20 {
        assert_eq!(ids(&reader.read(Position::ZERO, 10).await.unwrap()), ["first"]);
        assert_eq!(reader.head().await.unwrap(), Position::new(1));
    }
    assert!(!slow.is_finished() && !fast.is_finished());

    hand.run("SELECT pg_advisory_unlock(4711)").await;
    let slow = slow.await.unwrap().unwrap();
    let fast = fast.await.unwrap().unwrap();
    let positions = [slow[0].position.get(), slow[1].position.get(), fast[0].position.get()];
    assert_eq!(positions, [2, 3, 4], "numbers are in the order of the commits");
    let mut fed = vec![];
    while fed.len() < 3 {
        fed.extend(feed.next(10).await.unwrap());
    }
    assert_eq!(ids(&fed), ["slow", "with", "fast"]);
    assert_eq!(check_whole(&one).await.len(), 4);
}

#[tokio::test]
async fn an_aborted_batch_gives_its_numbers_back() {
    let (database, log) = meddled().await;
    let batch = [
        log.append(single("left", 1)),
        log.append(group(vec![write(key("beside"), 1, "a"), write(key("poison"), 1, "a")])),
        log.append(single("right", 1)),
    ];
    let answers = join_all(batch).await;
    assert_eq!(answers[0].as_ref().unwrap()[0].position, Position::new(2));
    assert!(matches!(answers[1], Err(AppendError::Unavailable(_))), "{:?}", answers[1]);
    assert_eq!(answers[2].as_ref().unwrap()[0].position, Position::new(3));
    let events = check_whole(&log).await;
    assert_eq!(ids(&events), ["first", "left", "right"]);
    // Three rows of the batch that was aborted, and then four in groups of their own.
    assert_eq!(number(&database, "SELECT last_value FROM anamnesis.tried").await, 7);
    // Nothing of what was aborted is left in the other tables either.
    log.append(single("beside", 1)).await.unwrap();
    assert_eq!(check_whole(&log).await.len(), 4);
}

#[tokio::test]
async fn a_conflict_in_a_batch_takes_no_number_and_its_neighbours_win() {
    let (database, log) = meddled().await;
    let batch = [
        log.append(single("a", 1)),
        log.append(single("first", 1)),
        log.append(group(vec![write(key("b"), 1, "a"), write(key("first"), 7, "a")])),
        log.append(group(vec![write(key("b"), 1, "b"), write(key("a"), 2, "b")])),
        log.append(single("a", 2)),
        log.append(single("first", 2)),
    ];
    let answers = join_all(batch).await;
    let positions: Vec<Option<Vec<u64>>> = answers
        .iter()
        .map(|answer| Some(answer.as_ref().ok()?.iter().map(|one| one.position.get()).collect()))
        .collect();
    assert_eq!(positions, [Some(vec![2]), None, None, Some(vec![3, 4]), None, Some(vec![5])]);
    let lost = |index: usize| match &answers[index] {
        Err(AppendError::Conflict { index, kind: ConflictKind::HeadMoved { found, .. } }) => (*index, *found),
        other => panic!("no conflict: {other:?}"),
    };
    assert_eq!(lost(1), (0, Version::new(1)));
    assert_eq!(lost(2), (1, Version::new(1)));
    assert_eq!(lost(4), (0, Version::new(2)), "an earlier one of the same batch took it");
    assert_eq!(number(&database, "SELECT last_value FROM anamnesis.tried").await, 4, "one attempt");
    assert_eq!(check_whole(&log).await.len(), 5);
}

/// The primary key is a fence of its own: not even a writer that goes around the log's lock can make a number stand
/// for two events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_goes_around_the_lock_cannot_take_a_number_twice() {
    let database = database().await;
    let log = open(&database).await;
    log.append(single("first", 1)).await.unwrap();
    let rogue = |after: u64| {
        format!(
            "BEGIN; INSERT INTO anamnesis.event
             SELECT (jsonb_populate_record(e, jsonb_build_object('seq', e.seq + 1, 'id', 'rogue'))).*
             FROM anamnesis.event AS e WHERE seq = {after}"
        )
    };
    let append = |id: &'static str| {
        let log = log.clone();
        tokio::spawn(async move { log.append(single(id, 1)).await })
    };
    let hand = Hand::new(&database).await;
    hand.run(&rogue(1)).await;
    let own = append("own");
    waiting(&database, "wait_event = 'transactionid'", 1).await;
    hand.run("ROLLBACK").await;
    assert_eq!(own.await.unwrap().unwrap()[0].position, Position::new(2));

    hand.run(&rogue(2)).await;
    let refused = append("refused");
    waiting(&database, "wait_event = 'transactionid'", 1).await;
    hand.run("COMMIT").await;
    let refused = refused.await.unwrap();
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    assert_eq!(ids(&all(&log).await), ["first", "own", "rogue"], "nothing was written over");
    assert!(log.heads(&[key("refused")]).await.unwrap()[0].is_none());
    let verified = log.verify(Position::ZERO, 10).await;
    assert!(matches!(verified, Err(LogError::Broken { position, .. }) if position == Position::new(3)));
}

/// A lost reply while somebody else writes the same resource: the repetition is told what happened then, not what it
/// would come to now.
#[tokio::test]
async fn a_lost_reply_is_asked_for_again_after_others_have_written() {
    use crate::proxy::{Fault, Proxy};
    let database = database().await;
    let proxy = Proxy::start(&database).await;
    let options = LogOptions { retry_for: Duration::from_secs(2), ..LogOptions::default() };
    let log = Log::open(proxy.address(), "default", options).await.unwrap();
    let other = open(&database).await;
    log.append(single("1", 1)).await.unwrap();
    let keyed = || {
        let asked = Idempotency { key: uuid::Uuid::from_u128(1), fingerprint: [1; 32], note: vec![] };
        Group { idempotency: Some(asked), ..single("1", 2) }
    };
    proxy.set(Fault::CUT_AFTER_COMMIT_AND_STAY_AWAY);
    assert_eq!(log.append(keyed()).await, Err(AppendError::OutcomeUnknown));
    let third = other.append(single("1", 3)).await.unwrap();
    proxy.set(Fault::Nothing);
    let again = log.append(keyed()).await.unwrap();
    assert_eq!((again[0].position, again[0].version), (Position::new(2), Version::new(2)));
    assert!(again[0].replayed);
    assert_eq!(third[0].position, Position::new(3));
    let without = log.append(single("1", 2)).await;
    assert!(matches!(without, Err(AppendError::Conflict { .. })), "{without:?}");
    assert_eq!(check_whole(&other).await.len(), 3);
}
