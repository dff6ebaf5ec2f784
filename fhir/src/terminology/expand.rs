//! Expansion: the codes of a value set as a list (R4 valueset-operation-expand.html).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::code_system::{Designation, in_language};
use super::engine::{Asked, Engine, Trail, is_placeholder};
use super::library::grammar_of;
use super::part::{self, Sieve};
use super::value_set::{Listed, Part, ValueSet};
use super::{CodeSystem, Concept, ListError};

/// Codes of an expansion at most (AHDS refuses beyond 20,000).
pub const EXPANSION_CODES_MAX: usize = 20_000;

/// How a value set is to be listed.
#[derive(Clone, Debug)]
pub struct ExpansionRequest {
    /// Words of which each begins a word of the display or is the beginning of the code.
    pub filter: Option<String>,
    /// Codes to pass over.
    pub offset: usize,
    /// Codes on the page; all where not given.
    pub count: Option<usize>,
    /// Without inactive codes.
    pub active_only: bool,
    /// Without codes that are not to be chosen.
    pub without_abstract: bool,
    /// With all designations.
    pub designations: bool,
    /// The language of the displays.
    pub language: Option<String>,
    /// Codes that may be looked at for one expansion.
    pub codes_max: usize,
}

impl Default for ExpansionRequest {
    fn default() -> Self {
        Self {
            filter: None,
            offset: 0,
            count: None,
            active_only: false,
            without_abstract: false,
            designations: false,
            language: None,
            codes_max: EXPANSION_CODES_MAX,
        }
    }
}

/// A list of codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expansion {
    /// How many codes there are on all pages.
    pub total: usize,
    /// The code systems that were used, with their versions.
    pub used: BTreeMap<String, Option<String>>,
    /// Whether there may be more codes: a code system is known in part only.
    pub is_unclosed: bool,
    /// The codes of the page.
    pub contains: Vec<Contained>,
}

/// One code of an expansion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contained {
    /// The code system.
    pub system: String,
    /// The code.
    pub code: String,
    /// What people read.
    pub display: Option<String>,
    /// Not to be chosen itself.
    pub is_abstract: bool,
    /// Not to be used any more.
    pub is_inactive: bool,
    /// Other words, where they were asked for.
    pub designations: Vec<Designation>,
}

/// Words as people type them, in lower case.
pub fn words(text: &str) -> Vec<String> {
    let is_break = |c: char| !c.is_alphanumeric();
    text.split(is_break).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

impl Contained {
    fn has_words(&self, wanted: &[String]) -> bool {
        let mut known: Vec<String> = self.display.as_deref().map(words).unwrap_or_default();
        known.extend(self.designations.iter().flat_map(|designation| words(&designation.value)));
        known.extend(words(&self.code));
        wanted.iter().all(|wanted| known.iter().any(|word| word.starts_with(wanted)))
    }
}

/// Lists a value set.
pub(super) fn expand(
    engine: &Engine<'_>,
    set: &ValueSet,
    request: &ExpansionRequest,
) -> Result<Expansion, ListError> {
    let mut list = List {
        engine,
        request,
        words: request.filter.as_deref().map(words).unwrap_or_default(),
        seen: HashSet::new(),
        used: BTreeMap::new(),
        is_unclosed: false,
        contains: Vec::new(),
    };
    list.add_set(set, &Trail::start(&set.url))?;
    let List { used, is_unclosed, mut contains, words, .. } = list;
    contains.retain(|row| {
        (words.is_empty() || row.has_words(&words))
            && !(row.is_inactive && (request.active_only || !set.has_inactive))
            && !(row.is_abstract && request.without_abstract)
    });
    let total = contains.len();
    // With pages, what counts is the page; the whole may be larger.
    if request.count.is_none() && total > request.codes_max {
        return Err(ListError::TooCostly(request.codes_max));
    }
    let page = contains.into_iter().skip(request.offset).take(request.count.unwrap_or(usize::MAX));
    let shown = |mut row: Contained| {
        if !request.designations {
            row.designations.clear();
        }
        row
    };
    Ok(Expansion { total, used, is_unclosed, contains: page.map(shown).collect() })
}

/// Codes that one expansion may gather in memory, before filter and page.
const GATHERED_MAX: usize = 200_000;

struct List<'e> {
    engine: &'e Engine<'e>,
    request: &'e ExpansionRequest,
    words: Vec<String>,
    seen: HashSet<(String, String)>,
    used: BTreeMap<String, Option<String>>,
    is_unclosed: bool,
    contains: Vec<Contained>,
}

impl List<'_> {
    fn add_set(&mut self, set: &ValueSet, trail: &Trail<'_>) -> Result<(), ListError> {
        for part in &set.include {
            for row in self.part(part, trail)? {
                let asked = Asked { system: Some(&row.system), code: &row.code };
                let is_known = self.seen.contains(&(row.system.clone(), row.code.clone()));
                if is_known
                    || (row.is_inactive && !set.has_inactive)
                    || !self.engine.is_in_all(&part.value_sets, asked, trail)?
                    || self.engine.is_excluded(set, asked, trail)?
                {
                    continue;
                }
                self.seen.insert((row.system.clone(), row.code.clone()));
                self.contains.push(row);
                if self.contains.len() > GATHERED_MAX {
                    return Err(ListError::TooCostly(self.request.codes_max));
                }
            }
        }
        Ok(())
    }

    /// The codes of a part without its value sets; where it has nothing else, those of the first value set.
    fn part(&mut self, part: &Part, trail: &Trail<'_>) -> Result<Vec<Contained>, ListError> {
        let Some(canonical) = part::canonical(part) else {
            let Some(url) = part.value_sets.first() else { return Ok(Vec::new()) };
            let trail = trail.into(url)?;
            let set = self.engine.value_set(url)?;
            let mut inner = List {
                engine: self.engine,
                request: self.request,
                words: self.words.clone(),
                seen: HashSet::new(),
                used: BTreeMap::new(),
                is_unclosed: false,
                contains: Vec::new(),
            };
            inner.add_set(&set, &trail)?;
            self.is_unclosed |= inner.is_unclosed;
            self.used.append(&mut inner.used);
            return Ok(inner.contains);
        };
        let text = (!self.words.is_empty()).then(|| self.words.join(" "));
        if !part.concepts.is_empty() {
            return self.listed(part, &canonical);
        }
        let system = match self.engine.code_system(&canonical, &part::extent(part, text.as_deref())) {
            Err(ListError::UnknownCodeSystem(url)) if grammar_of(&canonical.url).is_some() => {
                return Err(ListError::NotEnumerable(url));
            }
            found => found?,
        };
        if is_placeholder(&system) {
            return Err(ListError::UnknownCodeSystem(canonical.to_string()));
        }
        if system.is_truncated {
            return Err(ListError::TooCostly(self.request.codes_max));
        }
        self.used.insert(canonical.url.clone(), system.version.clone());
        self.is_unclosed |= !system.is_complete();
        let sieve = Sieve::new(&part.filters, &system)?;
        let taken = system
            .concepts()
            .iter()
            .filter(|concept| system.find(&concept.code).is_some_and(|id| sieve.takes(&system, id, concept)));
        Ok(taken.map(|concept| self.contained(&canonical.url, concept, None)).collect())
    }

    /// The listed codes; what the system says about them is added, where it is known.
    fn listed(&mut self, part: &Part, canonical: &super::Canonical) -> Result<Vec<Contained>, ListError> {
        let mut rows = Vec::with_capacity(part.concepts.len());
        let mut pending = false;
        for listed in &part.concepts {
            let extent = super::Extent::Code(listed.code.clone());
            let system = match self.engine.code_system(canonical, &extent) {
                Ok(system) => Some(system),
                Err(ListError::Pending) => {
                    // The others are asked for as well, so that all of them are fetched together.
                    pending = true;
                    continue;
                }
                Err(_unknown) => None,
            };
            if !part.filters.is_empty() {
                let system: &Arc<CodeSystem> =
                    system.as_ref().ok_or_else(|| ListError::UnknownCodeSystem(canonical.to_string()))?;
                let sieve = Sieve::new(&part.filters, system)?;
                let found = system.find(&listed.code).and_then(|id| Some((id, system.concept(id)?)));
                if !found.is_some_and(|(id, concept)| sieve.takes(system, id, concept)) {
                    continue;
                }
            }
            if let Some(system) = &system {
                self.used.insert(canonical.url.clone(), system.version.clone());
            }
            let fallback = Concept { code: listed.code.clone(), ..Concept::default() };
            let concept = system.as_ref().and_then(|system| system.get(&listed.code)).unwrap_or(&fallback);
            rows.push(self.contained(&canonical.url, concept, Some(listed)));
        }
        if pending { Err(ListError::Pending) } else { Ok(rows) }
    }

    fn contained(&self, system: &str, concept: &Concept, listed: Option<&Listed>) -> Contained {
        let own = listed.map(|listed| listed.designations.as_slice()).unwrap_or_default();
        let display = match self.request.language.as_deref() {
            Some(language) => in_language(own, language)
                .or_else(|| in_language(&concept.designations, language))
                .map(str::to_owned),
            None => None,
        };
        let display = display
            .or_else(|| listed.and_then(|listed| listed.display.clone()))
            .or_else(|| concept.display.clone());
        Contained {
            system: system.to_owned(),
            code: listed.map_or(&concept.code, |listed| &listed.code).clone(),
            display,
            is_abstract: concept.is_abstract,
            is_inactive: concept.is_inactive,
            designations: own.iter().chain(&concept.designations).cloned().collect(),
        }
    }
}
