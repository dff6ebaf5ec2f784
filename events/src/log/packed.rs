//! Events read for several readers in one statement, each of whom unpacks what is theirs: so that readers share the
//! statement, but neither the work nor the bound on the bytes of bodies.

use std::collections::HashMap;
use std::sync::Arc;

use tokio_postgres::Row;

use super::Log;
use super::read::check_limit;
use super::ring::Ring;
use super::row::{self, COLUMNS, event_at};
use crate::{Event, LogError, Position};

/// An event as the database gave it, with the keys of its statement. Free to clone.
#[derive(Debug, Clone)]
pub struct Packed(Arc<Row>, Arc<Ring>);

impl Log {
    /// The events at these positions, not unpacked yet. Positions that the log does not have are left out.
    ///
    /// # Errors
    /// When the database cannot be read, or more than [`crate::READ_EVENTS_MAX`] are asked for.
    pub async fn fetch_packed(&self, positions: &[Position]) -> Result<HashMap<Position, Packed>, LogError> {
        check_limit(positions.len())?;
        let wanted: Vec<i64> = positions.iter().map(|position| position.to_sql()).collect();
        let statement =
            format!("SELECT {COLUMNS} FROM unnest($2::bigint[]) AS wanted (seq) {}", event_at("wanted.seq"));
        let rows = self.query(&statement, &[&self.inner.number, &wanted]).await?;
        let ring = Arc::new(self.ring(&rows).await?);
        let place = |row: Row| Ok((Position::from_sql(row.try_get(0)?), Packed(Arc::new(row), ring.clone())));
        rows.into_iter().map(place).collect()
    }

    /// The events of what was [fetched](Self::fetch_packed), in the same order.
    ///
    /// # Errors
    /// When an event is damaged, or their bodies have more than [`crate::LogOptions::fetch_bytes_max`].
    pub fn unpack(&self, packed: &[Packed]) -> Result<Vec<Event>, LogError> {
        row::all_events(packed.iter().map(|one| (&*one.0, &*one.1)), self.inner.options.fetch_bytes_max)
    }
}
