//! Expansion: the codes of a value set as a list (R4 valueset-operation-expand.html).

mod page;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

use super::code_system::{Designation, in_language};
use super::engine::{Asked, Engine, Trail, is_placeholder};
use super::letters::folded;
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
    /// How many codes there are on all pages; none where there are more than were counted.
    pub total: Option<usize>,
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
    /// Other spellings of the code, where its system does not tell letters apart: as it defines the code, in lower case, in
    /// upper case.
    pub other_spellings: Vec<String>,
}

/// Words as people type them, in lower case.
pub fn words(text: &str) -> Vec<String> {
    let is_break = |c: char| !c.is_alphanumeric();
    text.split(is_break).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

impl Contained {
    /// Without what was not asked for.
    fn trimmed(mut self, request: &ExpansionRequest) -> Self {
        if !request.designations {
            self.designations.clear();
        }
        self
    }

    /// What is the same for all spellings of the code.
    fn key(&self) -> (String, String) {
        let code = if self.other_spellings.is_empty() { self.code.clone() } else { folded(&self.code) };
        (self.system.clone(), code)
    }

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
    if let Some(expansion) = page::page(engine, set, request)? {
        return Ok(expansion);
    }
    let mut list = List {
        engine,
        request,
        words: request.filter.as_deref().map(words).unwrap_or_default(),
        seen: HashSet::new(),
        used: BTreeMap::new(),
        is_unclosed: false,
        contains: Vec::new(),
        imported: Rc::default(),
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
    Ok(Expansion {
        total: Some(total),
        used,
        is_unclosed,
        contains: page.map(|row| row.trimmed(request)).collect(),
    })
}

/// Codes that one expansion may gather in memory, before filter and page.
const GATHERED_MAX: usize = 200_000;

/// Work that a code on a list counts as: its words are copied, and looked through where there is a filter.
const ROW_WORK: usize = 4;
/// Codes of a part that are asked for one by one, instead of listing the value sets that they have to be in.
const ASKED_MAX: usize = 32;

/// An imported value set as a list.
struct Imported {
    rows: Vec<Contained>,
    codes: HashSet<(String, String)>,
    used: BTreeMap<String, Option<String>>,
    is_unclosed: bool,
}

/// The imported value sets of one expansion by their addresses: each is listed once.
type Imports = Rc<RefCell<HashMap<String, Result<Rc<Imported>, ListError>>>>;

/// What one part excludes.
enum Excluded<'p> {
    Listed(HashSet<(String, String)>),
    Asked(&'p Part),
}

struct List<'e> {
    engine: &'e Engine<'e>,
    request: &'e ExpansionRequest,
    words: Vec<String>,
    seen: HashSet<(String, String)>,
    used: BTreeMap<String, Option<String>>,
    is_unclosed: bool,
    contains: Vec<Contained>,
    imported: Imports,
}

impl List<'_> {
    fn add_set(&mut self, set: &ValueSet, trail: &Trail<'_>) -> Result<(), ListError> {
        let excluded =
            set.exclude.iter().map(|part| self.excluded(part, trail)).collect::<Result<Vec<_>, _>>()?;
        let mut is_pending = false;
        for part in &set.include {
            let rows = self.part(part, trail)?;
            self.engine.work(rows.len().saturating_mul(ROW_WORK + excluded.len()))?;
            let must_be_in = self.listed_imports(part, rows.len(), trail)?;
            for row in rows {
                let key = row.key();
                let is_out = self.seen.contains(&key)
                    || (row.is_inactive && !set.has_inactive)
                    || excluded
                        .iter()
                        .any(|part| matches!(part, Excluded::Listed(codes) if codes.contains(&key)));
                if is_out {
                    continue;
                }
                match self.belongs((part, &must_be_in), &excluded, &row, trail) {
                    Ok(true) => {}
                    Ok(false) => continue,
                    // The others are asked about as well, so that all that is lacking is fetched together.
                    Err(ListError::Pending) => {
                        is_pending = true;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
                self.seen.insert(key);
                self.contains.push(row);
                if self.contains.len() > GATHERED_MAX {
                    return Err(ListError::TooCostly(self.request.codes_max));
                }
            }
        }
        if is_pending { Err(ListError::Pending) } else { Ok(()) }
    }

    /// What a part excludes: as a list where there can be one.
    fn excluded<'p>(&mut self, part: &'p Part, trail: &Trail<'_>) -> Result<Excluded<'p>, ListError> {
        if !part.value_sets.is_empty() {
            return Ok(Excluded::Asked(part));
        }
        match self.part(part, trail) {
            Ok(rows) => Ok(Excluded::Listed(rows.iter().map(Contained::key).collect())),
            Err(ListError::Pending) => Err(ListError::Pending),
            Err(_other) => Ok(Excluded::Asked(part)),
        }
    }

    /// Whether a code is in the value sets of its part, and in none of the excluded parts that cannot be listed.
    fn belongs(
        &self,
        (part, must_be_in): (&Part, &[Option<Rc<Imported>>]),
        excluded: &[Excluded<'_>],
        row: &Contained,
        trail: &Trail<'_>,
    ) -> Result<bool, ListError> {
        let asked = Asked { system: Some(&row.system), code: &row.code };
        for (url, listed) in part.value_sets.iter().zip(must_be_in) {
            let is_in = match listed {
                Some(listed) => listed.codes.contains(&row.key()),
                None => self.engine.is_in_all(std::slice::from_ref(url), asked, trail)?,
            };
            if !is_in {
                return Ok(false);
            }
        }
        for part in excluded {
            if let Excluded::Asked(part) = part
                && self.engine.meets(part, asked, true, trail)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// An imported value set, listed once.
    fn imported(&self, url: &str, trail: &Trail<'_>) -> Result<Rc<Imported>, ListError> {
        let trail = trail.into(url)?;
        if let Some(known) = self.imported.borrow().get(url) {
            return known.clone();
        }
        let mut inner = List {
            engine: self.engine,
            request: self.request,
            words: self.words.clone(),
            seen: HashSet::new(),
            used: BTreeMap::new(),
            is_unclosed: false,
            contains: Vec::new(),
            imported: Rc::clone(&self.imported),
        };
        let set = self.engine.value_set(url);
        let listed = set.and_then(|set| inner.add_set(&set, &trail)).map(|()| {
            Rc::new(Imported {
                rows: inner.contains,
                codes: inner.seen,
                used: inner.used,
                is_unclosed: inner.is_unclosed,
            })
        });
        self.imported.borrow_mut().insert(url.to_owned(), listed.clone());
        listed
    }

    /// The value sets of a part as lists, where that is less work than asking for each of the part's codes. Those that
    /// cannot be listed are asked.
    fn listed_imports(
        &self,
        part: &Part,
        rows: usize,
        trail: &Trail<'_>,
    ) -> Result<Vec<Option<Rc<Imported>>>, ListError> {
        let listed = part.value_sets.iter().enumerate().map(|(index, url)| {
            let is_at_hand = index == 0 && part.system.is_none();
            if rows <= ASKED_MAX && !is_at_hand {
                return Ok(None);
            }
            match self.imported(url, trail) {
                Ok(listed) => Ok(Some(listed)),
                Err(error @ (ListError::Pending | ListError::TooMuchWork)) => Err(error),
                Err(_other) => Ok(None),
            }
        });
        listed.collect()
    }

    /// The codes of a part without its value sets; where it has nothing else, those of the first value set.
    fn part(&mut self, part: &Part, trail: &Trail<'_>) -> Result<Vec<Contained>, ListError> {
        let Some(canonical) = part::canonical(part) else {
            let Some(url) = part.value_sets.first() else { return Ok(Vec::new()) };
            let inner = self.imported(url, trail)?;
            self.engine.work(inner.rows.len().saturating_mul(ROW_WORK))?;
            self.is_unclosed |= inner.is_unclosed;
            self.used.extend(inner.used.clone());
            return Ok(inner.rows.clone());
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
        if system.is_truncated {
            return Err(ListError::TooCostly(self.request.codes_max));
        }
        if is_placeholder(&system) {
            return Err(ListError::UnknownCodeSystem(canonical.to_string()));
        }
        self.used.insert(canonical.url.clone(), system.version.clone());
        self.is_unclosed |= !system.is_complete();
        self.engine.work(system.concepts().len())?;
        let sieve = Sieve::new(&part.filters, &system)?;
        let taken = system
            .concepts()
            .iter()
            .filter(|concept| system.find(&concept.code).is_some_and(|id| sieve.takes(&system, id, concept)));
        let of = (canonical.url.as_str(), Some(&*system));
        Ok(taken.map(|concept| shown(self.request, of, concept, None)).collect())
    }

    /// The listed codes; what the system says about them is added, where it is known.
    fn listed(&mut self, part: &Part, canonical: &super::Canonical) -> Result<Vec<Contained>, ListError> {
        let mut rows = Vec::with_capacity(part.concepts.len());
        let mut pending = false;
        for listed in &part.concepts {
            self.engine.work(ROW_WORK)?;
            let extent = part::extent_of(part, &listed.code);
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
                let sieve = Sieve::of_one(&part.filters, system)?;
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
            let of = (canonical.url.as_str(), system.as_deref());
            rows.push(shown(self.request, of, concept, Some(listed)));
        }
        if pending { Err(ListError::Pending) } else { Ok(rows) }
    }
}

fn shown(
    request: &ExpansionRequest,
    (url, system): (&str, Option<&CodeSystem>),
    concept: &Concept,
    listed: Option<&Listed>,
) -> Contained {
    let own = listed.map(|listed| listed.designations.as_slice()).unwrap_or_default();
    let display = match request.language.as_deref() {
        Some(language) => in_language(own, language)
            .or_else(|| in_language(&concept.designations, language))
            .map(str::to_owned),
        None => None,
    };
    let display = display
        .or_else(|| listed.and_then(|listed| listed.display.clone()))
        .or_else(|| concept.display.clone());
    let code = listed.map_or(&concept.code, |listed| &listed.code).clone();
    Contained {
        system: url.to_owned(),
        other_spellings: system.map(|system| system.other_spellings(&code)).unwrap_or_default(),
        code,
        display,
        is_abstract: concept.is_abstract,
        is_inactive: concept.is_inactive,
        designations: own.iter().chain(&concept.designations).cloned().collect(),
    }
}
