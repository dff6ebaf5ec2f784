//! Delete: the end of a resource; its versions stay (R4 http.html section 3.1.0.7).

use actix_web::http::StatusCode;
use anamnesis_events::ResourceKey;

use super::answer::Answer;
use super::call::Call;
use crate::actors::Outcome;
use crate::decide::Command;
use crate::error::{Failure, FailureKind, IssueCode};

/// `DELETE /Patient/1`
pub(crate) async fn delete(call: &Call, key: ResourceKey) -> Result<Answer, Failure> {
    refuse_hard(call)?;
    let expected = call.expected()?;
    let command = Command::Delete { key, expected };
    let done = call.submit(command).await?;
    answer(done)
}

/// What is deleted stays in the history; to say otherwise would be a lie about patient data.
///
/// # Errors
/// 400 where the client asks for a delete of all versions (AHDS: `hardDelete`, `_hardDelete`).
fn refuse_hard(call: &Call) -> Result<(), Failure> {
    let asks = |name| call.query.get(name).is_some_and(|value| value == "true");
    if asks("hardDelete") || asks("_hardDelete") {
        let text = "This server does not offer to delete all versions of a resource; nothing was deleted.";
        return Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text));
    }
    Ok(())
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
        Outcome::Absent(Some(current)) => {
            answer.version = Some(current.version);
            answer.position = Some(current.position);
        }
        Outcome::Absent(None) => {}
        Outcome::Unchanged(_) | Outcome::Held { .. } => return Err(Failure::internal()),
    }
    Ok(answer)
}
