//! The definitions that were fetched for one question, and what is still lacking.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use anamnesis_fhir::terminology::{
    Canonical, CodeSystem, ConceptMap, Extent, Found, Library, MapQuery, Published, ValueSet,
};
use tokio::sync::OnceCell;

/// Filters of one system that are known to find more than are counted.
const FREQUENT_MAX: usize = 200;
/// Characters of such a filter.
const FREQUENT_BYTES_MAX: usize = 100;

/// Something that the engine asked for and that has to be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Need {
    Set(Canonical),
    System(Canonical),
    /// A part of a large system.
    Part(Canonical, Extent),
    Maps(MapQuery),
}

impl Need {
    /// Whether it is a definition, which has to be looked up by itself.
    pub(super) fn is_definition(&self) -> bool {
        !matches!(self, Self::Part(..))
    }
}

/// A code system as it is stored.
#[derive(Debug, Clone)]
pub(super) enum Stored {
    Absent,
    Whole(Arc<CodeSystem>),
    Large(Arc<Large>),
}

/// A code system that is too large for memory.
#[derive(Debug, Default)]
pub(super) struct Large {
    /// The system without concepts.
    pub(super) head: Head,
    /// Names it in the tables.
    pub(super) system: i64,
    /// The events of its parts.
    pub(super) parts: Vec<i64>,
    /// How many concepts they have together.
    pub(super) concepts: i64,
    /// How many it says that there are.
    pub(super) declared: Option<i64>,
    /// How many there are, where they had to be counted.
    pub(super) count: OnceCell<usize>,
    pub(super) frequent: Mutex<HashSet<String>>,
}

impl Large {
    /// Whether this filter is known to find more than are counted.
    pub(super) fn is_frequent(&self, asked: &str) -> bool {
        self.frequent.lock().unwrap_or_else(PoisonError::into_inner).contains(asked)
    }

    /// Notes that this filter finds more than are counted.
    pub(super) fn note_frequent(&self, asked: &str) {
        let mut frequent = self.frequent.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() <= FREQUENT_BYTES_MAX && frequent.len() < FREQUENT_MAX {
            frequent.insert(asked.to_owned());
        }
    }
}

/// What a code system says about itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub(super) url: String,
    pub(super) version: Option<String>,
    pub(super) name: Option<String>,
    pub(super) content: String,
    pub(super) is_case_sensitive: bool,
    pub(super) is_subsuming: bool,
}

impl Head {
    pub(super) fn of(system: &CodeSystem) -> Self {
        Self {
            url: system.url.clone(),
            version: system.version.clone(),
            name: system.name.clone(),
            content: system.content.clone(),
            is_case_sensitive: system.is_case_sensitive,
            is_subsuming: system.is_subsuming,
        }
    }
}

/// What has been fetched.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub(super) sets: HashMap<Canonical, Option<Arc<ValueSet>>>,
    pub(super) systems: HashMap<Canonical, Stored>,
    pub(super) parts: HashMap<(Canonical, Extent), Arc<CodeSystem>>,
    pub(super) maps: HashMap<MapQuery, Arc<Vec<Arc<ConceptMap>>>>,
}

/// The library of one try.
pub(super) struct Snapshot<'f> {
    fetched: &'f Fetched,
    needs: RefCell<HashSet<Need>>,
}

impl<'f> Snapshot<'f> {
    pub(super) fn new(fetched: &'f Fetched) -> Self {
        Self { fetched, needs: RefCell::default() }
    }

    /// What was asked for and is not there.
    pub(super) fn needs(self) -> HashSet<Need> {
        self.needs.into_inner()
    }

    fn lacks<T>(&self, need: Need) -> Found<T> {
        self.needs.borrow_mut().insert(need);
        Found::Pending
    }
}

impl Library for Snapshot<'_> {
    fn value_set(&self, canonical: &Canonical) -> Found<ValueSet> {
        match self.fetched.sets.get(canonical) {
            None => self.lacks(Need::Set(canonical.clone())),
            Some(Some(set)) => Found::Here(Arc::clone(set)),
            Some(None) => Published.value_set(canonical),
        }
    }

    fn code_system(&self, canonical: &Canonical, extent: &Extent) -> Found<CodeSystem> {
        match self.fetched.systems.get(canonical) {
            None => self.lacks(Need::System(canonical.clone())),
            Some(Stored::Absent) => Published.code_system(canonical, extent),
            Some(Stored::Whole(system)) => Found::Here(Arc::clone(system)),
            Some(Stored::Large(_)) => match self.fetched.parts.get(&(canonical.clone(), extent.clone())) {
                Some(part) => Found::Here(Arc::clone(part)),
                None => self.lacks(Need::Part(canonical.clone(), extent.clone())),
            },
        }
    }

    fn concept_maps(&self, query: &MapQuery) -> Found<Vec<Arc<ConceptMap>>> {
        match self.fetched.maps.get(query) {
            None => self.lacks(Need::Maps(query.clone())),
            Some(maps) if maps.is_empty() => Found::Absent,
            Some(maps) => Found::Here(Arc::clone(maps)),
        }
    }
}

impl Fetched {
    /// Both together.
    pub(super) fn with(&self, more: Self) -> Self {
        let mut all = self.without_parts();
        all.parts.clone_from(&self.parts);
        all.sets.extend(more.sets);
        all.systems.extend(more.systems);
        all.parts.extend(more.parts);
        all.maps.extend(more.maps);
        all
    }

    pub(super) fn without_parts(&self) -> Self {
        Self {
            sets: self.sets.clone(),
            systems: self.systems.clone(),
            parts: HashMap::new(),
            maps: self.maps.clone(),
        }
    }

    /// Whether something is there already.
    pub(super) fn has(&self, need: &Need) -> bool {
        match need {
            Need::Set(canonical) => self.sets.contains_key(canonical),
            Need::System(canonical) => self.systems.contains_key(canonical),
            Need::Part(canonical, extent) => self.parts.contains_key(&(canonical.clone(), extent.clone())),
            Need::Maps(query) => self.maps.contains_key(query),
        }
    }

    /// How many definitions there are.
    pub(super) fn len(&self) -> usize {
        self.sets.len() + self.systems.len() + self.maps.len()
    }
}
