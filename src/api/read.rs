//! Read: the newest version of a resource (R4 http.html section 3.1.0.2).

use std::sync::Arc;
use std::time::SystemTime;

use actix_web::http::StatusCode;
use anamnesis_events::{Event, Operation, ResourceKey};

use super::answer::Answer;
use super::as_of;
use super::call::Call;
use super::negotiate;
use super::subset::Subset;
use crate::error::Failure;

/// `GET /Patient/1`
pub(crate) async fn read(call: &Call, key: &ResourceKey) -> Result<Answer, Failure> {
    if let Some(position) = as_of::asked(call).await? {
        return as_of::read(call, key, position).await;
    }
    if let Some(position) = call.at {
        let then = call.service.log.current_at(key, position).await?;
        let then = then.filter(|event| !event.is_gone()).ok_or_else(missing)?;
        return if call.can_read(&then).await? { answer(call, &then) } else { Err(missing()) };
    }
    answer(call, &*newest(call, key).await?)
}

/// The newest version of a resource, a delete too.
///
/// # Errors
/// 404 where there is none.
async fn newest(call: &Call, key: &ResourceKey) -> Result<Arc<Event>, Failure> {
    let event = call.service.compartments.reads().current(key.clone()).await?;
    // Of what was erased not even that it was there is told (AHDS answers 404 after a hard delete).
    let event = event.filter(|event| !event.is_gone()).ok_or_else(missing)?;
    // What is out of reach was never there either.
    if call.can_read(&event).await? { Ok(event) } else { Err(missing()) }
}

/// The newest version of a resource that is there.
///
/// # Errors
/// 404 where there is none, 410 where it was deleted.
pub(crate) async fn living(call: &Call, key: &ResourceKey) -> Result<Arc<Event>, Failure> {
    let event = newest(call, key).await?;
    if event.operation == Operation::Delete { Err(Failure::gone(event.version)) } else { Ok(event) }
}

/// Answers with a version: 200, 304 where the client has it already, 410 where it is a delete.
pub(crate) fn answer(call: &Call, event: &Event) -> Result<Answer, Failure> {
    if event.operation == Operation::Delete {
        return Err(Failure::gone(event.version));
    }
    call.access.shows(event);
    let subset = Subset::parse(&call.query)?;
    let modified = SystemTime::from(event.recorded_at);
    let known = negotiate::is_not_modified(&call.conditions, event.version, modified)?;
    let mut answer = Answer::new(if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    answer.version = Some(event.version);
    answer.modified = Some(event.recorded_at);
    answer.body = (!known).then(|| subset.of(&event.payload));
    Ok(answer)
}

pub(crate) fn missing() -> Failure {
    Failure::not_found("There is no resource of this type and id.")
}
