//! What all writes answer alike: status, version headers, and the body that the client prefers.

use actix_web::http::StatusCode;
use anamnesis_events::{Event, Operation, Position, ResourceKey, Version};
use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::answer::Answer;
use super::call::Call;
use super::negotiate::Return;
use crate::actors::Outcome;
use crate::decide::Current;
use crate::error::{Failure, Issue, outcome};

/// The version of a resource that a write made or found.
pub(crate) struct Shown<'a> {
    pub(crate) key: &'a ResourceKey,
    pub(crate) version: Version,
    pub(crate) recorded_at: DateTime<Utc>,
    pub(crate) position: Position,
    pub(crate) payload: Bytes,
}

/// Answers a create or an update.
pub(crate) fn answer(call: &Call, key: &ResourceKey, written: Outcome) -> Result<Answer, Failure> {
    match written {
        Outcome::Written { operation, recorded, .. } => {
            let created = operation == Operation::Create;
            let version = Shown {
                key,
                version: recorded.version,
                recorded_at: recorded.recorded_at,
                position: recorded.position,
                payload: recorded.payload,
            };
            Ok(Answer { recorded: true, ..with(call, created, version) })
        }
        Outcome::Unchanged(current) => Ok(found(call, key, &current)),
        Outcome::Absent(_) | Outcome::Held { .. } => Err(Failure::internal()),
    }
}

/// Answers with a version that was there already: nothing was written.
pub(crate) fn found(call: &Call, key: &ResourceKey, current: &Current) -> Answer {
    call.access.finds_in(key, current.version, &current.home);
    let version = Shown {
        key,
        version: current.version,
        recorded_at: current.recorded_at,
        position: current.position,
        payload: current.payload.clone(),
    };
    with(call, false, version)
}

/// Answers with the event that a write has recorded before.
pub(crate) fn recorded(call: &Call, event: Event) -> Answer {
    call.access.writes(&event.key, event.version, event.position, &event.touches);
    if event.operation == Operation::Delete {
        let mut answer = Answer::new(StatusCode::NO_CONTENT);
        answer.version = Some(event.version);
        answer.position = Some(event.position);
        return answer;
    }
    let version = Shown {
        key: &event.key,
        version: event.version,
        recorded_at: event.recorded_at,
        position: event.position,
        payload: event.payload,
    };
    with(call, event.operation == Operation::Create, version)
}

fn with(call: &Call, created: bool, version: Shown<'_>) -> Answer {
    let mut answer = Answer::new(if created { StatusCode::CREATED } else { StatusCode::OK });
    answer.location = Some(call.location(version.key, version.version));
    answer.version = Some(version.version);
    answer.modified = Some(version.recorded_at);
    answer.position = Some(version.position);
    answer.body = match call.prefer.answer {
        // Of a version that was erased since, nothing is left to show to whoever sends its request again.
        Return::Representation => Some(version.payload).filter(|payload| !payload.is_empty()),
        Return::Minimal => None,
        Return::Outcome => {
            let text = if created { "The resource was created." } else { "The resource is as sent." };
            Some(outcome(&call.correlation_id, &[Issue::information(text)]).into())
        }
    };
    answer
}
