//! One look at what the database wants, and what is done about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use anamnesis_events::Position;
use metrics::{Label, gauge};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Shared, SupervisorOptions};
use crate::database::Database;
use crate::runner::{Runner, RunnerOptions, Source};
use crate::{Inputs, Progress, Projection, ProjectionError, State, Switch, Version, Versions};

/// A version that is behind the active one by no more events tries to take its place: a fraction of a second.
const NEAR: u64 = 5000;
/// Scratch versions whose maker has died are taken away after this time.
const SCRATCH_KEPT: Duration = Duration::from_secs(24 * 3600);
/// How often it is asked again whether a version has still parked more than the active one, where nobody has un-parked
/// anything: the active one may have come to park the same.
const PARKED_ASKED_EVERY: Duration = Duration::from_secs(30);

/// Why a version could not become the active one, and when that was.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) outcome: Switch,
    parked: ParkedKnown,
    /// The active one had come as far as the new one, so that what it has not parked it will not park by itself.
    is_settled: bool,
    at: Instant,
}

/// What changes when somebody does something about parked resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ParkedKnown {
    active: Option<(i32, u64)>,
    unparked: u64,
    force: bool,
}

impl ParkedKnown {
    fn of(version: &Version, active: Option<&Version>) -> Self {
        let active = active.map(|active| (active.number, active.unparked));
        Self { active, unparked: version.unparked, force: version.force }
    }
}

impl Refused {
    /// Whether it would be refused again: `reached` is how far the new version has come.
    fn still_holds(&self, reached: Position, parked: ParkedKnown) -> bool {
        match self.outcome {
            // The active version is held still for a switch: not again before this one has moved.
            Switch::Behind { active, .. } => reached < active,
            Switch::Parked { .. } => {
                self.is_settled && self.parked == parked && self.at.elapsed() < PARKED_ASKED_EVERY
            }
            Switch::Done => false,
        }
    }
}

pub(super) struct Reconciler<S, M> {
    pub(super) database: Database,
    pub(super) versions: Versions,
    pub(super) make: M,
    pub(super) source: S,
    pub(super) log: i16,
    pub(super) schema: i32,
    pub(super) options: SupervisorOptions,
    pub(super) active: watch::Sender<Option<Progress>>,
    pub(super) building: watch::Sender<Option<Progress>>,
    pub(super) shared: Arc<Shared>,
}

impl<P, S, M> Reconciler<S, M>
where
    P: Projection,
    S: Source + Clone,
    M: Fn(i32, &Inputs) -> Result<P, ProjectionError> + Send + Sync + 'static,
{
    /// Looks again and again until it is told to stop; then stops the runners.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut is_moving = true;
        let mut has_failed = false;
        loop {
            if !is_moving {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = self.shared.told.notified() => {}
                    () = tokio::time::sleep(self.options.look_every) => {}
                }
            }
            // What is begun is not broken off: a switch, or tables that are made.
            is_moving = match self.reconcile().await {
                Ok(is_moving) => {
                    has_failed = false;
                    is_moving
                }
                Err(error) => {
                    // Told once: a database that is away is away for many looks.
                    if !std::mem::replace(&mut has_failed, true) {
                        tracing::warn!(%error, "the versions of a projection could not be looked after; trying again");
                    }
                    false
                }
            };
            if stop.is_cancelled() {
                break;
            }
        }
        for runner in self.shared.runners().into_values() {
            runner.stop().await;
        }
    }

    /// Runs what is to be written, so that readers can be served.
    pub(super) async fn run_wanted(&self) -> Result<Vec<Version>, ProjectionError> {
        let versions = self.versions.listed(false).await?;
        for version in versions.iter().filter(|version| self.is_wanted(version)) {
            match self.run_version(version).await {
                Ok(()) => {}
                Err(error @ ProjectionError::Inputs { .. }) => self.tell_unreadable(version, &error),
                Err(error) if version.state == State::Active => return Err(error),
                // Readers do without it.
                Err(error) => tracing::warn!(version = version.number, %error, "a version cannot be run"),
            }
        }
        self.point(&versions);
        self.tell_active(&versions);
        Ok(versions)
    }

    /// A version that this program cannot make: readers do without it until another one takes its place. Told once.
    fn tell_unreadable(&self, version: &Version, error: &ProjectionError) {
        let mut told = self.shared.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(version.number) {
            let (version, state) = (version.number, version.state.word());
            tracing::error!(version, state, %error, "a version of a projection cannot be run by this program");
        }
    }

    /// Which version counts, for those who watch the figures of all.
    fn tell_active(&self, versions: &[Version]) {
        let (name, log) = (self.versions.name(), self.log.to_string());
        for version in versions {
            let labels = [
                Label::from_static_parts("projection", name),
                Label::new("version", version.number.to_string()),
                Label::new("log", log.clone()),
            ];
            let is_active = f64::from(u8::from(version.state == State::Active));
            gauge!("anamnesis_projection_active", labels.iter()).set(is_active);
        }
    }

    /// True: something has changed that may allow for more.
    async fn reconcile(&self) -> Result<bool, ProjectionError> {
        let versions = self.run_wanted().await?;
        let runners = self.shared.runners();
        let wanted = versions.iter().filter(|version| self.is_wanted(version));
        let numbers: BTreeSet<i32> = wanted.map(|version| version.number).collect();
        for (number, runner) in runners.iter().filter(|(number, _)| !numbers.contains(number)) {
            runner.stop().await;
            self.shared.runners.lock().unwrap_or_else(PoisonError::into_inner).remove(number);
        }
        self.cancel_outdated(&versions).await?;
        self.remove_unwanted(&versions).await;
        if self.must_rebuild(&versions) {
            let (number, _) = self.versions.build(self.schema, None, false).await?;
            tracing::warn!(
                version = number,
                "the index has rows of another form than this program; it is built again"
            );
            return Ok(true);
        }
        self.switch(&versions, &runners).await
    }

    /// Whether this process writes the version.
    fn is_wanted(&self, version: &Version) -> bool {
        version.state.is_written() && version.schema == self.schema && !self.is_over(version)
    }

    /// Whether nobody can be reading the version any more, or nobody ever will.
    fn is_over(&self, version: &Version) -> bool {
        let after = match version.state {
            State::Retiring => self.options.grace,
            State::Scratch => SCRATCH_KEPT,
            State::Cancelled => Duration::ZERO,
            _ => return false,
        };
        u128::try_from(version.in_state_ms).unwrap_or(0) >= after.as_millis()
    }

    async fn run_version(&self, version: &Version) -> Result<(), ProjectionError> {
        let number = version.number;
        if self.shared.runners().get(&number).is_some_and(|runner| !runner.has_ended()) {
            return Ok(());
        }
        let is_building = version.state == State::Building;
        let events = if is_building { self.options.building_batch_max } else { 0 };
        let batch_events_max = events.max(self.options.runner.batch_events_max);
        let options = RunnerOptions { batch_events_max, ..self.options.runner.clone() };
        let (projection, source) = ((self.make)(number, &version.inputs)?, self.source.clone());
        let runner = Runner::start(self.database.clone(), projection, source, self.log, options).await;
        let runner = match runner {
            Ok(runner) => runner,
            // Taken away since it was listed.
            Err(ProjectionError::Unknown { .. }) if version.state != State::Active => return Ok(()),
            Err(error) => return Err(error),
        };
        if is_building {
            let from = runner.progress().reached().get();
            tracing::info!(version = number, from, "a version of a projection is being built");
        }
        self.shared.runners.lock().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::new(runner));
        Ok(())
    }

    /// Shows readers the active version, if this program can read it, and the one that is being built.
    fn point(&self, versions: &[Version]) {
        let runners = self.shared.runners();
        let progress = |version: &Version| Some(runners.get(&version.number)?.progress());
        let is_building =
            |version: &&Version| version.state == State::Building && version.schema == self.schema;
        show(&self.active, active(versions).and_then(progress));
        show(&self.building, versions.iter().find(is_building).and_then(progress));
    }

    /// Whether the rows are older than this program. Those of a later program are left alone: two programs that each
    /// built their own would take the place from each other for ever.
    fn must_rebuild(&self, versions: &[Version]) -> bool {
        let is_due = match active(versions) {
            Some(active) => active.schema < self.schema,
            None => versions.iter().all(|version| version.state != State::Unknown),
        };
        let is_own = |version: &Version| version.state == State::Building && version.schema == self.schema;
        is_due && !versions.iter().any(is_own)
    }

    /// Gives up what an older program was building when a later one had its version made the active one: it would
    /// never take the place.
    async fn cancel_outdated(&self, versions: &[Version]) -> Result<(), ProjectionError> {
        let Some(active) = active(versions) else { return Ok(()) };
        for version in versions.iter().filter(|version| version.is_outdated_by(active)) {
            match self.versions.cancel(version.number).await {
                Ok(()) => tracing::info!(version = version.number, "a version of an older form is given up"),
                Err(ProjectionError::WrongState { .. } | ProjectionError::Unknown { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tries to make the version that is being built the active one. True when it has become so.
    async fn switch(
        &self,
        versions: &[Version],
        runners: &BTreeMap<i32, Arc<Runner>>,
    ) -> Result<bool, ProjectionError> {
        let active = active(versions);
        let reached = active.map_or(0, |active| active.reached.get());
        let building = |version: &&Version| version.state == State::Building && version.schema == self.schema;
        let is_outdated = |version: &Version| active.is_some_and(|active| version.is_outdated_by(active));
        for version in versions.iter().filter(building).filter(|version| !is_outdated(version)) {
            let Some(runner) = runners.get(&version.number) else { continue };
            let here = runner.progress().reached();
            let parked = ParkedKnown::of(version, active);
            if self.shared.is_refused(version.number, |refused| refused.still_holds(here, parked))
                || here.get().saturating_add(NEAR) < reached
            {
                continue;
            }
            let outcome = match self.versions.switch(version.number, version.force).await {
                Ok(outcome) => outcome,
                // Another process has done it, or has given it up.
                Err(
                    ProjectionError::WrongState { .. }
                    | ProjectionError::Unknown { .. }
                    | ProjectionError::OtherSchema { .. },
                ) => return Ok(true),
                Err(error) => return Err(error),
            };
            let mut refused = self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner);
            if outcome == Switch::Done {
                refused.clear();
                tracing::info!(version = version.number, "readers use another version of a projection now");
                return Ok(true);
            }
            let is_settled = version.reached.get() <= reached;
            let now = Refused { outcome, parked, is_settled, at: Instant::now() };
            if refused.insert(version.number, now).map(|before| before.outcome) != Some(outcome)
                && let Switch::Parked { resources } = outcome
            {
                tracing::warn!(
                    version = version.number,
                    resources,
                    "a version has been built, but has parked resources that the active one has not"
                );
            }
        }
        Ok(false)
    }

    /// The tables of a version do not depend on what it was made from.
    async fn remove(&self, number: i32) -> Result<(), ProjectionError> {
        self.versions.remove(&(self.make)(number, &Inputs::none())?).await
    }

    /// Takes away what nobody reads or writes any more. What cannot be had now is tried again at the next look.
    async fn remove_unwanted(&self, versions: &[Version]) {
        for version in versions.iter().filter(|version| self.is_over(version)) {
            match self.remove(version.number).await {
                Ok(()) => {
                    let (version, was) = (version.number, version.state.word());
                    tracing::info!(version, was, "a version of a projection was taken away");
                }
                Err(ProjectionError::WrongState { .. }) => {}
                Err(error) => {
                    tracing::debug!(version = version.number, %error, "a version cannot be taken away yet");
                }
            }
        }
    }
}

/// Shows a version, anew also where the same version's runner was started anew.
fn show(shown: &watch::Sender<Option<Progress>>, progress: Option<Progress>) {
    shown.send_if_modified(|now| {
        let is_same = match (now.as_ref(), progress.as_ref()) {
            (Some(now), Some(progress)) => now.is_of_same_runner(progress),
            (None, None) => true,
            _ => false,
        };
        *now = progress;
        !is_same
    });
}

fn active(versions: &[Version]) -> Option<&Version> {
    versions.iter().find(|version| version.state == State::Active)
}
