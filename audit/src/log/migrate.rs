//! Brings the schema of the audit log up to date, whichever process comes first.

use chrono::{Datelike, NaiveDate};
use tokio_postgres::Client;

use crate::{AuditError, chain};

/// The steps of the schema, in order. A step that was released is never edited.
const MIGRATIONS: [(i32, &str); 1] = [(1, include_str!("../../migrations/0001_audit.sql"))];

/// Serialises migrations of all processes; an arbitrary number that nobody else uses.
const ADVISORY_LOCK: i64 = 0x414E_4155_0001;

/// Runs the steps that the database does not have yet, each in its own transaction.
pub(crate) async fn migrate(client: &mut Client) -> Result<(), AuditError> {
    let known = MIGRATIONS.last().map_or(0, |(version, _)| *version);
    loop {
        let transaction = client.transaction().await?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&ADVISORY_LOCK]).await?;
        transaction
            .batch_execute(
                "CREATE SCHEMA IF NOT EXISTS anamnesis;
                 CREATE TABLE IF NOT EXISTS anamnesis.audit_schema (
                     version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
            )
            .await?;
        let found: i32 = transaction
            .query_one("SELECT coalesce(max(version), 0) FROM anamnesis.audit_schema", &[])
            .await?
            .try_get(0)?;
        if found > known {
            return Err(AuditError::SchemaTooNew { found, known });
        }
        let Some((version, step)) = MIGRATIONS.iter().find(|(version, _)| *version > found) else {
            transaction.commit().await?;
            return Ok(());
        };
        transaction.batch_execute(step).await?;
        transaction.execute("INSERT INTO anamnesis.audit_schema VALUES ($1)", &[version]).await?;
        transaction.commit().await?;
        tracing::info!(version, "the audit log's schema is at version {version}");
    }
}

/// Whether the database has the schema of this program; changes nothing.
pub(crate) async fn check(client: &Client) -> Result<(), AuditError> {
    let exists = client.query_one("SELECT to_regclass('anamnesis.audit_log') IS NOT NULL", &[]).await?;
    match exists.try_get::<_, bool>(0)? {
        true => Ok(()),
        false => Err(AuditError::NoSchema),
    }
}

/// The number of the workspace's log, given out when it is opened for the first time.
pub(crate) async fn log_number(client: &Client, workspace: &str) -> Result<i16, AuditError> {
    let genesis = chain::genesis(workspace);
    client
        .execute(
            "INSERT INTO anamnesis.audit_log (workspace, hash, kept_hash) SELECT $1, $2, $2
             WHERE NOT EXISTS (SELECT 1 FROM anamnesis.audit_log WHERE workspace = $1)
             ON CONFLICT (workspace) DO NOTHING",
            &[&workspace, &&genesis[..]],
        )
        .await?;
    known_number(client, workspace).await
}

/// The number of a workspace's log that is there already.
pub(crate) async fn known_number(client: &Client, workspace: &str) -> Result<i16, AuditError> {
    let statement = "SELECT log FROM anamnesis.audit_log WHERE workspace = $1";
    let row = client.query_opt(statement, &[&workspace]).await?.ok_or(AuditError::NoLog)?;
    Ok(row.try_get(0)?)
}

/// Makes the tables of a month and the next one, so that nobody waits for that at midnight.
pub(crate) async fn ensure_months(
    client: &mut Client,
    log: i16,
    month: NaiveDate,
) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&ADVISORY_LOCK]).await?;
    for month in [month, next_month(month)] {
        transaction.execute("SELECT anamnesis.add_audit_month($1, $2)", &[&log, &month]).await?;
    }
    transaction.commit().await
}

/// The first day of the month.
pub(crate) fn month_of(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

/// The first day of the month after.
pub(crate) fn next_month(month: NaiveDate) -> NaiveDate {
    month_of(month).checked_add_months(chrono::Months::new(1)).unwrap_or(month)
}
