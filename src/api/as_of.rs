//! `_asOf`: the record as it stood at a position of the log, or at an instant.
//!
//! Nothing that was recorded is changed, so the state of any time is there: of a resource the last version up to the
//! position, of a history its beginning, of a compartment what belonged to it then. An answer names its position, and
//! with that position it can be had again, exactly.

mod compartment;

use anamnesis_events::{Event, Position, ResourceKey};
use anamnesis_fhir::datetime::DateTime as FhirDateTime;
use chrono::{DateTime, TimeZone, Utc};

pub(super) use compartment::search;

use super::answer::Answer;
use super::call::Call;
use super::interaction::Interaction;
use super::query::encode;
use super::read;
use crate::clock;
use crate::error::{Failure, FailureKind, Issue, IssueCode};

/// The parameter.
pub(super) const PARAMETER: &str = "_asOf";

/// What `/metadata` says of it: R4 has no place for parameters of reads.
pub(super) const DOCUMENTATION: &str = "Reads, histories, $everything and searches of a patient's compartment take _asOf, a position of the log or an instant, and answer with the record as it stood then.";

/// Refuses the parameter where it would be ignored: who asks for the past must not be given the present.
///
/// # Errors
/// 400 for an interaction that does not understand it.
pub(super) fn refuse_elsewhere(call: &Call, interaction: Interaction) -> Result<(), Failure> {
    if let Some((name, _)) = call.query.0.iter().find(|(name, _)| is_nearly(name)) {
        return Err(misspelt(name));
    }
    let is_asked = call.query.get(PARAMETER).is_some();
    let is_understood = match interaction {
        Interaction::Read
        | Interaction::HistoryOfInstance
        | Interaction::HistoryOfType
        | Interaction::HistoryOfSystem
        | Interaction::SearchCompartment => true,
        Interaction::Operation(operation) => operation.name == "$everything",
        _ => false,
    };
    if !is_asked || is_understood { Ok(()) } else { Err(not_understood()) }
}

/// Whether a name is that of the parameter but for case, a modifier, and what is no letter: `as-of`, `$as-of`, `_asOf:x`.
pub(super) fn is_nearly(name: &str) -> bool {
    let code = name.split([':', '.']).next().unwrap_or_default();
    let is_its = |text: &str| {
        let letters = text.chars().filter(char::is_ascii_alphabetic);
        letters.map(|letter| letter.to_ascii_lowercase()).eq("asof".chars())
    };
    name != PARAMETER && (is_its(name) || is_its(code))
}

/// Who misspells the past would be given the present.
pub(super) fn misspelt(name: &str) -> Failure {
    let text = format!("The parameter {} is not known: did you mean {PARAMETER}?", encode(name));
    Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text)
}

/// Who asks for the past where there is only the present is told so.
pub(super) fn not_understood() -> Failure {
    let text = "_asOf is understood by read, history, $everything and the search of a patient's compartment, and by nothing else.";
    Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text)
}

/// The position that a client asks for; `None` for the present. One inside of a transaction, where the log never stood,
/// becomes the position before the transaction.
///
/// # Errors
/// 400 for what is neither a position nor an instant, and for what lies in the future.
pub(super) async fn asked(call: &Call) -> Result<Option<Position>, Failure> {
    let values = call.query.0.iter().filter(|(name, _)| name == PARAMETER);
    asked_by(call, values.map(|(_, value)| value.as_str())).await
}

/// [`asked`] where the parameter may stand elsewhere than in the query.
///
/// # Errors
/// As [`asked`].
pub(super) async fn asked_by(
    call: &Call,
    mut values: impl Iterator<Item = &str>,
) -> Result<Option<Position>, Failure> {
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Failure::invalid("_asOf is given once."));
    }
    let log = &call.service.log;
    let position = match value.bytes().all(|byte| byte.is_ascii_digit()) {
        true => known_position(call, value).await?,
        false => log.position_at(past_instant(value)?).await?,
    };
    Ok(Some(log.whole(position).await?))
}

async fn known_position(call: &Call, text: &str) -> Result<Position, Failure> {
    let number = text.parse().map_err(|_bad| malformed())?;
    let position = Position::new(number);
    let head = call.service.compartments.reads().head().await?;
    if position > head {
        let text = format!("_asOf lies in the future: the log ends at position {head}.");
        return Err(Failure::invalid(text).at_position(head));
    }
    Ok(position)
}

/// Only whole instants (R4 datatypes.html#instant): a day would leave open whether its beginning or its end is meant.
fn past_instant(text: &str) -> Result<DateTime<Utc>, Failure> {
    // An offset's plus sign arrives as a space where a client did not encode it.
    let text = text.replace(' ', "+");
    let instant = FhirDateTime::parse_instant(&text).map_err(|_bad| malformed())?;
    let instant = Utc.timestamp_micros(instant.interval().low).single().ok_or_else(malformed)?;
    match instant > clock::now() {
        true => Err(Failure::invalid("_asOf lies in the future.")),
        false => Ok(instant),
    }
}

fn malformed() -> Failure {
    let text = "_asOf is a position of the log, as X-Anamnesis-Position has it, or an instant with seconds and a time zone.";
    Failure::new(FailureKind::Invalid, IssueCode::Value, text)
}

/// `GET /Patient/1?_asOf=`
pub(super) async fn read(call: &Call, key: &ResourceKey, position: Position) -> Result<Answer, Failure> {
    let event = call.service.log.current_at(key, position).await?;
    let Some(event) = event.filter(|event| !event.is_gone()) else {
        return Err(unreadable(call, key, position).await?);
    };
    if !call.can_read(&event).await? {
        return Err(missing(position));
    }
    let answer = read::answer(call, &event).map_err(|failure| failure.at_position(position))?;
    Ok(Answer { position: Some(position), ..answer })
}

/// Whether a version was there at a position and is not any more: it has been erased since.
pub(super) fn is_erased_since(event: &Event, position: Position) -> bool {
    event.erased.is_some_and(|erased| erased.by > position)
}

/// What a record of then says where it has holes. Which ones, nobody can tell.
pub(super) fn erased_since() -> Issue {
    let text = "Versions of that time have been erased since; they are not shown, and not counted.";
    Issue::warning(IssueCode::Incomplete, text)
}

/// Why there is nothing to be read of then: 410 where the resource is there still and its version of then is not. Of what
/// was erased altogether not even that it was there is told.
async fn unreadable(call: &Call, key: &ResourceKey, position: Position) -> Result<Failure, Failure> {
    if !call.is_unbounded() {
        // Whose it was cannot be told any more.
        return Ok(missing(position));
    }
    let then = call.service.log.current_at(key, position).await?;
    let was_there = then.is_some_and(|event| is_erased_since(&event, position));
    let now = call.service.compartments.reads().current(key.clone()).await?;
    if !was_there || now.is_none_or(|event| event.is_gone()) {
        return Ok(missing(position));
    }
    let text = format!("The version of position {position} has been erased since.");
    Ok(Failure::new(FailureKind::Gone, IssueCode::Deleted, text).at_position(position))
}

/// 404 for what did not exist yet, and for what has been erased since.
pub(super) fn missing(position: Position) -> Failure {
    let text = format!(
        "At position {position} of the log there was no resource of this type and id, or all of it has been erased since."
    );
    Failure::not_found(text).at_position(position)
}
