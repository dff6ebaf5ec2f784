//! Tampering: whatever somebody with all rights does to the tables, verifying names the place.

use anamnesis_audit::{AppendError, AuditLog, Number};
use tokio_postgres::Client;

use super::support::{check_whole, client, database, open, read};

/// A log of five blocks with two records each, and the rights to do anything to it.
async fn written() -> (AuditLog, Client) {
    let database = database().await;
    let log = open(&database).await;
    for step in 0..5 {
        let what = format!("Observation/{step}");
        log.append(vec![read("a", "Patient/1", &what), read("b", "Patient/2", &what)]).await.unwrap();
    }
    check_whole(&log).await;
    let client = client(&database).await;
    (log, client)
}

/// What verifying finds after these statements, with the guard against mistakes off.
async fn found_after(statements: &str) -> (u64, u64, String) {
    let (log, client) = written().await;
    let all = format!("SET session_replication_role = replica; {statements}");
    client.batch_execute(&all).await.unwrap();
    let verified = log.verify(None, &[], u64::MAX).await.unwrap();
    assert!(!verified.is_whole);
    let broken = verified.broken.unwrap();
    assert_eq!(verified.number.next(), broken.from, "it is whole up to the break");
    (broken.from.get(), broken.to.get(), broken.reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_refuses_changes_that_are_made_by_mistake() {
    let (log, client) = written().await;
    for statement in ["UPDATE anamnesis.audit_block SET tokens = '{}'", "DELETE FROM anamnesis.audit_block"] {
        let refused = client.batch_execute(statement).await.unwrap_err();
        assert!(refused.as_db_error().unwrap().message().contains("only added to"));
    }
    check_whole(&log).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_record_is_found() {
    // One byte of a name within the block.
    let change = "UPDATE anamnesis.audit_block
        SET body = overlay(body PLACING '\\x7a' FROM position('\"subject\":\"a\"'::bytea IN body) + 11)
        WHERE last = 6";
    let (from, to, reason) = found_after(change).await;
    assert_eq!((from, to), (5, 6));
    assert!(reason.contains("hash"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_block_is_found() {
    let (from, to, reason) = found_after("DELETE FROM anamnesis.audit_block WHERE last = 4").await;
    assert_eq!((from, to, &*reason), (3, 4, "they are gone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_that_change_places_are_found() {
    let swap =
        "UPDATE anamnesis.audit_block AS a SET body = b.body, hash = b.hash, since = b.since, until = b.until
        FROM (SELECT * FROM anamnesis.audit_block) AS b WHERE (a.last, b.last) IN ((4, 6), (6, 4))";
    assert_eq!(found_after(swap).await.0, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_off_end_is_found() {
    let (from, to, reason) = found_after("DELETE FROM anamnesis.audit_block WHERE last = 10").await;
    assert_eq!((from, to, &*reason), (9, 10, "they are gone"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_time_or_what_searches_look_for_is_found() {
    let time = "UPDATE anamnesis.audit_block SET since = since - interval '1 hour' WHERE last = 4";
    assert!(found_after(time).await.2.contains("times"));
    let tokens = "UPDATE anamnesis.audit_block SET tokens = tokens[2:] WHERE last = 4";
    assert!(found_after(tokens).await.2.contains("searches"));
}

/// Cuts the end off and puts the head back, as somebody would who knows how the log works.
const CUT: &str = "SET session_replication_role = replica;
    DELETE FROM anamnesis.audit_block WHERE last > 6;
    UPDATE anamnesis.audit_log SET head = 6, hash = b.hash, recorded_at = b.until
        FROM (SELECT hash, until FROM anamnesis.audit_block WHERE last = 6) AS b";

#[tokio::test(flavor = "multi_thread")]
async fn only_an_anchor_outside_shows_an_end_that_was_replaced_whole() {
    let (log, client) = written().await;
    let noted = log.head().await.unwrap();
    let anchor = (noted.number, noted.hash);
    assert!(log.verify(None, &[anchor], u64::MAX).await.unwrap().is_whole);
    client.batch_execute(CUT).await.unwrap();
    assert!(log.verify(None, &[], u64::MAX).await.unwrap().is_whole, "the log alone cannot tell");
    let broken = log.verify(None, &[anchor], u64::MAX).await.unwrap().broken.unwrap();
    assert_eq!((broken.from, broken.to), (Number::new(7), Number::new(10)));
    // And where other records were written in its place.
    let other = AuditLog::open(&client_address(&client).await, "default", Default::default()).await.unwrap();
    for step in 0..3 {
        other.append(vec![read("c", "Patient/1", &format!("Observation/{step}")); 2]).await.unwrap();
    }
    let broken = other.verify(None, &[anchor], u64::MAX).await.unwrap().broken.unwrap();
    assert!(broken.reason.contains("noted outside"), "{}", broken.reason);
}

async fn client_address(client: &Client) -> String {
    let name: String = client.query_one("SELECT current_database()", &[]).await.unwrap().get(0);
    let shared = database().await;
    let (server, _) = shared.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_sees_its_records_gone_writes_no_more() {
    let (log, client) = written().await;
    client.batch_execute(CUT).await.unwrap();
    let ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name = 'anamnesis-audit' AND datname = current_database()";
    client.batch_execute(ended).await.unwrap();
    for _ in 0..2 {
        let refused = log.append(vec![read("a", "Patient/1", "Observation/9")]).await.unwrap_err();
        assert!(
            matches!(refused, AppendError::Broken { number, .. } if number == Number::new(10)),
            "{refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verifying_goes_on_from_where_it_was() {
    let (log, _client) = written().await;
    let first = log.verify(None, &[], 1).await.unwrap();
    assert!(first.number >= Number::new(2) && first.broken.is_none());
    let rest = log.verify(Some((first.number, first.hash)), &[], u64::MAX).await.unwrap();
    assert!(rest.is_whole);
    let wrong = log.verify(Some((Number::new(2), [7; 32])), &[], u64::MAX).await.unwrap();
    assert_eq!(wrong.broken.unwrap().from, Number::new(3));
}
