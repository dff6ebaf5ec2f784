//! Checkpoints: how far each version of each projection has come, and which version is the active one.

use anamnesis_events::Position;
use deadpool_postgres::Transaction;
use tokio_postgres::GenericClient;
use tokio_postgres::types::ToSql;

use crate::database::Database;
use crate::{Projection, ProjectionError};

/// Serialises the making of tables by several processes; an arbitrary number that nobody else uses.
const ADVISORY_LOCK: i64 = 0x414E_414D_0002;

/// The tables that all projections share. Columns are only ever added.
const TABLES: &str = "
    CREATE SCHEMA IF NOT EXISTS anamnesis;
    -- The version that readers use: one row changes at a switch.
    CREATE TABLE IF NOT EXISTS anamnesis.projection (
        name text NOT NULL, log smallint NOT NULL, active integer NOT NULL, PRIMARY KEY (name, log));
    CREATE TABLE IF NOT EXISTS anamnesis.projection_checkpoint (
        name text NOT NULL, version integer NOT NULL, log smallint NOT NULL,
        seq bigint NOT NULL,             -- everything up to here is in the rows
        kept_from bigint NOT NULL,       -- superseded rows are kept for page tokens from here on
        PRIMARY KEY (name, version, log)) WITH (fillfactor = 50);
    CREATE TABLE IF NOT EXISTS anamnesis.projection_parked (
        name text NOT NULL, version integer NOT NULL, log smallint NOT NULL, seq bigint NOT NULL,
        resource_type text NOT NULL, resource_id text NOT NULL, reason text NOT NULL,
        PRIMARY KEY (name, version, log, seq));";

/// Names one version of a projection over one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) name: &'static str,
    pub(crate) version: i32,
    pub(crate) log: i16,
}

/// Makes the shared tables and those of the projection, and a checkpoint before the first event where there is none.
/// The first version of a projection becomes the active one.
pub(crate) async fn prepare<P: Projection>(
    database: &Database,
    projection: &P,
    name: &Name,
) -> Result<(), ProjectionError> {
    let mut client = database.get().await?;
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&ADVISORY_LOCK]).await?;
    transaction.batch_execute(TABLES).await?;
    projection.prepare(&transaction).await?;
    transaction
        .execute(
            "INSERT INTO anamnesis.projection_checkpoint (name, version, log, seq, kept_from)
             VALUES ($1, $2, $3, 0, 0) ON CONFLICT DO NOTHING",
            &[&name.name, &name.version, &name.log],
        )
        .await?;
    transaction
        .execute(
            "INSERT INTO anamnesis.projection (name, log, active) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            &[&name.name, &name.log, &name.version],
        )
        .await?;
    transaction.commit().await?;
    Ok(())
}

/// How far the version has come.
pub(crate) async fn read(client: &impl GenericClient, name: &Name) -> Result<Position, ProjectionError> {
    let row = client
        .query_opt(
            "SELECT seq FROM anamnesis.projection_checkpoint WHERE name = $1 AND version = $2 AND log = $3",
            &[&name.name, &name.version, &name.log],
        )
        .await?;
    let unknown = ProjectionError::Unknown { name: name.name, version: name.version, log: name.log };
    let seq: i64 = row.ok_or(unknown)?.try_get(0)?;
    Ok(Position::new(u64::try_from(seq).unwrap_or(0)))
}

/// Empties the projection's tables and begins before the first event, for every log: they share the tables. Processes
/// that write it meanwhile find the checkpoint moved, and begin again too.
pub(crate) async fn forget_everything<P: Projection>(
    database: &Database,
    projection: &P,
    name: &Name,
) -> Result<Position, ProjectionError> {
    let database = database.for_writer()?;
    let mut client = database.get().await?;
    let transaction = client.transaction().await?;
    let of_version: [&(dyn ToSql + Sync); 2] = [&name.name, &name.version];
    // First, so that nobody writes to the tables meanwhile.
    let checkpoints =
        "UPDATE anamnesis.projection_checkpoint SET seq = 0, kept_from = 0 WHERE name = $1 AND version = $2";
    transaction.execute(checkpoints, &of_version).await?;
    let parked = "DELETE FROM anamnesis.projection_parked WHERE name = $1 AND version = $2";
    transaction.execute(parked, &of_version).await?;
    projection.clear(&transaction).await?;
    transaction.commit().await?;
    Ok(Position::ZERO)
}

/// Takes the checkpoint for a batch that follows `from`: another process that writes the same version waits here.
/// False when the version has come to stand elsewhere.
pub(crate) async fn take(
    transaction: &Transaction<'_>,
    name: &Name,
    from: Position,
) -> Result<bool, tokio_postgres::Error> {
    let statement = transaction
        .prepare_cached(
            "SELECT seq FROM anamnesis.projection_checkpoint
             WHERE name = $1 AND version = $2 AND log = $3 FOR UPDATE",
        )
        .await?;
    let row = transaction.query_opt(&statement, &[&name.name, &name.version, &name.log]).await?;
    let found: Option<i64> = row.map(|row| row.try_get(0)).transpose()?;
    Ok(found == Some(number(from)))
}

/// Moves the checkpoint from `from` to `to`. False when it did not stand there.
pub(crate) async fn advance(
    transaction: &Transaction<'_>,
    name: &Name,
    from: Position,
    to: Position,
) -> Result<bool, tokio_postgres::Error> {
    let statement = transaction
        .prepare_cached(
            "UPDATE anamnesis.projection_checkpoint SET seq = $5
             WHERE name = $1 AND version = $2 AND log = $3 AND seq = $4",
        )
        .await?;
    let moved = transaction
        .execute(&statement, &[&name.name, &name.version, &name.log, &number(from), &number(to)])
        .await?;
    Ok(moved == 1)
}

/// A position as Postgres stores it.
pub(crate) fn number(position: Position) -> i64 {
    i64::try_from(position.get()).unwrap_or(i64::MAX)
}
