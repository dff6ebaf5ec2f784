//! Runs a projection: reads the feed, cuts it into batches, has them written, tells how far it has come.

mod batch;
mod worker;

use std::sync::{Arc, Mutex, PoisonError};

use anamnesis_events::{Clock, Event, Feed, Log, LogError, Position, PostgresFeed, ResourceKey};
use chrono::Utc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::checkpoint::{self, Name, Standing};
use crate::database::Database;
use crate::parked::marks::Resources;
use crate::{Parked, Progress, Projection, ProjectionError, parked, tables};
use worker::{Beginning, Worker};

/// Orders of operators that may wait.
const COMMANDS_MAX: usize = 16;

/// Where a runner's events come from.
pub trait Source: Send + Sync + 'static {
    /// Events after a position, in order.
    type Feed: Feed;

    /// The events after `after`. Asked for again when the runner has to begin elsewhere.
    fn feed(&self, after: Position) -> Self::Feed;

    /// Single events, in the order asked for: those that were parked.
    fn fetch(&self, positions: &[Position]) -> impl Future<Output = Result<Vec<Event>, LogError>> + Send;

    /// The end of what the feed gives, as far as this process knows: the lag is measured against it.
    fn head(&self) -> watch::Receiver<Position>;

    /// The log's own end, as the database has it now.
    fn end(&self) -> impl Future<Output = Result<Position, LogError>> + Send;

    /// The end of what the feed gives, as the database has it now: of a feed that leaves events out, the last of those that
    /// it does not.
    fn last(&self) -> impl Future<Output = Result<Position, LogError>> + Send {
        self.end()
    }
}

/// Reads from Postgres alone.
impl Source for Log {
    type Feed = PostgresFeed;

    fn feed(&self, after: Position) -> PostgresFeed {
        Log::feed(self, after)
    }

    fn fetch(&self, positions: &[Position]) -> impl Future<Output = Result<Vec<Event>, LogError>> + Send {
        Log::fetch(self, positions)
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.watch()
    }

    fn end(&self) -> impl Future<Output = Result<Position, LogError>> + Send {
        Log::head(self)
    }
}

/// Limits of a [`Runner`].
#[derive(Clone)]
pub struct RunnerOptions {
    /// Events in one database transaction; a transaction bundle that is larger is not cut. More makes writing
    /// cheaper by the event, and waiting for a position longer.
    pub batch_events_max: usize,
    /// Tells the time for the metrics.
    pub clock: Clock,
}

impl Default for RunnerOptions {
    fn default() -> Self {
        Self { batch_events_max: 1000, clock: Arc::new(Utc::now) }
    }
}

impl std::fmt::Debug for RunnerOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("RunnerOptions");
        shown.field("batch_events_max", &self.batch_events_max).finish_non_exhaustive()
    }
}

/// What an operator asks of a running projection.
enum Command {
    Unpark { key: ResourceKey, answer: oneshot::Sender<Result<usize, ProjectionError>> },
}

/// A running projection. It owns the task that writes; dropping it stops the task at the end of its batch.
#[derive(Debug)]
pub struct Runner {
    name: Name,
    database: Database,
    progress: Progress,
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
    _stop_when_dropped: DropGuard,
}

impl Runner {
    /// Makes the projection's tables where they are missing, and begins to write where the checkpoint stands. Several
    /// processes may run the same projection: one of them writes each batch, the others follow. A checkpoint beyond the
    /// log's end is of another history (the log was restored from a backup): the projection is built again from nothing.
    ///
    /// The first version of a projection over a log becomes the active one; another that was not announced
    /// ([`crate::Versions`]) is a scratch version.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the tables; when the version is gone, has rows of another form, or
    /// is made from other inputs.
    pub async fn start<P: Projection, S: Source>(
        database: Database,
        projection: P,
        source: S,
        log: i16,
        options: RunnerOptions,
    ) -> Result<Self, ProjectionError> {
        let name = Name { name: projection.name(), version: projection.version(), log };
        tables::prepare(&database, &projection, &name).await?;
        let client = database.get().await?;
        let Standing { mut position, unparked } = checkpoint::read(&**client, &name).await?;
        // Read after the checkpoint, which is never beyond the log that it is of.
        let end = source.end().await?;
        if position > end {
            tell_other_history(&name, position, end);
            position = checkpoint::forget_everything(&database, &projection, &name).await?;
        }
        let (events, resources) = parked::all(&**client, &name).await?;
        drop(client);
        let beginning =
            Beginning { resources: Resources::new(resources), events, unparked, moved_at: Arc::default() };
        let (reached, progress) = watch::channel(position);
        let version = (name.version, projection.inputs().clone());
        let progress =
            Progress::new(version, progress, beginning.resources.watch(), beginning.moved_at.clone());
        let (commands, orders) = mpsc::channel(COMMANDS_MAX);
        let stop = CancellationToken::new();
        let runtime = database.runtime().clone();
        let worker = Worker::new(
            name,
            database.for_writer()?,
            projection,
            source,
            options,
            reached,
            orders,
            beginning,
        );
        let task = runtime.spawn(worker.run(stop.clone()));
        Ok(Self {
            name,
            database,
            progress,
            commands,
            _stop_when_dropped: stop.clone().drop_guard(),
            stop,
            task: Mutex::new(Some(task)),
        })
    }

    /// How far the projection has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Parked events after a position, in order, at most `count_max`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn parked(&self, after: Position, count_max: usize) -> Result<Vec<Parked>, ProjectionError> {
        let client = self.database.get().await?;
        Ok(parked::list(&**client, &self.name, after, count_max).await?)
    }

    /// Takes the parked events of a resource, in order, and answers how many could be taken. What still cannot be
    /// taken stays parked, with all that comes after it.
    ///
    /// # Errors
    /// When the database or the log fails, or the runner has ended.
    pub async fn unpark(&self, key: &ResourceKey) -> Result<usize, ProjectionError> {
        let (answer, answered) = oneshot::channel();
        let command = Command::Unpark { key: key.clone(), answer };
        self.commands.send(command).await.map_err(|_| ProjectionError::Stopped)?;
        answered.await.map_err(|_| ProjectionError::Stopped)?
    }

    /// Whether the task has ended: it was stopped, the log was closed, or the version was taken away.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        task.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Stops writing at the end of the batch under way, and waits for it. Stopping again does nothing.
    pub async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // A task that panicked has been logged by its runtime.
            let _ = task.await;
        }
    }
}

fn tell_other_history(name: &Name, position: Position, end: Position) {
    tracing::warn!(
        projection = name.name,
        checkpoint = position.get(),
        head = end.get(),
        "the projection stands at position {position}, the log ends at {end}: \
         it is of another history and is built again"
    );
}
