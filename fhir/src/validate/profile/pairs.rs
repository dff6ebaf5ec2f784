//! What a check has found out about pairs of an element and a profile, so that each is looked at once and circles end.
//!
//! A pair that is under way counts as conforming. Resources that refer to each other could not be told otherwise: each
//! conforms if the other one does. Where such a pair turns out not to conform, what was found meanwhile to conform is
//! forgotten, because it may rest on the assumption.

use std::collections::HashMap;
use std::sync::Arc;

use super::table::Profile;

/// An element by its index in the document, and a profile by its place in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Pair(u32, usize);

/// What is known of pairs.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// Looked at with all issues told.
    told: HashMap<Pair, bool>,
    /// Looked at without telling: enough for whoever is not to tell either.
    silent: HashMap<Pair, bool>,
    /// Pairs that were silently found to conform while others are under way, in that order.
    resting: Vec<Pair>,
    under_way: usize,
    silence: usize,
    /// A place in memory names a profile as long as the profile is there.
    kept: HashMap<usize, Arc<Profile>>,
}

impl Pairs {
    /// Whether the pair conforms, where that need not be looked at again.
    pub(super) fn known(&self, pair: Pair) -> Option<bool> {
        let told = self.told.get(&pair);
        told.or_else(|| self.silent.get(&pair).filter(|_| self.silence > 0)).copied()
    }

    /// Begins to look at a pair; says where [`Pairs::end`] has to go back to.
    pub(super) fn begin(&mut self, index: u32, profile: &Arc<Profile>) -> (Pair, usize) {
        let pair = Self::of(index, profile);
        self.kept.entry(pair.1).or_insert_with(|| Arc::clone(profile));
        self.found(pair, true);
        self.under_way += 1;
        (pair, self.resting.len())
    }

    /// Ends it.
    pub(super) fn end(&mut self, (pair, mark): (Pair, usize), holds: bool) -> bool {
        self.under_way = self.under_way.saturating_sub(1);
        if !holds {
            for resting in self.resting.drain(mark..) {
                self.silent.remove(&resting);
            }
        }
        self.found(pair, holds);
        if self.under_way == 0 {
            self.resting.clear();
        } else if holds && self.silence > 0 {
            self.resting.push(pair);
        }
        holds
    }

    /// From now on nothing is told, or it is again.
    pub(super) fn silence(&mut self, begins: bool) {
        self.silence = if begins { self.silence + 1 } else { self.silence.saturating_sub(1) };
    }

    pub(super) fn of(index: u32, profile: &Arc<Profile>) -> Pair {
        Pair(index, Arc::as_ptr(profile) as usize)
    }

    fn found(&mut self, pair: Pair, holds: bool) {
        let found = if self.silence > 0 { &mut self.silent } else { &mut self.told };
        found.insert(pair, holds);
    }
}
