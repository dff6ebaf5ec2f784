//! The cache of an actor: newest versions of its resources, the least recently used leave first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anamnesis_events::ResourceKey;

use crate::decide::Current;

/// Entries of one actor: a compartment with more hot resources than this reads them from the log.
const ENTRIES_MAX: usize = 1024;
/// What an entry costs beside its payload: key, version, home and the two maps' places.
const ENTRY_BYTES: usize = 320;

/// Bytes that the caches of all actors hold together.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_max: usize,
    bytes: AtomicUsize,
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: AtomicUsize::new(0) }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn is_exceeded(&self) -> bool {
        self.bytes() > self.bytes_max
    }
}

/// What one actor remembers.
pub(super) struct Cache {
    entries: HashMap<ResourceKey, Entry>,
    by_use: BTreeMap<u64, ResourceKey>,
    uses: u64,
    bytes: usize,
}

struct Entry {
    current: Arc<Current>,
    used: u64,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self { entries: HashMap::new(), by_use: BTreeMap::new(), uses: 0, bytes: 0 }
    }

    /// The cached version, which may be stale.
    pub(super) fn get(&mut self, key: &ResourceKey) -> Option<Arc<Current>> {
        let entry = self.entries.get_mut(key)?;
        self.uses += 1;
        if let Some(key) = self.by_use.remove(&entry.used) {
            self.by_use.insert(self.uses, key);
        }
        entry.used = self.uses;
        Some(entry.current.clone())
    }

    /// Remembers a version, and forgets others where the budget is exceeded.
    pub(super) fn put(&mut self, key: ResourceKey, current: Arc<Current>, budget: &Budget) {
        self.forget(&key, budget);
        let cost = cost(&current);
        self.uses += 1;
        self.by_use.insert(self.uses, key.clone());
        self.entries.insert(key, Entry { current, used: self.uses });
        self.bytes += cost;
        budget.bytes.fetch_add(cost, Ordering::Relaxed);
        while self.entries.len() > ENTRIES_MAX || (budget.is_exceeded() && !self.entries.is_empty()) {
            let Some((_, oldest)) = self.by_use.first_key_value() else { break };
            let oldest = oldest.clone();
            self.forget(&oldest, budget);
        }
    }

    pub(super) fn forget(&mut self, key: &ResourceKey, budget: &Budget) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_use.remove(&entry.used);
            let cost = cost(&entry.current);
            self.bytes = self.bytes.saturating_sub(cost);
            budget.bytes.fetch_sub(cost, Ordering::Relaxed);
        }
    }

    pub(super) fn clear(&mut self, budget: &Budget) {
        budget.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        *self = Self::new();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn cost(current: &Current) -> usize {
    current.payload.len() + ENTRY_BYTES
}
