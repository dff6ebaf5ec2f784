//! What the tests share.

use anamnesis_audit::{
    Action, Agent, AuditLog, AuditOptions, Entity, Kind, Number, Outcome, Record, Recorded,
};
use anamnesis_engines::testing::postgres;
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

/// The address of an empty database, for tests that look into it or break it.
pub(crate) async fn database() -> String {
    postgres().await.fresh_database().await
}

/// A new log in the database that most tests share.
pub(crate) async fn fresh_log() -> AuditLog {
    static SHARED: OnceCell<String> = OnceCell::const_new();
    let database = SHARED.get_or_init(database).await;
    AuditLog::open(database, &uuid::Uuid::new_v4().to_string(), AuditOptions::default()).await.unwrap()
}

/// A log in this database; a second one is another server's.
pub(crate) async fn open(database: &str) -> AuditLog {
    AuditLog::open(database, "default", AuditOptions::default()).await.unwrap()
}

pub(crate) async fn client(database: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A read of a patient's observation.
pub(crate) fn read(agent: &str, patient: &str, what: &str) -> Record {
    Record {
        kind: Kind::Rest,
        subtype: "read".into(),
        action: Action::R,
        outcome: Outcome::Success,
        status: 200,
        agent: Agent { subject: agent.into(), address: Some("192.0.2.7".into()), ..Agent::default() },
        service: "fhir".into(),
        entities: vec![Entity { what: what.into(), version: Some(1) }],
        entities_more: 0,
        patients: vec![patient.into()],
        patients_more: 0,
        query: None,
        position: None,
        correlation: "c".into(),
        entry: None,
        custom: vec![],
        purpose: None,
        reason: None,
        repeated: 0,
    }
}

/// Everything that a log has.
pub(crate) async fn all(log: &AuditLog) -> Vec<Recorded> {
    let mut all: Vec<Recorded> = vec![];
    loop {
        let page = log.read(all.last().map_or(Number::ZERO, |last| last.number), 100).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// Checks what holds for every log, and returns its records.
pub(crate) async fn check_whole(log: &AuditLog) -> Vec<Recorded> {
    let verified = log.verify(None, &[], u64::MAX).await.unwrap();
    assert!(verified.is_whole && verified.broken.is_none(), "{verified:?}");
    let records = all(log).await;
    assert_eq!(verified.number.get() - verified.kept_after.get(), records.len() as u64);
    for pair in records.windows(2) {
        assert_eq!(pair[0].number.next(), pair[1].number);
        assert!(pair[0].recorded_at < pair[1].recorded_at);
    }
    records
}
