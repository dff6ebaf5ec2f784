//! Bodies at rest are sealed: read as they were written, bound to their place, and nothing without the right keys.

use std::sync::Arc;
use std::time::Duration;

use anamnesis_events::audit::{Range, log as walk};
use anamnesis_events::keys::{Encryption, MasterKeyError, parse_master_keys};
use anamnesis_events::*;
use chrono::DateTime;

use crate::erasure::erase;
use crate::support::*;

pub(crate) const KEY_A: &str = "a:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
pub(crate) const KEY_B: &str = "b:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
/// Another key under the id of the first.
const KEY_A_OTHER: &str = "a:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// With these master keys.
pub(crate) fn sealing(keys: &str) -> LogOptions {
    let encryption = Encryption::new(Arc::new(parse_master_keys(keys).unwrap()));
    LogOptions { encryption: Some(encryption), ..LogOptions::default() }
}

pub(crate) async fn open_sealed(database: &str, keys: &str) -> Log {
    Log::open(database, "default", sealing(keys)).await.unwrap()
}

/// A draft that lives in this compartment.
pub(crate) fn at_home(home: &str, draft: Draft) -> Draft {
    Draft { home: home.into(), touches: vec![home.into()], ..draft }
}

async fn append(log: &Log, draft: Draft) -> Recorded {
    log.append(Group::single(draft)).await.unwrap().remove(0)
}

const SEALED: &str = "SELECT count(*) FROM anamnesis.event WHERE substr(payload, 1, 1) = decode('a7', 'hex')";
const KEYS: &str = "SELECT count(*) FROM anamnesis.data_key WHERE wrapped IS NOT NULL";

#[tokio::test]
async fn sealed_bodies_are_read_in_every_way_as_they_were_written() {
    let database = database().await;
    let log = open_sealed(&database, KEY_A).await;
    let first = append(&log, write(key("a"), 1, "first")).await;
    append(&log, at_home("Patient/q", write(key("b"), 1, "other"))).await;
    let second = append(&log, write(key("a"), 2, "second")).await;
    append(&log, delete(key("b"), 2)).await;
    assert_eq!(number(&database, SEALED).await, 3);
    // Of two compartments, and the sentinel.
    assert_eq!(number(&database, KEYS).await, 3);

    let reader = Log::open_existing(&database, "default", sealing(KEY_A)).await.unwrap();
    for log in [&log, &open_sealed(&database, KEY_A).await, &reader] {
        assert_eq!(log.broken(), None);
        let events = check_whole(log).await;
        assert_eq!(events[0].payload, first.payload);
        assert_eq!(log.current(&key("a")).await.unwrap().unwrap().payload, second.payload);
        let both = log.current_of_all(&[key("a"), key("b")]).await.unwrap();
        assert_eq!(both[0].as_ref().unwrap().payload, second.payload);
        let old = log.version(&key("a"), Version::new(1)).await.unwrap().unwrap();
        assert_eq!(old.payload, first.payload);
        let then = log.current_at(&key("a"), Position::new(2)).await.unwrap().unwrap();
        assert_eq!(then.payload, first.payload);
        let positions = [Position::new(3), Position::new(1)];
        let fetched = log.fetch(&positions).await.unwrap();
        assert_eq!([&fetched[0].payload, &fetched[1].payload], [&second.payload, &first.payload]);
        assert_eq!(log.fetch_page(&positions).await.unwrap().events, fetched);
        let range = HistoryRange { limit: 10, ..HistoryRange::default() };
        let history = log.history(HistoryScope::Instance(key("a")), range).await.unwrap().events;
        assert_eq!(history[1].payload, first.payload);
        let stored = log.stored(&positions).await.unwrap();
        assert!(stored.iter().all(Stored::follows));
        let size = first.payload.len() + second.payload.len();
        assert_eq!(log.count_within(&positions, size).await.unwrap(), 1, "the stored bytes count as well");
        assert_eq!(log.count_within(&positions, size * 3).await.unwrap(), 2);
        let range = Range { after: Position::ZERO, until: Position::new(4), hash: None, may_cut: false };
        let walked = walk(log, range, &mut |_| {}).await.unwrap();
        assert!(walked.faults.kept().is_empty(), "{:?}", walked.faults.kept());
    }
    // What is erased keeps the SHA-256 of the body, not that of the sealed one.
    append(&log, erase(key("a"), 3)).await;
    assert_eq!(number(&database, SEALED).await, 1);
    check_whole(&log).await;
}

#[tokio::test]
async fn the_chain_is_the_same_with_and_without_encryption() {
    let mut hashes = vec![];
    for options in [LogOptions::default(), sealing(KEY_A), sealing(KEY_B)] {
        let clock: Clock = Arc::new(|| DateTime::from_timestamp(1_700_000_000, 0).unwrap());
        let log = Log::open(&database().await, "default", LogOptions { clock, ..options }).await.unwrap();
        append(&log, write(key("a"), 1, "first")).await;
        append(&log, write(key("a"), 2, "second")).await;
        append(&log, erase(key("a"), 3)).await;
        hashes.push(log.verify(Position::ZERO, 10).await.unwrap().hash);
    }
    assert_eq!(hashes[0], hashes[1]);
    assert_eq!(hashes[0], hashes[2]);
}

#[tokio::test]
async fn a_sealed_body_that_was_moved_to_another_event_does_not_open() {
    let database = database().await;
    let log = open_sealed(&database, KEY_A).await;
    append(&log, write(key("a"), 1, "first")).await;
    append(&log, write(key("b"), 1, "first")).await;
    let moved = "SET session_replication_role = replica;
        UPDATE anamnesis.event SET payload = (SELECT payload FROM anamnesis.event WHERE seq = 1) WHERE seq = 2";
    statement(&database, moved).await;
    let read = log.current(&key("b")).await;
    let Err(LogError::Broken { position, reason }) = read else { panic!("{read:?}") };
    assert_eq!(position, Position::new(2));
    assert!(reason.contains("does not open"), "{reason}");
    let range = Range { after: Position::ZERO, until: Position::new(2), hash: None, may_cut: false };
    let walked = walk(&log, range, &mut |_| {}).await.unwrap();
    assert_eq!(walked.faults.kept().len(), 1, "{:?}", walked.faults.kept());
    assert!(open_sealed(&database, KEY_A).await.broken().is_some());
}

#[tokio::test]
async fn a_log_with_sealed_bodies_does_not_open_without_its_master_keys() {
    let database = database().await;
    open_sealed(&database, KEY_A).await.close().await;
    let refused = async |options: LogOptions| {
        let existing = Log::open_existing(&database, "default", options.clone()).await.unwrap_err();
        let opened = Log::open(&database, "default", options).await.unwrap_err();
        assert_eq!(existing.to_string(), opened.to_string());
        let LogError::MasterKey(reason) = opened else { panic!("{opened}") };
        reason
    };
    let none = refused(LogOptions::default()).await.to_string();
    assert!(none.contains("no master key is configured"), "{none}");
    assert_eq!(refused(sealing(KEY_A_OTHER)).await, MasterKeyError::Wrong("a".into()));
    assert_eq!(refused(sealing(KEY_B)).await, MasterKeyError::Unknown("a".into()));
    // The keys of other workspaces are none of its.
    Log::open(&database, "other", LogOptions::default()).await.unwrap();
    // With both, new keys are wrapped by the first; both are then needed.
    let log = open_sealed(&database, &format!("{KEY_B}\n{KEY_A}")).await;
    append(&log, write(key("a"), 1, "first")).await;
    log.close().await;
    assert_eq!(refused(sealing(KEY_A)).await, MasterKeyError::Unknown("b".into()));
    open_sealed(&database, &format!("{KEY_A}\n{KEY_B}")).await;
}

#[tokio::test]
async fn nodes_that_make_the_key_of_one_compartment_at_once_end_with_one() {
    let database = database().await;
    let nodes = futures::join!(open_sealed(&database, KEY_A), open_sealed(&database, KEY_A));
    let writes = (0..20).map(|n| {
        let log = if n % 2 == 0 { nodes.0.clone() } else { nodes.1.clone() };
        async move { log.append(Group::single(write(key(&n.to_string()), 1, "a"))).await }
    });
    for written in futures::future::join_all(writes).await {
        written.unwrap();
    }
    assert_eq!(number(&database, KEYS).await, 2, "one, and the sentinel");
    check_whole(&nodes.0).await;
    check_whole(&open_sealed(&database, KEY_A).await).await;
}

/// As an event does that destroys the key of a compartment in which no body is left.
async fn destroy_keys(database: &str) {
    let destroy = "UPDATE anamnesis.data_key SET wrapped = NULL, destroyed_at = now(), destroyed_by = 9
        WHERE compartment <> '00000000-0000-0000-0000-000000000000'";
    statement(database, destroy).await;
}

#[tokio::test]
async fn nothing_is_sealed_with_a_key_that_another_node_has_destroyed() {
    let database = database().await;
    let nodes = futures::join!(open_sealed(&database, KEY_A), open_sealed(&database, KEY_A));
    append(&nodes.0, write(key("a"), 1, "first")).await;
    append(&nodes.1, erase(key("a"), 2)).await;
    destroy_keys(&database).await;
    // This node still has the key in memory.
    append(&nodes.0, write(key("a"), 3, "again")).await;
    assert_eq!(number(&database, KEYS).await, 2);
    check_whole(&nodes.0).await;
    check_whole(&nodes.1).await;
}

#[tokio::test]
async fn a_destroyed_key_goes_from_the_memory_of_every_node_in_time() {
    let database = database().await;
    let mut options = sealing(KEY_A);
    options.encryption.as_mut().unwrap().cached_for = Duration::from_millis(50);
    let log = Log::open(&database, "default", options).await.unwrap();
    append(&log, write(key("a"), 1, "first")).await;
    assert!(log.current(&key("a")).await.is_ok());
    // Against the rules: the body is still there.
    destroy_keys(&database).await;
    until("the key is forgotten", async || {
        let read = log.current(&key("a")).await;
        matches!(read, Err(LogError::Broken { reason, .. }) if reason.contains("was destroyed"))
    })
    .await;
}
