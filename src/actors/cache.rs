//! The cache of an actor: newest versions of its resources, the least recently used leave first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anamnesis_events::ResourceKey;

use super::memory::Memory;
use crate::decide::Current;

/// Entries of one actor: a compartment with more hot resources than this reads them from the log.
const ENTRIES_MAX: usize = 1024;
/// What an entry costs beside its payload and names: version, key, allocations and the two maps' places. Measured like
/// [`super::memory::ACTOR_BYTES`].
const ENTRY_BYTES: usize = 512;

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

    /// Remembers a version if there is room for it, and forgets others to make room.
    pub(super) fn put(&mut self, key: ResourceKey, current: Arc<Current>, memory: &Memory) {
        self.forget(&key, memory);
        let cost = cost(&key, &current);
        if !memory.is_cacheable(cost) {
            return;
        }
        let before = self.bytes;
        while self.entries.len() >= ENTRIES_MAX || !memory.cache(cost) {
            // Others have filled the memory: to forget more would make room for them.
            if self.entries.len() < ENTRIES_MAX && before - self.bytes >= cost {
                return;
            }
            let Some((_, oldest)) = self.by_use.first_key_value() else { return };
            let oldest = oldest.clone();
            self.forget(&oldest, memory);
        }
        self.uses += 1;
        self.by_use.insert(self.uses, key.clone());
        self.entries.insert(key, Entry { current, used: self.uses });
        self.bytes += cost;
    }

    pub(super) fn forget(&mut self, key: &ResourceKey, memory: &Memory) {
        if let Some(entry) = self.entries.remove(key) {
            self.by_use.remove(&entry.used);
            let cost = cost(key, &entry.current);
            self.bytes = self.bytes.saturating_sub(cost);
            memory.uncache(cost);
            // A table keeps the room of its fullest hour, which is accounted with the entries that were in it.
            if self.entries.len() < self.entries.capacity() / 4 {
                self.entries.shrink_to(self.entries.len() * 2);
            }
        }
    }

    pub(super) fn clear(&mut self, memory: &Memory) {
        memory.uncache(self.bytes);
        *self = Self::new();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn cost(key: &ResourceKey, current: &Current) -> usize {
    current.payload.len() + current.home.len() + 2 * key.id.len() + ENTRY_BYTES
}
