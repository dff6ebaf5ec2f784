//! The names of entries in the criteria of others: `Observation?subject=urn:uuid:…` asks for observations of what that
//! entry writes, however it is called in the end.

use std::collections::HashMap;

use anamnesis_events::ResourceKey;
use anamnesis_fhir::search::{SearchParameterKind, SearchRegistry};

use super::entry::{Entry, Method};
use super::resolve::normal;
use super::target::Target;
use crate::api::Query;
use crate::error::{Failure, FailureKind, IssueCode};

/// Which resource each `fullUrl` stands for: `None` where the entry has criteria itself, so that nobody knows it before
/// those are matched.
#[derive(Debug)]
pub(super) struct Named(HashMap<String, Option<String>>);

impl Named {
    /// `new_ids` are those of the resources that the entries make, by their place.
    pub(super) fn new(entries: &[Entry<'_>], new_ids: &[String]) -> Self {
        let name = |(entry, new_id): (&Entry<'_>, &String)| {
            let key = match (entry.method, &entry.target, &entry.if_none_exist) {
                (Method::Post, Target::Type(kind), None) => Some((kind, new_id)),
                (Method::Put | Method::Patch, Target::Instance(kind, id), _) => Some((kind, id)),
                (Method::Post, Target::Type(_), Some(_))
                | (Method::Put | Method::Patch, Target::Conditional(..), _) => None,
                _ => return None,
            };
            let key = key.map(|(kind, id)| ResourceKey::new(kind.as_str(), id.as_str()).to_string());
            Some((normal(entry.full_url.as_deref()?), key))
        };
        Self(entries.iter().zip(new_ids).filter_map(name).collect())
    }

    /// Criteria as they are asked: with the resource in the place of each name that a reference is compared with.
    ///
    /// # Errors
    /// 400 where one names an entry that has criteria itself.
    pub(super) fn resolved(&self, mut criteria: Query) -> Result<Query, Failure> {
        for (name, value) in &mut criteria.0 {
            if !self.is_named_in(value) || !is_of_references(name) {
                continue;
            }
            let values = value.split(',').map(|one| match self.0.get(&normal(one)) {
                None => Ok(one),
                Some(Some(key)) => Ok(key.as_str()),
                Some(None) => Err(is_open(name)),
            });
            *value = values.collect::<Result<Vec<_>, _>>()?.join(",");
        }
        Ok(criteria)
    }

    fn is_named_in(&self, value: &str) -> bool {
        !self.0.is_empty() && value.split(',').any(|one| self.0.contains_key(&normal(one)))
    }
}

fn is_open(name: &str) -> Failure {
    let text = format!(
        "The criterion {name} names an entry that has criteria itself, so it is not known yet which resource that is: \
         ask for what the resource has, as {name}.identifier does."
    );
    Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text)
}

/// Whether a criterion, at the end of its chain, is compared with references. Those of your own may be.
fn is_of_references(name: &str) -> bool {
    let (kinds, is_of_identifiers) = kinds(name);
    !is_of_identifiers && (kinds.is_empty() || kinds.contains(&SearchParameterKind::Reference))
}

/// Whether a parameter is compared with what is written as it is sent: codes, identifiers, texts.
pub(super) fn is_literal(name: &str) -> bool {
    let (kinds, is_of_identifiers) = kinds(name);
    let is_literal = |kind| matches!(kind, &SearchParameterKind::Token | &SearchParameterKind::String);
    is_of_identifiers || !kinds.is_empty() && kinds.iter().all(is_literal)
}

/// What R4 has of the code at the end of a chain, and whether the modifier asks for an identifier instead.
fn kinds(name: &str) -> (Vec<SearchParameterKind>, bool) {
    let mut parts = name.rsplit('.').next().unwrap_or_default().split(':');
    let code = match parts.next() {
        Some("_has") => parts.nth(2),
        code => code,
    };
    let known = SearchRegistry::r4().definitions().iter();
    let kinds = known.filter(|known| Some(known.code.as_str()) == code).map(|known| known.kind).collect();
    (kinds, parts.next() == Some("identifier"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "urn:uuid:c757873d-ec9a-4326-a141-556f43239520";
    const OPEN: &str = "urn:uuid:c757873d-ec9a-4326-a141-556f43239521";

    fn resolved(criteria: &str) -> Option<String> {
        let named =
            [(NEW, Some("Patient/7")), (OPEN, None), ("http://old/fhir/Patient/1", Some("Patient/8"))];
        let named = named.map(|(name, key)| (name.to_owned(), key.map(str::to_owned)));
        let query = Named(named.into_iter().collect()).resolved(Query::parse(criteria).unwrap()).ok()?;
        let pairs = query.0.into_iter().map(|(name, value)| format!("{name}={value}"));
        Some(pairs.collect::<Vec<_>>().join("&"))
    }

    #[test]
    fn names_stand_for_resources_where_references_are_compared() {
        for (name, is_reference) in [
            ("subject", true),
            ("subject:Patient", true),
            ("encounter.subject", true),
            ("_has:Observation:subject:performer", true),
            ("of-my-own", true),
            ("identifier", false),
            ("subject:identifier", false),
            ("subject.identifier", false),
            ("_has:Observation:subject:code", false),
        ] {
            let value = if is_reference { "Patient/7" } else { NEW };
            assert_eq!(resolved(&format!("{name}={NEW}")), Some(format!("{name}={value}")));
            assert_eq!(resolved(&format!("{name}={OPEN}")).is_none(), is_reference, "{name}");
        }
        let several = format!("status=final&subject={},Patient/1", NEW.to_uppercase().replace(':', "%3A"));
        assert_eq!(resolved(&several).as_deref(), Some("status=final&subject=Patient/7,Patient/1"));
        assert_eq!(resolved("subject=http://old/fhir/Patient/1").as_deref(), Some("subject=Patient/8"));
        let stranger = "subject=urn:uuid:c757873d-ec9a-4326-a141-556f43239529";
        assert_eq!(resolved(stranger).as_deref(), Some(stranger));
    }
}
