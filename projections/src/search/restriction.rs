//! What somebody may see of the resources: by type, within compartments, and by criteria. Nothing else is there for them.
//!
//! A query that is read with a restriction ([`super::ParseOptions::restriction`]) has it as one more clause, on every row
//! that its statements touch: the results, what is joined to them by chains and `_has`, what is included, counted and
//! sorted. Of what is hidden nothing can be inferred, because no statement leads through it. [`super::Sight`] asks the
//! same clause of one body, for all that is not searched.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use anamnesis_fhir::definitions;

/// Which resources can be seen. By default none.
///
/// ```
/// use anamnesis_projections::search::{Restriction, Visible};
///
/// let mut restriction = Restriction::default();
/// restriction.allow("Observation", Visible::within("Patient", "1"));
/// restriction.allow("Practitioner", Visible::all());
/// assert!(restriction.has_some("Observation") && !restriction.has_all("Observation"));
/// assert!(restriction.has_all("Practitioner") && !restriction.has_some("Condition"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Restriction {
    /// Of each type what can be seen: whatever answers one of these. Types that are not there cannot be seen at all.
    types: BTreeMap<String, Vec<Visible>>,
}

/// One choice of the resources of a type that can be seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Visible {
    /// The owner of a compartment, as type and id: only what that holds. Of the owner's own type only the owner itself,
    /// not others that link to it.
    pub within: Option<(String, String)>,
    /// Search parameters and their values, all of which a resource has to answer. Plain ones: without modifiers, chains
    /// and whatever says how results are given.
    pub criteria: Vec<(String, String)>,
}

impl Visible {
    /// All resources of the type.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Those in the compartment of this owner.
    #[must_use]
    pub fn within(owner_type: &str, owner_id: &str) -> Self {
        Self { within: Some((owner_type.to_owned(), owner_id.to_owned())), criteria: Vec::new() }
    }

    fn is_all(&self) -> bool {
        self.within.is_none() && self.criteria.is_empty()
    }
}

impl Restriction {
    /// Lets this be seen as well.
    pub fn allow(&mut self, resource_type: &str, visible: Visible) {
        match self.types.entry(resource_type.to_owned()) {
            Entry::Vacant(place) => drop(place.insert(vec![visible])),
            Entry::Occupied(place) => {
                let all = place.into_mut();
                // Where all can be seen, nothing is added to it.
                if visible.is_all() {
                    *all = vec![visible];
                } else if !all.contains(&visible) && !all.iter().any(Visible::is_all) {
                    all.push(visible);
                }
            }
        }
    }

    /// What can be seen of a type, in any of these ways; none for a type that cannot be seen.
    #[must_use]
    pub fn of(&self, resource_type: &str) -> &[Visible] {
        self.types.get(resource_type).map(Vec::as_slice).unwrap_or_default()
    }

    /// The types of which something may be seen.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    /// Whether something of the type may be seen.
    #[must_use]
    pub fn has_some(&self, resource_type: &str) -> bool {
        !self.of(resource_type).is_empty()
    }

    /// Whether all resources of the type can be seen.
    #[must_use]
    pub fn has_all(&self, resource_type: &str) -> bool {
        self.of(resource_type).iter().any(Visible::is_all)
    }

    /// Whether all resources of all types can be seen: it restricts nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        definitions::r4().resource_types().iter().all(|name| self.has_all(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_adds_up() {
        let mut restriction = Restriction::default();
        assert!(!restriction.has_some("Patient"));
        restriction.allow("Patient", Visible::within("Patient", "1"));
        restriction.allow("Patient", Visible::within("Patient", "1"));
        restriction.allow("Patient", Visible::within("Patient", "2"));
        assert_eq!(restriction.of("Patient").len(), 2);
        assert!(!restriction.has_all("Patient"));
        restriction.allow("Patient", Visible::all());
        restriction.allow("Patient", Visible::within("Patient", "3"));
        assert_eq!(restriction.of("Patient"), [Visible::all()]);
    }

    #[test]
    fn it_restricts_nothing_where_all_types_can_be_seen() {
        let mut restriction = Restriction::default();
        for name in definitions::r4().resource_types() {
            assert!(!restriction.is_none());
            restriction.allow(name, Visible::all());
        }
        assert!(restriction.is_none());
    }
}
