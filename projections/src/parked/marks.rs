//! What readers are told of parked resources: how many of which types, and some of them by name.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use anamnesis_events::ResourceKey;
use tokio::sync::watch;

/// Resources of a type that are told by name; of the others only the number.
pub const NAMED_MAX: usize = 10;

/// The parked resources of one type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParkedOfType {
    /// How many there are.
    pub resources: u64,
    /// The ids of the first ten, in order.
    pub named: BTreeSet<String>,
}

/// The parked resources of a version, by type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParkedMarks(BTreeMap<Arc<str>, ParkedOfType>);

impl ParkedMarks {
    /// Whether nothing is parked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parked resources of a type, if there are any.
    #[must_use]
    pub fn of(&self, resource_type: &str) -> Option<&ParkedOfType> {
        self.0.get(resource_type)
    }

    /// All types that have parked resources, in order.
    pub fn types(&self) -> impl Iterator<Item = (&str, &ParkedOfType)> {
        self.0.iter().map(|(name, of_type)| (&**name, of_type))
    }

    /// What is parked here or there, of two moments of a version. Of a type the larger number counts: how many are in
    /// both is not known.
    #[must_use]
    pub(crate) fn joined(self: &Arc<Self>, other: &Arc<Self>) -> Arc<Self> {
        if Arc::ptr_eq(self, other) || other.is_empty() {
            return self.clone();
        }
        let mut joined = (**self).clone();
        for (name, theirs) in &other.0 {
            let ours = joined.0.entry(name.clone()).or_default();
            ours.named.extend(theirs.named.iter().cloned());
            let named = u64::try_from(ours.named.len()).unwrap_or(u64::MAX);
            ours.resources = ours.resources.max(theirs.resources).max(named);
            while ours.named.len() > NAMED_MAX {
                ours.named.pop_last();
            }
        }
        Arc::new(joined)
    }

    fn add(&mut self, key: &ResourceKey) {
        let of_type = self.0.entry(key.resource_type.clone()).or_default();
        of_type.resources += 1;
        of_type.named.insert(key.id.clone());
        if of_type.named.len() > NAMED_MAX {
            of_type.named.pop_last();
        }
    }
}

/// The parked resources of a running version, and who is told of them.
#[derive(Debug)]
pub(crate) struct Resources {
    parked: HashSet<ResourceKey>,
    marks: watch::Sender<Arc<ParkedMarks>>,
}

impl Resources {
    pub(crate) fn new(parked: HashSet<ResourceKey>) -> Self {
        let resources = Self { parked, marks: watch::Sender::default() };
        resources.mark();
        resources
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Arc<ParkedMarks>> {
        self.marks.subscribe()
    }

    pub(crate) fn all(&self) -> &HashSet<ResourceKey> {
        &self.parked
    }

    /// These are the parked resources now.
    pub(crate) fn set(&mut self, parked: HashSet<ResourceKey>) {
        if self.parked != parked {
            self.parked = parked;
            self.mark();
        }
    }

    /// These are parked as well.
    pub(crate) fn add<'k>(&mut self, keys: impl Iterator<Item = &'k ResourceKey>) {
        let mut marks: Option<ParkedMarks> = None;
        for key in keys {
            if self.parked.insert(key.clone()) {
                marks.get_or_insert_with(|| (**self.marks.borrow()).clone()).add(key);
            }
        }
        if let Some(marks) = marks {
            self.marks.send_replace(Arc::new(marks));
        }
    }

    /// This one is not parked any more. Only where it was told by name all are looked through, for another name.
    pub(crate) fn remove(&mut self, key: &ResourceKey) {
        if !self.parked.remove(key) {
            return;
        }
        let mut marks = (**self.marks.borrow()).clone();
        let Some(of_type) = marks.0.get_mut(&key.resource_type) else { return self.mark() };
        let are_all_named = of_type.named.len() < NAMED_MAX;
        if of_type.named.remove(&key.id) && !are_all_named {
            return self.mark();
        }
        of_type.resources -= 1;
        if of_type.resources == 0 {
            marks.0.remove(&key.resource_type);
        }
        self.marks.send_replace(Arc::new(marks));
    }

    fn mark(&self) {
        let mut marks = ParkedMarks::default();
        self.parked.iter().for_each(|key| marks.add(key));
        self.marks.send_replace(Arc::new(marks));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_first_ten_are_named() {
        let keys: Vec<_> = (0..12).rev().map(|n| ResourceKey::new("Patient", format!("{n:02}"))).collect();
        let mut resources = Resources::new(HashSet::new());
        let told = resources.watch();
        assert!(told.borrow().is_empty());
        resources.add(keys.iter().chain(&keys));
        let of_type = told.borrow().of("Patient").unwrap().clone();
        assert_eq!(of_type.resources, 12);
        assert_eq!(of_type.named.iter().next_back().unwrap(), "09");
        assert_eq!(of_type.named.len(), NAMED_MAX);
        resources.remove(&keys[11]);
        assert_eq!(told.borrow().of("Patient").unwrap().named.iter().next_back().unwrap(), "10");
        resources.remove(&keys[0]);
        assert_eq!(told.borrow().of("Patient").unwrap().resources, 10);
        keys.iter().for_each(|key| resources.remove(key));
        assert!(told.borrow().is_empty());
        resources.set(HashSet::from([ResourceKey::new("Group", "1")]));
        assert_eq!(told.borrow().types().map(|(name, _)| name.to_owned()).collect::<Vec<_>>(), ["Group"]);
    }

    #[test]
    fn two_moments_are_joined_by_name_and_the_larger_number() {
        let of = |ids: std::ops::Range<usize>| {
            let keys = ids.map(|id| ResourceKey::new("Patient", format!("{id:02}"))).collect();
            Resources::new(keys).watch().borrow().clone()
        };
        let joined = of(0..2).joined(&of(1..4));
        assert_eq!(joined.of("Patient").unwrap().resources, 4);
        assert_eq!(joined.of("Patient").unwrap().named.len(), 4);
        let joined = of(0..15).joined(&of(10..12));
        assert_eq!(joined.of("Patient").unwrap().resources, 15);
        assert_eq!(joined.of("Patient").unwrap().named.len(), NAMED_MAX);
        assert!(of(0..1).joined(&of(0..0)).of("Patient").is_some());
        assert!(of(0..0).joined(&of(0..1)).of("Patient").is_some());
    }
}
