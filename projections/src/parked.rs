//! Parked events: those that a projection could not take, and the later ones of the same resource.

pub(crate) mod marks;

use std::collections::HashSet;

use anamnesis_events::{Event, Position, ResourceKey};
use deadpool_postgres::Transaction;
use tokio_postgres::GenericClient;

use crate::ProjectionError;
use crate::checkpoint::{Name, number, unsigned};

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

/// Parked events after a position, in order, at most `count_max`.
pub(crate) async fn list(
    client: &impl GenericClient,
    name: &Name,
    after: Position,
    count_max: usize,
) -> Result<Vec<Parked>, tokio_postgres::Error> {
    let count_max = i64::try_from(count_max).unwrap_or(i64::MAX);
    let rows = client
        .query(
            "SELECT seq, resource_type, resource_id, reason FROM anamnesis.projection_parked
             WHERE name = $1 AND version = $2 AND log = $3 AND seq > $4 ORDER BY seq LIMIT $5",
            &[&name.name, &name.version, &name.log, &number(after), &count_max],
        )
        .await?;
    let parked = |row: &tokio_postgres::Row| -> Result<Parked, tokio_postgres::Error> {
        let position = Position::new(unsigned(row.try_get(0)?));
        let key = ResourceKey::new(row.try_get::<_, &str>(1)?, row.try_get::<_, String>(2)?);
        Ok(Parked { position, key, reason: row.try_get(3)? })
    };
    rows.iter().map(parked).collect()
}

/// Parked events, and the resources that they are of.
pub(crate) type All = (usize, HashSet<ResourceKey>);

/// How many events are parked, and all the resources that they are of.
pub(crate) async fn all(client: &impl GenericClient, name: &Name) -> Result<All, tokio_postgres::Error> {
    let rows = client
        .query(
            "SELECT resource_type, resource_id, count(*) FROM anamnesis.projection_parked
             WHERE name = $1 AND version = $2 AND log = $3 GROUP BY resource_type, resource_id",
            &[&name.name, &name.version, &name.log],
        )
        .await?;
    let mut events = 0;
    let mut resources = HashSet::with_capacity(rows.len());
    for row in &rows {
        resources.insert(ResourceKey::new(row.try_get::<_, &str>(0)?, row.try_get::<_, String>(1)?));
        events += usize::try_from(row.try_get::<_, i64>(2)?).unwrap_or(0);
    }
    Ok((events, resources))
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

/// Takes a resource's first events out of the list, at most `count_max`. True: these were all.
pub(crate) async fn forget(
    transaction: &Transaction<'_>,
    name: &Name,
    key: &ResourceKey,
    count_max: usize,
) -> Result<(Vec<Position>, bool), ProjectionError> {
    let limit = i64::try_from(count_max).unwrap_or(i64::MAX);
    let rows = transaction
        .query(
            "DELETE FROM anamnesis.projection_parked AS p USING (
                 SELECT seq FROM anamnesis.projection_parked WHERE name = $1 AND version = $2 AND log = $3
                     AND resource_type = $4 AND resource_id = $5 ORDER BY seq LIMIT $6) AS f
             WHERE p.name = $1 AND p.version = $2 AND p.log = $3 AND p.seq = f.seq RETURNING p.seq",
            &[&name.name, &name.version, &name.log, &&*key.resource_type, &key.id, &limit],
        )
        .await?;
    let position = |row: &tokio_postgres::Row| -> Result<Position, tokio_postgres::Error> {
        Ok(Position::new(unsigned(row.try_get(0)?)))
    };
    let mut positions = rows.iter().map(position).collect::<Result<Vec<_>, _>>()?;
    positions.sort_unstable();
    let are_all = positions.len() < count_max;
    Ok((positions, are_all))
}

/// Whether the version that readers use has parked events of the resource.
pub(crate) async fn is_parked(
    client: &impl GenericClient,
    (name, log): (&str, i16),
    key: &ResourceKey,
) -> Result<bool, tokio_postgres::Error> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM anamnesis.projection_parked
             WHERE name = $1 AND log = $2 AND resource_type = $3 AND resource_id = $4 AND version = (
                 SELECT active FROM anamnesis.projection WHERE name = $1 AND log = $2))",
            &[&name, &log, &&*key.resource_type, &key.id],
        )
        .await?;
    row.try_get(0)
}

/// Whether any version has parked events of the resource.
pub(crate) async fn is_parked_anywhere(
    client: &impl GenericClient,
    (name, log): (&str, i16),
    key: &ResourceKey,
) -> Result<bool, tokio_postgres::Error> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM anamnesis.projection_parked
             WHERE name = $1 AND log = $2 AND resource_type = $3 AND resource_id = $4)",
            &[&name, &log, &&*key.resource_type, &key.id],
        )
        .await?;
    row.try_get(0)
}

/// The first resources that a version has parked after a position, each with its first parked event, in their order;
/// at most `count_max`.
pub(crate) async fn firsts(
    client: &impl GenericClient,
    (name, log): (&str, i16),
    after: Position,
    count_max: usize,
) -> Result<Vec<(Position, ResourceKey)>, tokio_postgres::Error> {
    let count_max = i64::try_from(count_max).unwrap_or(i64::MAX);
    let rows = client
        .query(
            "SELECT min(seq), resource_type, resource_id FROM anamnesis.projection_parked
             WHERE name = $1 AND log = $2 GROUP BY resource_type, resource_id
             HAVING min(seq) > $3 ORDER BY min(seq) LIMIT $4",
            &[&name, &log, &number(after), &count_max],
        )
        .await?;
    let first = |row: &tokio_postgres::Row| -> Result<_, tokio_postgres::Error> {
        let key = ResourceKey::new(row.try_get::<_, &str>(1)?, row.try_get::<_, String>(2)?);
        Ok((Position::new(unsigned(row.try_get(0)?)), key))
    };
    rows.iter().map(first).collect()
}
