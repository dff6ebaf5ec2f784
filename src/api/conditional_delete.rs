//! Conditional delete: of what matches the criteria (R4 http.html section 3.1.0.7.1; `_count` as AHDS has it).

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;
use anamnesis_events::ResourceKey;

use super::answer::Answer;
use super::call::Call;
use super::conditional_create::contended;
use super::conditional_update::implied;
use super::criteria::Matches;
use super::query::Query;
use super::{criteria, delete, idempotency};
use crate::actors::{Outcome, WriteError};
use crate::decide::conditional;
use crate::decide::{Command, Refusal};
use crate::error::{Failure, FailureKind, IssueCode};

/// Resources that one request may delete (AHDS: 100).
const COUNT_MAX: usize = 100;

/// How many resources were deleted (a header of AHDS).
pub(crate) const ITEMS_DELETED: HeaderName = HeaderName::from_static("items-deleted");

/// `DELETE /Patient?identifier=…`
pub(crate) async fn delete(call: &Call, resource_type: &Arc<str>) -> Result<Answer, Failure> {
    let count = count(&call.query)?;
    if count.is_some() && call.once.is_some() {
        let text =
            "A conditional delete with _count is several writes, which one Idempotency-Key cannot name.";
        return Err(idempotency::not_taken(text));
    }
    let hard = delete::hard(&call.query)?;
    let [short, long] = delete::HARD;
    let criteria = Query(call.query.others(&["_count", short, long]).cloned().collect());
    for _ in 0..criteria::TRIES_MAX {
        let matches = criteria::matches(call, resource_type, &criteria, count.unwrap_or(2)).await?;
        let ids = conditional::delete(&matches.ids, count)?;
        if count.is_some() {
            return many(call, resource_type, &matches, (ids.len(), hard)).await;
        }
        if ids.is_empty() {
            return Ok(Answer::new(StatusCode::NO_CONTENT));
        }
        if let Some(done) = one(call, resource_type, &matches, (0, hard)).await? {
            return delete::answer(done);
        }
    }
    Err(contended())
}

/// Deletes a match, if it is still the version that matched; `None` where it is not.
async fn one(
    call: &Call,
    resource_type: &Arc<str>,
    matches: &Matches,
    (index, hard): (usize, bool),
) -> Result<Option<Outcome>, Failure> {
    let Some(expected) = implied(call, matches, index, &call.expected()?).await? else { return Ok(None) };
    let Some(id) = matches.ids.get(index) else { return Ok(None) };
    let key = ResourceKey::new(resource_type.clone(), id.as_str());
    let command = Command::Delete { key, expected, hard };
    match call.submit_in_turn(command, matches.held.as_ref()).await {
        Ok(done) => Ok(Some(done)),
        Err(WriteError::Refused(Refusal::VersionMismatch { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Deletes several, each on its own: what cannot be deleted leaves the others deleted, and the client is told.
async fn many(
    call: &Call,
    resource_type: &Arc<str>,
    matches: &Matches,
    (count, hard): (usize, bool),
) -> Result<Answer, Failure> {
    let mut deleted = 0;
    for index in 0..count {
        match one(call, resource_type, matches, (index, hard)).await {
            Ok(Some(_)) => deleted += 1,
            // It was changed or deleted since, so it is not known to match.
            Ok(None) => {}
            Err(failure) if deleted == 0 => return Err(failure),
            Err(_) => {
                let text = format!("{deleted} of {count} resources were deleted; the others could not be.");
                return Err(Failure::new(FailureKind::TooLarge, IssueCode::Incomplete, text));
            }
        }
    }
    let mut answer = Answer::new(StatusCode::NO_CONTENT);
    answer.headers.push((ITEMS_DELETED, deleted.to_string()));
    Ok(answer)
}

fn count(query: &Query) -> Result<Option<usize>, Failure> {
    let Some(text) = query.once(&["_count"])? else { return Ok(None) };
    let count = text.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count));
    let bad =
        || Failure::invalid(format!("_count of a conditional delete is a number from 1 to {COUNT_MAX}."));
    count.map(Some).ok_or_else(bad)
}
