//! Chained parameters and `_has` (R4 search.html#chaining, search.html#has): `subject:Patient.name`,
//! `patient.organization.name`, `_has:Observation:patient:code`, in any mixture.

use std::collections::BTreeSet;

use anamnesis_fhir::definitions;
use anamnesis_fhir::references::is_id;
use anamnesis_fhir::search::SearchParameter;

use super::Contained;
use super::contained::not_known_to_be_referenced;
use super::parse::{Parser, unknown};
use crate::search::atom::{Atom, Criterion, Join, Seen, Yield};
use crate::search::include::is_followed;
use crate::search::key::{ParameterKey, type_number};
use crate::search::target::Target;
use crate::search::value::{Refusal, split};

/// How often the chains of a query are followed to a type: where types are not named, each link may lead to all of R4.
const FOLLOWED_MAX: usize = 2000;
/// Stands for all types, or for all parameters.
const ANY: &str = "*";

/// The first link of a chain, and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link<'a> {
    /// `code.rest`, `code:Type.rest`
    Forward { code: &'a str, target: Option<&'a str>, rest: &'a str },
    /// `_has:Type:code:rest`
    Reverse { source: &'a str, code: &'a str, rest: &'a str },
}

/// Takes a parameter's name apart; `None` for one that is no chain.
pub(super) fn link(name: &str) -> Result<Option<Link<'_>>, Refusal> {
    if name == "_has" || name.starts_with("_has:") {
        let mut parts = name.splitn(4, ':').skip(1);
        return match (parts.next(), parts.next(), parts.next()) {
            (Some(source), Some(code), Some(rest)) if !rest.is_empty() => {
                Ok(Some(Link::Reverse { source, code, rest }))
            }
            _ => Err(malformed("_has is written _has:Type:reference:parameter")),
        };
    }
    let Some((first, rest)) = name.split_once('.') else { return Ok(None) };
    let (code, target) = first.split_once(':').map_or((first, None), |(code, target)| (code, Some(target)));
    if code.is_empty() || rest.is_empty() || target == Some("") {
        return Err(malformed("a chain is written reference.parameter or reference:Type.parameter"));
    }
    Ok(Some(Link::Forward { code, target, rest }))
}

fn malformed(text: &str) -> Refusal {
    Refusal::Unsupported(text.to_owned())
}

impl Parser<'_> {
    /// The criterion that a chain is for resources of these types.
    pub(super) fn join(
        &mut self,
        types: &[String],
        link: &Link<'_>,
        value: &str,
        depth: usize,
    ) -> Result<Criterion, Refusal> {
        if depth >= self.catalogue.chain_depth_max {
            return Err(Refusal::BadValue(format!(
                "a chain has at most {} links on this server",
                self.catalogue.chain_depth_max
            )));
        }
        match *link {
            Link::Forward { code, target, rest } => {
                let mut joined = Vec::with_capacity(types.len());
                for source in types {
                    joined.push(self.forward(source, (code, target), (rest, value), depth)?);
                }
                joined.into_iter().reduce(Criterion::or).ok_or_else(|| unknown("any type that is searched"))
            }
            Link::Reverse { source, code, rest } => {
                if !definitions::r4().resource_types().contains(&source) {
                    return Err(Refusal::Unsupported("it names no resource type of R4".to_owned()));
                }
                let parameter = self.reference(source, code)?;
                let targets = parameter.targets();
                if !targets.is_empty() && !types.iter().any(|name| targets.contains(name)) {
                    let text = "the reference does not point at a type that is searched";
                    return Err(Refusal::Unsupported(text.to_owned()));
                }
                self.joined.insert(source.to_owned());
                let criterion = self.criterion(&[source.to_owned()], rest, value, depth + 1)?;
                let parameter = ParameterKey::new(self.log, source, code).references();
                Ok(single(true, vec![parameter], vec![type_number(source)], vec![criterion]))
            }
        }
    }

    /// `_list`: what a List holds (R4 search.html#list), but for items that it marks as deleted.
    pub(super) fn of_list(&mut self, value: &str) -> Result<Criterion, Refusal> {
        if split(value, ',').iter().any(|id| id.starts_with('$')) {
            let text = "this server keeps no functional lists such as $current-problems";
            return Err(Refusal::Unsupported(text.to_owned()));
        }
        self.joined.insert("List".to_owned());
        let ids: Vec<&str> =
            split(value, ',').into_iter().map(|id| id.strip_prefix("List/").unwrap_or(id)).collect();
        let criterion = self.criterion(&["List".to_owned()], "_id", &ids.join(","), 0)?;
        let parameter = ParameterKey::new(self.log, "List", "item").references();
        let held = single(true, vec![parameter], vec![type_number("List")], vec![criterion]);
        let known = self.options.lists.clone();
        let items: Vec<_> = ids.iter().filter_map(|id| known.get(*id)).collect();
        // Of several Lists one that holds an item is enough.
        let is_held = |item: &&String| items.iter().any(|of_list| of_list.held.contains(*item));
        let deleted = items.iter().flat_map(|of_list| &of_list.deleted).filter(|item| !is_held(item));
        let deleted: BTreeSet<i64> = deleted.map(|item| Target::of(self.log, item).own()).collect();
        self.marked.extend(&deleted);
        self.lists.extend(ids.into_iter().filter(|id| is_id(id)).map(str::to_owned));
        Ok(match deleted.is_empty() {
            true => held,
            false => {
                Criterion::all(vec![held, Criterion::none_of(deleted.into_iter().map(Atom::Token).collect())])
            }
        })
    }

    /// `_not-referenced`: what nothing refers to (a parameter of Azure Health Data Services): `*:*`, `Type:*`,
    /// `Type:parameter`.
    pub(super) fn not_referenced(&mut self, types: &[String], value: &str) -> Result<Criterion, Refusal> {
        if self.contained != Contained::None {
            return Err(not_known_to_be_referenced());
        }
        let all = definitions::r4().resource_types();
        let Some((source, code)) = value.split_once(':') else {
            return Err(Refusal::BadValue("the value is *:*, Type:* or Type:parameter".to_owned()));
        };
        let is_any = source == ANY && code == ANY;
        if !is_any && !all.contains(&source) {
            return Err(Refusal::BadValue("it names no resource type of R4".to_owned()));
        }
        let sources: Vec<&str> = if is_any { all.to_vec() } else { vec![source] };
        let mut parameters = Vec::new();
        if code != ANY {
            let parameter = self.reference(source, code);
            let parameter = parameter.map_err(|_| {
                Refusal::BadValue("it names no search parameter of type reference".to_owned())
            })?;
            let targets = parameter.targets();
            if !targets.is_empty() && !types.iter().any(|name| targets.contains(name)) {
                let text = "the parameter does not point at a type that is searched";
                return Err(Refusal::BadValue(text.to_owned()));
            }
            parameters.push(ParameterKey::new(self.log, source, code).references());
        }
        self.joined.extend(sources.iter().map(|name| (*name).to_owned()));
        let kinds = sources.into_iter().map(type_number).collect();
        let referred = single(true, parameters, kinds, Vec::new());
        Ok(Criterion { negated: true, expected: Yield::Most, ..referred })
    }

    /// A chain from one type: the rest is asked of all types that the reference may point at and that have it (R4
    /// search.html#chaining).
    fn forward(
        &mut self,
        source: &str,
        (code, target): (&str, Option<&str>),
        (rest, value): (&str, &str),
        depth: usize,
    ) -> Result<Criterion, Refusal> {
        let targets = self.targets(source, code, target)?;
        let (mut kinds, mut of_types, mut refused) = (Vec::new(), Vec::new(), None);
        for name in &targets {
            self.followed += 1;
            if self.followed > FOLLOWED_MAX {
                let text = "it may lead to too many types: say which are meant, as in subject:Patient.name";
                return Err(Refusal::BadValue(text.to_owned()));
            }
            match self.criterion(std::slice::from_ref(name), rest, value, depth + 1) {
                Ok(criterion) => {
                    kinds.push(type_number(name));
                    self.joined.insert(name.clone());
                    of_types.push((name.as_str(), criterion));
                }
                // A type that does not have the parameter is left out; a value that cannot be understood is not.
                Err(Refusal::Unsupported(reason)) => refused = refused.or(Some(Refusal::Unsupported(reason))),
                Err(refusal) => refused = Some(refusal),
            }
        }
        let parameter = ParameterKey::new(self.log, source, code).references();
        match (Criterion::of_types(of_types), refused) {
            (_, Some(refusal @ (Refusal::BadValue(_) | Refusal::Modifier(_)))) => Err(refusal),
            (Some(inner), _) => Ok(single(false, vec![parameter], kinds, vec![inner])),
            (None, refused) => {
                Err(refused.unwrap_or_else(|| unknown("any type that the reference points at")))
            }
        }
    }

    pub(super) fn targets(
        &self,
        source: &str,
        code: &str,
        target: Option<&str>,
    ) -> Result<Vec<String>, Refusal> {
        let parameter = self.reference(source, code)?;
        let all = definitions::r4().resource_types();
        let known = parameter.targets();
        let Some(target) = target else {
            return Ok(match known {
                [] => all.iter().map(|name| (*name).to_owned()).collect(),
                known => known.to_vec(),
            });
        };
        let is_known = all.contains(&target) && (known.is_empty() || known.iter().any(|name| name == target));
        if !is_known {
            return Err(Refusal::BadValue("it does not point at the type behind the colon".to_owned()));
        }
        Ok(vec![target.to_owned()])
    }

    fn reference(&self, resource_type: &str, code: &str) -> Result<&SearchParameter, Refusal> {
        let parameter = self.catalogue.get(resource_type, code).ok_or_else(|| unknown(resource_type))?;
        if !is_followed(parameter) {
            let text = format!("{code} is no parameter of type reference, so nothing can follow it");
            return Err(Refusal::Unsupported(text));
        }
        Ok(parameter)
    }
}

fn single(reverse: bool, parameters: Vec<i64>, kinds: Vec<i32>, criteria: Vec<Criterion>) -> Criterion {
    // A search of the joined resources starts from it, as one of its own would.
    let criteria = criteria.into_iter().flat_map(|one| one.necessary().into_iter().chain([one])).collect();
    let join = Join { reverse, parameters, kinds, criteria, shelf: None, seen: Seen::default(), as_of: None };
    Criterion::any(vec![Atom::Join(join)], Yield::Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let forward = |code, target, rest| Ok(Some(Link::Forward { code, target, rest }));
        let reverse = |source, code, rest| Ok(Some(Link::Reverse { source, code, rest }));
        for (name, expected) in [
            ("name:exact", Ok(None)),
            ("subject.name", forward("subject", None, "name")),
            ("subject:Patient.name:exact", forward("subject", Some("Patient"), "name:exact")),
            ("a.b:C.d", forward("a", None, "b:C.d")),
            ("_has:Observation:patient:code", reverse("Observation", "patient", "code")),
            ("_has:A:b:_has:C:d:e.f:not", reverse("A", "b", "_has:C:d:e.f:not")),
            ("patient._has:A:b:c", forward("patient", None, "_has:A:b:c")),
        ] {
            assert_eq!(link(name), expected, "{name}");
        }
        for name in ["_has", "_has:A", "_has:A:b", "_has:A:b:", "a.", ".a", "a:.b"] {
            assert!(matches!(link(name), Err(Refusal::Unsupported(_))), "{name}");
        }
    }
}
