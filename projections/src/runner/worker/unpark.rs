//! Un-parking: the events of a resource that had to wait are taken in their order.

use std::collections::HashSet;

use anamnesis_events::ResourceKey;
use tokio_util::sync::CancellationToken;

use super::super::batch::Batch;
use super::super::{Command, Source};
use super::{Failure, Worker};
use crate::checkpoint::{self, Standing};
use crate::{Projection, ProjectionError, parked};

/// Parked events of a resource that are taken in one transaction.
const TAKEN_AT_ONCE: usize = 1000;

/// What came of the first parked events of a resource.
struct Taken {
    /// Events that were taken.
    events: usize,
    /// There are no more, or the next one cannot be taken.
    is_done: bool,
    /// Where the version stood; this task has to begin again where that is elsewhere than it knew.
    stood_at: Standing,
}

impl<P: Projection, S: Source> Worker<P, S> {
    pub(super) async fn obey(&mut self, command: Command, stop: &CancellationToken) {
        let Command::Unpark { key, answer } = command;
        let outcome = self.unpark(&key, stop).await;
        // Whoever asked may have gone.
        let _ = answer.send(outcome);
    }

    /// Takes all parked events of a resource, or as many as can be taken. New events of the resource come after them:
    /// this task writes one thing after the other, and what other processes write meanwhile is parked behind.
    async fn unpark(
        &mut self,
        key: &ResourceKey,
        stop: &CancellationToken,
    ) -> Result<usize, ProjectionError> {
        let mut taken = 0;
        loop {
            let known = self.standing();
            let some = self.take_some(key).await?;
            taken += some.events;
            if some.stood_at != known && !self.begin_again(stop).await {
                return Err(ProjectionError::Stopped);
            }
            if some.is_done {
                return Ok(taken);
            }
        }
    }

    /// Takes the first parked events of a resource, wherever the version stands: another process may have gone on, which
    /// does not matter here.
    async fn take_some(&mut self, key: &ResourceKey) -> Result<Taken, ProjectionError> {
        let mut client = self.database.get().await?;
        let transaction = client.transaction().await?;
        let stood_at =
            checkpoint::hold(&transaction, &self.name).await?.ok_or_else(|| self.name.unknown())?;
        let nothing = Taken { events: 0, is_done: true, stood_at };
        let (positions, are_all) = parked::forget(&transaction, &self.name, key, TAKEN_AT_ONCE).await?;
        if positions.is_empty() {
            return Ok(nothing);
        }
        let events = self.source.fetch(&positions).await?;
        let batch = Batch::of(&self.projection, &events, &HashSet::new()).await;
        if let Err(error) = self.projection.write(&transaction, &batch.changes, stood_at.position).await {
            return match Failure::from(error) {
                // The database refuses it as it did before.
                Failure::Refused(_) => Ok(nothing),
                Failure::MovedOn => Err(ProjectionError::MovedOn),
                Failure::Retry(error) => Err(error),
            };
        }
        let taken = events.len() - batch.parked.len();
        if taken == 0 {
            // Nothing has changed, so that other processes need not read the list again.
            return Ok(nothing);
        }
        for (event, reason) in &batch.parked {
            parked::park(&transaction, &self.name, event, reason).await?;
        }
        checkpoint::unparked(&transaction, &self.name).await?;
        transaction.commit().await?;
        if stood_at == self.standing() {
            self.unparked += 1;
            if batch.parked.is_empty() && are_all {
                self.parked.remove(key);
            }
            self.parked_events = self.parked_events.saturating_sub(taken);
            self.tell_parked();
        }
        Ok(Taken { events: taken, is_done: are_all || !batch.parked.is_empty(), stood_at })
    }
}
