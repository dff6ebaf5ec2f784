//! Keeps what can be searched by in step with what is stored and what is switched off, and has the index built again.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use anamnesis_events::{Log, LogError};
use anamnesis_fhir::search::ParameterDefinition;
use anamnesis_projections::search::{CustomParameters, ParametersError, SearchIndex};
use anamnesis_projections::{ProjectionError, Supervisor, Version};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::criteria::custom;
use super::full_text::FullText;
use super::status::{self, Told};
use super::store::{Job, Store, StoreError};
use super::{Stored, StoredParameters};

/// How often it is looked what other nodes have written and switched.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why it cannot be told or done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeeperError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The tables cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index cannot be built or looked at.
    #[error(transparent)]
    Projection(#[from] ProjectionError),
    /// The search parameters cannot be indexed together.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
}

/// What came of asking for a reindex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Begun {
    /// This job has begun.
    Job(Job),
    /// Another one is under way.
    Under(Job),
    /// A version is being built that no job asked for.
    Version(i32),
}

/// The search parameters of a service beside its index. It owns a task; dropping it stops the task.
#[derive(Debug)]
pub struct Keeper {
    pub(super) stored: Arc<StoredParameters>,
    store: Store,
    pub(super) index: SearchIndex,
    pub(super) projection: Arc<Supervisor>,
    pub(super) full_text: FullText,
    /// Whether a version with the words of texts was there, or this process has begun one.
    pub(super) has_had_words: AtomicBool,
    /// The addresses of those that are switched off.
    off: RwLock<Arc<BTreeSet<String>>>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
    _stop_when_dropped: DropGuard,
}

impl Keeper {
    /// Hides what is not to be searched by, and goes on to do so.
    ///
    /// # Errors
    /// The database or the log cannot be read.
    pub async fn start(
        database: &str,
        log: &Log,
        stored: Arc<StoredParameters>,
        (index, projection): (SearchIndex, Arc<Supervisor>),
        full_text: FullText,
    ) -> anyhow::Result<Arc<Self>> {
        let stop = CancellationToken::new();
        let keeper = Arc::new(Self {
            stored,
            store: Store::new(database, log.number())?,
            index,
            projection,
            full_text,
            has_had_words: AtomicBool::new(false),
            off: RwLock::default(),
            _stop_when_dropped: stop.clone().drop_guard(),
            stop: stop.clone(),
            task: Mutex::default(),
        });
        keeper.apply().await?;
        let task = tokio::spawn(look(Arc::downgrade(&keeper), stop));
        *keeper.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(keeper)
    }

    /// Ends the task and waits for it. Stopping again does nothing.
    pub async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // A task that panicked has been logged by its runtime.
            let _ = task.await;
        }
    }

    /// Looks what is stored and switched off now, and hides from searches what must not be searched by: what is switched
    /// off, and what is indexed but not stored (any more).
    ///
    /// # Errors
    /// The database or the log cannot be read.
    pub(crate) async fn apply(&self) -> Result<(), KeeperError> {
        self.stored.refresh().await?;
        let off = Arc::new(self.store.off().await?);
        *self.off.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&off);
        let current = self.stored.current();
        let standing: BTreeSet<&str> =
            current.stored.iter().filter_map(Stored::added).map(|one| one.url.as_str()).collect();
        let mut hidden = (*off).clone();
        let indexed = [Some(self.index.parameters()), self.index.partial().map(|index| index.parameters())];
        for one in indexed.iter().flatten().flat_map(CustomParameters::iter) {
            if !standing.contains(one.definition.url.as_str()) {
                hidden.insert(one.definition.url.clone());
            }
        }
        if *self.index.hidden() != hidden {
            self.index.hide(hidden);
        }
        Ok(())
    }

    /// How all search parameters stand.
    pub(crate) fn told(&self) -> Vec<Told> {
        let off = Arc::clone(&self.off.read().unwrap_or_else(PoisonError::into_inner));
        status::all(&self.stored.current(), (&self.index.parameters(), self.lacks_words()), &off)
    }

    /// Switches search parameters off (true) or on, by their addresses: here at once, on other nodes within about a second.
    ///
    /// # Errors
    /// As [`Keeper::apply`].
    pub(crate) async fn switch(&self, switches: &[(String, bool)], by: &str) -> Result<(), KeeperError> {
        self.store.switch(switches, crate::clock::now(), by).await?;
        self.apply().await
    }

    /// Has a version of the index built with the search parameters that are stored now, and with the words of texts where the
    /// one in use has them and the configuration does not say otherwise.
    ///
    /// # Errors
    /// The database, the log or the index fails, or the parameters cannot be indexed together.
    pub(crate) async fn reindex(&self, parameters: String, by: &str) -> Result<Begun, KeeperError> {
        self.apply().await?;
        let custom = CustomParameters::new(custom(&self.stored.current()))?
            .with_full_text(self.next_has_words().await?)?;
        // What is built stands in the database before the job does. If this process ends in between, whoever asks again
        // finds the version being built, and no job for it.
        let version = match self.projection.rebuild_with(&custom.to_inputs(), false).await {
            Ok((version, _)) => version,
            Err(ProjectionError::BeingBuilt { version }) => return self.under(version).await,
            Err(error) => return Err(error.into()),
        };
        let urls: Vec<&str> = custom.iter().map(|one| one.definition.url.as_str()).collect();
        let types: BTreeSet<&str> =
            custom.iter().flat_map(|one| one.definition.bases.iter().map(String::as_str)).collect();
        let job = Job {
            id: crate::clock::new_request_id(),
            version,
            head: i64::try_from(self.projection.head().get()).unwrap_or(i64::MAX),
            asked_at: crate::clock::now(),
            asked_by: by.to_owned(),
            parameters,
            urls: urls.join(","),
            types: types.into_iter().collect::<Vec<_>>().join(","),
        };
        match self.store.add(&job).await? {
            true => Ok(Begun::Job(job)),
            false => self.under(version).await,
        }
    }

    async fn under(&self, version: i32) -> Result<Begun, KeeperError> {
        Ok(self.store.job_of(version).await?.map_or(Begun::Version(version), Begun::Under))
    }

    /// A job, and the version of the index that is built for it as it stands.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn job(&self, id: &str) -> Result<Option<(Job, Option<Version>)>, KeeperError> {
        let Some(job) = self.store.job(id).await? else { return Ok(None) };
        let version = self.projection.versions().get(job.version).await?;
        Ok(Some((job, version)))
    }

    /// The jobs that are kept, the newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn jobs(&self) -> Result<Vec<(Job, Option<Version>)>, KeeperError> {
        let mut jobs = Vec::new();
        for job in self.store.jobs().await? {
            let version = self.projection.versions().get(job.version).await?;
            jobs.push((job, version));
        }
        Ok(jobs)
    }

    /// Gives up the version that is built for a job. False: it is not being built (any more).
    ///
    /// # Errors
    /// The database fails.
    pub(crate) async fn cancel(&self, job: &Job) -> Result<bool, KeeperError> {
        match self.projection.versions().cancel(job.version).await {
            Ok(()) => {}
            Err(ProjectionError::WrongState { .. } | ProjectionError::Unknown { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        self.projection.look();
        Ok(true)
    }

    /// Why a version waits although it is built, where this node knows.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) async fn waits(&self, version: i32) -> Result<Option<u64>, KeeperError> {
        let status = self.projection.status().await?;
        let refused = status.iter().find(|one| one.version.number == version).and_then(|one| one.refused);
        Ok(refused.and_then(|refused| match refused {
            anamnesis_projections::Switch::Parked { resources } => Some(resources),
            _ => None,
        }))
    }

    /// Whether a type has a stored search parameter with this code that the index does not have yet.
    pub(crate) fn awaits_reindex(&self, resource_type: &str, code: &str) -> bool {
        let current = self.stored.current();
        let Some(parameter) = current.registry.get(resource_type, code) else { return false };
        let is_stored = current.stored.iter().filter_map(Stored::added).any(|one| one.url == parameter.url());
        is_stored && self.index.parameters().get(parameter.url()).is_none()
    }

    /// The search parameters that the index has as they were before they were changed.
    pub(crate) fn outdated(&self) -> Vec<ParameterDefinition> {
        let indexed = self.index.parameters();
        if indexed.is_empty() {
            return Vec::new();
        }
        let current = self.stored.current();
        let stored: HashMap<&str, _> =
            current.stored.iter().filter_map(Stored::added).map(|one| (one.url.as_str(), one)).collect();
        let was_changed =
            |one: &&ParameterDefinition| stored.get(one.url.as_str()).is_some_and(|now| now != one);
        indexed.iter().map(|one| &one.definition).filter(was_changed).cloned().collect()
    }

    /// The search parameters that the index would have if it were built now.
    pub(crate) fn stored_registry(&self) -> anamnesis_fhir::search::SearchRegistry {
        self.stored.current().registry.clone()
    }
}

async fn look(keeper: Weak<Keeper>, stop: CancellationToken) {
    let mut is_failing = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let Some(keeper) = keeper.upgrade() else { return };
        let looked = match keeper.apply().await {
            Ok(()) => keeper.have_words().await,
            failed => failed,
        };
        match looked {
            Ok(()) => is_failing = false,
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(%error, "What is stored and switched off of search parameters cannot be read.");
                }
            }
        }
    }
}
