//! A transaction: all entries are recorded as one group of events, or none is (R4 http.html#trules).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use anamnesis_events::{AppendError, ConflictKind, Draft, Group, Operation, Position, Recorded, ResourceKey};
use anamnesis_fhir::json::Document;

use super::conditions::{self, criteria_of, match_all};
use super::entry::{Entry, EntryRead, Method};
use super::plan::{Reading, Step};
use super::reads::Foreseen;
use super::response::Answer;
use super::target::Target;
use super::{Outcome, access, audited, patch, reads, replay};
use crate::actors::WriteError;
use crate::api::conditional_create::contended;
use crate::api::turns::Held;
use crate::api::{Call, Return, validation};
use crate::clock;
use crate::decide::{Command, Current, Decision, Refusal, decide};
use crate::error::{Failure, FailureKind, Issue, IssueCode, Severity, outcome};
use crate::search_parameters;

/// How often a transaction is decided again. Who has lost a resource to somebody waits for its turn, so each time another
/// server, or an update of that resource alone, was quicker.
const TRIES_MAX: u32 = 20;

/// How long a transaction is decided again: about as long as clients wait.
const TRIED_FOR: Duration = Duration::from_secs(30);

/// Carries out a transaction; again from its conditions on where others changed what they matched or what it writes.
pub(super) async fn run(
    call: &Call,
    document: &Document,
    entries: Vec<EntryRead<'_>>,
) -> Result<Outcome, Failure> {
    let entries = all(entries)?;
    access::check(call, &entries)?;
    let checked = validation::base(document.root(), call.checked());
    // As searches take them off: criteria that are told alike have to match alike.
    let addresses = [call.base.clone()];
    let reading = match (Reading::new(entries, clock::new_resource_id, &addresses), checked) {
        (Ok(reading), checked) => {
            excused(validation::with_profiles(call, document, checked).await, &reading.entries)?;
            reading
        }
        (Err(failure), Err(invalid)) => return Err(failure.and(invalid)),
        (Err(failure), Ok(())) => return Err(failure),
    };
    access::check_references(call, reading.has_references())?;
    let is_of_parameters = reading.entries.iter().any(|entry| entry.is_of(search_parameters::TYPE));
    let parameters = match is_of_parameters {
        true => Some(Arc::new(call.service.turns.wait_for_parameters(&call.service.log).await?)),
        false => None,
    };
    if is_of_parameters {
        call.service.parameters.refresh().await?;
    }
    let mut contested = reading.taken(&call.service.turns);
    let (mut tries, begun) = (0, clock::elapsed());
    loop {
        tries += 1;
        match attempt(call, &reading, &contested, parameters.as_ref()).await {
            Ok(done) => {
                if is_of_parameters {
                    call.service.follow_parameters().await;
                }
                return answer(call, &reading.entries, done).await;
            }
            Err(Tried::Refused(failure)) => return Err(failure),
            Err(Tried::Again { failure, .. })
                if tries >= TRIES_MAX || clock::elapsed().saturating_sub(begun) > TRIED_FOR =>
            {
                return Err(failure);
            }
            Err(Tried::Again { key, .. }) => contested.extend(key),
        }
    }
}

/// What is wrong with resources that are handed to operations, nobody wants to have recorded: `$validate` tells it itself.
fn excused(checked: Result<(), Failure>, entries: &[Entry<'_>]) -> Result<(), Failure> {
    let Err(failure) = checked else { return Ok(()) };
    let handed: Vec<String> = entries
        .iter()
        .filter(|entry| matches!((entry.method, &entry.target), (Method::Post, Target::Other(..))))
        .map(|entry| format!("{}.resource", entry.path()))
        .collect();
    let is_within = |path: &String| {
        let rest = handed.iter().find_map(|handed| path.strip_prefix(handed.as_str()));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let is_excused = |issue: &&Issue| !issue.expression.is_empty() && issue.expression.iter().all(is_within);
    let (excused, left): (Vec<&Issue>, Vec<&Issue>) = failure.issues().iter().partition(is_excused);
    match left.iter().any(|issue| issue.severity == Severity::Error) {
        _ if excused.is_empty() => Err(failure),
        true => Err(Failure::with_issues(failure.kind(), left.into_iter().cloned().collect())),
        false => Ok(()),
    }
}

/// Carries out a transaction once: in the turns of its criteria, and of the resources that others want to change too.
async fn attempt(
    call: &Call,
    reading: &Reading<'_>,
    contested: &BTreeSet<ResourceKey>,
    parameters: Option<&Arc<Held>>,
) -> Result<Done, Tried> {
    let criteria = conditions::turns(call, &reading.conditions).await.map_err(Tried::Refused)?;
    let resources = call.service.turns.wait_for(contested).await.map_err(Tried::Refused)?;
    // Kept until the write has been answered, also where the client goes away meanwhile.
    let held = Arc::new(criteria.and(resources).after(parameters));
    let matched = match_all(call, reading).await?;
    let steps = reading.plan(&matched, &call.own_addresses()).map_err(Tried::Refused)?;
    let steps = patch::carried_out(call, &reading.entries, steps).await?;
    let foreseen = reads::foresee(call, &reading.entries, &steps).await.map_err(Tried::Refused)?;
    let written = write(call, &reading.entries, &steps, &held).await?;
    Ok(Done { steps, written, foreseen })
}

/// All entries, or everything that is wrong with them.
fn all(entries: Vec<EntryRead<'_>>) -> Result<Vec<Entry<'_>>, Failure> {
    let mut good = Vec::with_capacity(entries.len());
    let mut issues = Vec::new();
    let mut kind = None;
    for entry in entries {
        match entry {
            Ok(entry) => good.push(entry),
            Err(failure) => {
                issues.extend(failure.issues().iter().cloned());
                kind.get_or_insert(failure.kind());
            }
        }
    }
    match kind {
        None => Ok(good),
        Some(kind) => Err(Failure::with_issues(kind, issues)),
    }
}

/// Why one attempt came to nothing.
pub(super) enum Tried {
    /// From the conditions on once more.
    Again {
        /// The resource in whose turn that is, where others were quicker with it.
        key: Option<ResourceKey>,
        /// The answer where it was tried often enough.
        failure: Failure,
    },
    Refused(Failure),
}

impl Tried {
    /// Others were quicker with the resource of an entry.
    pub(super) fn moved(entry: &Entry<'_>, key: &ResourceKey) -> Self {
        let failure = match criteria_of(entry) {
            Some(_) => contended(),
            None => {
                let text = "Others changed the resource at the same time, again and again.";
                Failure::new(FailureKind::Conflict, IssueCode::Conflict, text).retry_after(1)
            }
        };
        Self::Again { key: Some(key.clone()), failure: failure.at(entry.path()) }
    }
}

/// A transaction that was carried out.
struct Done {
    steps: Vec<Step>,
    written: Written,
    foreseen: Foreseen,
}

/// What became of the entries that write, by their place in the bundle.
struct Written {
    recorded: HashMap<usize, (ResourceKey, Operation, Recorded)>,
    /// Resources as they stand, for entries that changed nothing.
    current: HashMap<ResourceKey, Arc<Current>>,
    last: Option<Position>,
}

/// Decides about all commands from one state of the log and records what they come to.
async fn write(
    call: &Call,
    entries: &[Entry<'_>],
    steps: &[Step],
    held: &Arc<Held>,
) -> Result<Written, Tried> {
    let mut current = load(call, steps).await.map_err(|error| Tried::Refused(error.into()))?;
    check_found(call, entries, steps, &current)?;
    let mut order: Vec<usize> = (0..steps.len()).collect();
    order.sort_by_key(|index| entries.get(*index).map(|entry| entry.method));
    let provenance = call.provenance();
    let mut drafts: Vec<Draft> = Vec::new();
    let mut of_entry = Vec::new();
    let mut touched = Vec::new();
    for index in order {
        let (Some(Step::Write(command)), Some(entry)) = (steps.get(index), entries.get(index)) else {
            continue;
        };
        let known = current.get(command.key()).map(AsRef::as_ref);
        let decision = decide(command, known, call.service.compartments.rules(), &provenance)
            .map_err(|refusal| refused(refusal, entry, command.key()))?;
        match decision {
            Decision::Append(draft) => {
                of_entry.push((index, draft.key.clone(), draft.operation));
                touched.push(draft.touches.clone());
                drafts.push(*draft);
            }
            // No answer may tell of it.
            Decision::Hidden => drop(current.remove(command.key())),
            Decision::Unchanged | Decision::Absent => {}
        }
    }
    let Some(home) = busiest_home(&drafts) else {
        return Ok(Written { recorded: HashMap::new(), current, last: None });
    };
    let idempotency = match &call.once {
        None => None,
        Some(once) => {
            let of_draft = of_entry.iter().map(|(index, ..)| *index);
            Some(once.noting(replay::note(entries, steps, of_draft, &current).map_err(Tried::Refused)?))
        }
    };
    let group = Group { drafts, transaction: Some(clock::new_transaction_id()), idempotency };
    if held.is_lost() {
        return Err(Tried::Again { key: None, failure: WriteError::TurnLost.into() });
    }
    let recorded = match call.service.compartments.commit(&home, group, Some(held.clone())).await {
        Ok(recorded) if recorded.iter().any(|one| one.replayed) => {
            return Err(Tried::Refused(WriteError::AlreadyRecorded.into()));
        }
        Ok(recorded) => recorded,
        Err(WriteError::Log(AppendError::Conflict { index, kind })) => {
            let lost = of_entry.get(index).and_then(|(place, key, _)| Some((entries.get(*place)?, key)));
            return Err(match (lost, kind) {
                (Some((entry, key)), ConflictKind::HeadMoved { .. }) => Tried::moved(entry, key),
                (_, kind) => {
                    let failure = Failure::from(AppendError::Conflict { index, kind });
                    let path = lost.map(|(entry, _)| entry.path());
                    Tried::Again { key: None, failure: failure.at(path.unwrap_or("Bundle".to_owned())) }
                }
            });
        }
        Err(error) => return Err(Tried::Refused(error.into())),
    };
    audited::wrote(call, &of_entry, &recorded, &touched);
    let last = recorded.last().map(|recorded| recorded.position);
    let recorded = of_entry
        .into_iter()
        .zip(recorded)
        .map(|((index, key, operation), r)| (index, (key, operation, r)))
        .collect();
    Ok(Written { recorded, current, last })
}

/// What a condition found may have been deleted since, or have come out of reach.
fn check_found(
    call: &Call,
    entries: &[Entry<'_>],
    steps: &[Step],
    current: &HashMap<ResourceKey, Arc<Current>>,
) -> Result<(), Tried> {
    for (entry, step) in entries.iter().zip(steps) {
        if let Step::Found(key) = step
            && current.get(key).is_none_or(|current| current.deleted || !call.sees_current(key, current))
        {
            return Err(Tried::moved(entry, key));
        }
    }
    Ok(())
}

/// A refusal with its entry. Where the version was that of a condition's match or of a patch, it is looked for again.
pub(super) fn refused(refusal: Refusal, entry: &Entry<'_>, key: &ResourceKey) -> Tried {
    let follows = matches!(entry.target, Target::Conditional(..)) || entry.method == Method::Patch;
    let is_pinned = follows && entry.if_match.is_none();
    let failure = |refusal| Failure::from(refusal).at(entry.path());
    match refusal {
        Refusal::VersionMismatch { .. } if is_pinned => Tried::moved(entry, key),
        // The id in the body of a conditional update is in use. What has it may match by now.
        Refusal::Unmatched { .. } => Tried::Again { key: None, failure: failure(refusal) },
        refusal => Tried::Refused(failure(refusal)),
    }
}

/// The newest versions of the resources that decisions and answers need.
async fn load(call: &Call, steps: &[Step]) -> Result<HashMap<ResourceKey, Arc<Current>>, WriteError> {
    let keys: Vec<ResourceKey> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Write(command) if command.needs_current() => Some(command.key().clone()),
            Step::Found(key) => Some(key.clone()),
            _ => None,
        })
        .collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let current = call.service.compartments.current(&keys).await?;
    Ok(keys.into_iter().zip(current).filter_map(|(key, current)| Some((key, current?))).collect())
}

/// The compartment through whose queue a transaction goes: the one that most of it lives in.
fn busiest_home(drafts: &[Draft]) -> Option<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for draft in drafts {
        *counts.entry(&draft.home).or_default() += 1;
    }
    counts.into_iter().max_by(|a, b| (a.1, b.0).cmp(&(b.1, a.0))).map(|(home, _)| home.to_owned())
}

/// The answers in the order of the entries; reads are done now, when everything is written.
async fn answer(call: &Call, entries: &[Entry<'_>], done: Done) -> Result<Outcome, Failure> {
    let Done { steps, mut written, mut foreseen } = done;
    // Where everything was as it should be already: as the log is now.
    let at = match written.last {
        Some(position) => position,
        None => call.service.compartments.reads().head().await?,
    };
    let mut answers = Vec::with_capacity(entries.len());
    for (index, (entry, step)) in entries.iter().zip(&steps).enumerate() {
        let is_written = written.recorded.contains_key(&index);
        let answer = match step {
            Step::Nothing => Answer::new(StatusCode::NO_CONTENT),
            Step::Found(key) => unchanged(call, key, &written.current),
            Step::Patch(patching) => unchanged(call, &patching.key, &written.current),
            Step::Write(command) => match written.recorded.remove(&index) {
                Some((key, operation, recorded)) => recorded_answer(call, &key, operation, recorded),
                None if matches!(command, Command::Delete { .. } | Command::Purge { .. }) => {
                    let current = written.current.get(command.key()).filter(|current| !current.erased);
                    let version = current.map(|current| current.version);
                    Answer { version, ..Answer::new(StatusCode::NO_CONTENT) }
                }
                None => unchanged(call, command.key(), &written.current),
            },
            Step::Read(path, query) => match foreseen.remove(&index) {
                Some(answer) => answer,
                None => read(call, entry, (path, query), at).await,
            },
        };
        audited::note(call, entry, step, answer.status, (!is_written).then_some(&written.current));
        answers.push(answer);
    }
    Ok((answers, written.last))
}

pub(super) fn recorded_answer(
    call: &Call,
    key: &ResourceKey,
    operation: Operation,
    recorded: Recorded,
) -> Answer {
    let (status, text) = match operation {
        Operation::Create => (StatusCode::CREATED, "The resource was created."),
        Operation::Update => (StatusCode::OK, "The resource was updated."),
        // What makes no version and is not a purge does not come with a bundle.
        Operation::Delete | Operation::Purge | Operation::Hold | Operation::Release => {
            (StatusCode::NO_CONTENT, "The resource was deleted.")
        }
    };
    // Nothing to show, or nothing left: what was answered the first time may have been erased since.
    let is_delete = recorded.payload.is_empty();
    let mut answer = Answer {
        location: (status != StatusCode::NO_CONTENT).then(|| call.location(key, recorded.version)),
        version: Some(recorded.version),
        modified: Some(recorded.recorded_at),
        ..Answer::new(status)
    };
    match call.prefer.answer {
        Return::Representation if !is_delete => answer.resource = Some(recorded.payload),
        Return::Outcome => answer.outcome = Some(outcome("", &[Issue::information(text)]).into()),
        _ => {}
    }
    answer
}

/// An entry that changed nothing: the resource as it stands.
pub(super) fn unchanged(
    call: &Call,
    key: &ResourceKey,
    current: &HashMap<ResourceKey, Arc<Current>>,
) -> Answer {
    let Some(current) = current.get(key) else { return Answer::new(StatusCode::OK) };
    Answer {
        location: Some(call.location(key, current.version)),
        version: Some(current.version),
        modified: Some(current.recorded_at),
        resource: (call.prefer.answer == Return::Representation)
            .then(|| current.payload.clone())
            .filter(|payload| !payload.is_empty()),
        ..Answer::new(StatusCode::OK)
    }
}

/// A read that is done when everything has been recorded. It did not fail before; where it fails now, as when the index
/// is late, that is told in its entry.
pub(super) async fn read(call: &Call, entry: &Entry<'_>, asked: (&str, &str), at: Position) -> Answer {
    let answer = reads::read(call, entry, asked, Some(at)).await;
    answer.unwrap_or_else(|failure| Answer::refused(&failure, &call.correlation_id))
}
