//! Brings the database's schema up to date, whichever process comes first.

use deadpool_postgres::Client;

use crate::LogError;

/// The steps of the schema, in order. A step that was released is never edited.
const MIGRATIONS: [(i32, &str); 7] = [
    (1, include_str!("../../migrations/0001_log.sql")),
    (2, include_str!("../../migrations/0002_idempotency.sql")),
    (3, include_str!("../../migrations/0003_smaller.sql")),
    (4, include_str!("../../migrations/0004_holders.sql")),
    (5, include_str!("../../migrations/0005_erasure.sql")),
    (6, include_str!("../../migrations/0006_encryption.sql")),
    (7, include_str!("../../migrations/0007_purges.sql")),
];

/// Serialises migrations of all processes; an arbitrary number that nobody else uses.
const ADVISORY_LOCK: i64 = 0x414E_414D_0001;

/// A step may go over all that is recorded, and another process may be at one: no time-out of a request fits.
const PATIENCE: &str =
    "SET LOCAL statement_timeout = '6h'; SET LOCAL idle_in_transaction_session_timeout = '6h'";

/// Runs the steps that the database does not have yet, each in its own transaction.
pub(crate) async fn migrate(client: &mut Client) -> Result<(), LogError> {
    let known = MIGRATIONS.last().map_or(0, |(version, _)| *version);
    loop {
        let transaction = client.transaction().await?;
        transaction.batch_execute(PATIENCE).await?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&ADVISORY_LOCK]).await?;
        transaction
            .batch_execute(
                "SET LOCAL client_min_messages = warning;
                 CREATE SCHEMA IF NOT EXISTS anamnesis;
                 CREATE TABLE IF NOT EXISTS anamnesis.events_schema (
                     version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
            )
            .await?;
        let found: i32 = transaction
            .query_one("SELECT coalesce(max(version), 0) FROM anamnesis.events_schema", &[])
            .await?
            .try_get(0)?;
        if found > known {
            return Err(LogError::SchemaTooNew { found, known });
        }
        let Some((version, step)) = MIGRATIONS.iter().find(|(version, _)| *version > found) else {
            transaction.commit().await?;
            return Ok(());
        };
        transaction.batch_execute(step).await?;
        transaction.execute("INSERT INTO anamnesis.events_schema VALUES ($1)", &[version]).await?;
        transaction.commit().await?;
        tracing::info!(version, "the log's schema is at version {version}");
    }
}

/// Whether the database has exactly the schema of this program; changes nothing.
pub(crate) async fn check(client: &Client) -> Result<(), LogError> {
    let known = MIGRATIONS.last().map_or(0, |(version, _)| *version);
    let exists = client.query_one("SELECT to_regclass('anamnesis.events_schema') IS NOT NULL", &[]).await?;
    if !exists.try_get::<_, bool>(0)? {
        return Err(LogError::NoSchema);
    }
    let statement = "SELECT coalesce(max(version), 0) FROM anamnesis.events_schema";
    let found: i32 = client.query_one(statement, &[]).await?.try_get(0)?;
    match found.cmp(&known) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(LogError::SchemaTooOld { found, known }),
        std::cmp::Ordering::Greater => Err(LogError::SchemaTooNew { found, known }),
    }
}

/// The number of the workspace's log, given out when it is opened for the first time.
pub(crate) async fn log_number(client: &Client, workspace: &str) -> Result<i16, LogError> {
    client
        .execute(
            "INSERT INTO anamnesis.log (workspace) SELECT $1
             WHERE NOT EXISTS (SELECT 1 FROM anamnesis.log WHERE workspace = $1)
             ON CONFLICT (workspace) DO NOTHING",
            &[&workspace],
        )
        .await?;
    let row = client.query_one("SELECT log FROM anamnesis.log WHERE workspace = $1", &[&workspace]).await?;
    Ok(row.try_get(0)?)
}

/// Makes partitions until the event table reaches beyond `needed`; answers how far it reaches.
pub(crate) async fn ensure_partitions(
    client: &mut Client,
    needed: i64,
    partition_events: i64,
) -> Result<i64, LogError> {
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&ADVISORY_LOCK]).await?;
    let mut until: i64 = transaction
        .query_one("SELECT coalesce(max(until_seq), 0) FROM anamnesis.event_partition", &[])
        .await?
        .try_get(0)?;
    while until <= needed {
        until = transaction
            .query_one("SELECT anamnesis.add_partition($1)", &[&partition_events])
            .await?
            .try_get(0)?;
        tracing::info!(until, "made a partition of the event table, up to position {until}");
    }
    transaction.commit().await?;
    Ok(until)
}
