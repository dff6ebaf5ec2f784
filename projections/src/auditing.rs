//! What every check of a projection against the log has in common: which version it is of, and how it begins.

use anamnesis_events::audit::Faults;
use anamnesis_events::{Log, Position};

use crate::checkpoint::{self, Name};
use crate::{Database, Inputs, Parked, ProjectionError, parked};

/// Checks the version of a projection that readers use, and has rows of this program's form. Where a rebuild takes that
/// version away meanwhile, the check begins once more with the one in its place.
pub(crate) async fn of_active<T>(
    database: &Database,
    log: &Log,
    (projection, schema): (&'static str, i32),
    mut check: impl AsyncFnMut(Name, Inputs) -> Result<T, ProjectionError>,
) -> Result<T, ProjectionError> {
    let active = async || {
        let client = database.get().await?;
        checkpoint::active(&**client, projection, log.number(), schema).await
    };
    let (name, inputs) = active().await?;
    match check(name, inputs).await {
        Err(error) => match active().await {
            Ok((other, inputs)) if other != name => check(other, inputs).await,
            _ => Err(error),
        },
        checked => checked,
    }
}

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
