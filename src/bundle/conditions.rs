//! The conditions of a transaction, matched together: `ifNoneExist`, conditional updates and deletes, and conditional
//! references.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anamnesis_events::{Identifier, Version};

use super::entry::{Entry, Method};
use super::own_resources::OwnResources;
use super::plan::Reading;
use super::resolve::ConditionalReference;
use super::target::Target;
use super::transaction::Tried;
use crate::api::conditional_create::contended;
use crate::api::criteria;
use crate::api::turns::Held;
use crate::api::{Call, Query};
use crate::error::{Failure, FailureKind, IssueCode};

/// What a condition matched.
#[derive(Debug, Clone)]
pub(super) struct Matched {
    /// The ids of what was there before; of many not all.
    pub(super) ids: Vec<String>,
    /// The version that matches, where exactly one resource does and it is to be written: the write is of that version
    /// or of none.
    pub(super) version: Option<Version>,
    /// What must hold when a resource is created because nothing matched.
    pub(super) unless_held: Vec<Identifier>,
    /// For a conditional reference: the entries, by their place, whose resources match as they are sent.
    pub(super) own: Vec<usize>,
}

/// Conditions of one transaction: each is a look-up of its own.
pub(super) const CONDITIONS_MAX: usize = 1000;

/// A condition that is to be matched.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The FHIRPath of the first place that has it.
    pub(super) path: String,
    /// What is asked of the index: names of entries stand for their resources.
    pub(super) criteria: Query,
    /// Whether what matches is to be written.
    pub(super) writes: bool,
    /// Whether a reference has it, which may lead to what the transaction itself writes.
    pub(super) is_reference: bool,
    /// How many matches are looked for: two are too many, beside those that the transaction itself deletes or replaces.
    pub(super) count: usize,
}

impl Wanted {
    /// A condition that is to be met by one resource at most.
    pub(super) fn at(path: String, criteria: Query) -> Self {
        Self { path, criteria, writes: false, is_reference: false, count: 2 }
    }
}

/// A condition: a resource type and a query.
pub(super) type Condition = (String, String);

/// The condition of an entry, if it has one.
pub(super) fn condition(entry: &Entry<'_>) -> Option<Condition> {
    match (entry.method, &entry.target, &entry.if_none_exist) {
        (Method::Post, Target::Type(kind), Some(query)) => {
            Some((kind.clone(), criteria::bare(kind, query).to_owned()))
        }
        (Method::Put | Method::Patch | Method::Delete, Target::Conditional(kind, query), _) => {
            Some((kind.clone(), query.clone()))
        }
        _ => None,
    }
}

/// The turns of all conditions: other writers with the same criteria are kept waiting until they are dropped.
///
/// # Errors
/// 503 where it takes too long.
pub(super) async fn turns(call: &Call, wanted: &BTreeMap<Condition, Wanted>) -> Result<Held, Failure> {
    // All at once and in one order, so that two transactions cannot wait for each other.
    let all = wanted.iter().map(|((kind, _), wanted)| (kind.as_str(), &wanted.criteria));
    call.service.turns.wait_for_all(&call.service.log, all).await
}

/// Matches every condition once, for a caller that holds their turns.
///
/// # Errors
/// Criteria that are not understood, with the place of the first entry that has them.
pub(super) async fn match_all(
    call: &Call,
    reading: &Reading<'_>,
    wanted: &BTreeMap<Condition, Wanted>,
) -> Result<HashMap<Condition, Matched>, Tried> {
    let mut own = OwnResources::new(call, reading);
    let mut matched = HashMap::with_capacity(wanted.len());
    for (condition, place) in wanted {
        let (kind, as_sent) = condition;
        let failed = |failure: Failure| Tried::Refused(failure.at(place.path.clone()));
        let found = match_one(call, kind, place).await.map_err(failed)?;
        let mut found =
            found.ok_or_else(|| Tried::Again { key: None, failure: contended().at(place.path.clone()) })?;
        if place.is_reference {
            // Resources are tested as they are sent, with the names that they have for each other.
            let as_sent = Query::parse(as_sent).map_err(failed)?;
            found.own = own.matching(kind, &as_sent).await.map_err(failed)?;
        }
        matched.insert(condition.clone(), found);
    }
    Ok(matched)
}

/// Matches a condition, again where what it matched has changed before its version was known; `None` where that happens
/// again and again.
async fn match_one(call: &Call, kind: &str, wanted: &Wanted) -> Result<Option<Matched>, Failure> {
    let Wanted { writes, count, ref criteria, .. } = *wanted;
    for _ in 0..criteria::TRIES_MAX {
        let found = criteria::matches_in_turn(call, kind, criteria, count).await?;
        let version = match found.ids.len() {
            1 if writes => found.version(call, 0).await?,
            _ => None,
        };
        if version.is_some() || !writes || found.ids.len() != 1 {
            let (ids, unless_held) = (found.ids, found.unless_held);
            return Ok(Some(Matched { ids, version, unless_held, own: Vec::new() }));
        }
    }
    Ok(None)
}

/// The local reference for a conditional one: to the one resource that matches when everything is written.
///
/// # Errors
/// 400 where none matches, 412 where many do.
pub(super) fn one_match(reference: &ConditionalReference, ids: &BTreeSet<&str>) -> Result<String, Failure> {
    let mut all = ids.iter();
    match (all.next(), all.next()) {
        (Some(id), None) => Ok(format!("{}/{id}", reference.resource_type)),
        (None, _) => {
            let text = "No resource matches this conditional reference when everything is written.";
            Err(Failure::new(FailureKind::Invalid, IssueCode::NotFound, text).at(reference.path.clone()))
        }
        (Some(_), Some(_)) => {
            let text = "More than one resource matches this conditional reference.";
            let failure = Failure::new(FailureKind::PreconditionFailed, IssueCode::MultipleMatches, text);
            Err(failure.at(reference.path.clone()))
        }
    }
}
