//! Partitions are made ahead of need, and the schema is made once, however many open the log at once.

use anamnesis_events::*;
use tokio_postgres::NoTls;

use crate::support::*;

#[tokio::test]
async fn a_log_grows_over_many_partitions() {
    let database = database().await;
    let options = LogOptions { partition_events: 16, ..LogOptions::default() };
    let log = Log::open(&database, "default", options).await.unwrap();
    // A bundle larger than a partition, then single events across several borders.
    log.append(group((0..40).map(|n| write(key(&format!("b{n}")), 1, "a")).collect())).await.unwrap();
    for n in 0..40 {
        log.append(Group::single(write(key(&n.to_string()), 1, "a"))).await.unwrap();
        log.append(Group::single(write(key("again"), n + 1, "a"))).await.unwrap();
    }
    assert_eq!(check_whole(&log).await.len(), 120);
    let range = HistoryRange { limit: 1000, ..HistoryRange::default() };
    assert_eq!(log.history(HistoryScope::Instance(key("again")), range).await.unwrap().events.len(), 40);
    assert_eq!(log.history(HistoryScope::Type("Observation".into()), range).await.unwrap().events.len(), 120);

    let (client, connection) = tokio_postgres::connect(&database, NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let statement = "SELECT count(*), max(until_seq) FROM anamnesis.event_partition";
    let row = client.query_one(statement, &[]).await.unwrap();
    let (partitions, until): (i64, i64) = (row.get(0), row.get(1));
    assert!(partitions >= 8 && until > 120 + 4, "{partitions} partitions, until {until}");
    drop(client);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_second_appender_with_smaller_partitions_finds_room_too() {
    let database = database().await;
    let opened = |partition_events| {
        Log::open(&database, "default", LogOptions { partition_events, ..LogOptions::default() })
    };
    let logs = [opened(64).await.unwrap(), opened(8).await.unwrap()];
    for n in 0..60 {
        let drafts = (0..5).map(|m| write(key(&format!("{n}-{m}")), 1, "a")).collect();
        logs[n % 2].append(group(drafts)).await.unwrap();
    }
    assert_eq!(check_whole(&logs[1]).await.len(), 300);
}

#[tokio::test]
async fn the_planner_is_told_when_the_log_has_grown() {
    let database = database().await;
    let log = open(&database).await;
    for n in 0..10 {
        log.append(group((0..100).map(|m| write(key(&format!("{n}-{m}")), 1, "a")).collect())).await.unwrap();
    }
    let (client, connection) = tokio_postgres::connect(&database, NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    // Postgres itself would look once a minute, and not at all before.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(50);
    let statement = "SELECT min(reltuples)::bigint FROM pg_class WHERE relname IN ('event_from_1', 'head')";
    while client.query_one(statement, &[]).await.unwrap().get::<_, i64>(0) < 1000 {
        assert!(std::time::Instant::now() < deadline, "the tables were not analysed");
    }
    drop(client);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn many_may_open_a_new_database_at_once() {
    let database = database().await;
    let logs = futures::future::join_all((0..6).map(|_| open(&database))).await;
    for (n, log) in logs.iter().enumerate() {
        log.append(Group::single(write(key(&n.to_string()), 1, "a"))).await.unwrap();
    }
    assert_eq!(check_whole(&logs[0]).await.len(), 6);
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused() {
    let database = database().await;
    open(&database).await.close().await;
    let (client, connection) = tokio_postgres::connect(&database, NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    client.batch_execute("INSERT INTO anamnesis.events_schema VALUES (1000)").await.unwrap();
    let opened = Log::open(&database, "default", LogOptions::default()).await;
    assert!(matches!(opened, Err(LogError::SchemaTooNew { found: 1000, .. })));
    drop(client);
    driver.await.unwrap().unwrap();
}
