//! The way of an export through the log: step by step, which versions belong to it.
//!
//! Whatever is asked for, a step looks at a bounded part of the log, or of one member's compartment, and comes to the same
//! whenever it is done: the state of a position does not change, but for bodies that are erased.

use std::collections::{BTreeMap, HashMap, HashSet};

use anamnesis_events::{
    CompartmentAt, Event, Living, LivingAt, Log, LogError, Operation, Position, ResourceKey,
};
use anamnesis_fhir::compartment::{Place, patient_compartments};
use anamnesis_fhir::json::{Document, Limits};
use anamnesis_projections::search::{DateEquals, ParseOptions, SearchIndex, Sight, Subject};
use chrono::DateTime;

use super::filter::Filter;
use super::job::{Cursor, Job, Level};
use crate::clock;
use crate::group::{GroupError, Standing, members};

/// Resources that are asked after at once, and those of a member's compartment that a step looks at: their bodies are read.
const PORTION: usize = 1000;
/// The type whose compartments are exported.
const PATIENT: &str = "Patient";

/// Why a step cannot be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum WalkError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The members of the group cannot be told any more.
    #[error("the members of the group cannot be told: {0}")]
    Group(#[from] GroupError),
    /// What the token may see cannot be told.
    #[error(
        "what the scopes of the token reach cannot be told any more: a search parameter of them is not known now"
    )]
    Scopes,
    /// What was asked of resources cannot be told any more.
    #[error("_typeFilter cannot be understood any more: {0}")]
    Filter(String),
}

/// What exports read.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    pub(super) log: Log,
    pub(super) index: SearchIndex,
    /// The addresses of the service without a last slash.
    pub(super) bases: Vec<String>,
    pub(super) date_equals: DateEquals,
    /// Positions that a step looks at.
    pub(super) step_positions: usize,
}

/// An export under way.
pub(super) struct Walk<'a> {
    sources: &'a Sources,
    job: &'a Job,
    bases: Vec<String>,
    types: Option<Vec<String>>,
    sight: Option<Sight>,
    filters: Vec<Filter>,
    /// The patients of the group, in the order in which they are looked through.
    members: Vec<ResourceKey>,
}

/// What a step has found.
#[derive(Debug)]
pub(super) struct Found {
    /// Positions by type, in order.
    pub(super) positions: BTreeMap<String, Vec<Position>>,
    /// Versions that have been erased since.
    pub(super) gone: u64,
    /// Where the next step begins.
    pub(super) cursor: Cursor,
    /// Whether there is no next one.
    pub(super) is_end: bool,
    /// How much is done, in hundredths.
    pub(super) percent: i32,
}

impl<'a> Walk<'a> {
    /// Prepares to go on with an export.
    pub(super) async fn open(sources: &'a Sources, job: &'a Job) -> Result<Self, WalkError> {
        let order = &job.order;
        let mut bases = sources.bases.clone();
        if !bases.contains(&order.base) {
            bases.push(order.base.clone());
        }
        let sight = order.restriction.clone().map(|restriction| {
            let options = ParseOptions {
                base_url: Some(order.base.clone()),
                date_equals: sources.date_equals,
                ..ParseOptions::at(clock::now())
            };
            sources.index.sight(restriction, options)
        });
        if sight.as_ref().is_some_and(|sight| sight.not_understood().is_some()) {
            return Err(WalkError::Scopes);
        }
        // Types of which nothing can be seen need not be looked at.
        let types = match (&order.types, &order.restriction) {
            (types, None) => types.clone(),
            (None, Some(restriction)) => Some(restriction.types().map(str::to_owned).collect()),
            (Some(types), Some(restriction)) => {
                Some(types.iter().filter(|name| restriction.has_some(name)).cloned().collect())
            }
        };
        let filter = |text: &String| Filter::read(sources, &order.base, text);
        let filters: Result<Vec<Filter>, String> = order.filters.iter().map(filter).collect();
        let filters = filters.map_err(WalkError::Filter)?;
        let mut walk = Self { sources, job, bases, types, sight, filters, members: Vec::new() };
        if let Level::Group(id) = &order.level {
            walk.members = walk.patients(&ResourceKey::new("Group", id.as_str())).await?;
        }
        Ok(walk)
    }

    /// The patients of the group that were there at the position.
    async fn patients(&self, group: &ResourceKey) -> Result<Vec<ResourceKey>, WalkError> {
        let (log, order) = (&self.sources.log, &self.job.order);
        let then = Standing::At(log, order.position);
        let all = members(&then, group, self.job.begun_at, &self.bases).await?;
        let patients: Vec<ResourceKey> =
            all.into_iter().filter(|key| *key.resource_type == *PATIENT).collect();
        let mut living = Vec::with_capacity(patients.len());
        for some in patients.chunks(PORTION) {
            let were = log.were_living(some, order.position).await?;
            living.extend(some.iter().zip(were).filter(|(_, was)| *was).map(|(key, _)| key.clone()));
        }
        Ok(living)
    }

    /// The next part.
    pub(super) async fn step(&self, cursor: Cursor) -> Result<Found, WalkError> {
        match self.job.order.level {
            Level::Group(_) => self.of_member(cursor).await,
            Level::System | Level::Patient => self.of_span(cursor).await,
        }
    }

    /// What stands in the next positions of the log.
    async fn of_span(&self, cursor: Cursor) -> Result<Found, WalkError> {
        let order = &self.job.order;
        let until = order.until.min(cursor.after.plus(self.sources.step_positions as u64));
        let wanted =
            LivingAt { position: order.position, after: cursor.after, until, types: self.types.as_deref() };
        let living = self.sources.log.living_at(&wanted).await?;
        let (gone, there): (Vec<Living>, Vec<Living>) = living.into_iter().partition(|one| one.is_gone);
        let there = if order.level == Level::Patient { self.of_patients(there).await? } else { there };
        let mut found = Found {
            positions: BTreeMap::new(),
            gone: gone.len() as u64,
            cursor: Cursor { member: 0, after: until },
            is_end: until >= order.until,
            percent: hundredths(until.get(), order.until.get()),
        };
        self.take(&mut found, there).await?;
        Ok(found)
    }

    /// Takes what can be seen.
    async fn take(&self, found: &mut Found, there: Vec<Living>) -> Result<(), WalkError> {
        let is_whole = |name: &str| {
            self.sight.as_ref().is_none_or(|sight| sight.restriction().has_all(name))
                && !self.filters.iter().any(|filter| filter.resource_type == name)
        };
        let doubtful: Vec<Position> =
            there.iter().filter(|one| !is_whole(&one.key.resource_type)).map(|one| one.position).collect();
        let mut seen = HashSet::new();
        let gone = self.bodies(&doubtful, |event| {
            if self.sees(event) {
                seen.insert(event.position);
            }
        });
        found.gone += gone.await?;
        for one in there {
            if is_whole(&one.key.resource_type) || seen.contains(&one.position) {
                found.positions.entry(one.key.resource_type.to_string()).or_default().push(one.position);
            }
        }
        Ok(())
    }

    /// Whether a version can be seen and is asked for.
    fn sees(&self, event: &Event) -> bool {
        let subject = Subject {
            resource_type: &event.key.resource_type,
            id: &event.key.id,
            payload: &event.payload,
            recorded_at: DateTime::UNIX_EPOCH,
        };
        let of_type =
            || self.filters.iter().filter(|filter| *filter.resource_type == *event.key.resource_type);
        let is_wanted = of_type().next().is_none() || of_type().any(|filter| filter.admits(event));
        is_wanted && self.sight.as_ref().is_none_or(|sight| sight.admits(&subject))
    }

    /// Gives these bodies to `each`, a bounded number of bytes at a time; how many are gone.
    async fn bodies(&self, positions: &[Position], mut each: impl FnMut(&Event)) -> Result<u64, LogError> {
        let (mut rest, mut gone) = (positions, 0);
        while !rest.is_empty() {
            let events = self.sources.log.fetch_page(rest).await?.events;
            if events.is_empty() {
                break;
            }
            rest = rest.get(events.len()..).unwrap_or_default();
            for event in &events {
                if event.is_gone() {
                    gone += 1;
                } else {
                    each(event);
                }
            }
        }
        Ok(gone)
    }

    /// Those of them that are in the compartment of a patient who was there.
    async fn of_patients(&self, there: Vec<Living>) -> Result<Vec<Living>, WalkError> {
        let owners: HashSet<&str> = there.iter().flat_map(|one| patients_of(&one.touches)).collect();
        let owners: Vec<ResourceKey> = owners.into_iter().map(|id| ResourceKey::new(PATIENT, id)).collect();
        let mut living: HashSet<String> = HashSet::new();
        for some in owners.chunks(PORTION) {
            let were = self.sources.log.were_living(some, self.job.order.position).await?;
            living.extend(some.iter().zip(were).filter(|(_, was)| *was).map(|(key, _)| key.id.clone()));
        }
        // The home is told by the body of this very version; of the others one may be left by it.
        let at_home = |one: &Living| {
            let home = one.touches.first().and_then(|home| patient_of(home));
            *one.key.resource_type == *PATIENT || home.is_some_and(|id| living.contains(id))
        };
        let touches_one = |one: &Living| patients_of(&one.touches).any(|id| living.contains(id));
        let doubtful: Vec<Position> =
            there.iter().filter(|one| !at_home(one) && touches_one(one)).map(|one| one.position).collect();
        let mut members = HashSet::new();
        self.bodies(&doubtful, |event| {
            if self.compartments(event).iter().any(|id| living.contains(id)) {
                members.insert(event.position);
            }
        })
        .await?;
        let is_member = |one: &Living| at_home(one) || members.contains(&one.position);
        Ok(there.into_iter().filter(is_member).collect())
    }

    /// The patients in whose compartments a version is.
    fn compartments(&self, event: &Event) -> Vec<String> {
        let bases: Vec<&str> = self.bases.iter().map(String::as_str).collect();
        let place = Place { resource_type: &event.key.resource_type, id: &event.key.id, bases: &bases };
        let document = Document::parse(event.payload.to_vec(), &Limits::default()).ok();
        document.map(|document| patient_compartments(&place, document.root())).unwrap_or_default()
    }

    /// What stands next in the compartment of a member. What is in those of several comes with the first of them.
    async fn of_member(&self, cursor: Cursor) -> Result<Found, WalkError> {
        let order = &self.job.order;
        let mut found = Found {
            positions: BTreeMap::new(),
            gone: 0,
            cursor: Cursor { member: cursor.member.saturating_add(1), after: order.since },
            is_end: false,
            percent: hundredths(cursor.member as u64, self.members.len() as u64),
        };
        let Some(member) = self.members.get(cursor.member) else {
            found.cursor = cursor;
            (found.is_end, found.percent) = (true, 100);
            return Ok(found);
        };
        let compartment = member.to_string();
        let limit = self.sources.step_positions.min(PORTION);
        let wanted = CompartmentAt {
            compartment: &compartment,
            position: order.position,
            types: self.types.as_deref(),
            behind: Some(cursor.after),
            ascending: true,
            limit,
        };
        let positions = self.sources.log.compartment_at(&wanted).await?;
        let wanted: Vec<Position> =
            positions.iter().copied().filter(|position| *position <= order.until).collect();
        if let (true, Some(last)) = (positions.len() >= limit, positions.last()) {
            found.cursor = Cursor { member: cursor.member, after: *last };
        }
        let order_of: HashMap<&str, usize> =
            self.members.iter().enumerate().map(|(place, key)| (key.id.as_str(), place)).collect();
        let mut taken = Vec::new();
        let gone = self.bodies(&wanted, |event| {
            if self.comes_with(event, cursor.member, &order_of) && self.sees(event) {
                taken.push((event.key.resource_type.to_string(), event.position));
            }
        });
        found.gone = gone.await?;
        for (name, position) in taken {
            found.positions.entry(name).or_default().push(position);
        }
        Ok(found)
    }

    /// Whether a version comes with the compartment of a member: it is still in it, and in none of those before.
    fn comes_with(&self, event: &Event, member: usize, order_of: &HashMap<&str, usize>) -> bool {
        if event.operation == Operation::Delete {
            return false;
        }
        if *event.key.resource_type == *PATIENT {
            // Others that link to the member are other people.
            return order_of.get(event.key.id.as_str()) == Some(&member);
        }
        let compartments = self.compartments(event);
        compartments.iter().filter_map(|id| order_of.get(id.as_str())).min() == Some(&member)
    }
}

fn patient_of(compartment: &str) -> Option<&str> {
    let (kind, id) = compartment.split_once('/')?;
    (kind == PATIENT && !id.starts_with('~')).then_some(id)
}

fn patients_of(touches: &[String]) -> impl Iterator<Item = &str> {
    touches.iter().filter_map(|compartment| patient_of(compartment))
}

fn hundredths(done: u64, all: u64) -> i32 {
    let percent = done.saturating_mul(100).checked_div(all).unwrap_or(100);
    i32::try_from(percent.min(100)).unwrap_or(100)
}
