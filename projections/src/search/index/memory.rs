//! Remembers which criteria leave too many resources to be gathered, so that not every search finds out anew.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use crate::search::sql::{Start, Window};

/// Sets of criteria that are remembered.
const REMEMBERED_MAX: usize = 4096;
/// After so many searches it is tried again: resources may have gone.
const TRUSTED_MAX: u32 = 100;

/// Sets of criteria, and how many searches may still rely on what is known of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory(Arc<Mutex<HashMap<u64, u32>>>);

impl Memory {
    /// Whether the criteria are known to leave more than this from this start.
    pub(super) fn leaves_many(&self, window: &Window<'_>, start: Start<'_>, most: i64) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = name(window, start, most);
        match known.get_mut(&name) {
            Some(0) => {
                known.remove(&name);
                false
            }
            Some(trusted) => {
                *trusted -= 1;
                true
            }
            None => false,
        }
    }

    /// The criteria leave more.
    pub(super) fn remember(&self, window: &Window<'_>, start: Start<'_>, most: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(name(window, start, most), TRUSTED_MAX);
    }
}

fn name(window: &Window<'_>, start: Start<'_>, most: i64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (window.log, window.tables.shelf, window.kinds, window.criteria, start, most).hash(&mut hasher);
    hasher.finish()
}
