//! The profiles of a service: StructureDefinitions that clients have stored, over those that R4 publishes itself.
//!
//! Before a check, what was written since the last one is read from the log ([`crate::follow`]), so that a profile that
//! was written a moment ago on another node is the one that is used. Definitions are compiled when they are first asked
//! for and kept by their position, which never means anything else.

mod catalog;
mod codes;
mod snapshot;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use anamnesis_events::{Event, Log, LogError, Position};
use anamnesis_fhir::json::{Document, Limits, Value};
use anamnesis_fhir::validate::profile::{self, CompileError, Demands, Lookup, Profiles, Surroundings};
use anamnesis_fhir::validate::{Issue, IssueCode, Severity};
use anamnesis_projections::terminology::TerminologyIndex;
use anamnesis_projections::{ProjectionError, processor};

use catalog::Catalog;
use codes::Codes;
use snapshot::Snapshot;

use crate::follow::Follow;

/// Rounds of checking and fetching: each finds the profiles that those of the round before ask for. R4's deepest line has
/// four; only the first check after a start takes more than one.
const ROUNDS_MAX: usize = 16;
/// Work that is done on the thread that serves the request: some milliseconds. What takes more goes to another one.
const SHORT_WORK: u64 = 10_000;
/// Definitions that are fetched and compiled in one round.
const FETCHED_MAX: usize = 500;

/// Why a check could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The stored terminology could not be read.
    #[error(transparent)]
    Terminology(#[from] ProjectionError),
}

/// Ends a check where nobody waits for it any more; at the end of one it does no harm.
struct StopAtEnd(Arc<AtomicBool>);

impl Drop for StopAtEnd {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What came of one round of a check.
struct Round {
    issues: Vec<Issue>,
    /// Definitions that were not at hand.
    wanted: BTreeSet<Position>,
    codes: Codes,
}

impl Round {
    fn is_given_up(&self) -> bool {
        self.issues.iter().any(|issue| issue.code == IssueCode::TooCostly)
    }
}

/// What is told where the codes of a resource were too much work.
fn codes_given_up(resource: Value<'_>) -> Issue {
    let name = resource.get("resourceType").and_then(Value::as_str).unwrap_or_default();
    Issue {
        severity: Severity::Error,
        code: IssueCode::TooCostly,
        diagnostics: "the check was given up: it takes too much work to find out which codes are allowed"
            .into(),
        expression: name.into_owned(),
        offset: 0,
        line: 1,
        column: 1,
    }
}

/// The profiles of a log.
#[derive(Debug)]
pub struct StoredProfiles {
    follow: Follow,
    catalog: RwLock<Catalog>,
}

impl StoredProfiles {
    /// The profiles of this log; nothing is read yet.
    #[must_use]
    pub fn new(log: Log) -> Self {
        Self { follow: Follow::new(log, "StructureDefinition"), catalog: RwLock::default() }
    }

    /// Checks a resource as the log has the profiles now.
    ///
    /// # Errors
    /// The log or the stored terminology cannot be read.
    pub async fn check(
        self: &Arc<Self>,
        resource: Value<'_>,
        demands: &Demands,
        terminology: &TerminologyIndex,
    ) -> Result<Vec<Issue>, CheckError> {
        self.refresh().await?;
        let (mut rounds, mut codes) = (0, Codes::default());
        let mut long = None;
        loop {
            rounds += 1;
            let mut round = match &long {
                None => self.round(resource, &Demands { work_max: SHORT_WORK, ..demands.clone() }, codes),
                Some(copy) => self.long_round(copy, resource.index(), demands, codes).await?,
            };
            if long.is_none() && round.is_given_up() {
                let copy = long.insert(Arc::new(resource.document().clone()));
                round = self.long_round(copy, resource.index(), demands, round.codes).await?;
            }
            codes = round.codes;
            let has_asked = codes.ask(terminology).await?;
            if (round.wanted.is_empty() && !has_asked) || rounds == ROUNDS_MAX {
                let mut issues = round.issues;
                if codes.gave_up() {
                    issues.push(codes_given_up(resource));
                }
                return Ok(issues);
            }
            self.fetch(round.wanted).await?;
        }
    }

    /// Checks with what is at hand.
    fn round(&self, resource: Value<'_>, demands: &Demands, codes: Codes) -> Round {
        let snapshot = Snapshot::new(self);
        let around = Surroundings { profiles: &snapshot, terminology: &codes };
        let issues = profile::check(resource, demands, &around);
        let wanted = snapshot.into_wanted();
        Round { issues, wanted, codes }
    }

    /// The same beside the threads that serve requests.
    async fn long_round(
        self: &Arc<Self>,
        copy: &Arc<Document>,
        index: u32,
        demands: &Demands,
        codes: Codes,
    ) -> Result<Round, CheckError> {
        let (stored, copy) = (Arc::clone(self), Arc::clone(copy));
        let demands = Demands { stop: Arc::default(), ..demands.clone() };
        let _stop = StopAtEnd(Arc::clone(&demands.stop));
        let work = move || stored.round(copy.at(index).unwrap_or_else(|| copy.root()), &demands, codes);
        Ok(processor::compute(work).await?)
    }

    /// Reads what was written to StructureDefinitions since the last time.
    async fn refresh(&self) -> Result<(), LogError> {
        let note = |events: &[Event]| {
            let mut catalog = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
            events.iter().for_each(|event| catalog.note(event));
        };
        self.follow.refresh(|| self.read().position(), note).await
    }

    /// Fetches and compiles definitions. One that builds on another that is not at hand stays wanted until that one is.
    async fn fetch(&self, wanted: BTreeSet<Position>) -> Result<(), LogError> {
        let mut wanted: Vec<Position> = wanted.into_iter().take(FETCHED_MAX).collect();
        let mut rounds = 0;
        while !wanted.is_empty() && rounds < ROUNDS_MAX {
            rounds += 1;
            let mut bases = BTreeSet::new();
            for event in self.fetched(&wanted).await? {
                let snapshot = Snapshot::new(self);
                let compiled = compiled(&event, &snapshot);
                let missing = snapshot.into_wanted();
                if missing.is_empty() || rounds == ROUNDS_MAX {
                    self.keep(event.position, compiled);
                } else {
                    // The base first, then this one again.
                    bases.extend(missing);
                    bases.insert(event.position);
                }
            }
            wanted = bases.into_iter().take(FETCHED_MAX).collect();
        }
        Ok(())
    }

    /// The events at positions; those that are too large together, one by one.
    async fn fetched(&self, wanted: &[Position]) -> Result<Vec<Event>, LogError> {
        match self.follow.log().fetch(wanted).await {
            Err(LogError::TooManyBytes { .. }) if wanted.len() > 1 => {
                let mut events = Vec::with_capacity(wanted.len());
                for position in wanted {
                    events.extend(self.follow.log().fetch(&[*position]).await?);
                }
                Ok(events)
            }
            fetched => fetched,
        }
    }

    fn keep(&self, position: Position, compiled: Lookup) {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner).keep(position, compiled);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compiles the definition that an event recorded.
fn compiled(event: &Event, known: &Snapshot<'_>) -> Lookup {
    let Ok(document) = Document::parse(event.payload.to_vec(), &Limits::default()) else {
        return Lookup::Broken("it is no JSON".to_owned());
    };
    let done = match profile::compile(document.root(), None) {
        Err(CompileError::NoBase(address)) => match known.profile(&address) {
            Lookup::Known(base) => profile::compile(document.root(), Some(&base)),
            _ => Err(CompileError::NoBase(address)),
        },
        done => done,
    };
    match done {
        Ok(profile) => Lookup::Known(Arc::new(profile)),
        Err(error) => Lookup::Broken(error.to_string()),
    }
}
