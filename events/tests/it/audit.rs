//! Auditing: a clean store passes while it is written, and whatever is tampered with is found and named.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anamnesis_engines::testing::Nats;
use anamnesis_events::audit::{Fault, Heads, Range, Walked, heads, log as walk, stream};
use anamnesis_events::relay::{Relay, RelayOptions};
use anamnesis_events::stream::stream_name;
use anamnesis_events::{AppendError, Draft, Group, Identifier, Log, LogError, LogOptions, Position};

use crate::support::{database, delete, group, key, open, write};

/// The whole log as it is now.
fn whole(until: Position) -> Range {
    Range { after: Position::ZERO, until, hash: None, may_cut: false }
}

async fn audit(log: &Log) -> (Walked, Heads) {
    let head = log.head().await.unwrap();
    let walked = walk(log, whole(head), &mut |_| {}).await.unwrap();
    let heads = heads(log, &walked, &mut |_| {}).await.unwrap();
    (walked, heads)
}

/// Everything that is wrong, as it is told.
async fn faults(log: &Log) -> Vec<String> {
    let (walked, heads) = audit(log).await;
    let all = walked.faults.kept().iter().chain(heads.faults.kept());
    all.map(Fault::to_string).collect()
}

/// Runs statements that the log's triggers would refuse.
async fn tamper(database: &str, statements: &str) {
    let (client, connection) = tokio_postgres::connect(database, tokio_postgres::NoTls).await.unwrap();
    let work = async {
        client.batch_execute(&format!("SET session_replication_role = replica; {statements}")).await.unwrap();
        drop(client);
    };
    let ((), ended) = futures::join!(work, connection);
    ended.unwrap();
}

fn with_more(draft: Draft) -> Draft {
    let identifier = Identifier { system: "urn:x".into(), value: draft.key.id.clone() };
    let touches = vec!["Patient/p".into(), "Patient/q".into()];
    Draft { touches, identifiers: vec![identifier], ..draft }
}

/// Twelve events: six resources, one with four versions and deleted, one in a transaction of three.
async fn history(log: &Log) {
    log.append(Group::single(with_more(write(key("a"), 1, "one")))).await.unwrap();
    log.append(Group::single(write(key("b"), 1, "two"))).await.unwrap();
    log.append(Group::single(with_more(write(key("a"), 2, "three")))).await.unwrap();
    let three = vec![write(key("c"), 1, "x"), write(key("b"), 2, "y"), write(key("d"), 1, "z")];
    log.append(group(three)).await.unwrap();
    log.append(Group::single(write(key("a"), 3, "seven"))).await.unwrap();
    log.append(Group::single(delete(key("a"), 4))).await.unwrap();
    log.append(Group::single(with_more(write(key("e"), 1, "nine")))).await.unwrap();
    log.append(Group::single(write(key("b"), 3, "ten"))).await.unwrap();
    log.append(Group::single(write(key("f"), 1, "eleven"))).await.unwrap();
    log.append(Group::single(write(key("f"), 2, "twelve"))).await.unwrap();
}

#[tokio::test]
async fn a_clean_store_has_no_faults_and_is_counted() {
    let database = database().await;
    let log = open(&database).await;
    history(&log).await;
    let (walked, heads) = audit(&log).await;
    assert_eq!((walked.faults.kept(), heads.faults.kept()), (&[][..], &[][..]));
    assert_eq!((walked.events, walked.links), (12, 3));
    assert_eq!((heads.resources, heads.deleted, heads.identifiers), (6, 1, 1));
    let last = log.fetch(&[Position::new(12)]).await.unwrap().remove(0);
    assert_eq!(walked.hash, Some(last.hash));
    log.close().await;
}

/// Statements behind the log's back, and what must be told of them.
const TAMPERED: &[(&str, &str)] = &[
    (
        "UPDATE anamnesis.event SET payload = (SELECT payload FROM anamnesis.event WHERE seq = 2) WHERE seq = 7",
        "position 7: its hash does not follow",
    ),
    (
        "UPDATE anamnesis.event SET payload = overlay(payload PLACING '\\x00'::bytea FROM 1) WHERE seq = 7",
        "position 7: the body",
    ),
    (
        "UPDATE anamnesis.event SET hash = overlay(hash PLACING '\\xabcdef'::bytea FROM 1) WHERE seq = 5",
        "position 5: its hash does not follow",
    ),
    ("UPDATE anamnesis.event SET agent = 'nobody' WHERE seq = 10", "position 10: its hash does not follow"),
    ("DELETE FROM anamnesis.event WHERE seq = 5", "position 5: the event is missing"),
    ("DELETE FROM anamnesis.event WHERE seq BETWEEN 4 AND 6", "position 4: the events up to 6 are missing"),
    (
        "UPDATE anamnesis.event SET seq = 1000 + seq WHERE seq IN (10, 11);
          UPDATE anamnesis.event SET seq = 1021 - seq WHERE seq > 1000",
        "position 10: its hash does not follow",
    ),
    (
        "UPDATE anamnesis.event SET recorded_at = recorded_at - interval '1 day' WHERE seq = 9",
        "position 9: it was not recorded later",
    ),
    (
        "UPDATE anamnesis.event SET transaction_size = 4 WHERE transaction_id IS NOT NULL",
        "position 7: a transaction is not whole",
    ),
    (
        "UPDATE anamnesis.event SET prev_seq = 2 WHERE seq = 10",
        "position 10: the event at 2 is not the version before it",
    ),
    (
        "UPDATE anamnesis.event SET prev_seq = 1, version = 2 WHERE seq = 7",
        "position 7: another event follows the same version",
    ),
    (
        "UPDATE anamnesis.head SET seq = 3, version = 2, deleted = false WHERE seq = 8",
        "position 3: the head stands here, but the log has a later version",
    ),
    (
        "UPDATE anamnesis.head SET seq = 3, version = 2, deleted = false WHERE seq = 8",
        "position 8: this is the newest event of its resource, but the head stands at 3",
    ),
    ("UPDATE anamnesis.head SET seq = 99 WHERE seq = 9", "position 99: the head"),
    ("UPDATE anamnesis.head SET seq = 9 WHERE seq = 10", "stands at an event of another resource"),
    ("UPDATE anamnesis.head SET version = 5 WHERE seq = 10", "position 10: the head says version 5"),
    ("UPDATE anamnesis.head SET deleted = false WHERE seq = 8", "position 8: head and event do not agree"),
    ("DELETE FROM anamnesis.head WHERE seq = 10", "position 10: the resource of this event has no head"),
    ("DELETE FROM anamnesis.link WHERE seq = 3", "position 3: a compartment that it touches is not linked"),
    (
        "INSERT INTO anamnesis.link SELECT 4, log, compartment FROM anamnesis.link WHERE seq = 3",
        "the events name 3 compartments beside their homes, but 4 are linked",
    ),
    ("DELETE FROM anamnesis.identifier", "position 9: an identifier of the resource is not in the table"),
    (
        "INSERT INTO anamnesis.identifier SELECT log, key, 'x' FROM anamnesis.identifier",
        "the heads name 1 identifiers, but the table of identifiers has 2",
    ),
];

#[tokio::test]
async fn what_is_tampered_with_is_found_and_named() {
    for (statements, expected) in TAMPERED {
        let database = database().await;
        let log = open(&database).await;
        history(&log).await;
        tamper(&database, statements).await;
        let found = faults(&log).await;
        assert!(found.iter().any(|fault| fault.contains(expected)), "{statements}: {found:#?}");
        // Behind it the check goes on, and does not find the whole rest wrong.
        assert!(found.len() <= 7, "{statements}: {found:#?}");
        log.close().await;
    }
}

#[tokio::test]
async fn a_part_is_checked_from_a_hash_that_is_known() {
    let database = database().await;
    let log = open(&database).await;
    history(&log).await;
    let at = log.fetch(&[Position::new(5)]).await.unwrap().remove(0);
    let part = |hash, until| Range { after: Position::new(5), until, hash, may_cut: true };
    let walked = walk(&log, part(Some(at.hash), Position::new(9)), &mut |_| {}).await.unwrap();
    assert_eq!((walked.events, walked.faults.kept()), (4, &[][..]));
    let walked = walk(&log, part(Some([7; 32]), Position::new(9)), &mut |_| {}).await.unwrap();
    let found: Vec<String> = walked.faults.kept().iter().map(Fault::to_string).collect();
    assert!(found.iter().any(|fault| fault.contains("position 5: the hash there is another")), "{found:?}");
    // A log that does not reach as far as it should.
    let walked = walk(&log, whole(Position::new(15)), &mut |_| {}).await.unwrap();
    let found: Vec<String> = walked.faults.kept().iter().map(Fault::to_string).collect();
    assert_eq!(found, ["position 13: the events up to 15 are missing"]);
    log.close().await;
}

#[tokio::test]
async fn pages_end_where_bodies_are_large() {
    let database = database().await;
    let log = open(&database).await;
    // So alike that hardly anything of them is stored: what counts is how large they are in memory.
    let large = "x".repeat(1 << 20);
    for name in ["a", "b", "c", "d"] {
        log.append(Group::single(write(key(name), 1, &large))).await.unwrap();
    }
    let all = [1, 2, 3, 4].map(Position::new);
    for (bytes, count) in [(1, 1), (1 << 20, 1), (5 << 19, 2), (5 << 20, 4)] {
        assert_eq!(log.count_within(&all, bytes).await.unwrap(), count, "{bytes}");
    }
    // What is not there is read with what is before it.
    let holes = [1, 900, 901, 2].map(Position::new);
    assert_eq!(log.count_within(&holes, 3 << 19).await.unwrap(), 3);
    assert_eq!(log.count_within(&[], 1).await.unwrap(), 0);
    log.close().await;
}

#[tokio::test]
async fn a_walk_takes_large_bodies_in_small_pages() {
    let database = database().await;
    let log = open(&database).await;
    let large = "x".repeat(20 << 20);
    for name in ["a", "b"] {
        log.append(Group::single(write(key(name), 1, &large))).await.unwrap();
    }
    let mut told = Vec::new();
    let walked = walk(&log, whole(Position::new(2)), &mut |at| told.push(at.get())).await.unwrap();
    assert_eq!((walked.faults.kept(), walked.events), (&[][..], 2));
    assert_eq!(told, [1, 2]);
    log.close().await;
}

#[tokio::test]
async fn a_store_that_is_being_written_passes() {
    let database = database().await;
    let log = open(&database).await;
    let done = Arc::new(AtomicBool::new(false));
    let writers = (0..4).map(|writer| {
        let (log, done) = (log.clone(), done.clone());
        tokio::spawn(async move {
            let mut version = 0;
            while !done.load(Ordering::SeqCst) {
                version += 1;
                let own = key(&format!("w{writer}"));
                let other = key(&format!("w{writer}-{version}"));
                let drafts = vec![with_more(write(own, version, "x")), write(other, 1, "y")];
                log.append(group(drafts)).await.unwrap();
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let reader = Log::open_existing(&database, "default", LogOptions::default()).await.unwrap();
    // As often as it takes to see some that were written to meanwhile.
    let mut overtaken = 0;
    while overtaken < 5 {
        let (walked, heads) = audit(&reader).await;
        assert_eq!((walked.faults.kept(), heads.faults.kept()), (&[][..], &[][..]));
        overtaken += usize::from(reader.head().await.unwrap() > walked.range.until);
    }
    done.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    log.close().await;
}

#[tokio::test]
async fn a_log_that_is_opened_for_reading_writes_nothing() {
    let empty = database().await;
    let opened = Log::open_existing(&empty, "default", LogOptions::default()).await;
    assert!(matches!(opened, Err(LogError::NoSchema)));
    let database = database().await;
    let log = open(&database).await;
    history(&log).await;
    let opened = Log::open_existing(&database, "other", LogOptions::default()).await;
    let message = opened.unwrap_err().to_string();
    assert_eq!(message, "there is no workspace `other`; there are: default");
    let reader = Log::open_existing(&database, "default", LogOptions::default()).await.unwrap();
    assert_eq!((reader.number(), *reader.watch().borrow()), (log.number(), Position::new(12)));
    let refused = reader.append(Group::single(write(key("z"), 1, "no"))).await;
    assert_eq!(refused.unwrap_err(), AppendError::Closed);
    for (change, expected) in [("+ 1", "start a server of this version"), ("- 1", "knows")] {
        let statement = format!("UPDATE anamnesis.events_schema SET version = 0 {change} + version");
        tamper(&database, &statement.replace("0 + 1", "100").replace("0 - 1", "0 - 200")).await;
        let message = Log::open_existing(&database, "default", LogOptions::default()).await.unwrap_err();
        let is_newer = change == "+ 1";
        assert!(is_newer || message.to_string().contains(expected), "{message}");
        assert_eq!(is_newer, matches!(message, LogError::SchemaTooNew { .. }));
    }
    log.close().await;
}

#[tokio::test]
async fn a_stream_is_compared_message_by_message() {
    let nats = Nats::start().await;
    let database = database().await;
    let log = open(&database).await;
    history(&log).await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    let context = async_nats::jetstream::new(client.clone());
    let check = async || {
        let all = (Position::ZERO, Position::new(u64::MAX));
        stream(&log, &context, all, &mut |_| {}).await.unwrap()
    };
    let told = |streamed: &anamnesis_events::audit::Streamed| -> Vec<String> {
        streamed.faults.kept().iter().map(Fault::to_string).collect()
    };
    assert_eq!(told(&check().await), ["there is no stream ANAMNESIS_default"]);
    let relay = Relay::start(log.clone(), client.clone(), RelayOptions::new("default", "fhir"));
    let mut status = relay.status();
    status.wait_for(|status| status.published >= Position::new(12)).await.unwrap();
    relay.stop().await;
    let clean = check().await;
    assert_eq!((told(&clean), clean.messages, clean.bodies, clean.behind()), (vec![], 12, 11, 0));
    // Lag is no fault.
    log.append(Group::single(write(key("g"), 1, "late"))).await.unwrap();
    let behind = check().await;
    assert_eq!((told(&behind), behind.behind()), (vec![], 1));
    let stream_of_log = context.get_stream(stream_name("default")).await.unwrap();
    for missing in [4, 12] {
        stream_of_log.delete_message(missing).await.unwrap();
    }
    let expected = [
        "position 4: the stream does not have the message",
        "position 12: the stream does not have the message",
    ];
    assert_eq!(told(&check().await), expected);
    // What left by its limits is no fault.
    let mut config = stream_of_log.get_info().await.unwrap().config;
    config.max_age = std::time::Duration::from_secs(600);
    context.update_stream(&config).await.unwrap();
    stream_of_log.purge().sequence(6).await.unwrap();
    assert_eq!(told(&check().await), expected[1..]);
    // What cannot be read in the log hides nothing else: neither before nor behind it in the same page.
    let break_body =
        "UPDATE anamnesis.event SET payload = overlay(payload PLACING '\\x00'::bytea FROM 1) WHERE seq = 10";
    tamper(&database, &format!("CREATE TABLE kept AS TABLE anamnesis.event; {break_body}")).await;
    let unreadable = "position 10: the log cannot be read here, so the message cannot be compared";
    let found = check().await;
    assert_eq!((told(&found), found.messages), (vec![unreadable.to_owned(), expected[1].to_owned()], 5));
    tamper(&database, "DELETE FROM anamnesis.event WHERE seq = 10").await;
    assert_eq!(told(&check().await), [unreadable, expected[1]]);
    tamper(&database, "INSERT INTO anamnesis.event SELECT * FROM kept WHERE seq = 10").await;
    // A stranger's message, and one beyond the log.
    let subject = "anamnesis.default.fhir.Observation.update.0";
    for _ in 0..2 {
        context.publish(subject, "{}".into()).await.unwrap().await.unwrap();
    }
    let mut found = told(&check().await);
    found.sort();
    assert_eq!(
        found,
        [
            expected[1],
            "position 13: the message has no headers",
            "position 14: the stream goes on beyond the log, which ends at 13",
        ]
    );
    log.close().await;
}

#[tokio::test]
async fn messages_that_left_a_stream_before_their_time_are_told() {
    let nats = Nats::start().await;
    let database = database().await;
    let log = open(&database).await;
    history(&log).await;
    let client = async_nats::connect(nats.url()).await.unwrap();
    let context = async_nats::jetstream::new(client.clone());
    let relay = Relay::start(log.clone(), client, RelayOptions::new("default", "fhir"));
    let mut status = relay.status();
    status.wait_for(|status| status.published >= Position::new(12)).await.unwrap();
    relay.stop().await;
    let check = async || {
        let all = (Position::ZERO, Position::new(u64::MAX));
        let found = stream(&log, &context, all, &mut |_| {}).await.unwrap();
        let told: Vec<String> = found.faults.kept().iter().map(Fault::to_string).collect();
        (told, found.messages, found.is_early)
    };
    let stream_of_log = context.get_stream(stream_name("default")).await.unwrap();
    let early = |position: u64| {
        let why = "have left the stream before their time, and it has no other limit";
        vec![format!("position {position}: this message and those before it {why}")]
    };
    // They are far from the stream's age.
    stream_of_log.purge().sequence(6).await.unwrap();
    assert_eq!(check().await, (early(5), 7, false));
    // An age that was lower once would do.
    let change =
        |by: &str| format!("UPDATE anamnesis.event SET recorded_at = recorded_at {by} WHERE seq = 5");
    tamper(&database, &change("- interval '2 days'")).await;
    assert_eq!(check().await, (vec![], 7, true));
    tamper(&database, &change("- interval '29 days'")).await;
    assert_eq!(check().await, (vec![], 7, false), "it has reached the stream's age");
    stream_of_log.purge().await.unwrap();
    assert_eq!(check().await, (early(12), 0, false));
    log.close().await;
}
