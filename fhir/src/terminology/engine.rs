//! The engine: value sets by their definitions, hierarchy, and the questions of [`Terminology`].

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::letters::is_same_folded;
use super::library::{Canonical, Extent, Found, Library, grammar_of};
use super::part::{self, Sieve};
use super::value_set::{Part, ValueSet};
use super::{
    Budget, CodeSystem, Direction, Expansion, ExpansionRequest, ListError, Membership, SystemCode,
    Terminology, grammar,
};

/// Value sets that draw on others, one inside the other. No line of R4 is longer than 4.
const IMPORT_DEPTH_MAX: usize = 16;

/// Work that finding a value set counts as.
const SET_WORK: usize = 10;
/// Listed codes that are looked through for as much work as one concept.
const LISTED_PER_WORK: usize = 16;

/// Answers from a library, within a budget. What was found out about imported value sets is kept as long as it lives, so
/// that each is looked into once, however many others draw on it.
#[derive(Clone)]
pub struct Engine<'l> {
    pub(super) library: &'l dyn Library,
    budget: Counter<'l>,
    members: Rc<RefCell<HashMap<Question, Result<bool, ListError>>>>,
}

/// An imported value set, system, code.
type Question = (String, Option<String>, String);

#[derive(Clone)]
enum Counter<'l> {
    Own(Rc<Budget>),
    Given(&'l Budget),
}

/// The value sets that are being looked into, the outermost first: none may draw on itself.
#[derive(Clone, Copy)]
pub(super) struct Trail<'t> {
    url: &'t str,
    outer: Option<&'t Trail<'t>>,
    depth: usize,
}

impl<'t> Trail<'t> {
    pub(super) fn start(url: &'t str) -> Self {
        Self { url, outer: None, depth: 0 }
    }

    /// Goes into an imported set.
    pub(super) fn into(&'t self, url: &'t str) -> Result<Trail<'t>, ListError> {
        let mut known = Some(self);
        while let Some(trail) = known {
            if trail.url == url {
                return Err(ListError::Unsupported(format!("the value set {url} draws on itself")));
            }
            known = trail.outer;
        }
        if self.depth >= IMPORT_DEPTH_MAX {
            let text = format!("value sets draw on others more than {IMPORT_DEPTH_MAX} deep");
            return Err(ListError::Unsupported(text));
        }
        Ok(Trail { url, outer: Some(self), depth: self.depth + 1 })
    }
}

/// What is asked about one code.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) system: Option<&'a str>,
    pub(super) code: &'a str,
}

impl<'l> Engine<'l> {
    /// An engine over these definitions, for a question of usual size.
    pub fn new(library: &'l dyn Library) -> Self {
        Self { library, budget: Counter::Own(Rc::default()), members: Rc::default() }
    }

    /// An engine over these definitions, whose work counts against this budget.
    pub fn within(library: &'l dyn Library, budget: &'l Budget) -> Self {
        Self { budget: Counter::Given(budget), ..Self::new(library) }
    }

    /// Counts work.
    pub(super) fn work(&self, amount: usize) -> Result<(), ListError> {
        match &self.budget {
            Counter::Own(budget) => budget.take(amount),
            Counter::Given(budget) => budget.take(amount),
        }
    }

    /// The definitions.
    pub fn library(&self) -> &'l dyn Library {
        self.library
    }

    /// Finds a value set by `url` or `url|version`.
    ///
    /// # Errors
    /// Where there is none, or it has to be fetched first.
    pub fn value_set(&self, canonical: &str) -> Result<Arc<ValueSet>, ListError> {
        self.work(SET_WORK)?;
        let parsed = Canonical::parse(canonical);
        match self.library.value_set(&parsed) {
            Found::Absent => {
                implicit(&parsed).map(Arc::new).ok_or_else(|| ListError::UnknownValueSet(parsed.to_string()))
            }
            found => found.required(|| ListError::UnknownValueSet(parsed.to_string())),
        }
    }

    /// Finds a code system, at least this much of it.
    ///
    /// # Errors
    /// Where there is none, or it has to be fetched first.
    pub fn code_system(&self, canonical: &Canonical, extent: &Extent) -> Result<Arc<CodeSystem>, ListError> {
        let found = self.library.code_system(canonical, extent);
        found.required(|| ListError::UnknownCodeSystem(canonical.to_string()))
    }

    /// Whether a code is in a value set; without a system, in any of its systems. Abstract codes are in it.
    ///
    /// # Errors
    /// Where it depends on something that is not known.
    pub fn is_member(&self, set: &ValueSet, system: Option<&str>, code: &str) -> Result<bool, ListError> {
        has_definition(set)?;
        self.contains(set, Asked { system, code }, &Trail::start(&set.url))
    }

    pub(super) fn contains(
        &self,
        set: &ValueSet,
        asked: Asked<'_>,
        trail: &Trail<'_>,
    ) -> Result<bool, ListError> {
        // A code without a system may be in the set by one system and be excluded by another.
        let mut unknown = None;
        for part in &set.include {
            let system = asked.system.or(part.system.as_deref());
            let asked = Asked { system, ..asked };
            match self.meets(part, asked, set.has_inactive, trail) {
                Ok(false) => {}
                Ok(true) => match self.is_excluded(set, asked, trail) {
                    Ok(true) => {}
                    Ok(false) => return Ok(true),
                    Err(error) => unknown = unknown.or(Some(error)),
                },
                Err(error) => unknown = unknown.or(Some(error)),
            }
        }
        unknown.map_or(Ok(false), Err)
    }

    fn is_excluded(&self, set: &ValueSet, asked: Asked<'_>, trail: &Trail<'_>) -> Result<bool, ListError> {
        for part in &set.exclude {
            if self.meets(part, asked, true, trail)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn meets(
        &self,
        part: &Part,
        asked: Asked<'_>,
        has_inactive: bool,
        trail: &Trail<'_>,
    ) -> Result<bool, ListError> {
        if !self.meets_system(part, asked, has_inactive)? {
            return Ok(false);
        }
        if !self.is_in_all(&part.value_sets, asked, trail)? {
            return Ok(false);
        }
        Ok(has_inactive || part.system.is_some() || !self.is_inactive(asked)?)
    }

    /// Whether a code is known not to be used any more.
    fn is_inactive(&self, asked: Asked<'_>) -> Result<bool, ListError> {
        let Some(system) = asked.system else { return Ok(false) };
        match self.code_system(&Canonical::parse(system), &Extent::Code(asked.code.to_owned())) {
            Ok(system) => Ok(system.get(asked.code).is_some_and(|concept| concept.is_inactive)),
            Err(ListError::Pending) => Err(ListError::Pending),
            Err(_unknown) => Ok(false),
        }
    }

    /// Whether a code is in all of these value sets.
    pub(super) fn is_in_all(
        &self,
        value_sets: &[String],
        asked: Asked<'_>,
        trail: &Trail<'_>,
    ) -> Result<bool, ListError> {
        for url in value_sets {
            let trail = trail.into(url)?;
            if !self.imported_contains(url, asked, &trail)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a code is in an imported value set: found out once for each.
    fn imported_contains(&self, url: &str, asked: Asked<'_>, trail: &Trail<'_>) -> Result<bool, ListError> {
        let question = (url.to_owned(), asked.system.map(str::to_owned), asked.code.to_owned());
        self.work(1)?;
        if let Some(known) = self.members.borrow().get(&question) {
            return known.clone();
        }
        let found = self.value_set(url).and_then(|set| self.contains(&set, asked, trail));
        self.members.borrow_mut().insert(question, found.clone());
        found
    }

    fn meets_system(&self, part: &Part, asked: Asked<'_>, has_inactive: bool) -> Result<bool, ListError> {
        self.work(1 + part.concepts.len() / LISTED_PER_WORK + part.filters.len())?;
        let Some(canonical) = part::canonical(part) else { return Ok(!part.value_sets.is_empty()) };
        if asked.system.is_some_and(|system| system != canonical.url) {
            return Ok(false);
        }
        if !part.concepts.is_empty() && !self.lists(part, &canonical, asked.code)? {
            return Ok(false);
        }
        if !part.concepts.is_empty() && part.filters.is_empty() && has_inactive {
            return Ok(true);
        }
        let system = match self.code_system(&canonical, &part::extent_of(part, asked.code)) {
            Ok(system) if !is_placeholder(&system) => system,
            Err(error @ (ListError::Pending | ListError::TooMuchWork)) => return Err(error),
            // Nobody but the system itself could tell which of its codes are inactive.
            _ if !part.concepts.is_empty() && part.filters.is_empty() => return Ok(true),
            _ => return by_grammar(part, &canonical, asked.code),
        };
        let Some((id, concept)) = system.find(asked.code).and_then(|id| Some((id, system.concept(id)?)))
        else {
            // What a value set lists is in it, even where the system lacks it.
            if !part.concepts.is_empty() && part.filters.is_empty() {
                return Ok(true);
            }
            return if system.is_complete() { Ok(false) } else { Err(incomplete(&canonical)) };
        };
        if concept.is_inactive && !has_inactive {
            return Ok(false);
        }
        Ok(Sieve::of_one(&part.filters, &system)?.takes(&system, id, concept))
    }

    /// Whether a part lists a code, or another spelling of it where the system does not tell letters apart.
    fn lists(&self, part: &Part, canonical: &Canonical, code: &str) -> Result<bool, ListError> {
        if part.concepts.iter().any(|listed| listed.code == code) {
            return Ok(true);
        }
        if !part.concepts.iter().any(|listed| is_same_folded(&listed.code, code)) {
            return Ok(false);
        }
        match self.code_system(canonical, &Extent::Code(code.to_owned())) {
            Ok(system) => Ok(!system.is_case_sensitive),
            Err(error @ (ListError::Pending | ListError::TooMuchWork)) => Err(error),
            Err(_unknown) => Ok(false),
        }
    }

    /// Lists a value set.
    ///
    /// # Errors
    /// Where a part of it is not known, cannot be listed, or is too large.
    pub fn expand(&self, set: &ValueSet, request: &ExpansionRequest) -> Result<Expansion, ListError> {
        has_definition(set)?;
        super::expand::expand(self, set, request)
    }
}

fn has_definition(set: &ValueSet) -> Result<(), ListError> {
    match set.is_defined {
        true => Ok(()),
        false => Err(ListError::Unsupported("the value set has neither compose nor expansion".to_owned())),
    }
}

/// Whether a system is only named and none of its codes are there.
pub(super) fn is_placeholder(system: &CodeSystem) -> bool {
    system.concepts().is_empty() && !system.is_complete()
}

fn incomplete(canonical: &Canonical) -> ListError {
    ListError::PartOfCodeSystem(canonical.to_string())
}

fn by_grammar(part: &Part, canonical: &Canonical, code: &str) -> Result<bool, ListError> {
    match grammar_of(&canonical.url) {
        Some(grammar) if part.filters.is_empty() => Ok(grammar::takes(grammar, code)),
        Some(_) => Err(ListError::Unsupported(format!("filters on {canonical} are not supported"))),
        None => Err(ListError::UnknownCodeSystem(canonical.to_string())),
    }
}

/// Value sets that exist without a resource (R4 snomedct.html#implicit, loinc.html#implicit).
fn implicit(canonical: &Canonical) -> Option<ValueSet> {
    if canonical.url == "http://loinc.org/vs" {
        return Some(ValueSet::of_version(canonical, "http://loinc.org"));
    }
    let (base, kind) = canonical.url.split_once("?fhir_vs")?;
    let mut set = ValueSet::of_version(canonical, "http://snomed.info/sct");
    let part = set.include.first_mut()?;
    match base.strip_prefix("http://snomed.info/sct")? {
        "" => {}
        _ => part.version = Some(base.to_owned()),
    }
    match kind {
        "" => Some(set),
        _ => {
            let code = kind.strip_prefix("=isa/")?;
            part.filters.push(super::Filter {
                property: "concept".to_owned(),
                op: "is-a".to_owned(),
                value: code.to_owned(),
            });
            Some(set)
        }
    }
}

impl Terminology for Engine<'_> {
    fn validate_code(&self, value_set: &str, system: Option<&str>, code: &str) -> Membership {
        let member = self.value_set(value_set).and_then(|set| self.is_member(&set, system, code));
        match member {
            Ok(true) => Membership::Member,
            Ok(false) => Membership::NotMember,
            Err(_unknown) => Membership::Unknown,
        }
    }

    fn codes(&self, value_set: &str, codes_max: usize) -> Result<Vec<SystemCode>, ListError> {
        let set = self.value_set(value_set)?;
        let request = ExpansionRequest { codes_max, ..ExpansionRequest::default() };
        let expansion = self.expand(&set, &request)?;
        let spelled = |row: super::Contained| {
            let super::Contained { system, code, other_spellings, .. } = row;
            let all = other_spellings.into_iter().chain([code]);
            all.map(move |code| SystemCode { system: system.clone(), code })
        };
        each_once(expansion.contains.into_iter().flat_map(spelled).collect(), codes_max)
    }

    fn related(
        &self,
        system: &str,
        code: &str,
        direction: Direction,
        codes_max: usize,
    ) -> Result<Vec<String>, ListError> {
        let extent = match direction {
            Direction::Below => Extent::Below(code.to_owned()),
            Direction::Above => Extent::Code(code.to_owned()),
        };
        let canonical = Canonical::parse(system);
        let system = self.code_system(&canonical, &extent)?;
        let id = system.find(code).ok_or_else(|| ListError::UnknownCode(canonical.to_string()))?;
        let related = match direction {
            Direction::Below => system.below(id),
            Direction::Above => system.above(id),
        };
        if related.len() > codes_max || (system.is_truncated && direction == Direction::Below) {
            return Err(ListError::TooCostly(codes_max));
        }
        let ids: Vec<_> = related.into_iter().collect();
        let spelled = |code: &str| system.other_spellings(code).into_iter().chain([code.to_owned()]);
        each_once(system.codes(&ids).flat_map(spelled).collect(), codes_max)
    }
}

fn each_once<T: Ord>(mut codes: Vec<T>, codes_max: usize) -> Result<Vec<T>, ListError> {
    codes.sort_unstable();
    codes.dedup();
    if codes.len() > codes_max { Err(ListError::TooCostly(codes_max)) } else { Ok(codes) }
}

/// Whoever has definitions answers by them.
impl<L: Library> Terminology for L {
    fn validate_code(&self, value_set: &str, system: Option<&str>, code: &str) -> Membership {
        Engine::new(self).validate_code(value_set, system, code)
    }

    fn codes(&self, value_set: &str, codes_max: usize) -> Result<Vec<SystemCode>, ListError> {
        Engine::new(self).codes(value_set, codes_max)
    }

    fn related(
        &self,
        system: &str,
        code: &str,
        direction: Direction,
        codes_max: usize,
    ) -> Result<Vec<String>, ListError> {
        Engine::new(self).related(system, code, direction, codes_max)
    }
}
