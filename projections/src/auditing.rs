//! What every check of a projection against the log begins with.

use anamnesis_events::audit::Faults;
use anamnesis_events::{Log, Position};

use crate::checkpoint::{self, Name};
use crate::{Database, Parked, ProjectionError, parked};

/// Where a version stands when its check begins.
pub(crate) struct Begun {
    /// How far it has come. What is behind the log's end is not looked at.
    pub(crate) reached: Position,
    /// What it could not take.
    pub(crate) parked: Vec<Parked>,
    /// That it says to be behind the log's end, if it does.
    pub(crate) faults: Faults,
}

impl Begun {
    /// Reads where the version stands; `says` begins the fault of one that is beyond its log.
    pub(crate) async fn read(
        database: &Database,
        log: &Log,
        name: &Name,
        says: &str,
    ) -> Result<Self, ProjectionError> {
        let client = database.get().await?;
        let reached = checkpoint::read(&**client, name).await?.position;
        let parked = parked::list(&**client, name, Position::ZERO, usize::MAX).await?;
        drop(client);
        // Read after the checkpoint, which is never beyond the log that it is of.
        let end = log.head().await?;
        let mut faults = Faults::default();
        if reached > end {
            faults.add(reached, format!("{says} come so far, but the log ends at {end}"));
        }
        Ok(Self { reached: reached.min(end), parked, faults })
    }
}
