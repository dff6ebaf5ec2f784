//! What a projection is: events in, rows out, and how the rows are written.

use anamnesis_events::{Event, Position, ResourceKey};
use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;

use crate::{Inputs, ProjectionError, inputs};

/// Why a projection cannot take an event. Holds nothing of the resource's content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Poison {
    /// The reason, for an operator.
    pub reason: String,
}

impl Poison {
    /// Poison for this reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// What the events of one batch make of one resource.
#[derive(Debug)]
pub struct Change<R> {
    /// The resource.
    pub key: ResourceKey,
    /// The event that it stands at now.
    pub position: Position,
    /// When that event was recorded.
    pub recorded_at: DateTime<Utc>,
    /// The event that it stood at before the batch, if it was there.
    pub replaces: Option<Position>,
    /// Its rows.
    pub rows: R,
    /// What it was in between, in order: a batch may hold several events of a resource.
    pub passed: Vec<Passed<R>>,
}

/// What a resource was for a moment: the next event of the batch has superseded it. Another version, whose batches are
/// cut elsewhere, may have shown it to readers who still turn pages.
#[derive(Debug)]
pub struct Passed<R> {
    /// The event that it stood at.
    pub position: Position,
    /// When that event was recorded.
    pub recorded_at: DateTime<Utc>,
    /// Its rows.
    pub rows: R,
    /// The event that superseded it.
    pub until: Position,
    /// When that one was recorded.
    pub until_at: DateTime<Utc>,
}

/// Versions of a resource whose bodies an event of the batch has erased. What a projection keeps of them goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasing {
    /// The resource.
    pub key: ResourceKey,
    /// The event that erases.
    pub by: Position,
    /// The last event that is erased.
    pub last: Position,
    /// All before that one are erased too.
    pub all: bool,
    /// The resource is parked: the batch has no change of it, and what it was before is still there.
    pub is_parked: bool,
}

/// A read model: a pure function of events to rows, with a name and a version.
///
/// The same events give the same rows, in whatever batches they come: no clock, no randomness, no look at other
/// tables. Another version of the same projection has tables of its own, and is built beside (see [`crate::Versions`]).
pub trait Projection: Send + Sync + 'static {
    /// What one event gives.
    type Rows: Send + Sync;

    /// A word of lower-case letters, part of the names of its tables.
    fn name(&self) -> &'static str;

    /// The number of the version, from 1, part of the names of its tables.
    fn version(&self) -> i32;

    /// The form of the rows: what the code writes and reads.
    fn schema(&self) -> i32;

    /// What the rows are made from beside the events: the same for all who write this version. Versions of the same
    /// form and the same inputs have the same rows.
    fn inputs(&self) -> &Inputs {
        &inputs::NONE
    }

    /// The rows of an event; of a delete too, and of one whose body was erased, which a later event of the resource follows.
    /// Not of a purge, which makes no version.
    ///
    /// # Errors
    /// [`Poison`] parks the event's resource.
    fn rows(&self, event: &Event) -> Result<Self::Rows, Poison>;

    /// Makes the tables where they are missing. Comes again with every start.
    fn prepare(
        &self,
        transaction: &Transaction<'_>,
    ) -> impl Future<Output = Result<(), ProjectionError>> + Send;

    /// Empties the tables, for every log.
    fn clear(
        &self,
        transaction: &Transaction<'_>,
    ) -> impl Future<Output = Result<(), tokio_postgres::Error>> + Send;

    /// Takes the tables away, if they are there.
    fn remove(
        &self,
        transaction: &Transaction<'_>,
    ) -> impl Future<Output = Result<(), tokio_postgres::Error>> + Send;

    /// Writes the changes of one batch, one for each resource. `reached` is the end of the batch.
    fn write(
        &self,
        transaction: &Transaction<'_>,
        changes: &[Change<Self::Rows>],
        reached: Position,
    ) -> impl Future<Output = Result<(), tokio_postgres::Error>> + Send;

    /// Takes away what is kept of versions beside what their resources are now, after the batch was written and in its
    /// transaction. Nothing to do for a projection that keeps nothing else.
    fn erase(
        &self,
        _transaction: &Transaction<'_>,
        _erasing: &[Erasing],
    ) -> impl Future<Output = Result<(), tokio_postgres::Error>> + Send {
        std::future::ready(Ok(()))
    }
}
