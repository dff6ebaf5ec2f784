//! The search parameters of a service: SearchParameters that clients have stored, beside those of R4.
//!
//! Which there are is read from the log ([`crate::follow`]), the same on every node. Whether one takes part in searches
//! follows from all of them together, in the order of their ids, so that every node says the same.

mod catalog;
mod criteria;
mod full_text;
mod keeper;
mod status;
mod store;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use anamnesis_events::{Event, Log, LogError, ResourceKey};
use anamnesis_fhir::json::Value;
use anamnesis_fhir::search::custom::{Fault, FaultKind, Standing, Submitted, compose};
use anamnesis_projections::search::{INCLUDES_PARAMETER, PAGE_PARAMETER, PARAMETERS_MAX};

pub(crate) use catalog::{Current, Stored};
pub(crate) use criteria::{changed_at, stored_at};
pub use full_text::FullText;
pub(crate) use keeper::Begun;
pub use keeper::{Keeper, KeeperError};
pub(crate) use status::{Status, Told};
pub(crate) use store::Job;
pub use store::StoreError;

use crate::decide::{Check, Refusal};
use crate::follow::Follow;
use catalog::Catalog;

/// The type of the resources.
pub(crate) const TYPE: &str = "SearchParameter";
/// Names without an underscore that mean something else in a query.
const RESERVED: [&str; 3] = [PAGE_PARAMETER, INCLUDES_PARAMETER, "hardDelete"];
/// SearchParameters whose status is active or draft; a national guide has some hundred.
const IN_USE_MAX: usize = 5000;
/// The text of the definitions of those that add something to R4's: some less than an index can be built with, because it is
/// reckoned and not written out.
const ADDED_BYTES_MAX: usize = 768 << 10;

/// The search parameters of a log.
#[derive(Debug)]
pub struct StoredParameters {
    follow: Follow,
    catalog: RwLock<Catalog>,
}

impl StoredParameters {
    /// The search parameters of this log; nothing is read yet.
    #[must_use]
    pub fn new(log: Log) -> Self {
        Self { follow: Follow::new(log, TYPE), catalog: RwLock::default() }
    }

    /// Refuses what cannot be searched by, whichever way it is written; as the log was read last, see
    /// [`StoredParameters::refresh`].
    #[must_use]
    pub fn check(self: &Arc<Self>) -> Check {
        let stored = Arc::clone(self);
        Check::new(TYPE, move |key: &ResourceKey, resource: Value<'_>| {
            stored.standing(Some(&key.id), resource).map(drop).map_err(Refusal::Faulty)
        })
    }

    /// Reads what was written to SearchParameters since the last time.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn refresh(&self) -> Result<(), LogError> {
        let note = |events: &[Event]| {
            let mut catalog = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
            events.iter().for_each(|event| catalog.note(event));
        };
        self.follow.refresh(|| self.read().position(), note).await
    }

    /// All that are stored, as the log was read last.
    pub(crate) fn current(&self) -> Arc<Current> {
        if let Some(known) = self.read().known() {
            return known;
        }
        self.catalog.write().unwrap_or_else(PoisonError::into_inner).current(&RESERVED)
    }

    /// What becomes of a SearchParameter that is stored under an id, or under a new one.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(crate) fn standing(&self, id: Option<&str>, resource: Value<'_>) -> Result<Standing, Vec<Fault>> {
        let current = self.current();
        let submitted = Submitted::read(resource);
        let others = || current.stored.iter().filter(|one| id != Some(one.id.as_str()));
        let is_known = others().count() < current.stored.len();
        let standing = match is_known {
            false => submitted.standing(&current.registry, &RESERVED)?,
            true => {
                let others: Vec<&Submitted> = others().map(|one| &*one.submitted).collect();
                submitted.standing(&compose(&others, &RESERVED).registry, &RESERVED)?
            }
        };
        let in_use = others().filter(|one| one.submitted.is_in_use()).count();
        let added: Vec<_> = others().filter_map(Stored::added).collect();
        let bytes: usize = added.iter().map(|one| catalog::bytes(one)).sum();
        let too_many = match &standing {
            Standing::Unused(_) if !submitted.is_in_use() => None,
            Standing::Added(_) if added.len() >= PARAMETERS_MAX => {
                Some(format!("{PARAMETERS_MAX} of its own"))
            }
            Standing::Added(new) if bytes + catalog::bytes(new) > ADDED_BYTES_MAX => {
                Some(format!("{ADDED_BYTES_MAX} bytes of definitions"))
            }
            _ if in_use >= IN_USE_MAX => Some(format!("{IN_USE_MAX} in use")),
            _ => None,
        };
        match too_many {
            None => Ok(standing),
            Some(most) => Err(vec![Fault {
                kind: FaultKind::Unsupported,
                expression: TYPE.to_owned(),
                text: format!("A service has at most {most}; retire or delete others first."),
            }]),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }
}
