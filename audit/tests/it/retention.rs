//! Retention: whole months go, and the chain can be verified from where they ended.

use std::sync::{Arc, Mutex};

use anamnesis_audit::{AuditLog, AuditOptions, Number};
use chrono::{DateTime, Months, Utc};

use super::support::{check_whole, client, database, read};

async fn over_months(database: &str) -> AuditLog {
    let now: Arc<Mutex<DateTime<Utc>>> = Arc::default();
    let clock = {
        let now = now.clone();
        Arc::new(move || *now.lock().unwrap())
    };
    let options = AuditOptions { clock, ..AuditOptions::default() };
    let log = AuditLog::open(database, "default", options).await.unwrap();
    for month in 0..5 {
        let begin: DateTime<Utc> = "2026-01-15T12:00:00Z".parse().unwrap();
        *now.lock().unwrap() = begin + Months::new(month);
        for what in ["Observation/1", "Observation/2"] {
            log.append(vec![read("a", "Patient/1", what)]).await.unwrap();
        }
    }
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_months_are_dropped_and_the_chain_goes_on() {
    let database = database().await;
    let log = over_months(&database).await;
    let noted = log.verify(None, &[], u64::MAX).await.unwrap();
    let kept = log.drop_before("2026-03-31T23:59:59Z".parse().unwrap()).await.unwrap();
    assert_eq!((kept.months, kept.after), (2, Number::new(4)), "March has not ended");
    let records = check_whole(&log).await;
    assert_eq!(records.first().unwrap().number, Number::new(5));
    let verified = log.verify(None, &[(noted.number, noted.hash)], u64::MAX).await.unwrap();
    assert_eq!((verified.hash, verified.kept_after), (noted.hash, Number::new(4)));
    assert_eq!(log.drop_before("2026-03-31T23:59:59Z".parse().unwrap()).await.unwrap().months, 0);
    log.append(vec![read("a", "Patient/1", "Observation/3")]).await.unwrap();
    assert_eq!(check_whole(&log).await.len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_month_stays_however_old_it_is() {
    let log = over_months(&database().await).await;
    let kept = log.drop_before("2040-01-01T00:00:00Z".parse().unwrap()).await.unwrap();
    assert_eq!(kept.after, Number::new(8));
    assert_eq!(check_whole(&log).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_beginning_than_the_one_that_was_kept_is_found() {
    let database = database().await;
    let log = over_months(&database).await;
    log.drop_before("2026-03-31T00:00:00Z".parse().unwrap()).await.unwrap();
    let client = client(&database).await;
    client.batch_execute("UPDATE anamnesis.audit_log SET kept_hash = '\\x00'").await.unwrap();
    let broken = log.verify(None, &[], u64::MAX).await.unwrap().broken.unwrap();
    assert_eq!(broken.from, Number::new(5));
}
