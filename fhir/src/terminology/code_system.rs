//! A code system in memory: its concepts, found by code, with the hierarchy between them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::letters;
use crate::json::{Kind, Value};

/// Levels of nested concepts that are read. The deepest system of R4 has 9.
pub const CONCEPT_NESTING_MAX: usize = 32;

/// A code system, or that part of a large one that a question is about.
#[derive(Debug, Default)]
pub struct CodeSystem {
    /// Canonical address, without version.
    pub url: String,
    /// Business version.
    pub version: Option<String>,
    /// Name for people: title, else name.
    pub name: Option<String>,
    /// `complete`, `example`, `fragment`, `not-present` or `supplement`.
    pub content: String,
    /// Whether `a` and `A` are different codes. R4 leaves it open where nothing is said; then they are.
    pub is_case_sensitive: bool,
    /// Whether the hierarchy says which concept is a kind of another (`hierarchyMeaning` is-a, or not given).
    pub is_subsuming: bool,
    /// The value set of all its codes.
    pub value_set: Option<String>,
    /// Whether there are more concepts than were fetched, so that lists of them must be refused.
    pub is_truncated: bool,
    /// Where it is only the page that was asked for: how many concepts there are on all pages.
    pub page_total: Option<PageTotal>,
    concepts: Vec<Concept>,
    by_code: HashMap<String, ConceptId>,
}

/// How many concepts there are on all pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageTotal {
    /// So many.
    Exactly(usize),
    /// More than were counted.
    Uncounted,
}

/// Index of a concept in its system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConceptId(u32);

/// One concept.
#[derive(Clone, Debug, Default)]
pub struct Concept {
    /// The code.
    pub code: String,
    /// What people read.
    pub display: Option<String>,
    /// What it means, where the system says it.
    pub definition: Option<String>,
    /// Other words for it.
    pub designations: Vec<Designation>,
    /// Properties in the order of the resource, without parents and children.
    pub properties: Vec<Property>,
    /// The concepts right above it.
    pub parents: Vec<ConceptId>,
    /// The concepts right below it.
    pub children: Vec<ConceptId>,
    /// A way to group others, not to be chosen itself (property `notSelectable`).
    pub is_abstract: bool,
    /// Not to be used any more (property `inactive`, or a `status` that says so).
    pub is_inactive: bool,
}

/// Another word for a concept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Designation {
    /// Language tag.
    pub language: Option<String>,
    /// The Coding that says what it is for, as JSON.
    pub usage: Option<String>,
    /// The text.
    pub value: String,
}

/// A property of a concept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its code.
    pub code: String,
    /// The member of the resource: `valueCode`, `valueString` and so on.
    pub member: String,
    /// The value as JSON.
    pub json: String,
    /// The value as filters see it; the code of a Coding.
    pub text: String,
}

impl CodeSystem {
    /// An empty system to be filled by [`CodeSystem::add`].
    pub fn named(url: impl Into<String>) -> Self {
        Self { url: url.into(), is_case_sensitive: true, is_subsuming: true, ..Self::default() }
    }

    /// Reads what a CodeSystem resource says about the system, without its concepts.
    pub fn head(resource: Value<'_>) -> Self {
        let text = |name| text(resource, name);
        Self {
            version: text("version"),
            name: text("title").or_else(|| text("name")),
            content: text("content").unwrap_or_default(),
            is_case_sensitive: resource.get("caseSensitive").and_then(Value::as_bool) != Some(false),
            is_subsuming: matches!(text("hierarchyMeaning").as_deref(), None | Some("is-a")),
            value_set: text("valueSet"),
            ..Self::named(text("url").unwrap_or_default())
        }
    }

    /// Reads a CodeSystem resource. What has no address or concepts without code are passed over: resources were
    /// checked when they came in.
    pub fn read(resource: Value<'_>) -> Self {
        let mut system = Self::head(resource);
        let mut links = Vec::new();
        system.add_nested(resource, None, 0, &mut links);
        for (above, below) in links {
            system.link(&above, &below);
        }
        system
    }

    /// Takes over the concepts of another part of the same system.
    pub fn join(&mut self, other: Self) {
        let codes: Vec<String> = other.concepts.iter().map(|concept| concept.code.clone()).collect();
        let code_of = |id: &ConceptId| codes.get(id.0 as usize).cloned().unwrap_or_default();
        let mut links = Vec::new();
        for mut concept in other.concepts {
            let parents = std::mem::take(&mut concept.parents);
            links.extend(parents.iter().map(|parent| (code_of(parent), concept.code.clone())));
            concept.children.clear();
            self.add(concept);
        }
        for (above, below) in links {
            self.link(&above, &below);
        }
    }

    fn add_nested(
        &mut self,
        parent: Value<'_>,
        above: Option<&str>,
        depth: usize,
        links: &mut Vec<(String, String)>,
    ) {
        if depth > CONCEPT_NESTING_MAX {
            return;
        }
        for row in parent.get("concept").into_iter().flat_map(Value::items) {
            let Some(code) = text(row, "code") else { continue };
            let mut concept = Concept {
                display: text(row, "display"),
                definition: text(row, "definition"),
                designations: designations(row),
                ..Concept::default()
            };
            for property in row.get("property").into_iter().flat_map(Value::items).filter_map(property) {
                match property.code.as_str() {
                    "parent" | "subsumedBy" => links.push((property.text, code.clone())),
                    "child" => links.push((code.clone(), property.text)),
                    _ => concept.take(property),
                }
            }
            concept.code.clone_from(&code);
            self.add(concept);
            if let Some(above) = above {
                links.push((above.to_owned(), code.clone()));
            }
            self.add_nested(row, Some(&code), depth + 1, links);
        }
    }

    /// Adds a concept. One with a known code is the same concept again: it adds its properties and designations.
    pub fn add(&mut self, concept: Concept) {
        let key = self.key(&concept.code).into_owned();
        let known = self.by_code.get(&key).and_then(|id| self.concepts.get_mut(id.0 as usize));
        if let Some(known) = known {
            known.display = known.display.take().or(concept.display);
            known.definition = known.definition.take().or(concept.definition);
            known.designations.extend(concept.designations);
            known.properties.extend(concept.properties);
            known.is_abstract |= concept.is_abstract;
            known.is_inactive |= concept.is_inactive;
            return;
        }
        // A body is 32 MiB at most, and so are the codes of a system in memory.
        let id = ConceptId(u32::try_from(self.concepts.len()).unwrap_or(u32::MAX));
        self.by_code.insert(key, id);
        self.concepts.push(concept);
    }

    /// Says that one concept lies right above another; unknown ones and a concept above itself are passed over.
    pub fn link(&mut self, above: &str, below: &str) {
        let (Some(above), Some(below)) = (self.find(above), self.find(below)) else { return };
        if above == below || self.concept(below).is_some_and(|concept| concept.parents.contains(&above)) {
            return;
        }
        if let Some(concept) = self.concepts.get_mut(below.0 as usize) {
            concept.parents.push(above);
        }
        if let Some(concept) = self.concepts.get_mut(above.0 as usize) {
            concept.children.push(below);
        }
    }

    /// A code as it is compared: in lower case, where letters are not told apart.
    pub(super) fn key<'c>(&self, code: &'c str) -> Cow<'c, str> {
        letters::key(code, self.is_case_sensitive)
    }

    /// How else a code may be spelled: as the system defines it, in lower case, in upper case; nothing where letters are
    /// told apart.
    pub(super) fn other_spellings(&self, code: &str) -> Vec<String> {
        if self.is_case_sensitive {
            return Vec::new();
        }
        letters::other_spellings(code, self.get(code).map_or(code, |concept| &concept.code))
    }

    /// The concept with this code.
    pub fn find(&self, code: &str) -> Option<ConceptId> {
        self.by_code.get(&*self.key(code)).copied()
    }

    /// The concept at an index.
    pub fn concept(&self, id: ConceptId) -> Option<&Concept> {
        self.concepts.get(id.0 as usize)
    }

    /// The concept with this code.
    pub fn get(&self, code: &str) -> Option<&Concept> {
        self.find(code).and_then(|id| self.concept(id))
    }

    /// All concepts in the order of the resource.
    pub fn concepts(&self) -> &[Concept] {
        &self.concepts
    }

    /// Whether all codes of the system are known, so that one that is not there does not exist.
    pub fn is_complete(&self) -> bool {
        matches!(self.content.as_str(), "complete" | "")
    }

    /// Whether one concept is another or a kind of it.
    pub fn subsumes(&self, above: &str, below: &str) -> bool {
        let (Some(above), Some(below)) = (self.find(above), self.find(below)) else { return false };
        above == below || (self.is_subsuming && self.walk(below, |concept| &concept.parents).contains(&above))
    }

    /// The concept and all that it subsumes.
    pub fn below(&self, id: ConceptId) -> HashSet<ConceptId> {
        self.walk(id, |concept| &concept.children)
    }

    /// The concept and all that subsume it.
    pub fn above(&self, id: ConceptId) -> HashSet<ConceptId> {
        self.walk(id, |concept| &concept.parents)
    }

    /// Each concept is entered once, so that circles end.
    fn walk(&self, from: ConceptId, next: impl Fn(&Concept) -> &Vec<ConceptId>) -> HashSet<ConceptId> {
        let mut seen = HashSet::from([from]);
        if !self.is_subsuming {
            return seen;
        }
        let mut open = vec![from];
        while let Some(concept) = open.pop().and_then(|id| self.concept(id)) {
            open.extend(next(concept).iter().copied().filter(|id| seen.insert(*id)));
        }
        seen
    }

    /// The codes of concepts.
    pub fn codes<'a>(&'a self, ids: &'a [ConceptId]) -> impl Iterator<Item = &'a str> {
        ids.iter().filter_map(|id| self.concept(*id)).map(|concept| concept.code.as_str())
    }
}

impl Concept {
    /// Adds a property and what it says about the use of the concept.
    pub fn take(&mut self, property: Property) {
        match (property.code.as_str(), property.text.as_str()) {
            ("notSelectable" | "abstract", "true") => self.is_abstract = true,
            ("inactive", "true") | ("status", "retired" | "inactive") => self.is_inactive = true,
            _ => {}
        }
        self.properties.push(property);
    }

    /// The display in a language, where there is one: an exact tag, or one that begins with the same language.
    pub fn display_in(&self, language: Option<&str>) -> Option<&str> {
        let Some(wanted) = language else { return self.display.as_deref() };
        in_language(&self.designations, wanted).or(self.display.as_deref())
    }
}

/// The designation in a language.
pub(super) fn in_language<'a>(designations: &'a [Designation], wanted: &str) -> Option<&'a str> {
    let primary = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
    let tagged = || designations.iter().filter_map(|known| Some((known.language.as_deref()?, &known.value)));
    let exact = tagged().find(|(tag, _)| tag.eq_ignore_ascii_case(wanted));
    let found = exact.or_else(|| tagged().find(|(tag, _)| primary(tag) == primary(wanted)));
    found.map(|(_, value)| value.as_str())
}

/// A member that is a string.
pub(super) fn text(value: Value<'_>, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(std::borrow::Cow::into_owned)
}

/// The designations of a concept.
pub(super) fn designations(row: Value<'_>) -> Vec<Designation> {
    let rows = row.get("designation").into_iter().flat_map(Value::items);
    rows.filter_map(|row| {
        Some(Designation {
            language: text(row, "language"),
            usage: row.get("use").map(|usage| usage.raw().to_owned()),
            value: text(row, "value")?,
        })
    })
    .collect()
}

/// A property; none without a value.
pub(super) fn property(row: Value<'_>) -> Option<Property> {
    let code = text(row, "code")?;
    let (member, value) = row.members().find(|(name, _)| name.starts_with("value"))?;
    let plain = match value.kind() {
        Kind::String => value.as_str().map(std::borrow::Cow::into_owned),
        Kind::Object => text(value, "code"),
        _ => Some(value.raw().to_owned()),
    };
    Some(Property {
        code,
        member: member.into_owned(),
        json: value.raw().to_owned(),
        text: plain.unwrap_or_default(),
    })
}
