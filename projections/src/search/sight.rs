//! The clause of a [`Restriction`], asked of one body: for all that does not come out of the index.

use std::fmt;
use std::sync::Arc;

use super::evaluate::{Evaluator, Subject};
use super::index::SearchIndex;
use super::query::{Catalogue, ParseOptions, is_understood, seen};
use super::restriction::Restriction;

/// What somebody can see, as a test of versions of resources. It is the test that the index makes of its rows, so that what
/// a search finds can be read, and what cannot be read is not found. Cheap to clone.
#[derive(Clone)]
pub struct Sight {
    restriction: Arc<Restriction>,
    catalogue: Catalogue,
    evaluator: Arc<Evaluator>,
    log: i16,
    options: ParseOptions,
}

impl SearchIndex {
    /// What can be seen by somebody, by the search parameters that can be asked for now.
    #[must_use]
    pub fn sight(&self, restriction: Arc<Restriction>, options: ParseOptions) -> Sight {
        let options = ParseOptions { restriction: Some(restriction.clone()), ..options };
        let (catalogue, evaluator) = self.evaluator_of_now();
        Sight { restriction, catalogue, evaluator, log: self.log(), options }
    }
}

impl Sight {
    /// What it is about.
    #[must_use]
    pub fn restriction(&self) -> &Arc<Restriction> {
        &self.restriction
    }

    /// A type of which something could be seen by criteria that are not understood, so that it is not; `None` where all are.
    #[must_use]
    pub fn not_understood(&self) -> Option<&str> {
        let types = self.restriction.types();
        let mut of_criteria =
            types.filter(|name| self.restriction.of(name).iter().any(|visible| !visible.criteria.is_empty()));
        of_criteria.find(|name| !is_understood(&self.catalogue, self.log, &self.options, name))
    }

    /// Whether this version of a resource can be seen. What cannot be taken apart cannot.
    #[must_use]
    pub fn admits(&self, subject: &Subject<'_>) -> bool {
        let of = subject.resource_type;
        if self.restriction.has_all(of) {
            return true;
        }
        if !self.restriction.has_some(of) {
            return false;
        }
        let seen = seen(&self.catalogue, self.log, &self.options, &[of]);
        // A restriction of nothing at all has no clause.
        debug_assert!(!seen.standing.is_empty(), "it was asked whether all can be seen");
        let whole = self.restriction.of(of).iter().all(|visible| visible.criteria.is_empty());
        let found = match whole {
            true => self.evaluator.placed(subject),
            false => self.evaluator.take_apart(subject),
        };
        found.is_ok_and(|found| found.has_all(&seen.standing))
    }
}

impl fmt::Debug for Sight {
    /// Without what it is about: ids of people.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sight").finish_non_exhaustive()
    }
}
