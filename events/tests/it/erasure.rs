//! Bodies that are taken away: nothing of them is left in the log, and the chain still holds.

use anamnesis_events::audit::{Fault, Range, heads, log as walk};
use anamnesis_events::*;

use crate::support::*;

/// Hard delete: the end of a resource and of all its versions.
pub(crate) fn erase(key: ResourceKey, version: u32) -> Draft {
    Draft { erases: Erases::Earlier, ..delete(key, version) }
}

/// An update of which the version before is not kept.
pub(crate) fn replace(key: ResourceKey, version: u32, note: &str) -> Draft {
    Draft { erases: Erases::Previous, ..write(key, version, note) }
}

/// Takes all but the version away at which the resource stands.
pub(crate) fn purge(key: ResourceKey, version: u32) -> Draft {
    Draft { operation: Operation::Purge, ..erase(key, version) }
}

async fn append(log: &Log, draft: Draft) -> Recorded {
    log.append(Group::single(draft)).await.unwrap().remove(0)
}

/// The positions whose bodies are gone.
async fn gone(log: &Log) -> Vec<u64> {
    let erased = |event: &Event| event.erased.is_some().then_some(event.position.get());
    all(log).await.iter().filter_map(erased).collect()
}

/// Everything that an audit finds wrong, as it is told.
async fn faults(log: &Log) -> Vec<String> {
    let until = log.head().await.unwrap();
    let range = Range { after: Position::ZERO, until, hash: None, may_cut: false };
    let walked = walk(log, range, &mut |_| {}).await.unwrap();
    let heads = heads(log, &walked, &mut |_| {}).await.unwrap();
    walked.faults.kept().iter().chain(heads.faults.kept()).map(Fault::to_string).collect()
}

#[tokio::test]
async fn an_erased_resource_leaves_no_body_and_a_whole_chain() {
    let database = database().await;
    let log = open(&database).await;
    append(&log, write(key("a"), 1, "first")).await;
    append(&log, write(key("b"), 1, "other")).await;
    append(&log, write(key("a"), 2, "second")).await;
    append(&log, delete(key("a"), 3)).await;
    append(&log, write(key("a"), 4, "again")).await;
    let by = append(&log, erase(key("a"), 5)).await.position;
    assert_eq!(gone(&log).await, [1, 3, 4, 5]);
    assert!(all(&log).await.iter().all(|event| event.erased.is_none_or(|erased| erased.by == by)));
    let stored = "SELECT count(payload) FROM anamnesis.event WHERE id = 'a' AND length(payload) > 0";
    assert_eq!(number(&database, stored).await, 0);

    let verified = log.verify(Position::ZERO, 100).await.unwrap();
    assert_eq!((verified.events, verified.erased), (6, 4));
    assert_eq!(faults(&log).await, Vec::<String>::new());
    let head = log.heads(&[key("a")]).await.unwrap().remove(0).unwrap();
    assert_eq!((head.version, head.deleted), (Version::new(5), true));
    assert!(log.version(&key("a"), Version::new(2)).await.unwrap().unwrap().erased.is_some());
    let range = HistoryRange { limit: 10, ..HistoryRange::default() };
    for scope in [HistoryScope::System, HistoryScope::Type("Observation".into())] {
        let shown = log.history(scope, range).await.unwrap().events;
        assert_eq!(shown.iter().map(|event| event.key.id.as_str()).collect::<Vec<_>>(), ["b"]);
    }
    // It may come back, under the next version.
    append(&log, write(key("a"), 6, "new")).await;
    let shown = log.history(HistoryScope::Instance(key("a")), range).await.unwrap().events;
    assert_eq!(shown.iter().map(|event| event.version.get()).collect::<Vec<_>>(), [6]);
    let reopened = open(&database).await;
    assert_eq!(reopened.broken(), None);
    assert_eq!(check_whole(&reopened).await.len(), 7);
}

#[tokio::test]
async fn a_purge_keeps_the_current_version_and_makes_none() {
    let log = open(&database().await).await;
    for version in 1..=3 {
        append(&log, write(key("a"), version, "text")).await;
    }
    let purged = append(&log, purge(key("a"), 3)).await;
    assert_eq!((purged.position, purged.version), (Position::new(4), Version::new(3)));
    assert_eq!(gone(&log).await, [1, 2]);
    let current = log.current(&key("a")).await.unwrap().unwrap();
    assert_eq!((current.version, current.position), (Version::new(3), Position::new(3)));
    // Again, with nothing to take away, and then the resource goes on.
    append(&log, purge(key("a"), 3)).await;
    append(&log, write(key("a"), 4, "text")).await;
    assert_eq!(gone(&log).await, [1, 2]);
    let stale = log.append(Group::single(purge(key("a"), 3))).await;
    assert!(matches!(stale, Err(AppendError::Conflict { .. })), "{stale:?}");
    let never = log.append(Group::single(purge(key("b"), 1))).await;
    assert!(matches!(never, Err(AppendError::Conflict { .. })), "{never:?}");
    assert_eq!(faults(&log).await, Vec::<String>::new());
    check_whole(&log).await;
}

#[tokio::test]
async fn a_replaced_version_goes_with_the_update_and_older_ones_stay() {
    let log = open(&database().await).await;
    append(&log, write(key("a"), 1, "kept")).await;
    append(&log, write(key("a"), 2, "goes")).await;
    append(&log, replace(key("a"), 3, "goes too")).await;
    append(&log, Draft { erases: Erases::Previous, ..delete(key("a"), 4) }).await;
    assert_eq!(gone(&log).await, [2, 3]);
    let kinds: Vec<Kind> = all(&log).await.iter().map(|event| event.kind).collect();
    assert_eq!(kinds[2..], [Kind::ResourceReplaced, Kind::ResourceWithdrawn]);
    assert_eq!(faults(&log).await, Vec::<String>::new());
    check_whole(&log).await;
}

#[tokio::test]
async fn a_refused_erasure_erases_nothing() {
    let log = open(&database().await).await;
    append(&log, write(key("a"), 1, "kept")).await;
    append(&log, write(key("b"), 1, "kept")).await;
    for drafts in [vec![erase(key("a"), 3)], vec![erase(key("a"), 2), write(key("b"), 1, "taken")]] {
        let refused = log.append(group(drafts)).await;
        assert!(matches!(refused, Err(AppendError::Conflict { .. })), "{refused:?}");
    }
    let invalid = Draft { erases: Erases::Earlier, ..write(key("a"), 2, "no such kind") };
    let refused = log.append(Group::single(invalid)).await;
    assert!(matches!(refused, Err(AppendError::Invalid { .. })), "{refused:?}");
    assert_eq!(gone(&log).await, Vec::<u64>::new());
}

#[tokio::test]
async fn resources_that_are_erased_together_go_in_one_batch_of_a_transaction() {
    let log = open(&database().await).await;
    let writes = ["a", "b"].map(|id| write(key(id), 1, "text"));
    log.append(group(writes.to_vec())).await.unwrap();
    log.append(group(["a", "b"].map(|id| erase(key(id), 2)).to_vec())).await.unwrap();
    let by: Vec<u64> = all(&log).await.iter().filter_map(|event| Some(event.erased?.by.get())).collect();
    assert_eq!(by, [3, 4]);
    assert_eq!(faults(&log).await, Vec::<String>::new());
}

#[tokio::test]
async fn nothing_but_an_erasing_event_of_the_same_transaction_takes_a_body_away() {
    let database = database().await;
    let log = open(&database).await;
    append(&log, write(key("a"), 1, "first")).await;
    append(&log, write(key("b"), 1, "other")).await;
    append(&log, purge(key("a"), 1)).await;
    append(&log, erase(key("b"), 2)).await;
    let (client, connection) = tokio_postgres::connect(&database, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let erased = "payload = NULL, commitment = sha256('x')";
    for change in [
        "UPDATE anamnesis.event SET agent = 'x'".to_owned(),
        "UPDATE anamnesis.event_from_1 SET agent = 'x'".to_owned(),
        "UPDATE anamnesis.event SET payload = 'x'".to_owned(),
        format!("UPDATE anamnesis.event SET {erased} WHERE seq = 1"),
        // Events that were appended before, or are of another resource, take nothing away.
        format!("UPDATE anamnesis.event SET {erased}, erased_by = 3 WHERE seq = 1"),
        format!("UPDATE anamnesis.event SET {erased}, erased_by = 4 WHERE seq = 1"),
        // What is gone does not come back, and is not taken away a second time.
        "UPDATE anamnesis.event SET payload = 'x' WHERE seq = 2".to_owned(),
        format!("UPDATE anamnesis.event SET {erased}, erased_by = 4 WHERE seq = 2"),
        "DELETE FROM anamnesis.event".to_owned(),
        "DELETE FROM anamnesis.event_from_1".to_owned(),
        "TRUNCATE anamnesis.event".to_owned(),
        "TRUNCATE anamnesis.event_from_1".to_owned(),
    ] {
        let refused = client.batch_execute(&change).await.expect_err(&change);
        assert!(refused.as_db_error().unwrap().message().contains("append-only"), "{change}: {refused:?}");
    }
    // Only the body may go, and only with an event that may take it.
    let append = |kind: i32, previous: i64, change: &str| {
        format!(
            "BEGIN; INSERT INTO anamnesis.event
                 (log, seq, recorded_at, prev_seq, version, kind, kind_version, resource_type, id, home, agent, hash, payload)
             VALUES (1, 5, now(), {previous}, 2, {kind}, 1, 'Observation', 'a', 'x', 'x', 'x', '');
             UPDATE anamnesis.event SET {change} WHERE seq = 1; ROLLBACK"
        )
    };
    let by = format!("{erased}, erased_by = 5");
    assert!(client.batch_execute(&append(6, 1, &by)).await.is_ok());
    for refused in [
        append(3, 1, &by),
        append(7, 1, &by),
        append(4, 2, &by),
        append(6, 1, &format!("{by}, agent = 'x'")),
        append(6, 1, "payload = NULL, commitment = 'x', erased_by = 5"),
    ] {
        assert!(client.batch_execute(&refused).await.is_err(), "{refused}");
        client.batch_execute("ROLLBACK").await.unwrap();
    }
    drop(client);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_audit_finds_a_body_that_came_back_and_one_that_nobody_erased() {
    let database = database().await;
    let log = open(&database).await;
    append(&log, write(key("a"), 1, "first")).await;
    append(&log, write(key("a"), 2, "second")).await;
    append(&log, write(key("b"), 1, "other")).await;
    append(&log, erase(key("a"), 3)).await;
    assert_eq!(faults(&log).await, Vec::<String>::new());
    let restore = "SET session_replication_role = replica;
        UPDATE anamnesis.event SET payload = (SELECT payload FROM anamnesis.event WHERE seq = 3),
            commitment = NULL, erased_by = NULL WHERE seq = 1";
    statement(&database, restore).await;
    let found = faults(&log).await;
    assert!(found.iter().any(|fault| fault.contains("a body that it erases is still there")), "{found:?}");
    let nobody = "SET session_replication_role = replica;
        UPDATE anamnesis.event SET payload = NULL, commitment = sha256('x'), erased_by = 4 WHERE seq = 3";
    statement(&database, nobody).await;
    let found = faults(&log).await;
    assert!(found.iter().any(|fault| fault.contains("does not erase it")), "{found:?}");
}
