//! The conditions of a transaction, matched together: `ifNoneExist`, conditional updates and deletes, and conditional
//! references.

use std::collections::{BTreeMap, HashMap};

use anamnesis_events::{Identifier, Version};

use super::entry::{Entry, Method};
use super::resolve::ConditionalReference;
use super::target::Target;
use crate::api::conditional_create::contended;
use crate::api::criteria;
use crate::api::turns::Held;
use crate::api::{Call, Query};
use crate::error::{Failure, FailureKind, IssueCode};

/// What a condition matched.
#[derive(Debug, Clone)]
pub(super) struct Matched {
    /// The ids; at most two are looked for.
    pub(super) ids: Vec<String>,
    /// The version that matches, where exactly one resource does and it is to be written: the write is of that version
    /// or of none.
    pub(super) version: Option<Version>,
    /// What must hold when a resource is created because nothing matched.
    pub(super) unless_held: Vec<Identifier>,
}

/// Conditions of one transaction: each is a look-up of its own.
pub(super) const CONDITIONS_MAX: usize = 1000;

/// A condition that is to be matched.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The FHIRPath of the first place that has it.
    pub(super) path: String,
    /// Whether what matches is to be written.
    pub(super) writes: bool,
}

/// A condition: a resource type and a query.
pub(super) type Condition = (String, String);

/// The condition of an entry, if it has one.
pub(super) fn condition(entry: &Entry<'_>) -> Option<Condition> {
    match (entry.method, &entry.target, &entry.if_none_exist) {
        (Method::Post, Target::Type(kind), Some(query)) => Some((kind.clone(), query.clone())),
        (Method::Put | Method::Patch | Method::Delete, Target::Conditional(kind, query), _) => {
            Some((kind.clone(), query.clone()))
        }
        _ => None,
    }
}

/// Matches every condition once. Other writers with the same criteria are kept waiting until the guard is dropped.
///
/// # Errors
/// Criteria that are not understood, with the place of the first entry that has them.
pub(super) async fn match_all(
    call: &Call,
    wanted: &BTreeMap<Condition, Wanted>,
) -> Result<(HashMap<Condition, Matched>, Held), Failure> {
    let mut queries = Vec::with_capacity(wanted.len());
    for ((kind, query), place) in wanted {
        let query = criteria::parse(query).map_err(|failure| failure.at(place.path.clone()))?;
        queries.push((kind.as_str(), query));
    }
    // All at once and in one order, so that two transactions cannot wait for each other.
    let all = queries.iter().map(|(kind, query)| (*kind, query));
    let held = call.service.turns.wait_for_all(&call.service.log, all).await?;
    let mut matched = HashMap::with_capacity(wanted.len());
    for ((condition, place), (kind, query)) in wanted.iter().zip(&queries) {
        let found = match_one(call, kind, query, place.writes).await.map_err(|f| f.at(place.path.clone()))?;
        matched.insert(condition.clone(), found);
    }
    Ok((matched, held))
}

/// Matches a condition, again where what it matched has changed before its version was known.
async fn match_one(call: &Call, kind: &str, query: &Query, writes: bool) -> Result<Matched, Failure> {
    for _ in 0..criteria::TRIES_MAX {
        let found = criteria::matches_in_turn(call, kind, query, 2).await?;
        let version = match found.ids.len() {
            1 if writes => found.version(call, 0).await?,
            _ => None,
        };
        if version.is_some() || !writes || found.ids.len() != 1 {
            return Ok(Matched { ids: found.ids, version, unless_held: found.unless_held });
        }
    }
    Err(contended())
}

/// The local reference for a conditional one: to the one resource that matches.
///
/// # Errors
/// 400 where none matches, 412 where many do.
pub(super) fn one_match(reference: &ConditionalReference, matched: &Matched) -> Result<String, Failure> {
    match matched.ids.as_slice() {
        [id] => Ok(format!("{}/{id}", reference.resource_type)),
        [] => {
            let text = "No resource matches this conditional reference.";
            Err(Failure::new(FailureKind::Invalid, IssueCode::NotFound, text).at(reference.path.clone()))
        }
        _ => {
            let text = "More than one resource matches this conditional reference.";
            let failure = Failure::new(FailureKind::PreconditionFailed, IssueCode::MultipleMatches, text);
            Err(failure.at(reference.path.clone()))
        }
    }
}
