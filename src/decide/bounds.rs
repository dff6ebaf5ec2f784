//! Bounds of a writer: what is there and what is to be there have to lie within them, and the records of other patients
//! stay as they are. What lies outside is to the writer as if it were not there.

use std::fmt;

use anamnesis_events::ResourceKey;
use anamnesis_fhir::json::{Document, Limits};

use super::{Candidate, Command, Current, Refusal, Rules, placement};

/// What a writer does to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Act {
    /// Make it.
    Create,
    /// Replace or patch it.
    Update,
    /// Delete it.
    Delete,
}

/// What a writer may reach. Pure: the same answer for the same version.
pub trait Bounds: fmt::Debug + Send + Sync {
    /// Whether this version of a resource is within reach of an act.
    fn admits(&self, act: Act, key: &ResourceKey, body: &[u8]) -> bool;

    /// Whether the act is allowed for some resources of a type.
    fn has_some(&self, act: Act, resource_type: &str) -> bool;

    /// Whether all resources of a type are, so that there is nothing to hide.
    fn has_all(&self, act: Act, resource_type: &str) -> bool;

    /// The compartment, as `Patient/1`, that bounds the writer; `None` where none does.
    fn owner(&self) -> Option<&str>;
}

/// What a bounded writer may decide on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Within<'c> {
    /// This is what is there.
    Current(Option<&'c Current>),
    /// What is to be deleted is not there, whatever is.
    Hidden,
}

/// Holds a command against the bounds of its writer.
///
/// # Errors
/// Refusals that are the same whether something is there or not.
pub(super) fn within<'c>(
    bounds: &dyn Bounds,
    command: &Command,
    current: Option<&'c Current>,
    rules: &Rules,
) -> Result<Within<'c>, Refusal> {
    let key = command.key();
    let act = match command {
        Command::Create { .. } => Act::Create,
        Command::Update { .. } => Act::Update,
        Command::Delete { .. } | Command::Purge { .. } => Act::Delete,
    };
    if !bounds.has_some(act, &key.resource_type) {
        return Err(Refusal::OutOfBounds("its scopes do not allow this for resources of this type"));
    }
    let has_all = bounds.has_all(act, &key.resource_type);
    let standing = current.filter(|current| !current.deleted && !current.erased);
    let reached = standing.filter(|current| has_all || bounds.admits(act, key, &current.payload));
    match command {
        Command::Create { candidate, .. } => {
            new(bounds, Act::Create, candidate)?;
            Ok(Within::Current(current))
        }
        Command::Update { candidate, .. } => {
            match reached {
                Some(before) => changed(bounds, candidate, before, rules)?,
                // Nothing is made under an id that may be taken by what is out of reach.
                None if !has_all || !bounds.has_all(Act::Create, &key.resource_type) => {
                    return Err(Refusal::OutOfReach);
                }
                None => new(bounds, Act::Create, candidate)?,
            }
            Ok(Within::Current(current))
        }
        // What has no version left, or is to have none, may have been another patient's once.
        Command::Delete { hard: true, .. } | Command::Purge { .. } if !has_all => Err(Refusal::OutOfBounds(
            "versions that were other people's may be among those that are to be erased",
        )),
        Command::Delete { .. } | Command::Purge { .. } => match reached {
            Some(before) => {
                no_others(bounds, &touched(key, before, rules)?)?;
                Ok(Within::Current(current))
            }
            None if has_all => Ok(Within::Current(current)),
            None => Ok(Within::Hidden),
        },
    }
}

/// What is new lies within the bounds, and in no other patient's record.
fn new(bounds: &dyn Bounds, act: Act, candidate: &Candidate) -> Result<(), Refusal> {
    admit(bounds, act, candidate)?;
    no_others(bounds, &candidate.placement.touches)
}

/// What it becomes lies within the bounds as well, and in the same records of others as before.
fn changed(
    bounds: &dyn Bounds,
    candidate: &Candidate,
    before: &Current,
    rules: &Rules,
) -> Result<(), Refusal> {
    admit(bounds, Act::Update, candidate)?;
    let before = touched(&candidate.key, before, rules)?;
    let (mut before, mut after) =
        (others_of(bounds, &before), others_of(bounds, &candidate.placement.touches));
    before.sort();
    after.sort();
    match before == after {
        true => Ok(()),
        false => Err(Refusal::OutOfBounds(OTHERS)),
    }
}

fn admit(bounds: &dyn Bounds, act: Act, candidate: &Candidate) -> Result<(), Refusal> {
    match bounds.admits(act, &candidate.key, candidate.document.text().as_bytes()) {
        true => Ok(()),
        false => Err(Refusal::OutOfBounds("what is to be written lies outside of what its scopes allow")),
    }
}

const OTHERS: &str = "it would come into the record of another patient, or leave it";

fn no_others(bounds: &dyn Bounds, touches: &[String]) -> Result<(), Refusal> {
    match others_of(bounds, touches).is_empty() {
        true => Ok(()),
        false => Err(Refusal::OutOfBounds(OTHERS)),
    }
}

/// The records of other patients; of nobody where no compartment bounds the writer.
fn others_of(bounds: &dyn Bounds, touches: &[String]) -> Vec<String> {
    let Some(owner) = bounds.owner() else { return Vec::new() };
    let is_other = |one: &&String| one.starts_with("Patient/") && one.as_str() != owner;
    touches.iter().filter(is_other).cloned().collect()
}

fn touched(key: &ResourceKey, current: &Current, rules: &Rules) -> Result<Vec<String>, Refusal> {
    let recorded = Document::parse(current.payload.to_vec(), &Limits::default())
        .map_err(|_broken| Refusal::Unreadable)?;
    Ok(placement::place(key, recorded.root(), &rules.bases).touches)
}

#[cfg(test)]
mod tests;
