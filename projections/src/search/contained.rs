//! Contained resources (R4 references.html#contained): what each is found by, in rows of its own.
//!
//! A contained resource is found by the same tokens, spans and texts as one that stands for itself, in the tables of its
//! [`super::shelf::Shelf`], but for these:
//!
//! - Only its container and what that contains refer to it, by `#id`: its own key is one of the container and that id, so that
//!   chains lead to it from there. `_id` asks for [`id_token`].
//! - It has no compartment of its own. It is where its container is: it has [`of_container`] of everything that puts the
//!   container into a compartment.

use std::collections::BTreeSet;

use anamnesis_events::{Position, ResourceKey};
use anamnesis_fhir::definitions;
use anamnesis_fhir::json::Value;

use super::atom::{Atom, Criterion, Yield};
use super::entries::Entries;
use super::key::{pair, type_number};
use super::shelf::{CONTAINED_MAX, Shelf, seq_of};
use super::special;
use super::target::{OWN_MAX, Target};
use crate::checkpoint::number;
use anamnesis_fhir::search::SearchRegistry;
use chrono::{DateTime, Utc};

/// Tokens of compartments that the contained resources of one container have, all together: 32 MiB. Each of them has all of
/// its container, so that a body full of both would come to more than any memory holds. A group of 10,000 patients may
/// contain 419 resources.
const MEMBERSHIPS_MAX: usize = 1 << 22;

/// What a resource is found by, and what the resources are found by that it contains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) entries: Entries,
    pub(crate) contained: Vec<Contained>,
}

/// What a contained resource is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contained {
    /// Its place in `contained`, from 1 on.
    pub(crate) place: i64,
    pub(crate) resource_type: &'static str,
    /// As in [`Name`].
    pub(crate) name: String,
    pub(crate) entries: Entries,
}

/// A row of a shelf.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed<'a> {
    pub(crate) kind: i32,
    pub(crate) seq: i64,
    /// In microseconds.
    pub(crate) last_updated: i64,
    /// The id; of a contained resource its [`Name`].
    pub(crate) id: &'a str,
    pub(crate) entries: &'a Entries,
}

impl Whole {
    /// The rows of one shelf that a resource has that was recorded at this position.
    pub(crate) fn rows<'a>(
        &'a self,
        shelf: Shelf,
        key: &'a ResourceKey,
        (position, recorded_at): (Position, DateTime<Utc>),
    ) -> impl Iterator<Item = Placed<'a>> {
        let last_updated = recorded_at.timestamp_micros();
        let standing = (shelf == Shelf::Standing).then(|| Placed {
            kind: type_number(&key.resource_type),
            seq: number(position),
            last_updated,
            id: &key.id,
            entries: &self.entries,
        });
        let contained = if shelf == Shelf::Contained { self.contained.as_slice() } else { &[] };
        standing.into_iter().chain(contained.iter().map(move |one| Placed {
            kind: type_number(one.resource_type),
            seq: seq_of(position, one.place),
            last_updated,
            id: &one.name,
            entries: &one.entries,
        }))
    }
}

/// How the index names a contained resource: `m1#MedicationRequest/23`. By these names they are in the order of their
/// ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name<'a> {
    pub(crate) id: &'a str,
    pub(crate) container_type: &'static str,
    pub(crate) container_id: &'a str,
}

impl<'a> Name<'a> {
    /// The name that a row has; `None` for what was never written.
    pub(crate) fn parse(name: &'a str) -> Option<Self> {
        let (id, container) = name.rsplit_once('#')?;
        let (container_type, container_id) = container.split_once('/')?;
        let types = definitions::r4().resource_types();
        let container_type = types.iter().find(|name| **name == container_type)?;
        Some(Self { id, container_type, container_id })
    }
}

/// The contained resources of one, with their places and types; without those that have no id or no type of R4, which
/// nobody could name.
pub(super) fn each_in(root: Value<'_>) -> impl Iterator<Item = (i64, &'static str, String, Value<'_>)> {
    let all = root.get("contained").into_iter().flat_map(Value::items).take(CONTAINED_MAX);
    (1..).zip(all).filter_map(|(place, value)| {
        let resource_type = value.get("resourceType").and_then(Value::as_str)?;
        let types = definitions::r4().resource_types();
        let resource_type = types.iter().find(|name| ***name == *resource_type)?;
        let id = value.get("id").and_then(Value::as_str)?;
        // Postgres keeps no texts with it.
        let is_id = !id.is_empty() && !id.contains('\0');
        is_id.then(|| (place, *resource_type, id.into_owned(), value))
    })
}

/// What `_id` finds a contained resource by, from the own key that a resource of its type and id would have.
pub(super) fn id_token(own: i64) -> i64 {
    const ID: i64 = 0x1f83_d9ab_fb41_bd6b;
    pair(own, ID)
}

/// What a contained resource has of a token by which its container is in a compartment.
pub(super) fn of_container(token: i64) -> i64 {
    const CONTAINER: i64 = 0x2b7e_1516_28ae_d2a6;
    pair(token, CONTAINER)
}

/// The contained resources whose containers are in a compartment, the owner's own among them: whatever types the
/// containers have.
pub(super) fn compartment(registry: &SearchRegistry, log: i16, owner: (&str, &str)) -> Criterion {
    let types = definitions::r4().resource_types().iter();
    let atoms = types.flat_map(|name| special::compartment(registry, log, owner, name));
    let of_container = |atom| match atom {
        Atom::Token(token) => Atom::Token(of_container(token)),
        other => other,
    };
    Criterion::any(atoms.map(of_container).collect(), Yield::Few)
}

/// What is asked of a resource, as it is asked of a contained one. Of own keys `_id` asks; `marked` are those of what Lists
/// mark as deleted, which are meant as they are.
pub(super) fn asked_of_contained(criterion: &Criterion, marked: &BTreeSet<i64>) -> Criterion {
    let of_atom = |atom: &Atom| match atom {
        Atom::Token(token) if *token < OWN_MAX && !marked.contains(token) => Atom::Token(id_token(*token)),
        Atom::All(all) => Atom::All(all.iter().map(|one| asked_of_contained(one, marked)).collect()),
        // What is joined is asked as of what stands for itself.
        other => other.clone(),
    };
    Criterion { any: criterion.any.iter().map(of_atom).collect(), ..*criterion }
}

/// What the contained resources have by which their container is in compartments, and how many of them are indexed with it.
pub(super) fn membership(mut tokens: Vec<i64>) -> (Vec<i64>, usize) {
    tokens.sort_unstable();
    tokens.dedup();
    let of_container: Vec<i64> = tokens.into_iter().map(of_container).collect();
    let indexed_max = MEMBERSHIPS_MAX / of_container.len().max(1);
    (of_container, indexed_max)
}

/// What a contained resource is found by beside its parameters. `membership` is of its container.
pub(super) fn index(log: i16, (resource_type, id): (&str, &str), membership: &[i64], entries: &mut Entries) {
    entries.tokens.push(Target::contained(log, &entries.container, id).own());
    entries.tokens.push(id_token(Target::resource(log, resource_type, id).own()));
    entries.tokens.extend(membership);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::extract::Extractor;

    /// A body of both is told in memory that no more than its own size takes.
    #[test]
    fn what_is_in_many_compartments_has_fewer_contained_resources_indexed() {
        let members: Vec<String> =
            (0..3000).map(|id| format!(r#"{{"entity":{{"reference":"Patient/{}"}}}}"#, id % 2048)).collect();
        let contained = |count: usize| {
            let basics: Vec<String> =
                (0..count).map(|id| format!(r#"{{"resourceType":"Basic","id":"{id}"}}"#)).collect();
            let body = format!(
                r#"{{"resourceType":"Group","contained":[{}],"member":[{}]}}"#,
                basics.join(","),
                members.join(",")
            );
            let extractor = Extractor::new(SearchRegistry::r4().clone(), 1);
            extractor.whole("Group", "g", body.as_bytes()).unwrap().contained
        };
        assert_eq!(contained(10).len(), 10);
        // Each member once, and the group itself.
        let (group, members) = (1, 2048);
        let all = contained(2500);
        assert_eq!(all.len(), MEMBERSHIPS_MAX / (group + members));
        assert!(all.iter().all(|one| one.entries.tokens.len() > members));
    }

    #[test]
    fn names_are_taken_apart() {
        let name = |id, container_type, container_id| Some(Name { id, container_type, container_id });
        assert_eq!(Name::parse("m1#MedicationRequest/23"), name("m1", "MedicationRequest", "23"));
        assert_eq!(Name::parse("a#b#Patient/1"), name("a#b", "Patient", "1"));
        assert_eq!(Name::parse("m1#Medicine/23"), None);
        assert_eq!(Name::parse("m1"), None);
    }
}
