//! `$purge-history`: all versions of a resource but the current one are taken away (an operation of AHDS).

use actix_web::http::StatusCode;

use crate::actors::Outcome;
use crate::api::answer::Answer;
use crate::api::call::Call;
use crate::api::operation::{Invocation, Level, Work};
use crate::api::query::{GENERAL, encode};
use crate::decide::Command;
use crate::error::{Failure, FailureKind, IssueCode};

/// `DELETE /Patient/1/$purge-history`, or a POST of nothing.
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(async move {
        let Level::Instance(key) = invocation.level else { return Err(Failure::internal()) };
        // As of a delete: what is misspelt may be what was to keep something.
        if let Some((name, _)) = call.query.others(&GENERAL).next() {
            let text = format!("$purge-history takes no parameters; {} is not known.", encode(name));
            return Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text));
        }
        let expected = call.expected()?;
        let mut answer = Answer::new(StatusCode::NO_CONTENT);
        match call.submit(Command::Purge { key, expected }).await? {
            Outcome::Written { recorded, .. } => {
                answer.version = Some(recorded.version);
                answer.position = Some(recorded.position);
                answer.recorded = true;
            }
            // As a delete of what is not there.
            Outcome::Absent(_) => {}
            Outcome::Unchanged(_) | Outcome::Held { .. } => return Err(Failure::internal()),
        }
        Ok(answer)
    })
}
