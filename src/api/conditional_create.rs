//! Conditional create: a new resource unless one matches the criteria (R4 http.html section 3.1.0.8.1).

use std::sync::Arc;

use anamnesis_events::ResourceKey;

use super::answer::Answer;
use super::call::{Body, Call};
use super::query::Query;
use super::{criteria, resource, write};
use crate::actors::Outcome;
use crate::clock;
use crate::decide::conditional::{self, ConditionalCreate};
use crate::decide::{Command, Current};
use crate::error::{Failure, FailureKind, IssueCode};

/// `POST /Patient` with `If-None-Exist`
pub(crate) async fn create(
    call: &Call,
    resource_type: &Arc<str>,
    if_none_exist: &str,
    body: Body,
) -> Result<Answer, Failure> {
    let query = Query::parse(criteria::bare(resource_type, if_none_exist))?;
    let document = resource::receive(call, body, resource_type).await?;
    let key = ResourceKey::new(resource_type.clone(), clock::new_resource_id());
    let candidate = resource::candidate(call, key.clone(), document, true);
    for _ in 0..criteria::TRIES_MAX {
        let matches = criteria::matches(call, resource_type, &query, 2).await?;
        let found = match conditional::create(&matches.ids)? {
            ConditionalCreate::Found(id) => id,
            ConditionalCreate::Create => {
                let unless_held = matches.unless_held.clone();
                let command = Command::Create { candidate: candidate.clone(), unless_held };
                match call.submit_in_turn(command, matches.held.as_ref()).await? {
                    Outcome::Held { id } => id,
                    written => return write::answer(call, &key, written),
                }
            }
        };
        let found = ResourceKey::new(resource_type.clone(), found);
        let current = call.service.compartments.reads().current(found.clone()).await?;
        let current = current.map(|event| Current::from(&*event));
        // What was deleted since it was found, or has come out of reach, matches no more.
        let shown = |current: &Current| !current.deleted && call.sees_current(&found, current);
        if let Some(current) = current.filter(shown) {
            return Ok(write::found(call, &found, &current));
        }
    }
    Err(contended())
}

/// Others changed what the criteria match, again and again.
pub(crate) fn contended() -> Failure {
    let text = "Others changed what the criteria match at the same time.";
    Failure::new(FailureKind::Conflict, IssueCode::Conflict, text).retry_after(1)
}
