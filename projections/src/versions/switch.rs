//! The switch: readers are sent to another version, and none of them goes back in time.

use std::time::Duration;

use anamnesis_events::Position;
use deadpool_postgres::Transaction;
use tokio::time::Instant;
use tokio_postgres::GenericClient;
use tokio_postgres::error::SqlState;

use super::{State, Versions};
use crate::checkpoint::{self, Name};
use crate::{ProjectionError, tables};

/// How long the active version is held still for the new one to come up to it. Searches for what was just written wait
/// as long.
const HELD_FOR: Duration = Duration::from_secs(2);
/// The least that is allowed for a batch of the new one that is under way when it has come up.
const BATCH_WITHIN: Duration = Duration::from_millis(200);
/// How often it is looked whether it has.
const LOOKED_EVERY: Duration = Duration::from_millis(5);

/// What came of a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Readers use the new version from now on.
    Done,
    /// The new version has not come up to the active one.
    Behind {
        /// How far the active one has come.
        active: Position,
        /// How far the new one has come.
        reached: Position,
    },
    /// The new version has parked resources that the active one has not: they could not be found any more.
    Parked {
        /// How many.
        resources: u64,
    },
}

impl Versions {
    /// Makes a version that is being built the active one, if it has come as far as the active one: that is held still
    /// meanwhile, a little longer than two seconds at most, and the new one too in the end. `force`: even where the new
    /// one has parked resources that the active one has not; without it nothing is held still for one that has.
    ///
    /// # Errors
    /// [`ProjectionError::WrongState`] when it is not being built, [`ProjectionError::OtherSchema`] when the active one
    /// has rows of a later form, unless the new one was begun after it and by `force`.
    pub async fn switch(&self, number: i32, force: bool) -> Result<Switch, ProjectionError> {
        let mut client = self.database.get().await?;
        // Before anybody has to wait: what is parked stays so until somebody does something about it.
        let resources = if force { 0 } else { parked_more(&**client, &self.named(number)).await? };
        if resources > 0 {
            return Ok(Switch::Parked { resources });
        }
        let transaction = client.transaction().await?;
        tables::lock(&transaction).await?;
        self.expect(&transaction, number, &[State::Building]).await?;
        let pointer = "SELECT active FROM anamnesis.projection WHERE name = $1 AND log = $2 FOR UPDATE";
        let old = transaction.query_opt(pointer, &[&self.name, &self.log]).await?;
        let (new, old) = (self.named(number), old.map(|row| row.try_get(0)).transpose()?);
        if let Some(old) = old {
            let old = self.named(old);
            self.refuse_older(&transaction, &old, &new, force).await?;
            if let Some(refused) = refuse(&transaction, &old, &new, force).await? {
                return Ok(refused);
            }
            self.set(&transaction, old.version, State::Retiring).await?;
        }
        let point = "INSERT INTO anamnesis.projection (name, log, active) VALUES ($1, $2, $3)
            ON CONFLICT (name, log) DO UPDATE SET active = excluded.active";
        transaction.execute(point, &[&self.name, &self.log, &number]).await?;
        self.set(&transaction, number, State::Active).await?;
        transaction.commit().await?;
        Ok(Switch::Done)
    }

    /// An older program does not take the place from a later one.
    async fn refuse_older(
        &self,
        transaction: &Transaction<'_>,
        old: &Name,
        new: &Name,
        force: bool,
    ) -> Result<(), ProjectionError> {
        let found = tables::state(&**transaction, old).await?.map(|(_, schema)| schema);
        let own = tables::state(&**transaction, new).await?.map(|(_, schema)| schema);
        match (found, own) {
            (Some(found), Some(own)) if found > own && !(force && new.version > old.version) => {
                Err(ProjectionError::OtherSchema { name: self.name, version: old.version, found, own })
            }
            _ => Ok(()),
        }
    }
}

/// Why the new version cannot take the place of the old one, if it cannot. Whether or not, neither moves until the
/// transaction ends.
async fn refuse(
    transaction: &Transaction<'_>,
    old: &Name,
    new: &Name,
    force: bool,
) -> Result<Option<Switch>, ProjectionError> {
    let Some(active) = checkpoint::hold(transaction, old).await? else { return Ok(None) };
    let active = active.position;
    let deadline = Instant::now() + HELD_FOR;
    let mut reached = checkpoint::read(&**transaction, new).await?.position;
    while reached < active {
        if Instant::now() >= deadline {
            return Ok(Some(Switch::Behind { active, reached }));
        }
        tokio::time::sleep(LOOKED_EVERY).await;
        reached = checkpoint::read(&**transaction, new).await?.position;
    }
    let within = deadline.saturating_duration_since(Instant::now()).max(BATCH_WITHIN);
    transaction.batch_execute(&format!("SET LOCAL lock_timeout = {}", within.as_millis())).await?;
    match checkpoint::hold(transaction, new).await {
        Ok(Some(new)) if new.position >= active => {}
        // In the middle of a long batch, perhaps.
        Err(error) if error.code() != Some(&SqlState::LOCK_NOT_AVAILABLE) => return Err(error.into()),
        _ => return Ok(Some(Switch::Behind { active, reached })),
    }
    if force {
        return Ok(None);
    }
    // Again, because something may have been parked since.
    let resources = parked_more(&**transaction, new).await?;
    Ok((resources > 0).then_some(Switch::Parked { resources }))
}

/// How many resources a version has parked that the active one has not.
async fn parked_more(client: &impl GenericClient, new: &Name) -> Result<u64, tokio_postgres::Error> {
    let parked =
        "SELECT count(DISTINCT (n.resource_type, n.resource_id)) FROM anamnesis.projection_parked AS n
        WHERE n.name = $1 AND n.version = $2 AND n.log = $3 AND NOT EXISTS (
            SELECT FROM anamnesis.projection_parked AS o WHERE o.name = n.name AND o.log = n.log
                AND o.resource_type = n.resource_type AND o.resource_id = n.resource_id AND o.version = (
                    SELECT active FROM anamnesis.projection WHERE name = $1 AND log = $3))";
    let row = client.query_one(parked, &[&new.name, &new.version, &new.log]).await?;
    Ok(checkpoint::unsigned(row.try_get(0)?))
}
