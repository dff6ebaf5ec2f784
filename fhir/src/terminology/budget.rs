//! How much work a question may take. Whoever defines value sets decides how much it is, and may be anybody.

use std::sync::atomic::{AtomicU64, Ordering};

use super::ListError;

/// Work that one question may take, in codes looked at, more or less: some tenths of a second.
pub const WORK_MAX: u64 = 1_000_000;

/// What is left of the work that one question, or several that belong together, may take.
///
/// ```
/// use anamnesis_fhir::terminology::{Budget, Engine, ListError, Published};
/// let genders = Engine::new(&Published).value_set("http://hl7.org/fhir/ValueSet/administrative-gender").unwrap();
/// let budget = Budget::new(2);
/// let engine = Engine::within(&Published, &budget);
/// assert_eq!(engine.expand(&genders, &Default::default()).unwrap_err(), ListError::TooMuchWork);
/// assert!(budget.is_spent());
/// ```
#[derive(Debug)]
pub struct Budget {
    left: AtomicU64,
    is_spent: std::sync::atomic::AtomicBool,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(WORK_MAX)
    }
}

impl Budget {
    /// So much work.
    #[must_use]
    pub fn new(work_max: u64) -> Self {
        Self { left: AtomicU64::new(work_max), is_spent: false.into() }
    }

    /// Ends all work on the question, at whatever thread it is: nobody waits for the answer any more.
    pub fn stop(&self) {
        self.left.store(0, Ordering::Relaxed);
    }

    /// Whether a question was given up.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.is_spent.load(Ordering::Relaxed)
    }

    /// Takes some of it.
    pub(super) fn take(&self, work: usize) -> Result<(), ListError> {
        let take = |left: u64| left.checked_sub(work as u64);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_left) => Ok(()),
            Err(_left) => {
                // What is left is too little for anything, so that all that is under way ends.
                self.left.store(0, Ordering::Relaxed);
                self.is_spent.store(true, Ordering::Relaxed);
                Err(ListError::TooMuchWork)
            }
        }
    }
}
