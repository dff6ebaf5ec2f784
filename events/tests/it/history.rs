//! History and reads: by resource, type, compartment and system, in pages, and by time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anamnesis_events::*;
use chrono::{DateTime, Utc};

use crate::support::*;

fn second(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

/// Events at seconds 1, 2, 3 …: a1 b1 a2 P1 b2(delete) a3 b3. The patient is in a compartment of its own,
/// and the second version of `a` touches it.
async fn example() -> Log {
    let now = AtomicI64::new(0);
    let clock = Arc::new(move || second(now.fetch_add(1, Ordering::SeqCst) + 1));
    let options = LogOptions { clock, ..LogOptions::default() };
    let log = fresh_log_with(options).await;
    let (a, b, patient) = (key("a"), key("b"), ResourceKey::new("Patient", "1"));
    let touching = Draft { touches: vec!["Patient/1".into()], ..write(a.clone(), 2, "") };
    let drafts = [
        write(a.clone(), 1, ""),
        write(b.clone(), 1, ""),
        touching,
        Draft { home: "Patient/1".into(), touches: vec![], ..write(patient, 1, "") },
        delete(b.clone(), 2),
        write(a, 3, ""),
        write(b, 3, ""),
    ];
    for draft in drafts {
        log.append(Group::single(draft)).await.unwrap();
    }
    log
}

fn range() -> HistoryRange {
    HistoryRange { limit: 100, ..HistoryRange::default() }
}

async fn positions(log: &Log, scope: HistoryScope, range: HistoryRange) -> Vec<u64> {
    log.history(scope, range).await.unwrap().events.iter().map(|event| event.position.get()).collect()
}

fn instance(id: &str) -> HistoryScope {
    HistoryScope::Instance(key(id))
}

fn of_type() -> HistoryScope {
    HistoryScope::Type("Observation".into())
}

#[tokio::test]
async fn each_scope_has_its_events_newest_first() {
    let log = example().await;
    assert_eq!(positions(&log, instance("a"), range()).await, [6, 3, 1]);
    assert_eq!(positions(&log, instance("nobody"), range()).await, [0; 0]);
    assert_eq!(positions(&log, of_type(), range()).await, [7, 6, 5, 3, 2, 1]);
    assert_eq!(positions(&log, HistoryScope::System, range()).await, [7, 6, 5, 4, 3, 2, 1]);
    let compartment = |name: &str| HistoryScope::Compartment(name.into());
    assert_eq!(positions(&log, compartment("Patient/1"), range()).await, [4, 3]);
    assert_eq!(positions(&log, compartment("Patient/p"), range()).await, [7, 6, 5, 3, 2, 1]);
    assert_eq!(positions(&log, compartment("Patient/2"), range()).await, [0; 0]);
}

#[tokio::test]
async fn pages_of_every_scope_go_on_where_the_last_one_ended() {
    let log = example().await;
    for scope in
        [instance("a"), of_type(), HistoryScope::System, HistoryScope::Compartment("Patient/p".into())]
    {
        let whole = positions(&log, scope.clone(), range()).await;
        let (mut down, mut up) = (vec![], vec![]);
        loop {
            let before_position = down.last().map(|last| Position::new(*last));
            let page =
                positions(&log, scope.clone(), HistoryRange { before_position, limit: 2, ..range() }).await;
            if page.is_empty() {
                break;
            }
            down.extend(page);
        }
        loop {
            let after_position = up.last().map(|last| Position::new(*last));
            let page = HistoryRange { after_position, limit: 2, ascending: true, ..range() };
            let page = positions(&log, scope.clone(), page).await;
            if page.is_empty() {
                break;
            }
            up.extend(page);
        }
        assert_eq!(down, whole);
        assert_eq!(up, whole.into_iter().rev().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn since_includes_its_instant_and_before_does_not() {
    let log = example().await;
    let since = |at| HistoryRange { since: Some(second(at)), ..range() };
    let before = |at| HistoryRange { before: Some(second(at)), ..range() };
    assert_eq!(positions(&log, HistoryScope::System, since(6)).await, [7, 6]);
    assert_eq!(positions(&log, HistoryScope::System, since(8)).await, [0; 0]);
    assert_eq!(positions(&log, HistoryScope::System, before(3)).await, [2, 1]);
    assert_eq!(positions(&log, HistoryScope::System, before(1)).await, [0; 0]);
    let both = HistoryRange { since: Some(second(2)), before: Some(second(6)), ..range() };
    assert_eq!(positions(&log, of_type(), both).await, [5, 3, 2]);
    assert_eq!(positions(&log, instance("a"), both).await, [3]);
    assert_eq!(log.last_before(second(0)).await.unwrap(), Position::ZERO);
    assert_eq!(log.last_before(second(4)).await.unwrap(), Position::new(3));
    assert_eq!(log.last_before(second(100)).await.unwrap(), Position::new(7));
}

#[tokio::test]
async fn at_gives_the_versions_that_were_current_then() {
    let log = example().await;
    let at = |from, until| {
        let period = Period { from: second(from), until: second(until) };
        HistoryRange { at: Some(period), ..range() }
    };
    assert_eq!(positions(&log, instance("a"), at(2, 2)).await, [1]);
    assert_eq!(positions(&log, instance("a"), at(0, 0)).await, [0; 0]);
    assert_eq!(positions(&log, instance("a"), at(2, 3)).await, [3, 1]);
    assert_eq!(positions(&log, instance("a"), at(3, 5)).await, [3]);
    assert_eq!(positions(&log, of_type(), at(4, 4)).await, [3, 2]);
    assert_eq!(positions(&log, of_type(), at(4, 6)).await, [6, 5, 3, 2]);
    assert_eq!(positions(&log, HistoryScope::System, at(100, 100)).await, [7, 6, 4]);
}

#[tokio::test]
async fn versions_are_found_by_walking_back() {
    let log = example().await;
    for (version, position) in [(1, Some(1)), (2, Some(3)), (3, Some(6)), (4, None), (0, None)] {
        let event = log.version(&key("a"), Version::new(version)).await.unwrap();
        assert_eq!(event.map(|event| event.position.get()), position, "version {version}");
    }
    assert!(log.version(&key("nobody"), Version::new(1)).await.unwrap().is_none());
    let deleted = log.version(&key("b"), Version::new(2)).await.unwrap().unwrap();
    assert_eq!((deleted.operation, deleted.payload.len()), (Operation::Delete, 0));
}

#[tokio::test]
async fn fetch_keeps_the_order_and_leaves_out_what_is_not_there() {
    let log = example().await;
    let wanted = [5, 99, 1, 7, 1].map(Position::new);
    let fetched = log.fetch(&wanted).await.unwrap();
    assert_eq!(fetched.iter().map(|event| event.position.get()).collect::<Vec<_>>(), [5, 1, 7, 1]);
    assert!(log.fetch(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn heads_say_where_resources_stand() {
    let log = example().await;
    let keys = [key("nobody"), key("b"), ResourceKey::new("Patient", "1")];
    let heads = log.heads(&keys).await.unwrap();
    assert_eq!(heads[0], None);
    let head = |version, position, home: &str| Head {
        version: Version::new(version),
        position: Position::new(position),
        deleted: false,
        home: home.into(),
    };
    assert_eq!(heads[1], Some(head(3, 7, "Patient/p")));
    assert_eq!(heads[2], Some(head(1, 4, "Patient/1")));
    log.append(Group::single(delete(key("b"), 4))).await.unwrap();
    assert!(log.heads(&keys).await.unwrap()[1].as_ref().unwrap().deleted);
}

#[tokio::test]
async fn pages_beyond_the_limit_are_refused() {
    let log = example().await;
    let too_many = READ_EVENTS_MAX + 1;
    assert!(matches!(log.read(Position::ZERO, too_many).await, Err(LogError::PageTooLarge { .. })));
    let range = HistoryRange { limit: too_many, ..range() };
    assert!(matches!(log.history(of_type(), range).await, Err(LogError::PageTooLarge { .. })));
    assert!(log.read(Position::ZERO, READ_EVENTS_MAX).await.is_ok());
}

#[tokio::test]
async fn pages_end_where_their_bodies_are_large_enough() {
    let note = "x".repeat(1000);
    let options = LogOptions { read_bytes_max: 2500, fetch_bytes_max: 3500, ..LogOptions::default() };
    let log = fresh_log_with(options).await;
    for version in 1..=5 {
        log.append(Group::single(write(key("a"), version, &note))).await.unwrap();
    }
    let positions = |events: &[Event]| events.iter().map(|event| event.position.get()).collect::<Vec<_>>();
    assert_eq!(positions(&log.read(Position::ZERO, 5).await.unwrap()), [1, 2, 3]);
    assert_eq!(positions(&log.read(Position::new(3), 5).await.unwrap()), [4, 5]);
    let range = HistoryRange { limit: 4, ..range() };
    let page = log.history(HistoryScope::Instance(key("a")), range).await.unwrap();
    assert_eq!((positions(&page.events), page.is_cut), (vec![5, 4, 3], true));
    let range = HistoryRange { limit: 3, ..range };
    assert!(!log.history(HistoryScope::Instance(key("a")), range).await.unwrap().is_cut);
    let wanted = [1, 2, 3, 4, 5].map(Position::new);
    assert!(log.fetch(&wanted[..3]).await.is_ok());
    assert!(matches!(log.fetch(&wanted).await, Err(LogError::TooManyBytes { limit: 3500 })));
}
