//! Asking the engine over what is stored.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anamnesis_events::{Log, Position};
use anamnesis_fhir::terminology::{Engine, Published};

use super::TerminologyProjection;
use super::fetch::Fetcher;
use super::snapshot::{Fetched, Snapshot};
use super::source::OfTypes;
use super::tables::{NAME, Tables};
use crate::{Active, Database, ProjectionError, RunnerOptions, Supervisor, SupervisorOptions};

/// How often a question is put again after something was fetched for it: a line of value sets that draw on each other
/// may be 16 long, and each may need a code system.
const ROUNDS_MAX: usize = 64;
/// How long a question waits for what was just written.
const WAIT: Duration = Duration::from_secs(5);
/// Definitions that are kept between questions, until one is written.
const KEPT_MAX: usize = 500;
/// Events in one batch: a fragment of a code system has thousands of rows.
const BATCH_EVENTS_MAX: usize = 8;

/// Stored terminology and that of R4. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TerminologyIndex(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    database: Database,
    source: OfTypes,
    active: Active,
    checked: Mutex<Checked>,
    kept: Mutex<Kept>,
}

/// The log's end when it was last looked at, and the last event of terminology then.
#[derive(Debug, Default, Clone, Copy)]
struct Checked {
    head: Position,
    last: Position,
}

/// What was fetched, and by which rows.
#[derive(Debug, Default)]
struct Kept {
    version: i32,
    reached: Position,
    fetched: Arc<Fetched>,
}

impl TerminologyIndex {
    /// Starts the projection of a log, and opens it.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the tables.
    pub async fn start(
        database: &Database,
        log: &Log,
        runner: RunnerOptions,
    ) -> Result<(Supervisor, Self), ProjectionError> {
        let source = OfTypes::new(log);
        let runner = RunnerOptions { batch_events_max: BATCH_EVENTS_MAX, ..runner };
        let options = SupervisorOptions {
            runner,
            building_batch_max: BATCH_EVENTS_MAX,
            ..SupervisorOptions::default()
        };
        let number = log.number();
        let of_version = move |version| TerminologyProjection::new(number, version);
        let supervisor = Supervisor::start(database, of_version, source.clone(), number, options).await?;
        let inner = Inner {
            database: database.clone(),
            source,
            active: supervisor.active(),
            checked: Mutex::default(),
            kept: Mutex::default(),
        };
        Ok((supervisor, Self(Some(Arc::new(inner)))))
    }

    /// Puts a question to the engine, again and again until nothing is lacking. What the log has when it is asked is
    /// there. Without a projection R4's own definitions answer.
    ///
    /// # Errors
    /// When the database or the log fails, the projection is late, or too much would have to be fetched.
    pub async fn ask<T>(&self, question: impl Fn(&Engine<'_>) -> T) -> Result<T, ProjectionError> {
        match &self.0 {
            None => Ok(question(&Engine::new(&Published))),
            Some(inner) => inner.ask(question).await,
        }
    }
}

impl Inner {
    async fn ask<T>(&self, question: impl Fn(&Engine<'_>) -> T) -> Result<T, ProjectionError> {
        self.catch_up().await?;
        let progress = self.active.now().ok_or(ProjectionError::NotReadable { name: NAME })?;
        let (version, reached) = (progress.version(), progress.reached());
        let mut fetched = self.kept(version, reached);
        let fetcher = Fetcher::new(&self.database, self.source.log(), Tables::of(version));
        for _ in 0..ROUNDS_MAX {
            let snapshot = Snapshot::new(&fetched);
            let answer = question(&Engine::new(&snapshot));
            let needs = snapshot.needs();
            if needs.is_empty() {
                self.keep(version, reached, &fetched);
                return Ok(answer);
            }
            let more = fetcher.fetch(needs, &fetched).await?;
            fetched = Arc::new(fetched.with(more));
        }
        Err(ProjectionError::TooCostly)
    }

    /// Waits until the tables have what the log has.
    async fn catch_up(&self) -> Result<(), ProjectionError> {
        let head = self.source.log().head().await?;
        let checked = *self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let last = if checked.head == head { checked.last } else { self.source.last().await? };
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = Checked { head, last };
        if self.active.reached() < last {
            self.source.look();
            let late =
                |late: crate::Late| ProjectionError::Late { wanted: late.wanted, reached: late.reached };
            self.active.wait_for(last, WAIT).await.map_err(late)?;
        }
        Ok(())
    }

    fn kept(&self, version: i32, reached: Position) -> Arc<Fetched> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = kept.version == version && kept.reached == reached;
        if is_good { Arc::clone(&kept.fetched) } else { Arc::default() }
    }

    /// Keeps what may be asked for again: not the parts of large systems, of which every question has its own.
    fn keep(&self, version: i32, reached: Position, fetched: &Arc<Fetched>) {
        let small =
            if fetched.parts.is_empty() { Arc::clone(fetched) } else { Arc::new(fetched.without_parts()) };
        let fetched = if small.len() <= KEPT_MAX { small } else { Arc::default() };
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Kept { version, reached, fetched };
    }
}
