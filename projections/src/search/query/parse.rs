//! From the parameters of a request to a [`SearchQuery`].

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use anamnesis_fhir::definitions;
use anamnesis_fhir::search::SearchParameterKind;
use sha2::{Digest, Sha256};

use super::catalogue::AskedFor;
use super::control::Control;
use super::{
    COUNT_MAX, Catalogue, Contained, Handling, PAGE_PARAMETER, ParseOptions, Scope, SearchQuery, SortKey,
    Summary, chain, filter, include, seen, sort,
};
use crate::search::Modifier;
use crate::search::atom::{Atom, Criterion, Yield};
use crate::search::include::Include;
use crate::search::issue::{Issue, IssueKind, Severity};
use crate::search::key::ParameterKey;
use crate::search::page::PageToken;
use crate::search::shelf::Shelf;
use crate::search::sql::Order;
use crate::search::tables::SCHEMA;
use crate::search::value::{Asked, Refusal, split};
use crate::search::{
    bucket, composite, date, full_text, near, number, quantity, reference, special, string, token, uri,
};

/// Parameters in one query; beyond that it is no question any more.
const PARAMETERS_MAX: usize = 64;
/// Alternatives of one parameter.
const VALUES_MAX: usize = 1000;
/// Atoms of one query: values times the types and families in which each is looked up. Keeps the statement, its
/// parameters (of which Postgres takes 65 535) and the time to plan it in bounds.
const ATOMS_MAX: usize = 10_000;
/// What can be asked of all types beside the parameters of `Resource`.
const OF_ALL: [&str; 4] = ["_has", "_list", "_not-referenced", "_text"];
/// Joins of one query: each may be a statement of its own.
const JOINS_MAX: usize = 64;
/// Keys of an order.
const SORT_KEYS_MAX: usize = 8;

impl SearchQuery {
    /// Reads a query for the log with this number. `parameters` are names (with modifiers) and values, percent-decoded,
    /// in their order. Beside the query come issues that do not prevent it: parameters that were left out.
    ///
    /// # Errors
    /// All issues of severity [`Severity::Error`] at once: values that cannot be understood, modifiers that are not
    /// supported, and under [`Handling::Strict`] parameters that are unknown or not supported.
    pub fn parse(
        catalogue: &Catalogue,
        log: i16,
        scope: &Scope,
        parameters: &[(String, String)],
        options: &ParseOptions,
    ) -> Result<(SearchQuery, Vec<Issue>), Vec<Issue>> {
        let mut parser = Parser::of(catalogue, log, options.clone());
        let query = parser.query(scope, parameters);
        let (errors, others): (Vec<Issue>, Vec<Issue>) =
            parser.issues.into_iter().partition(|issue| issue.severity == Severity::Error);
        if errors.is_empty() { Ok((query, others)) } else { Err(errors) }
    }
}

pub(super) struct Parser<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) log: i16,
    pub(super) options: ParseOptions,
    pub(super) issues: Vec<Issue>,
    /// The types that are searched.
    pub(super) types: Vec<String>,
    /// All types of the system are, so that only parameters of every type can be used.
    pub(super) searched_all: bool,
    /// Whether contained resources are searched.
    pub(super) contained: Contained,
    /// The types that are joined to them.
    pub(super) joined: BTreeSet<String>,
    /// The Lists that are asked for, by id.
    pub(super) lists: BTreeSet<String>,
    /// Own keys of what they mark as deleted.
    pub(super) marked: BTreeSet<i64>,
    /// How often a chain was followed to a type.
    pub(super) followed: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn of(catalogue: &'a Catalogue, log: i16, options: ParseOptions) -> Self {
        Self {
            catalogue,
            log,
            options,
            issues: Vec::new(),
            types: Vec::new(),
            searched_all: false,
            contained: Contained::None,
            joined: BTreeSet::new(),
            lists: BTreeSet::new(),
            marked: BTreeSet::new(),
            followed: 0,
        }
    }
}

impl Parser<'_> {
    fn query(&mut self, scope: &Scope, parameters: &[(String, String)]) -> SearchQuery {
        if parameters.len() > PARAMETERS_MAX {
            let text = format!("a query has at most {PARAMETERS_MAX} parameters");
            self.issues.push(Issue::new(Severity::Error, IssueKind::TooCostly, "", text));
        }
        let (default, max) = (self.options.count_default, self.options.count_max);
        let mut control = Control::new(default.min(COUNT_MAX), max.min(COUNT_MAX));
        let rest = control.take(parameters.iter().take(PARAMETERS_MAX), &mut self.issues);
        self.contained = control.contained;
        self.types = self.types_of(scope, &control);
        let mut criteria: Vec<Criterion> = self.compartment(scope).into_iter().collect();
        let of_scope = criteria.len();
        let (mut applied, includes) = self.asked(&rest, &mut criteria);
        self.check_costs(&criteria);
        if !includes.is_empty() && control.summary == Summary::Text {
            // R4 search.html#summary says so.
            let text = "_summary=text cannot be combined with _include and _revinclude";
            self.issues.push(Issue::new(Severity::Error, IssueKind::Invalid, "_summary", text));
        }
        let (sort, sorted_by) = self.sort(std::mem::take(&mut control.sort));
        control.sort = sorted_by;
        let asked = (control.contained, control.contained_type);
        let of_parameters = criteria.get(of_scope..).unwrap_or_default();
        let of_contained = self.of_contained(scope, of_parameters, asked, &sort);
        let criteria = self.seen(bucket::narrowed(criteria), Shelf::Standing);
        let fingerprint = self.fingerprint(scope, &applied, &(&control.sort, asked));
        let page = control.page.take().and_then(|text| self.page(&text, fingerprint, &sort));
        applied.extend(control.applied());
        let types = std::mem::take(&mut self.types);
        self.joined.extend(types.iter().cloned());
        if control.contained != Contained::None {
            // Resources of any type may contain what is searched.
            self.joined.extend(definitions::r4().resource_types().iter().map(|name| (*name).to_owned()));
        }
        SearchQuery {
            looked_at: std::mem::take(&mut self.joined).into_iter().collect(),
            types,
            criteria,
            of_contained,
            sort,
            page,
            fingerprint,
            includes,
            lists: std::mem::take(&mut self.lists),
            base_url: self.options.base_url.clone(),
            asked: self.asked_for(scope, parameters),
            at: None,
            includes_count: control.includes_count,
            applied,
            count: control.count,
            total: control.total,
            summary: control.summary,
            elements: control.elements,
        }
    }

    /// The same criteria of what can be seen alone, through what can be seen alone.
    pub(super) fn seen(&self, criteria: Vec<Criterion>, shelf: Shelf) -> Vec<Criterion> {
        if self.options.restriction.is_none() {
            return criteria;
        }
        let seen = |types: &[&str]| seen::seen(self.catalogue, self.log, &self.options, types);
        let types: Vec<&str> = self.types.iter().map(String::as_str).collect();
        let criteria = seen::through_what_is_seen(criteria, &|kinds| seen(&seen::types_of(kinds)));
        criteria.into_iter().chain(seen(&types).on(shelf).iter().cloned()).collect()
    }

    /// Adds the criteria that parameters ask for. Those that were applied, and the includes, come back.
    fn asked(
        &mut self,
        parameters: &[&(String, String)],
        criteria: &mut Vec<Criterion>,
    ) -> (Vec<(String, String)>, Vec<Include>) {
        let (mut applied, mut includes) = (Vec::new(), Vec::new());
        for (name, value) in parameters {
            if include::is_include(name) {
                match include::parse(self.catalogue, name, value) {
                    Ok(include) => {
                        includes.push(include);
                        applied.push((name.clone(), value.clone()));
                    }
                    Err(refusal) => self.refuse(name, refusal),
                }
                continue;
            }
            if atoms(criteria) > ATOMS_MAX {
                break;
            }
            let asked = match name == filter::NAME {
                true => self.filter(value),
                false => self.criteria_of_search(name, value),
            };
            match asked {
                Ok(all) => {
                    for criterion in all {
                        criteria.extend(criterion.necessary());
                        criteria.push(criterion);
                    }
                    applied.push((name.clone(), value.clone()));
                }
                Err(refusal) => self.refuse(name, refusal),
            }
        }
        (applied, includes)
    }

    fn asked_for(&self, scope: &Scope, parameters: &[(String, String)]) -> Arc<AskedFor> {
        Arc::new(AskedFor {
            inputs: self.catalogue.inputs.clone(),
            log: self.log,
            scope: scope.clone(),
            parameters: parameters.to_vec(),
            options: self.options.clone(),
        })
    }

    /// Keeps the statements of a search in bounds.
    fn check_costs(&mut self, criteria: &[Criterion]) {
        let joins: usize = criteria.iter().map(Criterion::joins).sum();
        let texts = [
            (atoms(criteria) > ATOMS_MAX).then(|| {
                format!(
                    "the query comes to more than {ATOMS_MAX} conditions: ask for fewer values, or search fewer types"
                )
            }),
            (joins > JOINS_MAX).then(|| {
                format!(
                    "the chains of the query come to more than {JOINS_MAX} joins: say which types are meant, as in \
                     subject:Patient.name"
                )
            }),
        ];
        for text in texts.into_iter().flatten() {
            self.issues.push(Issue::new(Severity::Error, IssueKind::TooCostly, "", text));
        }
    }

    fn types_of(&mut self, scope: &Scope, control: &Control) -> Vec<String> {
        let all = definitions::r4().resource_types();
        let of_scope: Vec<String> = match scope {
            Scope::Type(name) | Scope::Compartment { resource_type: Some(name), .. } => vec![name.clone()],
            Scope::System => all.iter().map(|name| (*name).to_owned()).collect(),
            // Where a container is, all that it contains is, whatever types these have.
            Scope::Compartment { .. } if self.contained != Contained::None => {
                all.iter().map(|name| (*name).to_owned()).collect()
            }
            Scope::Compartment { owner_type, .. } => {
                let members =
                    definitions::r4().compartment(owner_type).into_iter().flat_map(|owner| owner.members());
                let members = members.filter(|(_, parameters)| !parameters.is_empty()).map(|(name, _)| name);
                members
                    .chain([owner_type.as_str()])
                    .map(str::to_owned)
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect()
            }
        };
        if let Some(unknown) =
            of_scope.iter().chain(&control.types).find(|name| !all.contains(&name.as_str()))
        {
            let text = format!("{} is no resource type of R4", sanitised(unknown));
            self.issues.push(Issue::new(Severity::Error, IssueKind::Invalid, "_type", text));
        }
        if control.types.is_empty() {
            self.searched_all = of_scope.len() > 1;
            return of_scope;
        }
        of_scope.into_iter().filter(|name| control.types.contains(name)).collect()
    }

    fn compartment(&self, scope: &Scope) -> Option<Criterion> {
        let Scope::Compartment { owner_type, owner_id, .. } = scope else { return None };
        let of_type = |name: &String| {
            special::compartment(&self.catalogue.registry, self.log, (owner_type, owner_id), name)
        };
        Some(Criterion::any(self.types.iter().flat_map(of_type).collect(), Yield::Few))
    }

    /// What a parameter asks of the types that are searched: of words one criterion each, and of a List what it holds and what
    /// not, so that a search can start from each.
    fn criteria_of_search(&mut self, name: &str, value: &str) -> Result<Vec<Criterion>, Refusal> {
        let code = name.split(':').next().unwrap_or(name);
        let criterion = self.criterion_of_search(name, value)?;
        let is_of_several = full_text::asks_for_words(code) || code == "_list";
        Ok(if is_of_several { criterion.apart() } else { vec![criterion] })
    }

    /// One criterion of the types that are searched.
    pub(super) fn criterion_of_search(&mut self, name: &str, value: &str) -> Result<Criterion, Refusal> {
        let code = name.split([':', '.']).next().unwrap_or(name);
        let is_of_all = self.catalogue.get("Resource", code).is_some() || OF_ALL.contains(&code);
        if self.searched_all && !is_of_all {
            return Err(unknown("all resource types"));
        }
        let types = self.types.clone();
        self.criterion(&types, name, value, 0)
    }

    /// One criterion: over several types, whatever answers in any of them. `depth` is the number of links that lead to
    /// these types.
    pub(super) fn criterion(
        &mut self,
        types: &[String],
        name: &str,
        value: &str,
        depth: usize,
    ) -> Result<Criterion, Refusal> {
        if let Some(link) = chain::link(name)? {
            return self.join(types, &link, value, depth);
        }
        match name {
            "_list" => return self.of_list(value),
            "_not-referenced" => return self.not_referenced(types, value),
            _ => {}
        }
        let (code, modifier) = match name.split_once(':') {
            Some((_, "")) => {
                return Err(Refusal::BadValue("a modifier is wanted behind the colon".to_owned()));
            }
            Some((code, modifier)) => (code, Modifier::parse(modifier)),
            None => (name, Modifier::None),
        };
        if types.is_empty() {
            // `_type` has left none.
            return Ok(Criterion::any(Vec::new(), Yield::Few));
        }
        if value.is_empty() {
            return Err(Refusal::Unsupported("it has no value".to_owned()));
        }
        if full_text::asks_for_words(code) {
            return self.full_text(types, (code, &modifier), value).map(Criterion::all);
        }
        let values = split(value, ',');
        if values.len() > VALUES_MAX {
            return Err(Refusal::BadValue(format!("it has more than {VALUES_MAX} values")));
        }
        if values.iter().any(|value| value.is_empty()) {
            return Err(Refusal::BadValue("one of its values is empty".to_owned()));
        }
        let mut of_types = Vec::with_capacity(types.len());
        for resource_type in types {
            let itself = [code.to_owned()];
            let codes = self.catalogue.aliases.get(resource_type, code).unwrap_or(&itself);
            let mut parts = Vec::with_capacity(codes.len());
            for code in codes {
                let parameter =
                    self.catalogue.get(resource_type, code).ok_or_else(|| unknown(resource_type))?;
                let key = ParameterKey::new(self.log, resource_type, code);
                let (modifier, values, options) = (&modifier, values.as_slice(), &self.options);
                parts.push(self.of_kind(&Asked { parameter, key: &key, modifier, values, options })?);
            }
            let of_type = match (modifier == Modifier::Missing && parts.len() > 1, value) {
                // What stands for several has no value where none of them has one.
                (true, "true") => Some(Criterion::any(vec![Atom::All(parts)], Yield::Most)),
                (true, _) => {
                    let any = parts.into_iter().map(|part| Atom::All(vec![part])).collect();
                    Some(Criterion::any(any, Yield::Most))
                }
                _ => parts.into_iter().reduce(Criterion::or),
            };
            of_types.extend(of_type.map(|of_type| (resource_type.as_str(), of_type)));
        }
        Criterion::of_types(of_types).ok_or_else(|| unknown("any type that is searched"))
    }

    fn of_kind(&self, asked: &Asked<'_>) -> Result<Criterion, Refusal> {
        match asked.parameter.kind() {
            SearchParameterKind::Composite => composite::criterion(self.catalogue, asked),
            _ => criterion(asked),
        }
    }

    /// The keys of the order, and how they were written: those that were understood.
    fn sort(&mut self, asked: Vec<String>) -> (Vec<SortKey>, Vec<String>) {
        let (mut sort, mut sorted_by) = (Vec::new(), Vec::new());
        if asked.len() > SORT_KEYS_MAX {
            // Not cut: a client would take results for sorted that are not.
            let text = format!("results are sorted by at most {SORT_KEYS_MAX} parameters");
            self.refuse("_sort", Refusal::BadValue(text));
        }
        for text in asked.into_iter().take(SORT_KEYS_MAX) {
            match sort::sort_key(self.catalogue, self.log, &self.types, &text) {
                Ok(key) => {
                    sort.push(key);
                    sorted_by.push(text);
                }
                Err(reason) => self.refuse("_sort", Refusal::Unsupported(reason)),
            }
        }
        (sort, sorted_by)
    }

    fn page(&mut self, text: &str, fingerprint: u64, sort: &[SortKey]) -> Option<PageToken> {
        let token = PageToken::decode(text).filter(|token| {
            let order = Order::new(sort, token.backward);
            token.fingerprint == fingerprint && order.has_place(&token.place)
        });
        if token.is_none() {
            let text = "the page token does not belong to this query";
            self.issues.push(Issue::new(Severity::Error, IssueKind::Invalid, PAGE_PARAMETER, text));
        }
        token
    }

    /// Names a question of somebody who may see the same: a page token is of use for the one that it came with only.
    fn fingerprint(&self, scope: &Scope, applied: &[(String, String)], sort: &impl Debug) -> u64 {
        let mut hash = Sha256::new();
        // A page token holds sort keys, in the form of the rows that they come from.
        hash.update(format!("{SCHEMA}\n{scope:?}\n{:?}\n{applied:?}\n{sort:?}", self.types));
        if let Some(restriction) = &self.options.restriction {
            hash.update(format!("\n{restriction:?}"));
        }
        let digest = hash.finalize();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Says something beside the results.
    pub(super) fn tell(&mut self, issue: Issue) {
        if !self.issues.contains(&issue) {
            self.issues.push(issue);
        }
    }

    fn refuse(&mut self, name: &str, refusal: Refusal) {
        let shown = sanitised(name);
        let (severity, kind, reason) = match refusal {
            Refusal::BadValue(reason) => (Severity::Error, IssueKind::Invalid, reason),
            Refusal::Modifier(reason) => (Severity::Error, IssueKind::NotSupported, reason),
            Refusal::Unsupported(reason) => {
                let strict = self.options.handling == Handling::Strict;
                let severity = if strict { Severity::Error } else { Severity::Warning };
                (severity, IssueKind::NotSupported, reason)
            }
        };
        let fate = if severity == Severity::Error { "" } else { "; it was left out" };
        let text = format!("search parameter {shown}: {reason}{fate}");
        self.issues.push(Issue::new(severity, kind, &shown, text));
    }
}

/// The refusal of a parameter that a type does not have.
pub(super) fn unknown(name: &str) -> Refusal {
    Refusal::Unsupported(format!("it is no search parameter of {name}"))
}

/// The table of parameter types: each has one file.
fn criterion(asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    if !asked.parameter.has_expression() {
        // `_query`: nothing is indexed for it.
        return Err(Refusal::Unsupported("it is not supported".to_owned()));
    }
    if *asked.modifier == Modifier::Missing {
        return special::missing(asked);
    }
    if let Modifier::Type(name) = asked.modifier {
        let targets = asked.parameter.targets();
        if !targets.is_empty() && !targets.iter().any(|target| target == name) {
            return Err(Refusal::BadValue(format!("it does not point at {name}")));
        }
    }
    match (asked.parameter.code(), asked.parameter.kind()) {
        ("_id", _) => special::id(asked),
        ("_lastUpdated", _) => special::last_updated(asked),
        (_, SearchParameterKind::Token) => token::criterion(asked),
        (_, SearchParameterKind::Reference) => reference::criterion(asked),
        (_, SearchParameterKind::String) => string::criterion(asked),
        (_, SearchParameterKind::Date) => date::criterion(asked),
        (_, SearchParameterKind::Number) => number::criterion(asked),
        (_, SearchParameterKind::Quantity) => quantity::criterion(asked),
        (_, SearchParameterKind::Uri) => uri::criterion(asked),
        (near::CODE, SearchParameterKind::Special) => near::criterion(asked),
        (_, kind @ (SearchParameterKind::Composite | SearchParameterKind::Special)) => {
            Err(Refusal::Unsupported(format!("parameters of type {} are not supported", kind.code())))
        }
    }
}

fn atoms(criteria: &[Criterion]) -> usize {
    criteria.iter().map(Criterion::atoms).sum()
}

/// A name that a client gave, fit to be shown again.
pub(super) fn sanitised(name: &str) -> String {
    const SHOWN_MAX: usize = 80;
    let plain = |character: char| if character.is_control() { '\u{fffd}' } else { character };
    name.chars().take(SHOWN_MAX).map(plain).collect()
}
