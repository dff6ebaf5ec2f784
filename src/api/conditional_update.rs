//! Conditional update: of the one resource that matches the criteria, or a new one (R4 http.html section 3.1.0.4.3).

use std::sync::Arc;

use anamnesis_events::{ResourceKey, Version};
use anamnesis_fhir::json::Document;
use anamnesis_fhir::references;

use super::answer::Answer;
use super::call::{Body, Call};
use super::conditional_create::contended;
use super::criteria::Matches;
use super::turns::Held;
use super::{criteria, parameters, resource, write};
use crate::actors::{Outcome, WriteError};
use crate::clock;
use crate::decide::conditional::{self, ConditionalUpdate};
use crate::decide::{Command, Expected, Refusal};
use crate::error::{Failure, FailureKind, IssueCode};

/// `PUT /Patient?identifier=…`
pub(crate) async fn update(call: &Call, resource_type: &Arc<str>, body: Body) -> Result<Answer, Failure> {
    let expected = call.expected()?;
    let document = resource::receive(call, body, resource_type).await?;
    let body_id = body_id(&document)?;
    let asked = parameters::criteria(&call.query);
    let meta_history = parameters::meta_history(&call.query)?;
    let mut refused = None;
    for _ in 0..criteria::TRIES_MAX {
        let matches = criteria::matches(call, resource_type, &asked, 2).await?;
        let mut turn = matches.held.clone();
        let (key, expected, unless_held) = match conditional::update(&matches.ids, body_id.as_deref())? {
            ConditionalUpdate::Create => {
                let key = ResourceKey::new(resource_type.clone(), clock::new_resource_id());
                (key, expected.clone(), matches.unless_held.clone())
            }
            ConditionalUpdate::CreateAs(id) => {
                let key = ResourceKey::new(resource_type.clone(), id);
                (key, expected.clone().or_unmatched(), matches.unless_held.clone())
            }
            ConditionalUpdate::Update(id) => {
                let key = ResourceKey::new(resource_type.clone(), id);
                turn = Some(turn_of(call, &key, &matches).await?);
                match implied(call, &matches, 0, &expected).await? {
                    Some(expected) => (key, expected, Vec::new()),
                    None => continue,
                }
            }
        };
        let is_new = matches.ids.is_empty() && body_id.is_none();
        let candidate = resource::candidate(call, key.clone(), document.clone(), meta_history);
        let command = match is_new && !expected.is_condition() {
            true => Command::Create { candidate, unless_held },
            false => Command::Update { candidate, expected, unless_held },
        };
        match call.submit_in_turn(command, turn.as_ref()).await {
            // Somebody took the identifier, or changed what was found, since the criteria were matched.
            Ok(Outcome::Held { .. }) => {}
            Err(WriteError::Refused(Refusal::VersionMismatch { .. })) if !matches.ids.is_empty() => {}
            // It may be there since the criteria were matched, and match them now.
            Err(error @ WriteError::Refused(Refusal::Unmatched { .. })) => refused = Some(error),
            Ok(written) => return write::answer(call, &key, written),
            Err(error) => return Err(error.into()),
        }
    }
    Err(refused.map_or_else(contended, Failure::from))
}

/// The turn in which what matched is changed: that of the resource behind that of the criteria, so that clients of this server
/// wait for each other, whatever they write by, instead of trying in vain.
pub(crate) async fn turn_of(call: &Call, key: &ResourceKey, matches: &Matches) -> Result<Arc<Held>, Failure> {
    let own = call.service.turns.wait_for([key]).await?;
    Ok(Arc::new(own.after(matches.held.as_ref())))
}

/// The version that matched: the write is of that one or of none. `None` where it was changed since.
pub(crate) async fn implied(
    call: &Call,
    matches: &Matches,
    index: usize,
    expected: &Expected,
) -> Result<Option<Expected>, Failure> {
    let Some(version) = matches.version(call, index).await? else { return Ok(None) };
    check_client(expected, version)?;
    Ok(Some(Expected::Versions(vec![version])))
}

/// The client's own condition goes before the implied one.
fn check_client(expected: &Expected, current: Version) -> Result<(), Failure> {
    match expected {
        Expected::Anything | Expected::Something | Expected::Unmatched => Ok(()),
        Expected::Versions(versions) if versions.contains(&current) => Ok(()),
        Expected::Versions(_) => Err(Refusal::VersionMismatch { current }.into()),
        Expected::Nothing => Err(Refusal::Exists { current }.into()),
    }
}

fn body_id(document: &Document) -> Result<Option<String>, Failure> {
    let id = document.root().get("id").and_then(|id| id.as_str()).map(std::borrow::Cow::into_owned);
    match id {
        Some(id) if !references::is_id(&id) => {
            let text = "An id has 1 to 64 characters out of A-Z, a-z, 0-9, '-' and '.'.";
            Err(Failure::new(FailureKind::Invalid, IssueCode::Value, text).at("id"))
        }
        id => Ok(id),
    }
}
