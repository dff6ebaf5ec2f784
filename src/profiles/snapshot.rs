//! The profiles that are at hand while one resource is checked, and those that would have to be fetched.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use anamnesis_events::Position;
use anamnesis_fhir::validate::profile::{Lookup, Profiles, Published};

use super::StoredProfiles;
use super::catalog::Said;

/// Answers a check from what is at hand, and notes what is not.
pub(super) struct Snapshot<'s> {
    stored: &'s StoredProfiles,
    wanted: Mutex<BTreeSet<Position>>,
}

impl<'s> Snapshot<'s> {
    pub(super) fn new(stored: &'s StoredProfiles) -> Self {
        Self { stored, wanted: Mutex::default() }
    }

    /// Where the definitions stand that were asked for and not at hand.
    pub(super) fn into_wanted(self) -> BTreeSet<Position> {
        self.wanted.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Profiles for Snapshot<'_> {
    fn profile(&self, canonical: &str) -> Lookup {
        match self.stored.read().find(canonical) {
            Said::Here(lookup) => lookup,
            Said::Stored(position) => {
                self.wanted.lock().unwrap_or_else(PoisonError::into_inner).insert(position);
                Lookup::Unknown
            }
            // What is stored goes before what R4 publishes: a site may have a newer edition of it.
            Said::Absent => Published.profile(canonical),
        }
    }
}
