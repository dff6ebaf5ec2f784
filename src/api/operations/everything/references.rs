//! What the resources of a record refer to.

use std::collections::BTreeSet;

use anamnesis_events::{Event, ResourceKey};
use anamnesis_fhir::json::Value;
use anamnesis_fhir::references::{Target, each_reference};

/// Most resources that a record may refer to: some kilobytes of names for each thousand.
const REFERENCES_MAX: usize = 50_000;

/// The names of what is referred to, in order, so that a page can go on behind any of them.
#[derive(Debug, Default)]
pub(super) struct References {
    names: BTreeSet<String>,
    /// There are more than the bound.
    pub(super) is_cut: bool,
}

impl References {
    /// Adds what a resource refers to on this server.
    pub(super) fn add(&mut self, event: &Event, root: Value<'_>, addresses: &[String]) {
        each_reference(root, &event.key.resource_type, &mut |text| {
            let Some(target) = Target::parse(&text).filter(|target| target.is_local(addresses)) else {
                return;
            };
            if self.names.len() >= REFERENCES_MAX {
                self.is_cut = true;
                return;
            }
            self.names.insert(format!("{}/{}", target.resource_type, target.id));
        });
    }

    /// The next names behind one.
    pub(super) fn behind(&self, name: &str, count: usize) -> Vec<String> {
        let range = (std::ops::Bound::Excluded(name.to_owned()), std::ops::Bound::Unbounded);
        self.names.range::<String, _>(range).take(count).cloned().collect()
    }
}

/// The resource of a name.
pub(super) fn key(name: &str) -> Option<ResourceKey> {
    let (resource_type, id) = name.split_once('/')?;
    Some(ResourceKey::new(resource_type, id))
}
