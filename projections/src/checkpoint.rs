//! Checkpoints: how far each version of each projection has come.

use anamnesis_events::Position;
use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;
use tokio_postgres::{GenericClient, Row};

use crate::database::Database;
use crate::{Inputs, Projection, ProjectionError};

/// Names one version of a projection over one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) name: &'static str,
    pub(crate) version: i32,
    pub(crate) log: i16,
}

/// Where a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Everything up to here is in its rows.
    pub(crate) position: Position,
    /// How often resources were un-parked. Another number: the list of parked resources has become shorter.
    pub(crate) unparked: i64,
}

impl Standing {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self { position: Position::new(unsigned(row.try_get(0)?)), unparked: row.try_get(1)? })
    }
}

/// The version of a projection that is read, and what it was made from; its rows have this form.
///
/// # Errors
/// When the database cannot be read, or there is no version with rows of this form.
pub(crate) async fn active(
    client: &impl GenericClient,
    name: &'static str,
    log: i16,
    schema: i32,
) -> Result<(Name, Inputs), ProjectionError> {
    // Nobody adds the column here: who asks may write nothing, and be the first of this program to see the store.
    let statement = "SELECT p.active, v.schema, to_jsonb(v) ->> 'inputs' FROM anamnesis.projection AS p
        JOIN anamnesis.projection_version AS v ON v.name = p.name AND v.log = p.log AND v.version = p.active
        WHERE p.name = $1 AND p.log = $2";
    let row = match client.query_opt(statement, &[&name, &log]).await {
        Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::UNDEFINED_TABLE) => None,
        found => found?,
    };
    let row = row.ok_or_else(|| Name { name, version: 0, log }.unknown())?;
    let (version, found): (i32, i32) = (row.try_get(0)?, row.try_get(1)?);
    if found != schema {
        return Err(ProjectionError::OtherSchema { name, version, found, own: schema });
    }
    Ok((Name { name, version, log }, Inputs::stored(row.try_get(2)?)))
}

/// Where the version stands.
pub(crate) async fn read(client: &impl GenericClient, name: &Name) -> Result<Standing, ProjectionError> {
    let row = client
        .query_opt(
            "SELECT seq, unparked FROM anamnesis.projection_checkpoint
             WHERE name = $1 AND version = $2 AND log = $3",
            &[&name.name, &name.version, &name.log],
        )
        .await?;
    Ok(Standing::of(&row.ok_or_else(|| name.unknown())?)?)
}

/// Where the version stands; it does not move until the transaction ends. `None` where it does not exist.
pub(crate) async fn hold(
    transaction: &Transaction<'_>,
    name: &Name,
) -> Result<Option<Standing>, tokio_postgres::Error> {
    let statement = transaction
        .prepare_cached(
            "SELECT seq, unparked FROM anamnesis.projection_checkpoint
             WHERE name = $1 AND version = $2 AND log = $3 FOR UPDATE",
        )
        .await?;
    let row = transaction.query_opt(&statement, &[&name.name, &name.version, &name.log]).await?;
    row.as_ref().map(Standing::of).transpose()
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

/// Takes the checkpoint for a batch that follows `position`: another process that writes the same version waits here.
/// False when the version has come to stand elsewhere, or resources were un-parked.
pub(crate) async fn take(
    transaction: &Transaction<'_>,
    name: &Name,
    position: Position,
    unparked: i64,
) -> Result<bool, tokio_postgres::Error> {
    Ok(hold(transaction, name).await? == Some(Standing { position, unparked }))
}

/// Tells other processes that write the version that resources were un-parked.
pub(crate) async fn unparked(
    transaction: &Transaction<'_>,
    name: &Name,
) -> Result<(), tokio_postgres::Error> {
    let told = "UPDATE anamnesis.projection_checkpoint SET unparked = unparked + 1
        WHERE name = $1 AND version = $2 AND log = $3";
    transaction.execute(told, &[&name.name, &name.version, &name.log]).await?;
    Ok(())
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
