//! Brings the tables of exports up to date, whichever process comes first.

use tokio_postgres::Client;

use super::store::StoreError;

/// The steps of the schema, in order. A step that was released is never edited.
const MIGRATIONS: [(i32, &str); 1] = [(1, include_str!("schema/0001_export.sql"))];

/// Serialises migrations of all processes; an arbitrary number that nobody else uses.
const ADVISORY_LOCK: i64 = 0x414E_4558_0001;

/// Runs the steps that the database does not have yet, each in its own transaction.
pub(super) async fn migrate(client: &mut Client) -> Result<(), StoreError> {
    let known = MIGRATIONS.last().map_or(0, |(version, _)| *version);
    // As often as there are steps, and once more.
    for _ in 0..=MIGRATIONS.len() {
        let transaction = client.transaction().await?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&ADVISORY_LOCK]).await?;
        transaction
            .batch_execute(
                "SET LOCAL client_min_messages = warning;
                 CREATE SCHEMA IF NOT EXISTS anamnesis;
                 CREATE TABLE IF NOT EXISTS anamnesis.export_schema (
                     version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
            )
            .await?;
        let found: i32 = transaction
            .query_one("SELECT coalesce(max(version), 0) FROM anamnesis.export_schema", &[])
            .await?
            .try_get(0)?;
        if found > known {
            return Err(StoreError::SchemaTooNew { found, known });
        }
        let Some((version, step)) = MIGRATIONS.iter().find(|(version, _)| *version > found) else {
            transaction.commit().await?;
            return Ok(());
        };
        transaction.batch_execute(step).await?;
        transaction.execute("INSERT INTO anamnesis.export_schema VALUES ($1)", &[version]).await?;
        transaction.commit().await?;
        tracing::info!(version, "the tables of exports are at version {version}");
    }
    Ok(())
}
