//! `CodeSystem/$import`: adds concepts to a code system of any size, a portion at a time (an operation of Medplum).
//!
//! The concepts go into fragments of the code system (docs/decisions/0016), which are resources like any others. Those
//! that are there already stay where they are and are changed in place; new ones go into the newest fragment that this
//! operation has made, or begin another. One request is one transaction. Requests about one system have turns, over all
//! servers; what others do to the fragments meanwhile is found by the log's compare-and-set, and looked at again.

mod concept;
mod fragment;
mod merge;
mod portion;

use std::sync::Arc;

use anamnesis_events::{AppendError, Draft, Group, Position, ResourceKey};
use anamnesis_fhir::json::{Document, Limits};
use anamnesis_projections::terminology::{Places, fragment_name};

use super::{Form, Input, Takes};
use crate::actors::WriteError;
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::conditional_create::contended;
use crate::api::criteria::{Normal, TRIES_MAX};
use crate::api::operation::{Invocation, Level, Work};
use crate::api::query::Query;
use crate::api::turns::Held;
use crate::api::{idempotency, read, validation};
use crate::clock;
use crate::decide::{Command, Current, Decision, Expected, decide};
use crate::error::{Failure, FailureKind, IssueCode};
use merge::Known;
use portion::Portion;

const TAKES: Takes = Takes {
    operation: "$import",
    once: &["system", "version"],
    often: &["concept", "property"],
    takes_resource: true,
    forms: &[("concept", Form::ValueOrParts), ("property", Form::ValueOrParts)],
    ..Takes::NOTHING
};

/// Parameters of one portion: concepts and properties.
const PARAMETERS_MAX: usize = 20_000;
/// Fragments that one portion changes: some megabytes each.
const FRAGMENTS_MAX: usize = 40;

/// `POST /CodeSystem/$import`, `/CodeSystem/1/$import`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(import(call, invocation))
}

async fn import(call: &Call, invocation: Invocation) -> Result<Answer, Failure> {
    if call.once.is_some() {
        let text = "$import takes no Idempotency-Key: the same portion sent again changes nothing.";
        return Err(idempotency::not_taken(text));
    }
    if call.sent_provenance.is_some() {
        let text = "$import takes no X-Provenance: it may change many resources.";
        return Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text));
    }
    let input = Input::read_up_to(call, invocation.body, PARAMETERS_MAX).await?;
    TAKES.check(call, &input)?;
    let named = match &invocation.level {
        Level::Instance(key) => Some(portion::named_by(&read::living(call, key).await?.payload)?),
        _ => None,
    };
    if let Some(document) = input.document().filter(|_| input.is_resource()) {
        validation::base(document.root(), call.checked())?;
    }
    let portion = Arc::new(portion::read(&input, named)?);
    let criteria = Query(vec![("url".to_owned(), portion.url.clone())]);
    let wanted = Normal::of("CodeSystem", &criteria, &[]);
    let turn = call.service.turns.wait_for_all(&call.service.log, std::iter::once(&wanted));
    let held = Arc::new(turn.await?);
    for _ in 0..TRIES_MAX {
        if let Some(answer) = attempt(call, &portion, &held).await? {
            return Ok(answer);
        }
    }
    Err(contended())
}

/// Imports the portion into what is there now; nothing where others were quicker.
async fn attempt(call: &Call, portion: &Arc<Portion>, held: &Arc<Held>) -> Result<Option<Answer>, Failure> {
    let version = portion.version.as_deref();
    let codes = portion.codes();
    let places = call.service.terminology.places(&portion.url, version, &codes).await?;
    let Some(known) = gather(call, portion, places).await? else { return Ok(None) };
    let work = {
        let portion = Arc::clone(portion);
        move || merge::merge(&portion, known)
    };
    // Megabytes of JSON: not where others wait.
    let merged = actix_web::web::block(work).await.map_err(|_stopped| Failure::internal())??;
    match write(call, merged.written, held).await? {
        Written::Raced => Ok(None),
        Written::Nothing => Ok(Some(Answer::ok(merged.answer))),
        Written::Until(position) => {
            let answer = Answer::ok(merged.answer);
            Ok(Some(Answer { position: Some(position), recorded: true, ..answer }))
        }
    }
}

/// Reads the resources that the portion is about: those that have its codes, the one that new codes go into, and one that
/// says what the system is. Nothing where they have changed since they were looked up.
async fn gather(call: &Call, portion: &Portion, places: Places) -> Result<Option<Known>, Failure> {
    let version = places.version.clone().or_else(|| portion.version.clone());
    let open = fragment_name(&portion.url, version.as_deref().unwrap_or_default());
    let number = |id: &str| id.strip_prefix(&open)?.strip_prefix("-i")?.parse::<u32>().ok();
    let newest = places.resources.iter().filter_map(|place| number(&place.id)).max();
    let open_id = |number: u32| format!("{open}-i{number:05}");
    let mut ids: Vec<&str> = Vec::new();
    let is_asked = |position: &Position| places.codes.values().any(|known| known == position);
    for place in &places.resources {
        let is_open = number(&place.id).is_some_and(|number| Some(number) == newest);
        if place.is_whole || is_open || is_asked(&place.position) {
            ids.push(&place.id);
        }
    }
    if ids.len() > FRAGMENTS_MAX {
        let text = format!(
            "The concepts are in {} resources; one portion changes {FRAGMENTS_MAX} at most: send fewer at a time.",
            ids.len()
        );
        return Err(Failure::new(FailureKind::Unprocessable, IssueCode::TooCostly, text));
    }
    // What the system says about itself stands best where nothing else does.
    let head = places.resources.iter().find(|place| place.concepts == 0).or(places.resources.first());
    if let Some(head) = head.filter(|head| !ids.contains(&head.id.as_str())) {
        ids.push(&head.id);
    }
    let keys: Vec<ResourceKey> =
        ids.iter().map(|id| ResourceKey::new("CodeSystem", (*id).to_owned())).collect();
    let current = call.service.compartments.current(&keys).await?;
    let mut read = Vec::with_capacity(keys.len());
    for (key, current) in keys.into_iter().zip(current) {
        let place = places.resources.iter().find(|place| place.id == key.id);
        let (Some(current), Some(place)) = (current, place) else { return Ok(None) };
        if current.deleted || current.position != place.position {
            return Ok(None);
        }
        read.push((key, current, place.is_whole));
    }
    let next = newest.map_or(0, |newest| newest.saturating_add(1));
    let is_next_free = |number: u32| ResourceKey::new("CodeSystem", open_id(number));
    let fresh = (next..next.saturating_add(merge::NEW_MAX)).map(is_next_free).collect();
    let open = newest.map(open_id);
    Ok(Some(Known { version, read, open, fresh, concepts: places.concepts }))
}

enum Written {
    Nothing,
    Until(Position),
    /// Somebody else has changed one of the resources.
    Raced,
}

/// Records all of it, or nothing.
async fn write(
    call: &Call,
    changed: Vec<(ResourceKey, Option<Arc<Current>>, Vec<u8>)>,
    held: &Arc<Held>,
) -> Result<Written, Failure> {
    let rules = call.service.compartments.rules();
    let mut drafts: Vec<Draft> = Vec::new();
    for (key, current, bytes) in changed {
        let document = Document::parse(bytes, &Limits::default())?;
        // One that has been deleted is begun again under the versions that it had.
        let before = match current {
            Some(current) => Some(current),
            None => call
                .service
                .compartments
                .current(std::slice::from_ref(&key))
                .await?
                .into_iter()
                .next()
                .flatten(),
        };
        validation::base(document.root(), call.checked())?;
        let expected = before.as_ref().map_or(Expected::Nothing, |before| match before.deleted {
            true => Expected::Nothing,
            false => Expected::Versions(vec![before.version]),
        });
        let candidate = crate::api::resource::candidate(call, key, document, true);
        let command = Command::Update { candidate, expected, unless_held: Vec::new() };
        match decide(&command, before.as_deref(), rules, &call.provenance()).map_err(WriteError::Refused)? {
            Decision::Append(draft) => drafts.push(*draft),
            Decision::Unchanged | Decision::Absent | Decision::Hidden => {}
        }
    }
    let Some(home) = drafts.first().map(|draft| draft.home.clone()) else { return Ok(Written::Nothing) };
    if held.is_lost() {
        return Ok(Written::Raced);
    }
    let group = Group { drafts, transaction: Some(clock::new_transaction_id()), idempotency: None };
    match call.service.compartments.commit(&home, group, Some(held.clone())).await {
        Ok(recorded) => Ok(recorded.last().map_or(Written::Nothing, |last| Written::Until(last.position))),
        Err(WriteError::Log(AppendError::Conflict { .. })) => Ok(Written::Raced),
        Err(error) => Err(error.into()),
    }
}
