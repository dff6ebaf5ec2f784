//! Checkpoints: how far each version of each projection has come.

use anamnesis_events::Position;
use deadpool_postgres::Transaction;
use tokio_postgres::GenericClient;
use tokio_postgres::types::ToSql;

use crate::database::Database;
use crate::{Projection, ProjectionError};

/// Names one version of a projection over one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) name: &'static str,
    pub(crate) version: i32,
    pub(crate) log: i16,
}

/// How far the version has come.
pub(crate) async fn read(client: &impl GenericClient, name: &Name) -> Result<Position, ProjectionError> {
    let row = client
        .query_opt(
            "SELECT seq FROM anamnesis.projection_checkpoint WHERE name = $1 AND version = $2 AND log = $3",
            &[&name.name, &name.version, &name.log],
        )
        .await?;
    let seq: i64 = row.ok_or_else(|| name.unknown())?.try_get(0)?;
    Ok(Position::new(unsigned(seq)))
}

/// How far the version has come; it does not move until the transaction ends. `None` where it does not exist.
pub(crate) async fn hold(
    transaction: &Transaction<'_>,
    name: &Name,
) -> Result<Option<Position>, tokio_postgres::Error> {
    let statement = transaction
        .prepare_cached(
            "SELECT seq FROM anamnesis.projection_checkpoint
             WHERE name = $1 AND version = $2 AND log = $3 FOR UPDATE",
        )
        .await?;
    let row = transaction.query_opt(&statement, &[&name.name, &name.version, &name.log]).await?;
    let seq: Option<i64> = row.map(|row| row.try_get(0)).transpose()?;
    Ok(seq.map(|seq| Position::new(unsigned(seq))))
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
    Ok(hold(transaction, name).await? == Some(from))
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

impl Name {
    /// It is not there.
    pub(crate) fn unknown(&self) -> ProjectionError {
        ProjectionError::Unknown { name: self.name, version: self.version, log: self.log }
    }
}

/// A number as Postgres gave it: none of ours is negative.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A position as Postgres stores it.
pub(crate) fn number(position: Position) -> i64 {
    i64::try_from(position.get()).unwrap_or(i64::MAX)
}
