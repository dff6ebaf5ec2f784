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

    /// This one is not parked any more.
    pub(crate) fn remove(&mut self, key: &ResourceKey) {
        if self.parked.remove(key) {
            self.mark();
        }
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
        resources.set(HashSet::from([ResourceKey::new("Group", "1")]));
        assert_eq!(told.borrow().types().map(|(name, _)| name.to_owned()).collect::<Vec<_>>(), ["Group"]);
    }
}
