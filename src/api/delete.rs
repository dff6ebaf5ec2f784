//! Delete: the end of a resource; its versions stay (R4 http.html section 3.1.0.7).

use actix_web::http::StatusCode;
use anamnesis_events::ResourceKey;

use super::answer::Answer;
use super::call::Call;
use crate::actors::Outcome;
use crate::decide::Command;
use crate::error::Failure;

/// `DELETE /Patient/1`
pub(crate) async fn delete(call: &Call, key: ResourceKey) -> Result<Answer, Failure> {
    let expected = call.expected()?;
    let command = Command::Delete { key, expected };
    let done = call.service.compartments.submit(command, call.provenance()).await?;
    answer(done)
}

/// 204, with the version and position of the delete where there is one.
pub(crate) fn answer(done: Outcome) -> Result<Answer, Failure> {
    let mut answer = Answer::new(StatusCode::NO_CONTENT);
    match done {
        Outcome::Written { recorded, .. } => {
            answer.version = Some(recorded.version);
            answer.position = Some(recorded.position);
        }
        Outcome::Absent(Some(current)) => {
            answer.version = Some(current.version);
            answer.position = Some(current.position);
        }
        Outcome::Absent(None) => {}
        Outcome::Unchanged(_) | Outcome::Held { .. } => return Err(Failure::internal()),
    }
    Ok(answer)
}
