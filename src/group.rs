//! Who is in a Group (R4 group.html), with the groups in it: what an export of a group and lists of patients need.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use anamnesis_events::{Event, Log, Operation, Position, ResourceKey};
use anamnesis_fhir::datetime::{DateTime as FhirDateTime, Interval};
use anamnesis_fhir::json::{Document, Limits, Value};
use anamnesis_fhir::references::Target;
use chrono::{DateTime, Utc};

use crate::reads::{ReadError, Reads};

/// Groups that are looked into for one: nesting is for wards in hospitals, not for thousands.
const GROUPS_MAX: usize = 1000;
/// Members at most. A body of the largest size holds some hundred thousand.
const MEMBERS_MAX: usize = 1_000_000;

/// Why the members of a group cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// There is no such group, or it was deleted.
    #[error("there is no such group")]
    NotFound,
    /// A group of this group is not there: who is in it cannot be told.
    #[error("the group has {0} in it, which is not there")]
    Missing(ResourceKey),
    /// The group describes its members instead of listing them (`actual` is false).
    #[error("the group describes its members and lists none")]
    Descriptive,
    /// There are too many of something.
    #[error("the group has more than {limit} {what} in it")]
    TooMany {
        /// Groups or members.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// A group that was recorded cannot be read.
    #[error("the group {0} cannot be read")]
    Broken(ResourceKey),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Which versions of groups are meant.
#[derive(Debug, Clone, Copy)]
pub enum Standing<'a> {
    /// Those of now.
    Now(&'a Reads),
    /// Those of a position of the log.
    At(&'a Log, Position),
}

impl Standing<'_> {
    async fn read(&self, key: &ResourceKey) -> Result<Option<Arc<Event>>, ReadError> {
        match self {
            Self::Now(reads) => reads.current(key.clone()).await,
            Self::At(log, position) => {
                let event = log.current_at(key, *position).await;
                Ok(event.map_err(|error| ReadError::Log(Arc::new(error)))?.map(Arc::new))
            }
        }
    }
}

/// The resources that are in a group at an instant, directly or in a group that is in it, each once; no groups. Members
/// that are marked as inactive, or whose period does not hold the instant, are left out with all that is in them.
///
/// `bases` are the addresses of this server without a last slash: members elsewhere are nobody that it knows.
///
/// # Errors
/// [`GroupError`]. Nothing is left out in silence.
pub async fn members(
    standing: &Standing<'_>,
    group: &ResourceKey,
    at: DateTime<Utc>,
    bases: &[String],
) -> Result<BTreeSet<ResourceKey>, GroupError> {
    let mut members = BTreeSet::new();
    let mut seen = BTreeSet::from([group.clone()]);
    let mut groups = VecDeque::from([group.clone()]);
    // Every group comes once, so a group that is in itself ends.
    while let Some(next) = groups.pop_front() {
        let missing =
            || if next == *group { GroupError::NotFound } else { GroupError::Missing(next.clone()) };
        let event = standing.read(&next).await?.ok_or_else(missing)?;
        if event.operation == Operation::Delete || event.is_gone() {
            return Err(missing());
        }
        let document = Document::parse(event.payload.to_vec(), &Limits::default());
        let document = document.map_err(|_fault| GroupError::Broken(next.clone()))?;
        if document.root().get("actual").and_then(Value::as_bool) == Some(false) {
            return Err(GroupError::Descriptive);
        }
        for member in document.root().get("member").into_iter().flat_map(Value::items) {
            let Some(key) = entity(member, bases).filter(|_| is_member_at(member, at)) else { continue };
            if *key.resource_type != *"Group" {
                members.insert(key);
            } else if seen.insert(key.clone()) {
                groups.push_back(key);
            }
        }
        for (what, count, limit) in
            [("groups", seen.len(), GROUPS_MAX), ("members", members.len(), MEMBERS_MAX)]
        {
            if count > limit {
                return Err(GroupError::TooMany { what, limit });
            }
        }
    }
    Ok(members)
}

fn entity(member: Value<'_>, bases: &[String]) -> Option<ResourceKey> {
    let reference = member.get("entity")?.get("reference")?.as_str()?;
    let target = Target::parse(&reference).filter(|target| target.is_local(bases))?;
    Some(ResourceKey::new(target.resource_type, target.id))
}

fn is_member_at(member: Value<'_>, at: DateTime<Utc>) -> bool {
    if member.get("inactive").and_then(Value::as_bool) == Some(true) {
        return false;
    }
    let Some(period) = member.get("period") else { return true };
    let end_of = |name: &str| FhirDateTime::parse_date_time(&period.get(name)?.as_str()?).ok();
    let span = Interval::of_period(end_of("start"), end_of("end"));
    (span.low..span.high).contains(&at.timestamp_micros())
}
