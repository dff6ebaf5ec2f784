//! Conditional patch: of the one resource that matches the criteria (R4 http.html section 3.1.0.6.1).

use std::sync::Arc;

use anamnesis_events::ResourceKey;

use super::answer::Answer;
use super::call::{Body, Call};
use super::conditional_create::contended;
use super::conditional_update::{implied, turn_of};
use super::patch::{self, Tried};
use super::{criteria, parameters};
use crate::decide::conditional;
use crate::error::Failure;

/// `PATCH /Patient?identifier=…`
pub(crate) async fn patch(call: &Call, resource_type: &Arc<str>, body: Body) -> Result<Answer, Failure> {
    let expected = call.expected()?;
    let patch = patch::read(body).await?;
    let asked = parameters::criteria(&call.query);
    for _ in 0..patch::TRIES_MAX {
        let matches = criteria::matches(call, resource_type, &asked, 2).await?;
        let key = ResourceKey::new(resource_type.clone(), conditional::patch(&matches.ids)?);
        let turn = turn_of(call, &key, &matches).await?;
        let Some(expected) = implied(call, &matches, 0, &expected).await? else { continue };
        match patch::once(call, &key, &patch, &expected, Some(&turn)).await {
            Ok(answer) => return Ok(answer),
            Err(Tried::Moved(_)) => {}
            Err(Tried::Failed(failure)) => return Err(failure),
        }
    }
    Err(contended())
}
