//! Keeps the versions of a projection running as the database says: one is active, another may be built beside it.

mod reconcile;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anamnesis_events::{LogError, Position, ResourceKey};
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::checkpoint::Name;
use crate::database::Database;
use crate::runner::{Runner, RunnerOptions, Source};
use crate::{Active, Inputs, Parked, Projection, ProjectionError, State, Switch, Version, Versions, parked};
use reconcile::{Reconciler, Refused};

/// How long un-parking of one resource may take: a batch that is under way comes first.
const UNPARK_WITHIN: Duration = Duration::from_secs(30);

/// Limits of a [`Supervisor`].
#[derive(Debug, Clone)]
pub struct SupervisorOptions {
    /// Limits of the runners.
    pub runner: RunnerOptions,
    /// Events in one transaction of a version that is being built. More is cheaper by the event; the database is kept
    /// from other writers a little longer at a time.
    pub building_batch_max: usize,
    /// How long a version is written on after a switch, for nodes that have not noticed it.
    pub grace: Duration,
    /// How often it is looked what other nodes have decided.
    pub look_every: Duration,
    /// What the first version is made from, where there is none yet.
    pub first: Inputs,
}

impl Default for SupervisorOptions {
    fn default() -> Self {
        Self {
            runner: RunnerOptions::default(),
            building_batch_max: 2000,
            grace: Duration::from_secs(10),
            look_every: Duration::from_secs(1),
            first: Inputs::none(),
        }
    }
}

/// A version as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionStatus {
    /// What the database knows.
    pub version: Version,
    /// How many positions it is behind the last event that concerns it, as the database knows.
    pub lag: u64,
    /// When this process saw it move last.
    pub moved_at: Option<DateTime<Utc>>,
    /// Why it could not become the active one when this process tried last.
    pub refused: Option<Switch>,
}

/// What came of un-parking.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unparked {
    /// Resources that were tried.
    pub resources: usize,
    /// Events that were taken, in the version that took most.
    pub events: usize,
    /// Resources that still have parked events in the version that readers use.
    pub still_parked: usize,
    /// There may be more after this position.
    pub next: Option<Position>,
}

/// What the supervisor's task and those who ask share.
#[derive(Debug, Default)]
struct Shared {
    runners: Mutex<BTreeMap<i32, Arc<Runner>>>,
    refused: Mutex<BTreeMap<i32, Refused>>,
    /// Versions that this program cannot run, so that it is told once.
    unreadable: Mutex<BTreeSet<i32>>,
    told: Notify,
}

impl Shared {
    fn runners(&self) -> BTreeMap<i32, Arc<Runner>> {
        self.runners.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refused(&self, number: i32) -> Option<Switch> {
        self.refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&number)
            .map(|refused| refused.outcome)
    }

    fn is_refused(&self, number: i32, is_so: impl Fn(&Refused) -> bool) -> bool {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).get(&number).is_some_and(is_so)
    }
}

/// Asks for the end of what the feed gives.
struct Last(Box<dyn Fn() -> BoxFuture<'static, Result<Position, LogError>> + Send + Sync>);

impl Last {
    fn of<S: Source + Clone>(source: &S) -> Self {
        let source = source.clone();
        Self(Box::new(move || {
            let source = source.clone();
            Box::pin(async move { source.last().await })
        }))
    }
}

impl std::fmt::Debug for Last {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Last").finish_non_exhaustive()
    }
}

/// The versions of one projection over one log, kept running in this process. What is to be done stands in the database,
/// so that it is done whoever dies meanwhile: every process that has a supervisor looks there about once a second, runs
/// every version that is to be written, switches when the new one has come as far as the active one, and takes away
/// what nobody reads any more.
///
/// It owns a task; dropping it stops the task and the runners.
#[derive(Debug)]
pub struct Supervisor {
    database: Database,
    name: &'static str,
    log: i16,
    schema: i32,
    versions: Versions,
    head: watch::Receiver<Position>,
    last: Last,
    active: Active,
    building: Active,
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
    _stop_when_dropped: DropGuard,
}

impl Supervisor {
    /// Starts the versions that are to be written, and returns when readers can be served. `make` makes the projection
    /// for a version's number and what the version is made from; one that it cannot make is not run, and the log says so.
    /// Where the rows of the active version have another form than those of `make`, a rebuild
    /// is begun, and there is no version to read until it is done. Rows of a later program are left alone: there
    /// is no version to read as long as they are in use.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the tables.
    pub async fn start<P, S, M>(
        database: &Database,
        make: M,
        source: S,
        log: i16,
        options: SupervisorOptions,
    ) -> Result<Self, ProjectionError>
    where
        P: Projection,
        S: Source + Clone,
        M: Fn(i32, &Inputs) -> Result<P, ProjectionError> + Send + Sync + 'static,
    {
        let (name, schema) = {
            let first = make(1, &Inputs::none())?;
            (first.name(), first.schema())
        };
        let versions = Versions::open(database, name, log).await?;
        versions.active_from(schema, &options.first).await?;
        let (sender, active) = watch::channel(None);
        let (sender_of_building, building) = watch::channel(None);
        let shared = Arc::new(Shared::default());
        let stop = CancellationToken::new();
        let (head, last) = (source.head(), Last::of(&source));
        let reconciler = Reconciler {
            database: database.clone(),
            versions: versions.clone(),
            make,
            source,
            log,
            schema,
            options,
            active: sender,
            building: sender_of_building,
            shared: shared.clone(),
        };
        reconciler.run_wanted().await?;
        let task = database.runtime().spawn(reconciler.run(stop.clone()));
        Ok(Self {
            database: database.clone(),
            name,
            log,
            schema,
            versions,
            head,
            last,
            active: Active::new(active),
            building: Active::new(building),
            shared,
            _stop_when_dropped: stop.clone().drop_guard(),
            stop,
            task: Mutex::new(Some(task)),
        })
    }

    /// The name of the projection.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The version that readers use.
    #[must_use]
    pub fn active(&self) -> Active {
        self.active.clone()
    }

    /// The version that is being built, as far as this process knows and can run it: it is not complete.
    #[must_use]
    pub fn building(&self) -> Active {
        self.building.clone()
    }

    /// The versions as the database knows them, also those that are gone.
    #[must_use]
    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// The end of what the projection's feed gives, as far as this process knows.
    #[must_use]
    pub fn head(&self) -> Position {
        *self.head.borrow()
    }

    /// All versions that are not gone, by number.
    ///
    /// # Errors
    /// When the database or the log cannot be read.
    pub async fn status(&self) -> Result<Vec<VersionStatus>, ProjectionError> {
        let runners = self.shared.runners();
        let versions = self.versions.list().await?;
        // Read after the versions: none is ahead of it.
        let last = (self.last.0)().await?;
        let status = |version: Version| {
            let lag = last.get().saturating_sub(version.reached.get());
            let moved_at = runners.get(&version.number).and_then(|runner| runner.progress().moved_at());
            let refused = self.shared.refused(version.number).filter(|_| version.state == State::Building);
            VersionStatus { version, lag, moved_at, refused }
        };
        Ok(versions.into_iter().map(status).collect())
    }

    /// Has the projection built again beside the version that readers use, and from what that is made from; where one is
    /// being built already, from whatever, it is that one. It goes on whatever happens to this process.
    /// The number of the version, and whether it was begun now; else it was under way already. `force`: the new version
    /// takes the place even where it has parked resources that the active one has not; also of one that is under way.
    /// It also makes a version of this program where the rows in use are of a later one: for going back to this one.
    ///
    /// # Errors
    /// [`ProjectionError::OtherSchema`] where the rows in use are of a later program, without `force`; when the
    /// database fails.
    pub async fn rebuild(&self, force: bool) -> Result<(i32, bool), ProjectionError> {
        self.begin(None, force).await
    }

    /// The same, made from these inputs instead of those of the version that readers use.
    ///
    /// # Errors
    /// [`ProjectionError::BeingBuilt`] where a version is being built from other inputs; as [`Self::rebuild`].
    pub async fn rebuild_with(&self, inputs: &Inputs, force: bool) -> Result<(i32, bool), ProjectionError> {
        self.begin(Some(inputs), force).await
    }

    /// Has a version built from what `change` makes of the inputs of the version that readers use; its number. `None` where it
    /// makes nothing of them, or a version is being built already: see [`Versions::build_changed`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rebuild_changed(
        &self,
        change: impl FnOnce(&Inputs) -> Option<Inputs>,
    ) -> Result<Option<i32>, ProjectionError> {
        let begun = self.versions.build_changed(self.schema, change).await?;
        self.shared.told.notify_one();
        Ok(begun)
    }

    async fn begin(&self, inputs: Option<&Inputs>, force: bool) -> Result<(i32, bool), ProjectionError> {
        let versions = self.versions.listed(false).await?;
        let is_later = |version: &&Version| version.state == State::Active && version.schema > self.schema;
        if let Some(later) = versions.iter().find(is_later).filter(|_| !force) {
            let (name, version, found) = (self.name, later.number, later.schema);
            return Err(ProjectionError::OtherSchema { name, version, found, own: self.schema });
        }
        let begun = self.versions.build(self.schema, inputs, force).await?;
        self.shared.told.notify_one();
        Ok(begun)
    }

    /// Gives up the version that is being built; its number, `None` where there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cancel(&self) -> Result<Option<i32>, ProjectionError> {
        let versions = self.versions.list().await?;
        let is_building =
            |version: &&Version| version.state == State::Building && version.schema == self.schema;
        let Some(building) = versions.iter().find(is_building) else { return Ok(None) };
        match self.versions.cancel(building.number).await {
            Ok(()) => {}
            // It became the active one in this moment.
            Err(ProjectionError::WrongState { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
        self.shared.told.notify_one();
        Ok(Some(building.number))
    }

    /// Parked events of a version after a position, in order, at most `count_max`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn parked(
        &self,
        version: i32,
        after: Position,
        count_max: usize,
    ) -> Result<Vec<Parked>, ProjectionError> {
        let client = self.database.get().await?;
        let name = Name { name: self.name, version, log: self.log };
        Ok(parked::list(&**client, &name, after, count_max).await?)
    }

    /// Offers the parked events of a resource again, in order, to every version that is written. One that is taken
    /// away meanwhile needs them no more. Where nothing of it is parked, that is no resource.
    ///
    /// # Errors
    /// When the database or the log fails, or a runner does not answer; when no version is left.
    pub async fn unpark(&self, key: &ResourceKey) -> Result<Unparked, ProjectionError> {
        let client = self.database.get().await?;
        if !parked::is_parked_anywhere(&**client, (self.name, self.log), key).await? {
            return Ok(Unparked::default());
        }
        drop(client);
        let mut unparked = Unparked { resources: 1, ..Unparked::default() };
        let mut left = 0;
        for (number, runner) in self.shared.runners() {
            let taken = tokio::time::timeout(UNPARK_WITHIN, runner.unpark(key)).await;
            match taken.map_err(|_late| ProjectionError::Busy)? {
                Ok(events) => {
                    left += 1;
                    unparked.events = unparked.events.max(events);
                }
                Err(ProjectionError::Unknown { .. }) => {}
                Err(ProjectionError::Stopped) if !self.versions.is_written(number).await? => {}
                Err(error) => return Err(error),
            }
        }
        if left == 0 {
            return Err(ProjectionError::NotReadable { name: self.name });
        }
        let client = self.database.get().await?;
        let still = parked::is_parked(&**client, (self.name, self.log), key).await?;
        unparked.still_parked = usize::from(still);
        Ok(unparked)
    }

    /// The same for the first resources that have parked events after a position, at most `count_max`.
    ///
    /// # Errors
    /// When the database or the log fails, or a runner does not answer.
    pub async fn unpark_all(&self, after: Position, count_max: usize) -> Result<Unparked, ProjectionError> {
        let client = self.database.get().await?;
        let found = parked::firsts(&**client, (self.name, self.log), after, count_max).await?;
        drop(client);
        let mut all = Unparked::default();
        for (position, key) in &found {
            let one = self.unpark(key).await?;
            all.resources += one.resources;
            all.events += one.events;
            all.still_parked += one.still_parked;
            all.next = Some(*position);
        }
        if found.len() < count_max {
            all.next = None;
        }
        Ok(all)
    }

    /// Looks at once what there is to do, instead of within a second.
    pub fn look(&self) {
        self.shared.told.notify_one();
    }

    /// Stops all versions at the end of the batches under way, and waits for it. Stopping again does nothing.
    pub async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // A task that panicked has been logged by its runtime.
            let _ = task.await;
        }
    }
}
