//! Parked events: those that a projection could not take, and the later ones of the same resource.

use std::collections::HashSet;

use anamnesis_events::{Event, Position, ResourceKey};
use deadpool_postgres::Transaction;
use tokio_postgres::GenericClient;

use crate::ProjectionError;
use crate::checkpoint::Name;

/// An event that waits to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Where it is in the log.
    pub position: Position,
    /// The resource that it is about.
    pub key: ResourceKey,
    /// Why it was parked. Holds nothing of the resource's content.
    pub reason: String,
}

/// The reason of events that are parked because an earlier one of their resource is.
pub(crate) const BEHIND_ANOTHER: &str = "an earlier event of this resource is parked";

/// All parked events of a projection, in order.
pub(crate) async fn list(
    client: &impl GenericClient,
    name: &Name,
) -> Result<Vec<Parked>, tokio_postgres::Error> {
    let rows = client
        .query(
            "SELECT seq, resource_type, resource_id, reason FROM anamnesis.projection_parked
             WHERE name = $1 AND version = $2 AND log = $3 ORDER BY seq",
            &[&name.name, &name.version, &name.log],
        )
        .await?;
    let parked = |row: &tokio_postgres::Row| -> Result<Parked, tokio_postgres::Error> {
        let position = Position::new(u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0));
        let key = ResourceKey::new(row.try_get::<_, &str>(1)?, row.try_get::<_, String>(2)?);
        Ok(Parked { position, key, reason: row.try_get(3)? })
    };
    rows.iter().map(parked).collect()
}

/// The resources that have parked events.
pub(crate) fn resources(parked: &[Parked]) -> HashSet<ResourceKey> {
    parked.iter().map(|parked| parked.key.clone()).collect()
}

/// Parks an event. Parking it again changes nothing.
pub(crate) async fn park(
    transaction: &Transaction<'_>,
    name: &Name,
    event: &Event,
    reason: &str,
) -> Result<(), tokio_postgres::Error> {
    let statement = transaction
        .prepare_cached(
            "INSERT INTO anamnesis.projection_parked (name, version, log, seq, resource_type, resource_id, reason)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        )
        .await?;
    let seq = i64::try_from(event.position.get()).unwrap_or(i64::MAX);
    // Postgres takes no NUL in a text.
    let reason = reason.replace('\0', "\u{fffd}");
    let key = &event.key;
    transaction
        .execute(
            &statement,
            &[&name.name, &name.version, &name.log, &seq, &&*key.resource_type, &key.id, &reason],
        )
        .await?;
    Ok(())
}

/// Takes a resource's events out of the list.
pub(crate) async fn forget(
    transaction: &Transaction<'_>,
    name: &Name,
    key: &ResourceKey,
) -> Result<Vec<Position>, ProjectionError> {
    let rows = transaction
        .query(
            "DELETE FROM anamnesis.projection_parked
             WHERE name = $1 AND version = $2 AND log = $3 AND resource_type = $4 AND resource_id = $5
             RETURNING seq",
            &[&name.name, &name.version, &name.log, &&*key.resource_type, &key.id],
        )
        .await?;
    let position = |row: &tokio_postgres::Row| -> Result<Position, tokio_postgres::Error> {
        Ok(Position::new(u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0)))
    };
    let mut positions = rows.iter().map(position).collect::<Result<Vec<_>, _>>()?;
    positions.sort_unstable();
    Ok(positions)
}
