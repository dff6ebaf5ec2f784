//! What users of other event stores complain about, where no other test shows it: docs/guarantees.md has the table.

use std::collections::HashSet;
use std::task::Poll;
use std::time::Duration;

use anamnesis_engines::testing::postgres;
use anamnesis_events::message::{MessageOptions, encode, subject};
use anamnesis_events::*;

use crate::hand::Hand;
use crate::proxy::Proxy;
use crate::relay::{Bench, published};
use crate::support::*;

/// How long a feed may take for its next events: far longer than it does.
const PATIENCE: Duration = Duration::from_secs(30);

fn single(id: &str, version: u32) -> Group {
    Group::single(write(key(id), version, "a"))
}

/// Reads a feed up to a position.
async fn follow(feed: &mut impl Feed, last: Position) -> usize {
    let mut count = 0;
    while feed.position() < last {
        count += tokio::time::timeout(PATIENCE, feed.next(100)).await.unwrap().unwrap().len();
    }
    count
}

/// Stores that watch for the oldest open transaction stand still behind a session that somebody forgot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_left_in_a_transaction_stops_nobody() {
    let bench = Bench::new().await;
    let forgotten = Hand::new(&bench.database).await;
    // It has a snapshot and a transaction number, as one that has written has.
    forgotten.run("CREATE TABLE elsewhere (n int)").await;
    forgotten
        .run("BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO elsewhere VALUES (1); SELECT count(*) FROM anamnesis.event")
        .await;
    let relay = bench.relay().await;
    let mut feed = bench.log.feed(Position::ZERO);
    bench.append(1, 200).await;
    assert_eq!(follow(&mut feed, Position::new(200)).await, 200);
    published(&relay, Position::new(200)).await;
    let other = open(&bench.database).await;
    assert_eq!(check_whole(&other).await.len(), 200);
    let idle = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'idle in transaction'";
    assert_eq!(number(&bench.database, idle).await, 1, "it was there all the time");
    // What is not kept can neither fill a disk nor be lost.
    assert_eq!(number(&bench.database, "SELECT count(*) FROM pg_replication_slots").await, 0);
    relay.stop().await;
}

/// After maintenance of the database some projections and relays moved again only when they were restarted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_maintenance_of_the_database_everything_moves_on_by_itself() {
    let options = LogOptions { retry_for: Duration::from_millis(100), ..LogOptions::default() };
    let bench = Bench::with(options).await;
    let relay = bench.relay().await;
    let mut feed = bench.log.feed(Position::ZERO);
    bench.append(1, 20).await;
    follow(&mut feed, Position::new(20)).await;
    published(&relay, Position::new(20)).await;

    let config: tokio_postgres::Config = bench.database.parse().unwrap();
    let name = config.get_dbname().unwrap().to_owned();
    let server = Hand::new(postgres().await.server_url()).await;
    server.run(&format!(r#"ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false"#)).await;
    kill_connections(&bench.database).await;
    let away = bench.log.append(single("away", 1)).await;
    assert!(matches!(away, Err(AppendError::Unavailable(_))), "{away:?}");
    assert!(bench.log.head().await.is_err());
    server.run(&format!(r#"ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true"#)).await;

    let last = bench.log.append(single("back", 1)).await.unwrap()[0].position;
    assert_eq!(last, Position::new(21));
    assert_eq!(follow(&mut feed, last).await, 1);
    published(&relay, last).await;
    bench.append(21, 40).await;
    published(&relay, Position::new(41)).await;
    bench.assert_stream_equals_log().await;
    relay.stop().await;
}

#[tokio::test]
async fn statements_are_prepared_once_for_each_connection() {
    let proxy = Proxy::start(&database().await).await;
    let options =
        LogOptions { pool_size: 2, poll_interval: Duration::from_millis(10), ..LogOptions::default() };
    let log = Log::open(proxy.address(), "default", options).await.unwrap();
    let opening = proxy.prepared();
    let mut version = 0;
    let mut round = async || {
        version += 1;
        log.append(single("1", version)).await.unwrap();
        let (one, first) = (key("1"), Position::new(1));
        log.current(&one).await.unwrap();
        log.current_of_all(std::slice::from_ref(&one)).await.unwrap();
        log.heads(std::slice::from_ref(&one)).await.unwrap();
        log.version(&one, Version::new(1)).await.unwrap();
        log.read(Position::ZERO, 10).await.unwrap();
        log.fetch(&[first]).await.unwrap();
        log.remembered(uuid::Uuid::from_u128(1)).await.unwrap();
    };
    for _ in 0..70 {
        round().await;
    }
    let mut prepared = proxy.prepared();
    for (statement, times) in opening {
        *prepared.get_mut(&statement).unwrap() -= times;
    }
    assert!(prepared.values().filter(|times| **times == 1).count() >= 8, "one for each call: {prepared:?}");
    prepared.retain(|_, times| *times > 1);
    assert!(prepared.is_empty(), "prepared again on one connection: {prepared:?}");
}

/// Polls a future so many times and drops it if it has not ended then. Not after a time: machines are of different speed.
async fn dropped_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut polled) = (std::pin::pin!(future), 0);
    std::future::poll_fn(|context| {
        polled += 1;
        match future.as_mut().poll(context) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if polled >= polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Pools hand out connections that are inside a transaction, or that still owe somebody else an answer, when a caller
/// was cancelled at the wrong moment.
#[tokio::test]
async fn calls_that_are_cancelled_leave_connections_as_they_were() {
    let database = database().await;
    let options = LogOptions { pool_size: 1, ..LogOptions::default() };
    let log = Log::open(&database, "default", options).await.unwrap();
    for number in 0..10 {
        log.append(single(&number.to_string(), 1)).await.unwrap();
    }
    let (mut cut, mut done) = (0, 0);
    for n in 0..400_usize {
        // Every other one is let go on; the rest are dropped after one poll to five.
        let polls = if n % 2 == 0 { usize::MAX } else { 1 + n / 2 % 5 };
        let id = (n % 10).to_string();
        let one = key(&id);
        let read = dropped_after(polls, log.current(&one)).await;
        let append = dropped_after(polls, log.append(single(&format!("new-{n}"), 1))).await;
        for is_cut in [read.is_none(), append.is_none()] {
            *(if is_cut { &mut cut } else { &mut done }) += 1;
        }
        let answered = log.current(&one).await.unwrap().unwrap();
        assert_eq!(answered.key.id, id, "the answer is that to this question");
    }
    assert!(cut > 50 && done > 50, "{cut} were cancelled, {done} were not");
    let idle = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    until("no session is in a transaction", || async { number(&database, idle).await == 0 }).await;
    // Dropping an append does not take it back, so that all of them are there.
    until("all appends have been recorded", || async { log.head().await.unwrap().get() == 410 }).await;
    check_whole(&log).await;
}

/// Brokers keep every distinct subject in memory, and for a while every id of a message.
#[tokio::test]
async fn subjects_are_few_and_messages_have_no_ids() {
    let log = fresh_log().await;
    let event = {
        log.append(single("1", 1)).await.unwrap();
        all(&log).await.remove(0)
    };
    let options = MessageOptions::new("default", "fhir");
    let mut subjects = HashSet::new();
    for patient in 0..20_000 {
        let event = Event { home: format!("Patient/{patient}"), ..event.clone() };
        subjects.insert(subject(&event, &options));
    }
    assert_eq!(subjects.len(), 256, "one for each bucket, however many patients there are");
    let (headers, _) = encode(&event, &options);
    assert!(headers.get("Nats-Msg-Id").is_none());
}
