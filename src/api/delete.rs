//! Delete: the end of a resource (R4 http.html section 3.1.0.7), and with `hardDelete` of all its versions (as AHDS has it).

use actix_web::http::StatusCode;
use anamnesis_events::ResourceKey;

use super::answer::Answer;
use super::call::Call;
use super::query::Query;
use crate::actors::Outcome;
use crate::decide::Command;
use crate::error::Failure;

/// `DELETE /Patient/1`
pub(crate) async fn delete(call: &Call, key: ResourceKey) -> Result<Answer, Failure> {
    let hard = hard(&call.query)?;
    let expected = call.expected()?;
    let command = Command::Delete { key, expected, hard };
    let done = call.submit(command).await?;
    answer(done)
}

/// The parameter that asks for a delete of all versions, under both of its names.
pub(crate) const HARD: [&str; 2] = ["hardDelete", "_hardDelete"];

/// Whether the client wants no version to be kept.
///
/// # Errors
/// 400 for what is neither yes nor no, or both: a typo must not decide whether a patient's record can be had again.
pub(crate) fn hard(query: &Query) -> Result<bool, Failure> {
    Ok(query.flag(&HARD)?.unwrap_or(false))
}

/// 204, with the version and position of the delete where there is one.
pub(crate) fn answer(done: Outcome) -> Result<Answer, Failure> {
    let mut answer = Answer::new(StatusCode::NO_CONTENT);
    match done {
        Outcome::Written { recorded, .. } => {
            answer.version = Some(recorded.version);
            answer.position = Some(recorded.position);
            answer.recorded = true;
        }
        // Of what was erased nothing is told.
        Outcome::Absent(Some(current)) if !current.erased => {
            answer.version = Some(current.version);
            answer.position = Some(current.position);
        }
        Outcome::Absent(_) => {}
        Outcome::Unchanged(_) | Outcome::Held { .. } => return Err(Failure::internal()),
    }
    Ok(answer)
}
