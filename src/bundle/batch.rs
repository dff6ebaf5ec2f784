//! A batch: every entry is a request of its own, and fails by itself (R4 http.html#brules).

use futures::StreamExt;

use anamnesis_events::Position;

use super::Outcome;
use super::entry::{Entry, EntryRead, Method};
use super::patch;
use super::response::Answer;
use crate::api::conditional_delete::ITEMS_DELETED;
use crate::api::{self, Body, Call, Conditions, Request, Return};
use crate::error::{Failure, Issue, outcome};

/// How many entries are done side by side where the client allows it: enough for one commit to take many of them.
const SIDE_BY_SIDE: usize = 32;

/// Carries out the entries: one after the other, as Azure Health Data Services does by default, or side by side where
/// the client says `x-bundle-processing-logic: parallel`.
pub(super) async fn run(call: &Call, entries: Vec<EntryRead<'_>>) -> Outcome {
    let side_by_side = if call.parallel { SIDE_BY_SIDE } else { 1 };
    let done = entries.into_iter().map(async |entry| match entry {
        Ok(entry) => Ok((entry.method, dispatch(call, &entry, None).await?)),
        Err(failure) => Err(failure),
    });
    let outcomes: Vec<_> = futures::stream::iter(done).buffered(side_by_side).collect().await;
    let last = outcomes.iter().flatten().filter_map(|(_, answer)| answer.position).max();
    let answers = outcomes.into_iter().map(|outcome| match outcome {
        Ok((method, answer)) => answered(call, method, answer),
        Err(failure) => Answer::refused(&failure, &call.correlation_id),
    });
    (answers.collect(), last)
}

/// Serves an entry as the request that it stands for; a read of a transaction as of a position.
pub(super) async fn dispatch(
    call: &Call,
    entry: &Entry<'_>,
    at: Option<Position>,
) -> Result<api::Answer, Failure> {
    let access = call.access.entry(entry.index);
    let (path, mut query) = entry.target.path_and_query();
    entry.own.add_to(&mut query);
    let body = match (entry.method, entry.resource) {
        (_, None) => Body::None,
        (Method::Patch, Some(resource)) => patch::body(resource, &entry.path())?,
        (_, Some(resource)) => Body::Bytes(resource.raw().as_bytes().to_vec()),
    };
    let request = Request {
        principal: call.principal.clone(),
        method: entry.method.http(),
        path,
        query,
        conditions: Conditions {
            if_match: entry.if_match.clone(),
            if_none_match: entry.if_none_match.clone(),
            if_modified_since: entry.if_modified_since.clone(),
            if_none_exist: entry.if_none_exist.clone(),
            // An entry has no such condition.
            if_unmodified_since: None,
        },
        prefer: call.prefer,
        eventual: call.eventual,
        partial: call.partial,
        at,
        profile_validation: call.profile_validation,
        body,
        base: call.base.clone(),
        correlation_id: call.correlation_id.clone(),
        access: access.clone(),
        ..Request::default()
    };
    // A bundle within a bundle is refused when entries are read, so this goes one level deep; the type does not know.
    let outcome = Box::pin(api::dispatch(&call.service, request)).await;
    access.comes_to(match &outcome {
        Ok(answer) => answer.status.as_u16(),
        Err(failure) => failure.status().as_u16(),
    });
    outcome
}

/// An answer as an entry of the response; that of a HEAD has no body (RFC 9110 section 9.3.2).
pub(super) fn answered(call: &Call, method: Method, answer: api::Answer) -> Answer {
    let is_write = answer.position.is_some() && !matches!(method, Method::Get | Method::Head);
    // An entry has no headers, so what one would tell is told in words.
    let deleted = answer.headers.iter().find(|(name, _)| *name == ITEMS_DELETED).map(|(_, count)| {
        let text = format!("Resources that were deleted: {count}.");
        outcome("", &[Issue::information(text)]).into()
    });
    let (resource, outcome) = match call.prefer.answer {
        _ if method == Method::Head => (None, None),
        _ if deleted.is_some() => (None, deleted),
        Return::Outcome if is_write => (None, answer.body),
        _ => (answer.body, None),
    };
    Answer {
        status: answer.status,
        location: answer.location,
        version: answer.version,
        modified: answer.modified,
        resource,
        outcome,
    }
}
