//! Asking the engine over what is stored.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anamnesis_events::{Log, Position};
use anamnesis_fhir::terminology::{
    Budget, Canonical, Direction, Engine, ListError, Membership, Published, SystemCode, Terminology,
};

use super::TerminologyProjection;
use super::fetch::Fetcher;
use super::fetch::places::Places;
use super::orders::Orders;
use super::rows::TYPES;
use super::snapshot::{Fetched, Need, Snapshot};
use super::tables::{NAME, Tables};
use crate::{
    Active, Database, Inputs, OfTypes, ProjectionError, RunnerOptions, Source, Supervisor, SupervisorOptions,
    processor,
};

/// How often a question is put again after something was fetched for it: a line of value sets that draw on each other
/// may be 16 long, and each may need a code system.
const ROUNDS_MAX: usize = 64;
/// Definitions that may be fetched for one question. R4's own value sets draw on less than a hundred.
const FETCHED_MAX: usize = 2_000;
/// Work on a question that is done where it is asked: some milliseconds. A longer one goes to another thread.
const SHORT_WORK: u64 = 20_000;
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
    orders: Orders,
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
        let source = OfTypes::new(log, &TYPES);
        let runner = RunnerOptions { batch_events_max: BATCH_EVENTS_MAX, ..runner };
        let options = SupervisorOptions {
            runner,
            building_batch_max: BATCH_EVENTS_MAX,
            ..SupervisorOptions::default()
        };
        let number = log.number();
        let of_version = move |version, _: &Inputs| Ok(TerminologyProjection::new(number, version));
        let supervisor = Supervisor::start(database, of_version, source.clone(), number, options).await?;
        let inner = Inner {
            database: database.clone(),
            source,
            active: supervisor.active(),
            checked: Mutex::default(),
            kept: Mutex::default(),
            orders: Orders::default(),
        };
        Ok((supervisor, Self(Some(Arc::new(inner)))))
    }

    /// Puts a question to the engine, again and again until nothing is lacking. What the log has when it is asked is
    /// there. Without a projection R4's own definitions answer.
    ///
    /// # Errors
    /// When the database or the log fails, the projection is late, or too much would have to be fetched.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(&Engine<'_>) -> T + Send + Sync + 'static,
    ) -> Result<T, ProjectionError> {
        let session = Arc::new(self.session());
        let question = Arc::new(move |session: &Session| session.with(&question));
        loop {
            let answer = session.put(&question).await?;
            if !session.fetch_missing().await? {
                return Ok(answer);
            }
        }
    }

    /// The resources that a code system is stored in, and which of them have these codes: as the log has it now.
    ///
    /// # Errors
    /// When the database or the log fails, or the projection is late.
    pub async fn places(
        &self,
        url: &str,
        version: Option<&str>,
        codes: &[String],
    ) -> Result<Places, ProjectionError> {
        let Some(inner) = &self.0 else { return Err(ProjectionError::NotReadable { name: NAME }) };
        inner.catch_up().await?;
        let progress = inner.active.now().ok_or(ProjectionError::NotReadable { name: NAME })?;
        let fetcher = inner.fetcher(progress.version());
        fetcher.places(&Canonical::new(url, version.map(str::to_owned)), codes).await
    }

    /// Begins a session, which costs nothing until it is asked for something.
    #[must_use]
    pub fn session(&self) -> Session {
        Session {
            inner: self.0.clone(),
            state: Mutex::default(),
            short: Budget::new(SHORT_WORK),
            whole: Budget::default(),
            is_long: AtomicBool::new(false),
        }
    }
}

/// Answers from what has been fetched for one request, and notes what it lacks. Whoever has asked calls
/// [`Session::fetch_missing`], and asks again where something was fetched: the answers before may be wrong.
#[derive(Debug)]
pub struct Session {
    inner: Option<Arc<Inner>>,
    state: Mutex<State>,
    /// What may be done at once, and in all.
    short: Budget,
    whole: Budget,
    is_long: AtomicBool,
}

/// Ends the work where nobody waits for it any more.
struct Waiting<'s>(&'s Session);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.whole.stop();
    }
}

#[derive(Debug, Default)]
struct State {
    fetched: Arc<Fetched>,
    needs: HashSet<Need>,
    rounds: usize,
    fetched_count: usize,
    /// The version that is read and how far it had come; none before the first fetch.
    reading: Option<(i32, Position)>,
}

impl Session {
    /// Puts a question: at once where that takes little work, else on another thread, until it is answered or dropped.
    ///
    /// # Errors
    /// [`ProjectionError::Crowded`].
    pub async fn put<T, Q>(self: &Arc<Self>, question: &Arc<Q>) -> Result<T, ProjectionError>
    where
        T: Send + 'static,
        Q: Fn(&Self) -> T + Send + Sync + 'static,
    {
        if !self.is_long.load(Ordering::Relaxed) {
            let answer = question(self);
            if !self.short.is_spent() {
                return Ok(answer);
            }
            self.is_long.store(true, Ordering::Relaxed);
        }
        let waiting = Waiting(self);
        let (session, question) = (Arc::clone(self), Arc::clone(question));
        let answer = processor::compute(move || question(&session)).await?;
        std::mem::forget(waiting);
        Ok(answer)
    }

    fn budget(&self) -> &Budget {
        if self.is_long.load(Ordering::Relaxed) { &self.whole } else { &self.short }
    }

    /// Puts a question to the engine once.
    pub fn with<T>(&self, question: impl FnOnce(&Engine<'_>) -> T) -> T {
        if self.inner.is_none() {
            return question(&Engine::within(&Published, self.budget()));
        }
        let fetched = Arc::clone(&self.state().fetched);
        let snapshot = Snapshot::new(&fetched);
        let answer = question(&Engine::within(&snapshot, self.budget()));
        self.state().needs.extend(snapshot.needs());
        answer
    }

    /// Fetches what was lacking; false where nothing was.
    ///
    /// # Errors
    /// When the database or the log fails, the projection is late, or too much would have to be fetched.
    pub async fn fetch_missing(&self) -> Result<bool, ProjectionError> {
        let Some(inner) = &self.inner else { return Ok(false) };
        let (needs, mut fetched, reading) = {
            let mut state = self.state();
            let needs = std::mem::take(&mut state.needs);
            state.rounds += 1;
            state.fetched_count += needs.iter().filter(|need| need.is_definition()).count();
            if state.rounds > ROUNDS_MAX || state.fetched_count > FETCHED_MAX {
                return Err(ProjectionError::TooMuchWork);
            }
            (needs, Arc::clone(&state.fetched), state.reading)
        };
        if needs.is_empty() {
            if let Some((version, reached)) = reading {
                inner.keep(version, reached, &fetched);
            }
            return Ok(false);
        }
        let (version, reached) = match reading {
            Some(reading) => reading,
            None => {
                inner.catch_up().await?;
                let progress = inner.active.now().ok_or(ProjectionError::NotReadable { name: NAME })?;
                let reading = (progress.version(), progress.reached());
                fetched = inner.kept(reading.0, reading.1);
                reading
            }
        };
        let needs = needs.into_iter().filter(|need| !fetched.has(need)).collect();
        let more = match Box::pin(inner.fetcher(version).fetch(needs, &fetched)).await {
            // What is known is not so any more, and would be mixed with what came after it.
            Err(ProjectionError::MovedOn) => {
                inner.keep(version, reached, &Arc::default());
                let mut state = self.state();
                (state.fetched, state.reading) = (Arc::default(), None);
                return Ok(true);
            }
            more => more?,
        };
        let mut state = self.state();
        state.fetched = Arc::new(fetched.with(more));
        state.reading = Some((version, reached));
        Ok(true)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Terminology for Session {
    fn validate_code(&self, value_set: &str, system: Option<&str>, code: &str) -> Membership {
        self.with(|engine| engine.validate_code(value_set, system, code))
    }

    fn codes(&self, value_set: &str, codes_max: usize) -> Result<Vec<SystemCode>, ListError> {
        self.with(|engine| engine.codes(value_set, codes_max))
    }

    fn related(
        &self,
        system: &str,
        code: &str,
        direction: Direction,
        codes_max: usize,
    ) -> Result<Vec<String>, ListError> {
        self.with(|engine| engine.related(system, code, direction, codes_max))
    }
}

impl Inner {
    fn fetcher(&self, version: i32) -> Fetcher<'_> {
        Fetcher::new(&self.database, self.source.log(), &self.orders, Tables::of(version))
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

#[cfg(test)]
mod tests {
    use super::*;
    use anamnesis_fhir::terminology::{ExpansionRequest, ValueSet};

    /// A value set whose list takes more than a little work.
    fn long(parts: usize) -> ValueSet {
        let mut set = ValueSet::of_system("urn:long", "http://terminology.hl7.org/CodeSystem/v3-ActCode");
        set.include = vec![set.include[0].clone(); parts];
        set
    }

    #[tokio::test]
    async fn a_long_question_is_answered_beside_the_serving_thread() {
        let serving = std::thread::current().id();
        let asked = |parts: usize| {
            let set = long(parts);
            async move {
                let ask = move |engine: &Engine<'_>| {
                    let expansion = engine.expand(&set, &ExpansionRequest::default());
                    (expansion.map(|expansion| expansion.total), std::thread::current().id() == serving)
                };
                TerminologyIndex::default().ask(ask).await
            }
        };
        let (total, is_serving) = asked(1).await.unwrap();
        assert!(is_serving && total.clone().unwrap() > Some(1_000));
        assert_eq!(asked(20).await.unwrap(), (total, false));
        assert_eq!(asked(2_000).await.unwrap(), (Err(ListError::TooMuchWork), false));
    }

    #[tokio::test]
    async fn work_ends_when_nobody_waits_for_it() {
        let (began, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let (ended, mut ends) = tokio::sync::mpsc::unbounded_channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = Mutex::new(released);
        let (set, serving) = (long(1), std::thread::current().id());
        let index = TerminologyIndex::default();
        let mut asking = Box::pin(index.ask(move |engine| {
            if std::thread::current().id() == serving {
                // Too much for the short try.
                while engine.expand(&set, &ExpansionRequest::default()).is_ok() {}
                return;
            }
            began.send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
            ended.send(engine.expand(&set, &ExpansionRequest::default())).unwrap();
        }));
        tokio::select! {
            _ = &mut asking => unreachable!("it waits to be released"),
            _ = begins.recv() => {}
        }
        drop(asking);
        release.send(()).unwrap();
        assert_eq!(ends.recv().await, Some(Err(ListError::TooMuchWork)));
    }
}
