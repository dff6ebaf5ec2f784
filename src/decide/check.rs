//! Checks of a service: what one type of resource must be beside valid, for the server to be able to do what it asks.

use std::sync::Arc;

use anamnesis_events::ResourceKey;
use anamnesis_fhir::json::Value;

use super::Refusal;

type Test = dyn Fn(&ResourceKey, Value<'_>) -> Result<(), Refusal> + Send + Sync;

/// A check of all resources of one type. Pure, as every decision is.
#[derive(Clone)]
pub struct Check {
    resource_type: &'static str,
    test: Arc<Test>,
}

impl Check {
    /// A check of the resources of this type.
    pub fn new(
        resource_type: &'static str,
        test: impl Fn(&ResourceKey, Value<'_>) -> Result<(), Refusal> + Send + Sync + 'static,
    ) -> Self {
        Self { resource_type, test: Arc::new(test) }
    }

    /// Tests a resource that is about to be written under this key.
    ///
    /// # Errors
    /// Why it is refused.
    pub(super) fn test(&self, key: &ResourceKey, resource: Value<'_>) -> Result<(), Refusal> {
        if *key.resource_type == *self.resource_type { (self.test)(key, resource) } else { Ok(()) }
    }
}

impl std::fmt::Debug for Check {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Check").field("resource_type", &self.resource_type).finish_non_exhaustive()
    }
}
