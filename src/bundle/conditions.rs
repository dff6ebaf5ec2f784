//! The conditions of a transaction, matched together: `ifNoneExist`, conditional updates and deletes, and conditional
//! references. Those that are bound to match the same, however they are written, are one.

use std::collections::{BTreeMap, BTreeSet, HashMap, btree_map};

use anamnesis_events::{Identifier, Version};
use anamnesis_projections::search::COUNT_MAX;

use super::entry::{Entry, Method};
use super::named::Named;
use super::own_resources::OwnResources;
use super::plan::Reading;
use super::resolve::ConditionalReference;
use super::target::Target;
use super::transaction::Tried;
use crate::api::conditional_create::contended;
use crate::api::criteria::{self, Normal};
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
    path: String,
    /// What is asked of the index: names of entries stand for their resources.
    criteria: Query,
    /// Whether what matches is to be written.
    writes: bool,
    /// As references have it, which may lead to what the transaction itself writes.
    of_references: Vec<Query>,
    /// How many matches are looked for: two are too many, beside those that the transaction itself deletes or replaces.
    count: usize,
}

/// A condition: its criteria with the resources that names of entries stand for.
pub(super) type Condition = Normal;

/// The conditions of a transaction.
#[derive(Debug)]
pub(super) struct Conditions {
    /// All that are to be matched.
    wanted: BTreeMap<Condition, Wanted>,
    /// Of the entries that have one, by their place.
    of_entries: Vec<Option<Condition>>,
    /// Of the conditional references, in their order.
    of_references: Vec<Condition>,
}

impl Conditions {
    /// Reads the conditions of all entries, and of the conditional references in their resources. `addresses` are those of
    /// this service.
    ///
    /// # Errors
    /// Criteria that are no query, or name an entry that has criteria itself.
    pub(super) fn read(
        entries: &[Entry<'_>],
        references: &[ConditionalReference],
        named: &Named,
        addresses: &[String],
    ) -> Result<Self, Failure> {
        let mut wanted: BTreeMap<Condition, Wanted> = BTreeMap::new();
        let mut of_entries = Vec::with_capacity(entries.len());
        let mut of_references = Vec::with_capacity(references.len());
        let mut read = |kind: &str,
                        as_sent: Query,
                        path: String,
                        note: &dyn Fn(&mut Wanted, Query)|
         -> Result<Condition, Failure> {
            let criteria = named.resolved(as_sent.clone())?;
            let condition = Normal::of(kind, &criteria, addresses);
            let place = match wanted.entry(condition.clone()) {
                btree_map::Entry::Occupied(place) => place.into_mut(),
                btree_map::Entry::Vacant(place) => {
                    let of_references = Vec::new();
                    place.insert(Wanted { path, criteria, writes: false, of_references, count: 2 })
                }
            };
            note(place, as_sent);
            Ok(condition)
        };
        for entry in entries {
            let condition = criteria_of(entry).map(|(kind, text)| {
                let as_sent = Query::parse(text)?;
                read(kind, as_sent, entry.path(), &|place, _| place.writes |= entry.method != Method::Post)
            });
            let condition = condition.transpose().map_err(|failure| failure.at(entry.path()))?;
            of_entries.push(condition);
        }
        for reference in references {
            let count = COUNT_MAX.min(2 + writers_of(entries, &reference.resource_type));
            let condition = Query::parse(&reference.query).and_then(|as_sent| {
                read(&reference.resource_type, as_sent, reference.path.clone(), &|place, as_sent| {
                    place.count = count;
                    if !place.of_references.contains(&as_sent) {
                        place.of_references.push(as_sent);
                    }
                })
            });
            of_references.push(condition.map_err(|failure| failure.at(reference.path.clone()))?);
        }
        Ok(Self { wanted, of_entries, of_references })
    }

    /// The condition of the entry at this place, if it has one.
    pub(super) fn of_entry(&self, index: usize) -> Option<&Condition> {
        self.of_entries.get(index)?.as_ref()
    }

    /// The conditions of the conditional references, in their order.
    pub(super) fn of_references(&self) -> &[Condition] {
        &self.of_references
    }
}

/// The type and criteria of an entry, if it has any.
pub(super) fn criteria_of<'e>(entry: &'e Entry<'_>) -> Option<(&'e str, &'e str)> {
    match (entry.method, &entry.target, &entry.if_none_exist) {
        (Method::Post, Target::Type(kind), Some(query)) => Some((kind, criteria::bare(kind, query))),
        (Method::Put | Method::Patch | Method::Delete, Target::Conditional(kind, query), _) => {
            Some((kind, query))
        }
        _ => None,
    }
}

/// How many entries may change what a condition on this type has matched.
fn writers_of(entries: &[Entry<'_>], kind: &str) -> usize {
    let writes = |entry: &&Entry<'_>| match (entry.method, &entry.target) {
        (Method::Put | Method::Delete, Target::Instance(name, _) | Target::Conditional(name, _)) => {
            name == kind
        }
        _ => false,
    };
    entries.iter().filter(writes).count()
}

/// The turns of all conditions: other writers with the same criteria are kept waiting until they are dropped.
///
/// # Errors
/// 503 where it takes too long.
pub(super) async fn turns(call: &Call, conditions: &Conditions) -> Result<Held, Failure> {
    // All at once and in one order, so that two transactions cannot wait for each other.
    call.service.turns.wait_for_all(&call.service.log, conditions.wanted.keys()).await
}

/// Matches every condition once, for a caller that holds their turns.
///
/// # Errors
/// Criteria that are not understood, with the place of the first entry that has them.
pub(super) async fn match_all(
    call: &Call,
    reading: &Reading<'_>,
) -> Result<HashMap<Condition, Matched>, Tried> {
    let wanted = &reading.conditions.wanted;
    let mut own = OwnResources::new(call, reading);
    let mut matched = HashMap::with_capacity(wanted.len());
    for (condition, place) in wanted {
        let kind = condition.resource_type();
        let failed = |failure: Failure| Tried::Refused(failure.at(place.path.clone()));
        let found = match_one(call, kind, place).await.map_err(failed)?;
        let mut found =
            found.ok_or_else(|| Tried::Again { key: None, failure: contended().at(place.path.clone()) })?;
        // Resources are tested as they are sent, with the names that they have for each other.
        for as_sent in &place.of_references {
            let matching = own.matching(kind, as_sent).await.map_err(failed)?;
            found.own.extend(matching);
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
