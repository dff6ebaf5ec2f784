//! Criteria of conditional interactions: which resources they match, and what keeps two clients from both finding none.
//!
//! Criteria that are one identifier are looked up in the log, and the log refuses a write where the identifier has
//! been taken since. Any other criteria are searched, after the index has reached the log's head, and clients with the
//! same criteria wait for each other ([`super::turns`]). Both are free of races on any number of servers.
//!
//! Other than in a search, every criterion must be understood: a misspelt one would widen what is deleted.

mod normal;

use std::sync::Arc;

use anamnesis_events::{Identifier, Position, ResourceKey, Version};
use anamnesis_fhir::search::SearchRegistry;
use anamnesis_projections::search::is_of_results;

use super::call::Call;
use super::query::{GENERAL, Query};
use super::search;
use super::turns::Held;
pub(crate) use normal::Normal;

use crate::error::{Failure, FailureKind, IssueCode};

/// How often criteria are matched again where others changed what was found.
pub const TRIES_MAX: usize = 5;

/// Resources that criteria match.
#[derive(Debug)]
pub struct Matches {
    /// Their ids; where there are many, not necessarily all.
    pub ids: Vec<String>,
    /// Where the versions stand that match, in the same order; empty where the log's identifiers were asked.
    positions: Vec<Position>,
    resource_type: String,
    /// What must hold when a resource is created because nothing matched.
    pub unless_held: Vec<Identifier>,
    /// Keeps others with the same criteria waiting until the write is done.
    pub held: Option<Arc<Held>>,
}

/// Criteria in one order, also their alternatives, and each once: they ask the same as before.
pub(crate) fn sorted(criteria: &Query) -> Vec<(String, String)> {
    let ordered = |(name, value): &(String, String)| (name.clone(), normal::ordered(name, value));
    let mut criteria: Vec<(String, String)> = criteria.others(&GENERAL).map(ordered).collect();
    criteria.sort();
    criteria.dedup();
    criteria
}

/// Finds what criteria match. `criteria` is a query, with or without the type before it; `count_max` is how many
/// ids are wanted at least, where there are so many.
///
/// # Errors
/// 412 for no criteria at all, 400 for those that are not understood.
pub(crate) async fn matches(
    call: &Call,
    resource_type: &str,
    criteria: &Query,
    count_max: usize,
) -> Result<Matches, Failure> {
    let wanted = Normal::of(resource_type, criteria, std::slice::from_ref(&call.base));
    let held = call.service.turns.wait_for_all(&call.service.log, std::iter::once(&wanted)).await?;
    let matches = matches_in_turn(call, resource_type, criteria, count_max).await?;
    Ok(Matches { held: Some(Arc::new(held)), ..matches })
}

/// [`matches`] for a caller that holds the turn of these criteria.
///
/// # Errors
/// As [`matches`].
pub(crate) async fn matches_in_turn(
    call: &Call,
    resource_type: &str,
    criteria: &Query,
    count_max: usize,
) -> Result<Matches, Failure> {
    let criteria = sorted(criteria);
    if let Some(identifier) = one_identifier(resource_type, &criteria)
        && !is_hidden(call, resource_type)
        && knows_all(call, resource_type)
    {
        let mut ids = call.service.log.find_identifier(resource_type, &identifier).await?;
        ids.truncate(count_max.max(2));
        let (positions, resource_type) = (Vec::new(), resource_type.to_owned());
        return Ok(Matches { ids, positions, resource_type, unless_held: vec![identifier], held: None });
    }
    if criteria.iter().all(|(_, value)| value.is_empty()) {
        let text = "A conditional interaction needs criteria; there are none.";
        return Err(Failure::new(FailureKind::PreconditionFailed, IssueCode::Required, text));
    }
    if let Some((name, _)) = criteria.iter().find(|(name, _)| is_of_results(name)) {
        let text =
            format!("{name} says how results are given; it is no criterion of a conditional interaction.");
        return Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text));
    }
    let found = search::matching(call, resource_type, &criteria, count_max.max(2)).await?;
    let (ids, positions) = found.into_iter().unzip();
    let resource_type = resource_type.to_owned();
    Ok(Matches { ids, positions, resource_type, unless_held: Vec::new(), held: None })
}

impl Matches {
    /// The version of the `index`th match that is known to match, so that a write is of that one or of none. `None`
    /// where the resource has changed since it was matched: match again.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) async fn version(&self, call: &Call, index: usize) -> Result<Option<Version>, Failure> {
        let log = &call.service.log;
        let Some(id) = self.ids.get(index) else { return Ok(None) };
        let key = ResourceKey::new(self.resource_type.as_str(), id.as_str());
        let heads = log.heads(std::slice::from_ref(&key)).await?;
        let Some(head) = heads.into_iter().flatten().next().filter(|head| !head.deleted) else {
            return Ok(None);
        };
        let still_matches = match (self.unless_held.first(), self.positions.get(index)) {
            (_, Some(position)) => *position == head.position,
            // Held before and after the head was read: so by that version, or by a newer one, which the
            // compare-and-set notices.
            (Some(identifier), None) => {
                log.find_identifier(&self.resource_type, identifier).await?.contains(&key.id)
            }
            (None, None) => false,
        };
        Ok(still_matches.then_some(head.version))
    }
}

/// The criteria of `If-None-Exist` alone: `identifier=a|1`, also with a question mark or the type before them. Any other
/// question mark belongs to a value.
pub(crate) fn bare<'t>(resource_type: &str, text: &'t str) -> &'t str {
    let text = text.trim();
    match text.split_once('?') {
        Some((before, criteria)) if before.is_empty() || before == resource_type => criteria,
        _ => text,
    }
}

/// Whether a type cannot be searched by `identifier` now: then criteria do not mean it either.
fn is_hidden(call: &Call, resource_type: &str) -> bool {
    let hidden = call.service.search.as_ref().map(|index| index.hidden());
    let identifier = SearchRegistry::r4().get(resource_type, "identifier");
    hidden.zip(identifier).is_some_and(|(hidden, identifier)| hidden.contains(identifier.url()))
}

/// Whether whoever asks may know of every resource of a type; the log's identifiers are of all.
fn knows_all(call: &Call, resource_type: &str) -> bool {
    call.restriction().is_none_or(|restriction| restriction.has_all(resource_type))
}

/// The identifier that criteria consist of, if they are one: `identifier=system|value`, not a list, no modifier, of a
/// type that can be searched by it.
pub(crate) fn one_identifier(resource_type: &str, criteria: &[(String, String)]) -> Option<Identifier> {
    let [(name, value)] = criteria else { return None };
    if name != "identifier" || value.contains(['\\', ',']) {
        return None;
    }
    SearchRegistry::r4().get(resource_type, name)?;
    let (system, value) = value.split_once('|')?;
    let is_plain = !value.is_empty() && !value.contains('|');
    is_plain.then(|| Identifier { system: system.to_owned(), value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_identifier_is_looked_up_in_the_log() {
        let find = |name: &str, value: &str| one_identifier("Patient", &[(name.into(), value.into())]);
        let identifier =
            |system: &str, value: &str| Some(Identifier { system: system.into(), value: value.into() });
        assert_eq!(find("identifier", "http://a|1"), identifier("http://a", "1"));
        assert_eq!(find("identifier", "|1"), identifier("", "1"));
        for other in ["1", "http://a|", "a|1,a|2", "a\\|b|1", "a|b|c"] {
            assert_eq!(find("identifier", other), None, "{other}");
        }
        assert_eq!(find("identifier:exact", "a|1"), None);
        assert_eq!(one_identifier("AuditEvent", &[("identifier".into(), "a|1".into())]), None);
    }

    #[test]
    fn criteria_may_have_the_type_before_them() {
        for text in ["identifier=a|1", "?identifier=a|1", " Patient?identifier=a|1"] {
            assert_eq!(bare("Patient", text), "identifier=a|1", "{text}");
        }
        for text in ["identifier=http://a?family=b|1", "family?active=true", "Person?identifier=a|1"] {
            assert_eq!(bare("Patient", text), text);
        }
    }
}
