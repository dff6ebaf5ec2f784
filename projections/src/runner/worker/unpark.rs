//! Un-parking: the events of a resource that had to wait are taken in their order.

use std::collections::HashSet;

use anamnesis_events::ResourceKey;
use tokio_util::sync::CancellationToken;

use super::super::batch::Batch;
use super::super::{Command, Source};
use super::{Failure, Worker};
use crate::{Projection, ProjectionError, checkpoint, parked};

/// Parked events of a resource that are taken in one transaction.
const TAKEN_AT_ONCE: usize = 1000;
/// How often un-parking begins again because another process has written meanwhile.
const TRIES_MAX: usize = 10;

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
        let mut tries = 0;
        loop {
            match self.take_some(key).await {
                Ok((some, is_done)) => {
                    taken += some;
                    if is_done {
                        return Ok(taken);
                    }
                }
                Err(ProjectionError::MovedOn) if tries < TRIES_MAX => {
                    tries += 1;
                    if !self.begin_again(stop).await {
                        return Err(ProjectionError::Stopped);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the first parked events of a resource. True: there are no more, or the next one cannot be taken.
    async fn take_some(&mut self, key: &ResourceKey) -> Result<(usize, bool), ProjectionError> {
        let reached = *self.reached.borrow();
        let mut client = self.database.get().await?;
        let transaction = client.transaction().await?;
        if !checkpoint::take(&transaction, &self.name, reached, self.unparked).await? {
            return Err(ProjectionError::MovedOn);
        }
        let (positions, are_all) = parked::forget(&transaction, &self.name, key, TAKEN_AT_ONCE).await?;
        if positions.is_empty() {
            return Ok((0, true));
        }
        let events = self.source.fetch(&positions).await?;
        let batch = Batch::of(&self.projection, &events, &HashSet::new()).await;
        if let Err(error) = self.projection.write(&transaction, &batch.changes, reached).await {
            return match Failure::from(error) {
                // The database refuses it as it did before.
                Failure::Refused(_) => Ok((0, true)),
                Failure::MovedOn => Err(ProjectionError::MovedOn),
                Failure::Retry(error) => Err(error),
            };
        }
        for (event, reason) in &batch.parked {
            parked::park(&transaction, &self.name, event, reason).await?;
        }
        checkpoint::unparked(&transaction, &self.name).await?;
        transaction.commit().await?;
        self.unparked += 1;
        let taken = events.len() - batch.parked.len();
        if batch.parked.is_empty() && are_all {
            self.parked.remove(key);
        }
        self.parked_events = self.parked_events.saturating_sub(taken);
        self.tell_parked();
        Ok((taken, are_all || !batch.parked.is_empty()))
    }
}
