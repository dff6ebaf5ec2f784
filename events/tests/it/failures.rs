//! What becomes of appends when connections die, commits go unanswered, and the log was tampered with.

use std::time::Duration;

use anamnesis_events::*;
use tokio_postgres::NoTls;

use crate::proxy::{Fault, Proxy};
use crate::support::*;

/// A log behind a proxy, with one event in it: its partitions are made.
async fn behind_proxy(retry_for: Duration) -> (Log, Proxy) {
    let proxy = Proxy::start(&database().await).await;
    let options = LogOptions { retry_for, ..LogOptions::default() };
    let log = Log::open(proxy.address(), "default", options).await.unwrap();
    log.append(Group::single(write(key("first"), 1, "a"))).await.unwrap();
    (log, proxy)
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_answered_as_recorded() {
    let (log, proxy) = behind_proxy(Duration::from_secs(20)).await;
    proxy.set(Fault::CUT_AFTER_COMMIT);
    let drafts = vec![write(key("1"), 1, "a"), write(key("2"), 1, "b")];
    let recorded = log.append(group(drafts)).await.unwrap();
    assert_eq!(proxy.fault(), Fault::Nothing, "the cut has happened");
    assert_eq!(recorded[1].position, Position::new(3));
    log.append(Group::single(write(key("1"), 2, "c"))).await.unwrap();
    assert_eq!(check_whole(&log).await.len(), 4);
}

#[tokio::test]
async fn a_commit_that_did_not_happen_is_tried_again() {
    let (log, proxy) = behind_proxy(Duration::from_secs(20)).await;
    proxy.set(Fault::CUT_BEFORE_COMMIT);
    let writes = [
        log.append(Group::single(write(key("1"), 1, "a"))),
        log.append(Group::single(write(key("first"), 1, "stale"))),
        log.append(Group::single(write(key("2"), 1, "a"))),
    ];
    let results = futures::future::join_all(writes).await;
    assert_eq!(proxy.fault(), Fault::Nothing, "the cut has happened");
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    assert!(matches!(results[1], Err(AppendError::Conflict { .. })));
    assert_eq!(check_whole(&log).await.len(), 3);
}

#[tokio::test]
async fn an_outcome_that_cannot_be_found_out_is_said_to_be_unknown() {
    let (log, proxy) = behind_proxy(Duration::from_millis(200)).await;
    proxy.set(Fault::CUT_AFTER_COMMIT_AND_STAY_AWAY);
    let writes = [
        log.append(Group::single(write(key("1"), 1, "a"))),
        log.append(Group::single(write(key("first"), 1, "stale"))),
    ];
    let results = futures::future::join_all(writes).await;
    assert_eq!(results[0], Err(AppendError::OutcomeUnknown));
    assert!(matches!(results[1], Err(AppendError::Unavailable(_))), "{results:?}");
    proxy.set(Fault::Nothing);
    assert!(log.current(&key("1")).await.unwrap().is_some(), "it was recorded");
    log.append(Group::single(write(key("1"), 2, "b"))).await.unwrap();
    assert_eq!(check_whole(&log).await.len(), 3);
}

#[tokio::test]
async fn appends_are_unavailable_while_the_database_is_away_and_work_when_it_is_back() {
    let database = database().await;
    let proxy = Proxy::start(&database).await;
    let options = LogOptions { retry_for: Duration::from_millis(100), ..LogOptions::default() };
    let log = Log::open(proxy.address(), "default", options).await.unwrap();
    proxy.set(Fault::StayAway);
    let result = log.append(Group::single(write(key("1"), 1, "a"))).await;
    assert!(matches!(result, Err(AppendError::Unavailable(_))), "{result:?}");
    proxy.set(Fault::Nothing);
    log.append(Group::single(write(key("1"), 1, "a"))).await.unwrap();
    assert_eq!(check_whole(&log).await.len(), 1);
}

#[tokio::test]
async fn reads_survive_the_loss_of_pooled_connections() {
    let database = database().await;
    let log = open(&database).await;
    log.append(Group::single(write(key("1"), 1, "a"))).await.unwrap();
    for _ in 0..5 {
        kill_connections(&database).await;
        assert!(log.current(&key("1")).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_log_that_has_become_shorter_takes_no_more_writes() {
    let database = database().await;
    let log = open(&database).await;
    log.append(Group::single(write(key("1"), 1, "a"))).await.unwrap();
    log.append(Group::single(write(key("2"), 1, "a"))).await.unwrap();
    statement(
        &database,
        "ALTER TABLE anamnesis.event DISABLE TRIGGER event_is_append_only;
         DELETE FROM anamnesis.event WHERE seq = 2;
         DELETE FROM anamnesis.head WHERE seq = 2",
    )
    .await;
    let result = log.append(Group::single(write(key("3"), 1, "a"))).await;
    assert!(matches!(result, Err(AppendError::Broken { position, .. }) if position == Position::new(2)));
    assert_eq!(log.broken().unwrap().0, Position::new(2));
    let again = log.append(Group::single(write(key("4"), 1, "a"))).await;
    assert!(matches!(again, Err(AppendError::Broken { .. })));
    assert!(log.current(&key("1")).await.unwrap().is_some(), "reading goes on");
}

#[tokio::test]
async fn a_changed_event_is_found_by_verifying_and_when_the_log_is_opened() {
    let database = database().await;
    let log = open(&database).await;
    for n in 0..3 {
        log.append(Group::single(write(key(&n.to_string()), 1, "a"))).await.unwrap();
    }
    let tamper = "ALTER TABLE anamnesis.event DISABLE TRIGGER event_is_append_only;
                  UPDATE anamnesis.event SET agent = 'somebody else' WHERE seq = 2";
    statement(&database, tamper).await;
    let found = log.verify(Position::ZERO, 100).await;
    assert!(matches!(found, Err(LogError::Broken { position, .. }) if position == Position::new(2)));
    assert!(log.verify(Position::new(2), 100).await.is_ok(), "the chain goes on from the stored hash");
    let reopened = open(&database).await;
    assert_eq!(reopened.broken().unwrap().0, Position::new(2));
    let result = reopened.append(Group::single(write(key("x"), 1, "a"))).await;
    assert!(matches!(result, Err(AppendError::Broken { .. })));
}

#[tokio::test]
async fn a_log_whose_last_body_is_damaged_opens_for_reading() {
    let database = database().await;
    let log = open(&database).await;
    for n in 0..3 {
        log.append(Group::single(write(key(&n.to_string()), 1, "a"))).await.unwrap();
    }
    let tamper = "ALTER TABLE anamnesis.event DISABLE TRIGGER event_is_append_only;
                  UPDATE anamnesis.event SET payload = 'damaged' WHERE seq = 3";
    statement(&database, tamper).await;
    let reopened = open(&database).await;
    assert_eq!(reopened.broken().unwrap().0, Position::new(3));
    assert!(reopened.current(&key("1")).await.unwrap().is_some(), "the others are read");
    let result = reopened.append(Group::single(write(key("x"), 1, "a"))).await;
    assert!(matches!(result, Err(AppendError::Broken { .. })), "{result:?}");
}

#[tokio::test]
async fn a_missing_event_is_found_by_reading() {
    let database = database().await;
    let log = open(&database).await;
    for n in 0..3 {
        log.append(Group::single(write(key(&n.to_string()), 1, "a"))).await.unwrap();
    }
    let tamper = "ALTER TABLE anamnesis.event DISABLE TRIGGER event_is_append_only;
                  DELETE FROM anamnesis.event WHERE seq = 2";
    statement(&database, tamper).await;
    let found = log.read(Position::ZERO, 100).await;
    assert!(matches!(found, Err(LogError::Broken { position, .. }) if position == Position::new(2)));
}

#[tokio::test]
async fn recorded_events_cannot_be_changed_by_accident() {
    let database = database().await;
    let log = open(&database).await;
    log.append(Group::single(write(key("1"), 1, "a"))).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&database, NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    for change in
        ["UPDATE anamnesis.event SET agent = 'x'", "DELETE FROM anamnesis.event", "TRUNCATE anamnesis.event"]
    {
        assert!(client.batch_execute(change).await.is_err(), "{change}");
    }
    assert!(client.query_one("SELECT anamnesis.fence(2, 2)", &[]).await.is_ok());
    assert!(client.query_one("SELECT anamnesis.fence(1, 2)", &[]).await.is_err());
    drop(client);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn once_an_append_was_given_up_the_next_ones_are_told_at_once() {
    let proxy = Proxy::start(&database().await).await;
    let retry_for = Duration::from_secs(2);
    let log = Log::open(proxy.address(), "default", LogOptions { retry_for, ..LogOptions::default() }).await;
    let log = log.unwrap();
    proxy.set(Fault::StayAway);
    assert!(log.append(Group::single(write(key("1"), 1, "a"))).await.is_err());
    let started = std::time::Instant::now();
    for _ in 0..3 {
        let result = log.append(Group::single(write(key("1"), 1, "a"))).await;
        assert!(matches!(result, Err(AppendError::Unavailable(_))), "{result:?}");
    }
    assert!(started.elapsed() < retry_for, "three attempts took {:?}", started.elapsed());
    proxy.set(Fault::Nothing);
    log.append(Group::single(write(key("1"), 1, "a"))).await.unwrap();
}

#[tokio::test]
async fn a_log_whose_last_event_was_exchanged_takes_no_more_writes() {
    let database = database().await;
    let log = open(&database).await;
    log.append(Group::single(write(key("1"), 1, "a"))).await.unwrap();
    let tamper = "ALTER TABLE anamnesis.event DISABLE TRIGGER event_is_append_only;
                  UPDATE anamnesis.event SET hash = sha256('another') WHERE seq = 1";
    statement(&database, tamper).await;
    let result = log.append(Group::single(write(key("2"), 1, "a"))).await;
    assert!(matches!(result, Err(AppendError::Broken { position, .. }) if position == Position::new(1)));
    assert_eq!(log.head().await.unwrap(), Position::new(1));
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_reads_go_on() {
    let database = database().await;
    let retry_for = Duration::from_millis(100);
    let options = LogOptions { retry_for, ..LogOptions::default() };
    let log = Log::open(&database, "default", options).await.unwrap();
    log.append(Group::single(write(key("1"), 1, "a"))).await.unwrap();
    let full = "CREATE FUNCTION anamnesis.full() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER full_disk BEFORE INSERT ON anamnesis.head
            FOR EACH ROW EXECUTE FUNCTION anamnesis.full()";
    statement(&database, full).await;
    for _ in 0..3 {
        let refused = log.append(Group::single(write(key("2"), 1, "a"))).await;
        assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
        assert!(log.current(&key("1")).await.unwrap().is_some());
    }
    statement(&database, "DROP TRIGGER full_disk ON anamnesis.head").await;
    log.append(Group::single(write(key("2"), 1, "a"))).await.unwrap();
    assert_eq!(check_whole(&log).await.len(), 2);
}
