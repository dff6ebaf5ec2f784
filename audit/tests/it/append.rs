//! Appending: dense numbers, one chain, several writers and servers, lost connections, full queues.

use std::time::Duration;

use anamnesis_audit::{AppendError, AuditLog, AuditOptions, Number};
use tokio::task::JoinSet;

use super::support::{all, check_whole, client, database, fresh_log, open, read};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_there_in_the_order_of_its_access() {
    let log = fresh_log().await;
    let mut bundle = vec![read("a", "Patient/1", "Observation/1"), read("a", "Patient/2", "Observation/2")];
    bundle[1].entry = Some(1);
    bundle[1].custom = vec![("X-MS-AZUREFHIR-AUDIT-SITE".into(), "ward ü".into())];
    assert_eq!(log.append(bundle.clone()).await.unwrap(), Number::new(2));
    let third = read("b", "Patient/3", "Observation/3");
    assert_eq!(log.append(vec![third.clone()]).await.unwrap(), Number::new(3));
    let records = check_whole(&log).await;
    bundle.push(third);
    assert_eq!(records.iter().map(|one| one.record.clone()).collect::<Vec<_>>(), bundle);
    assert_eq!(log.get(Number::new(2)).await.unwrap(), Some(records[1].clone()));
    assert_eq!(log.get(Number::new(4)).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_share_commits_and_make_one_chain() {
    let database = database().await;
    let log = open(&database).await;
    let mut writers = JoinSet::new();
    for writer in 0..32 {
        let log = log.clone();
        writers.spawn(async move {
            for one in 0..20 {
                let what = format!("Observation/{writer}-{one}");
                log.append(vec![read("a", "Patient/1", &what)]).await.unwrap();
            }
        });
    }
    writers.join_all().await;
    assert_eq!(check_whole(&log).await.len(), 640);
    let counted = "SELECT count(*) FROM anamnesis.audit_block";
    let blocks: i64 = client(&database).await.query_one(counted, &[]).await.unwrap().get(0);
    assert!(blocks < 400, "{blocks} commits for 640 records");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_make_one_chain_and_neither_waits_for_ever() {
    let database = database().await;
    let (one, other) = (open(&database).await, open(&database).await);
    let mut writers = JoinSet::new();
    for (name, log) in [("one", one.clone()), ("other", other.clone())] {
        for writer in 0..4 {
            let log = log.clone();
            writers.spawn(async move {
                for step in 0..25 {
                    let what = format!("Observation/{name}-{writer}-{step}");
                    log.append(vec![read(name, "Patient/1", &what)]).await.unwrap();
                }
            });
        }
    }
    writers.join_all().await;
    let records = check_whole(&one).await;
    let of = |name: &str| records.iter().filter(|record| &*record.record.agent.subject == name).count();
    assert_eq!((of("one"), of("other")), (100, 100));
    let mut whats: Vec<_> = records.iter().map(|record| &record.record.entities[0].what).collect();
    whats.sort();
    whats.dedup();
    assert_eq!(whats.len(), 200, "none is there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_connections_neither_lose_a_record_nor_write_it_twice() {
    let database = database().await;
    let log = open(&database).await;
    let breaker = client(&database).await;
    let writing = {
        let log = log.clone();
        tokio::spawn(async move {
            for step in 0..200 {
                log.append(vec![read("a", "Patient/1", &format!("Observation/{step}"))]).await.unwrap();
            }
        })
    };
    let (mut written, mut broken) = (log.written(), 0);
    for number in (5..195).step_by(5) {
        written.wait_for(|reached| *reached >= Number::new(number)).await.unwrap();
        let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE application_name = 'anamnesis-audit' AND datname = current_database()";
        broken += breaker.query_one(ended, &[]).await.unwrap().get::<_, i64>(0);
    }
    writing.await.unwrap();
    assert!(broken > 20, "{broken} connections were ended");
    let records = check_whole(&open(&database).await).await;
    let whats: Vec<_> = records.iter().map(|record| record.record.entities[0].what.clone()).collect();
    assert_eq!(whats, (0..200).map(|step| format!("Observation/{step}")).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_and_what_it_took_is_written() {
    let database = database().await;
    let options = AuditOptions { queue_max: 4, ..AuditOptions::default() };
    let log = AuditLog::open(&database, "default", options).await.unwrap();
    let mut blocker = client(&database).await;
    let lock = blocker.transaction().await.unwrap();
    lock.query("SELECT 1 FROM anamnesis.audit_log FOR UPDATE", &[]).await.unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..40 {
        let log = log.clone();
        let what = format!("Observation/{writer}");
        writers.spawn(async move { log.append(vec![read("a", "Patient/1", &what)]).await });
    }
    let mut refused = 0;
    while refused < 30 {
        let outcome = writers.join_next().await.unwrap().unwrap();
        assert_eq!(outcome, Err(AppendError::Overloaded));
        refused += 1;
    }
    lock.commit().await.unwrap();
    let mut written = 0;
    while let Some(outcome) = writers.join_next().await {
        match outcome.unwrap() {
            Ok(_) => written += 1,
            Err(error) => assert_eq!(error, AppendError::Overloaded),
        }
    }
    assert!(written >= 4, "{written}");
    assert_eq!(all(&log).await.len(), written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_told_and_writing_goes_on_when_it_is_back() {
    let database = database().await;
    let options = AuditOptions {
        retry_for: Duration::from_millis(50),
        statement_timeout: Duration::from_millis(300),
        ..AuditOptions::default()
    };
    let log = AuditLog::open(&database, "default", options).await.unwrap();
    log.append(vec![read("a", "Patient/1", "Observation/1")]).await.unwrap();
    let mut blocker = client(&database).await;
    let lock = blocker.transaction().await.unwrap();
    lock.query("SELECT 1 FROM anamnesis.audit_log FOR UPDATE", &[]).await.unwrap();
    let failed = log.append(vec![read("a", "Patient/1", "Observation/2")]).await.unwrap_err();
    assert!(matches!(failed, AppendError::OutcomeUnknown | AppendError::Unavailable(_)), "{failed}");
    lock.commit().await.unwrap();
    log.append(vec![read("a", "Patient/1", "Observation/3")]).await.unwrap();
    let whats: Vec<_> =
        check_whole(&log).await.iter().map(|one| one.record.entities[0].what.clone()).collect();
    assert_eq!(whats, ["Observation/1", "Observation/3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_queued_when_it_is_closed_is_written_and_then_nothing_more() {
    let log = fresh_log().await;
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let log = log.clone();
        let what = format!("Observation/{writer}");
        writers.spawn(async move { log.append(vec![read("a", "Patient/1", &what)]).await });
    }
    let done: Vec<_> = {
        let (done, ()) = tokio::join!(writers.join_all(), log.close());
        done
    };
    let written = done.iter().filter(|outcome| outcome.is_ok()).count();
    assert!(done.iter().all(|outcome| outcome.is_ok() || *outcome == Err(AppendError::Closed)), "{done:?}");
    assert_eq!(check_whole(&log).await.len(), written);
    let late = log.append(vec![read("a", "Patient/1", "Observation/9")]).await;
    assert_eq!(late, Err(AppendError::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_with_too_much_is_refused() {
    let log = fresh_log().await;
    let record = read("a", "Patient/1", &"x".repeat(5 << 20));
    assert!(matches!(log.append(vec![record]).await, Err(AppendError::TooLarge(_))));
    assert_eq!(all(&log).await, []);
}
