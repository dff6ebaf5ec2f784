//! Bulk exports (Bulk Data Access IG 2.0): the state of one position of the log as files, prepared in the background.
//!
//! The log keeps what was, so an export copies nothing. It goes through the log once, step by step, and notes the
//! positions that its files consist of; their lines are read from the log when a client fetches them. So a file is as
//! exact as the log, it is sealed where the log is, and what is erased from the log is in no file any more.
//!
//! What is noted of an export stands in Postgres. Every server of a workspace answers for every export, and works on those
//! that nobody works on: a server that dies leaves behind exactly what the next one has to do.

mod file;
mod filter;
mod job;
mod migrate;
mod reach;
mod store;
mod walk;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anamnesis_events::{Log, LogError, Position, READ_EVENTS_MAX};
use anamnesis_projections::search::{DateEquals, Restriction, SearchIndex};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use file::{BrokenOff, Lines};
pub use job::{File, Job, Level, Order, Owner, State};
pub use store::StoreError;

use store::Store;
use walk::Sources;
use worker::Worker;

/// How exports are done, with the reasons for the defaults.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// How long the files of an export are kept when it is done: over a night and the day after.
    pub kept_for: Duration,
    /// Exports of a workspace that are kept at the same time.
    pub jobs_max: usize,
    /// Resources in all exports of a workspace together; each takes some eight bytes.
    pub resources_max: u64,
    /// Resources in one file: some hundred megabytes, which a client can fetch again if the connection breaks.
    pub file_resources_max: u64,
    /// For how long a server that works on an export is not disturbed: longer than any step takes. After a server has
    /// died another one goes on so much later.
    pub lease: Duration,
    /// Positions that one step looks at, or resources of one member of a group: some tens of milliseconds of one connection.
    pub step_positions: usize,
    /// When a date is equal to another, as in searches: scopes may ask for dates.
    pub date_equals: DateEquals,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            kept_for: Duration::from_hours(24),
            jobs_max: 100,
            resources_max: 500_000_000,
            file_resources_max: 100_000,
            lease: Duration::from_secs(30),
            step_positions: 5000,
            date_equals: DateEquals::default(),
        }
    }
}

/// Why exports cannot be told of.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// What is noted of them cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The exports of a service, done by this process and by the others that serve it. Cheap to clone.
#[derive(Clone)]
pub struct Exports {
    store: Store,
    log: Log,
    sources: Sources,
    options: ExportOptions,
    begun: Arc<Notify>,
    stop: CancellationToken,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl std::fmt::Debug for Exports {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Exports").field("log", &self.log).finish_non_exhaustive()
    }
}

impl Exports {
    /// Brings the tables up to date and starts to work for the service with this name. `bases` are its addresses without a
    /// last slash: references that begin with them are its own.
    ///
    /// # Errors
    /// The database cannot be reached, or is newer than this program.
    pub async fn start(
        database: &str,
        (log, service): (&Log, &str),
        index: &SearchIndex,
        bases: Vec<String>,
        options: ExportOptions,
    ) -> Result<Self, StoreError> {
        let store = Store::open(database, log.number(), service).await?;
        let begun = Arc::new(Notify::new());
        let sources = Sources {
            log: log.clone(),
            index: index.clone(),
            bases,
            date_equals: options.date_equals,
            step_positions: options.step_positions.clamp(1, READ_EVENTS_MAX),
        };
        let worker = Worker {
            sources: sources.clone(),
            store: store.clone(),
            options: options.clone(),
            begun: begun.clone(),
        };
        let stop = CancellationToken::new();
        let task = Handle::current().spawn(worker.run(stop.clone()));
        let task = Arc::new(Mutex::new(Some(task)));
        Ok(Self { store, log: log.clone(), sources, options, begun, stop, task })
    }

    /// What is wrong with a filter (`Type?criteria`) of an export from the service with this address, in words without values.
    ///
    /// # Errors
    /// That.
    pub fn check_filter(&self, base: &str, filter: &str) -> Result<(), String> {
        filter::Filter::read(&self.sources, base, filter).map(drop)
    }

    /// Begins an export; its id.
    ///
    /// # Errors
    /// There are too many, or they cannot be written.
    pub async fn begin(&self, order: &Order) -> Result<String, StoreError> {
        let id = self.store.begin(order, self.options.kept_for, self.options.jobs_max).await?;
        self.begun.notify_one();
        Ok(id)
    }

    /// The export with this id, where somebody who may see as much of the resources has begun it; nobody else's is there.
    ///
    /// # Errors
    /// Exports cannot be read.
    pub async fn find(
        &self,
        id: &str,
        owner: &Owner,
        restriction: Option<&Restriction>,
    ) -> Result<Option<Job>, StoreError> {
        let job = self.store.job(id).await?;
        Ok(job.filter(|job| job.order.owner == *owner && job.order.restriction.as_deref() == restriction))
    }

    /// The files of an export that is done, without what was erased since it began; and how much that is.
    ///
    /// # Errors
    /// Exports or the log cannot be read.
    pub async fn files(&self, job: &Job) -> Result<(Vec<File>, u64), ExportError> {
        let mut files = self.store.files(&job.id).await?;
        let mut erased: HashMap<(String, u32), u64> = HashMap::new();
        let mut after = Position::ZERO;
        loop {
            let positions = self.log.erased_since(job.order.position, after, READ_EVENTS_MAX).await?;
            let Some(last) = positions.last() else { break };
            after = *last;
            for (file, count) in self.store.holding(&job.id, &positions).await? {
                *erased.entry(file).or_default() += count;
            }
        }
        for file in &mut files {
            let gone = erased.get(&(file.resource_type.clone(), file.number)).copied().unwrap_or(0);
            file.resources = file.resources.saturating_sub(gone);
        }
        files.retain(|file| file.resources > 0);
        Ok((files, job.gone + erased.values().sum::<u64>()))
    }

    /// The lines of a file; `None` where there is none.
    ///
    /// # Errors
    /// Exports cannot be read.
    pub async fn lines(
        &self,
        job: &Job,
        resource_type: &str,
        number: u32,
    ) -> Result<Option<Lines>, StoreError> {
        let files = self.store.files(&job.id).await?;
        let is_it = |file: &File| file.resource_type == resource_type && file.number == number;
        let Some(file) = files.into_iter().find(is_it) else { return Ok(None) };
        Ok(Some(Lines {
            log: self.log.clone(),
            store: self.store.clone(),
            job: job.id.clone(),
            resource_type: file.resource_type,
            number,
            resources: file.resources,
        }))
    }

    /// Removes an export with its files; one that is being done is given up.
    ///
    /// # Errors
    /// Exports cannot be written.
    pub async fn remove(&self, job: &Job) -> Result<(), StoreError> {
        self.store.remove(&job.id).await
    }

    /// Removes the exports of the workspace that were begun for one patient alone, by a token that was bounded to it; how
    /// many. The resources of a patient that are erased are in no file from then on, whoever has begun the export; this is
    /// for what the exports themselves say of the patient.
    ///
    /// # Errors
    /// Exports cannot be written.
    pub async fn forget_patient(&self, patient: &str) -> Result<u64, StoreError> {
        self.store.forget(patient).await
    }

    /// Stops to work; what is under way is gone on with by another server, or by the next one.
    pub async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // One that has panicked has been logged by its runtime.
            let _ended = task.await;
        }
    }
}
