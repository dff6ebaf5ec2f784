//! Which resources of a transaction the criteria of its conditional references match: those are resolved when all is
//! written (R4 http.html#trules, step 5), so they find what the transaction itself makes.
//!
//! A resource is tested as it is sent. Criteria that follow references to other resources (chains, `_has`) say nothing of
//! one alone: by them only what was there before is found.

use std::collections::HashMap;

use anamnesis_fhir::json::Value;
use anamnesis_projections::search::{Found, Subject};

use super::entry::{Entry, Method};
use super::plan::Reading;
use super::target::Target;
use crate::api::{Call, Query, criteria, search};
use crate::clock;
use crate::decide::candidate::identifiers;
use crate::error::Failure;

/// The resources that the entries of a transaction bring, each taken apart once.
pub(super) struct OwnResources<'a> {
    call: &'a Call,
    reading: &'a Reading<'a>,
    taken_apart: HashMap<usize, Option<Found>>,
}

impl<'a> OwnResources<'a> {
    pub(super) fn new(call: &'a Call, reading: &'a Reading<'a>) -> Self {
        Self { call, reading, taken_apart: HashMap::new() }
    }

    /// The places of the entries whose resources are of this type and match.
    ///
    /// # Errors
    /// Criteria that are not understood.
    pub(super) async fn matching(&mut self, kind: &str, query: &Query) -> Result<Vec<usize>, Failure> {
        let reading = self.reading;
        let brought: Vec<(usize, &Entry<'_>, Value<'_>)> = (reading.entries.iter().enumerate())
            .filter(|(_, entry)| brings(entry, kind))
            .filter_map(|(index, entry)| Some((index, entry, entry.resource?)))
            .collect();
        if brought.is_empty() {
            return Ok(Vec::new());
        }
        let criteria = criteria::sorted(query);
        if let Some(identifier) = criteria::one_identifier(kind, &criteria) {
            let holds = |resource: &Value<'_>| identifiers(*resource).contains(&identifier);
            return Ok(brought
                .into_iter()
                .filter(|(_, _, resource)| holds(resource))
                .map(|(index, ..)| index)
                .collect());
        }
        let query = search::of_criteria(self.call, kind, &criteria, 2).await?;
        if query.joins_others() {
            return Ok(Vec::new());
        }
        let evaluator = self.call.service.index()?.evaluator(&query)?;
        let mut matching = Vec::new();
        for (place, entry, resource) in brought {
            let found = self.taken_apart.entry(place).or_insert_with(|| {
                let id = match &entry.target {
                    Target::Instance(_, id) => id,
                    _ => reading.new_id(place),
                };
                let payload = resource.raw().as_bytes();
                let subject = Subject { resource_type: kind, id, payload, recorded_at: clock::now() };
                // What cannot be taken apart is parked when it is indexed, and found by nobody.
                evaluator.take_apart(&subject).ok()
            });
            if found.as_ref().is_some_and(|found| found.matches(&query)) {
                matching.push(place);
            }
        }
        Ok(matching)
    }
}

/// Whether an entry may write a resource of this type that it brings.
fn brings(entry: &Entry<'_>, kind: &str) -> bool {
    match (entry.method, &entry.target) {
        (Method::Post, Target::Type(name))
        | (Method::Put, Target::Instance(name, _) | Target::Conditional(name, _)) => name == kind,
        _ => false,
    }
}
