//! Concept maps and `$translate` (R4 conceptmap.html, conceptmap-operation-translate.html).

use std::sync::Arc;

use super::code_system::text;
use super::{Engine, Library, ListError, MapQuery};
use crate::json::Value;

/// A concept map.
#[derive(Clone, Debug, Default)]
pub struct ConceptMap {
    /// Canonical address, without version.
    pub url: String,
    /// Business version.
    pub version: Option<String>,
    /// The value set that it maps from.
    pub source: Option<String>,
    /// The value set that it maps to.
    pub target: Option<String>,
    groups: Vec<Group>,
}

#[derive(Clone, Debug, Default)]
struct Group {
    source: Option<String>,
    target: Option<String>,
    elements: Vec<Element>,
    unmapped: Option<Unmapped>,
}

#[derive(Clone, Debug, Default)]
struct Element {
    code: String,
    targets: Vec<Target>,
}

#[derive(Clone, Debug, Default)]
struct Target {
    code: Option<String>,
    display: Option<String>,
    equivalence: String,
    depends_on: Vec<Dependency>,
    product: Vec<Dependency>,
}

/// What a mapping depends on, or what it gives besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependency {
    /// The element, as an address.
    pub property: String,
    /// The code system of the value.
    pub system: Option<String>,
    /// The value.
    pub value: String,
}

#[derive(Clone, Debug)]
enum Unmapped {
    /// The same code in the target system.
    Provided,
    /// One code for all.
    Fixed(Option<String>, Option<String>),
    /// Another map.
    Other(String),
}

/// What is to be translated.
#[derive(Clone, Debug, Default)]
pub struct Translation {
    /// The code system of the codings.
    pub codings: Vec<(Option<String>, String)>,
    /// The code system that is wanted.
    pub target_system: Option<String>,
    /// Whether it goes from target to source.
    pub is_reverse: bool,
    /// What mappings that depend on something are given.
    pub depends_on: Vec<Dependency>,
}

/// One translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// How the two concepts relate, as R4 writes it.
    pub equivalence: String,
    /// The code system of the result.
    pub system: Option<String>,
    /// The resulting code; none where the map says that there is none.
    pub code: Option<String>,
    /// What people read.
    pub display: Option<String>,
    /// What the mapping gives besides.
    pub product: Vec<Dependency>,
    /// The map that it comes from.
    pub map: String,
}

impl Match {
    /// Whether there is something on the other side.
    pub fn is_mapped(&self) -> bool {
        self.code.is_some() && !matches!(self.equivalence.as_str(), "unmatched" | "disjoint")
    }
}

impl ConceptMap {
    /// Reads a ConceptMap resource.
    pub fn read(resource: Value<'_>) -> Self {
        let either = |uri, canonical| text(resource, canonical).or_else(|| text(resource, uri));
        Self {
            url: text(resource, "url").unwrap_or_default(),
            version: text(resource, "version"),
            source: either("sourceUri", "sourceCanonical"),
            target: either("targetUri", "targetCanonical"),
            groups: items(resource, "group").map(group).collect(),
        }
    }

    /// Whether a query means this map.
    pub fn is_meant(&self, query: &MapQuery) -> bool {
        let plain = |text: &str| text.split('|').next().unwrap_or_default().to_owned();
        let fits = |wanted: &Option<String>, known: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| known.is_some_and(|known| plain(wanted) == plain(known)))
        };
        fits(&query.url, Some(&self.url))
            && (query.version.is_none() || query.version == self.version)
            && fits(&query.source, self.source.as_deref())
            && fits(&query.target, self.target.as_deref())
    }

    /// The translations of a code; empty where the map says nothing.
    fn translate(
        &self,
        system: Option<&str>,
        code: &str,
        asked: &Translation,
    ) -> (Vec<Match>, Option<String>) {
        let (mut found, mut other) = (Vec::new(), None);
        for group in &self.groups {
            let (from, to) = match asked.is_reverse {
                false => (&group.source, &group.target),
                true => (&group.target, &group.source),
            };
            let fits = |wanted: Option<&str>, known: &Option<String>| {
                wanted.is_none_or(|wanted| known.as_deref().is_none_or(|known| known == wanted))
            };
            if !fits(system, from) || !fits(asked.target_system.as_deref(), to) {
                continue;
            }
            if asked.is_reverse {
                found.extend(group.reversed(code, &self.url));
            } else {
                let (matches, next) = group.forward(code, asked, &self.url);
                found.extend(matches);
                other = other.or(next);
            }
        }
        (found, other)
    }
}

impl Group {
    fn forward(&self, code: &str, asked: &Translation, map: &str) -> (Vec<Match>, Option<String>) {
        if let Some(element) = self.elements.iter().find(|element| element.code == code) {
            let holds =
                |target: &&Target| target.depends_on.iter().all(|needed| asked.depends_on.contains(needed));
            let of = |target: &Target| Match {
                equivalence: target.equivalence.clone(),
                system: self.target.clone(),
                code: target.code.clone(),
                display: target.display.clone(),
                product: target.product.clone(),
                map: map.to_owned(),
            };
            return (element.targets.iter().filter(holds).map(of).collect(), None);
        }
        let to = |code: Option<String>, display: Option<String>, equivalence: &str| Match {
            equivalence: equivalence.to_owned(),
            system: self.target.clone(),
            code,
            display,
            product: Vec::new(),
            map: map.to_owned(),
        };
        match &self.unmapped {
            None => (Vec::new(), None),
            Some(Unmapped::Provided) => (vec![to(Some(code.to_owned()), None, "equal")], None),
            Some(Unmapped::Fixed(code, display)) => {
                (vec![to(code.clone(), display.clone(), "inexact")], None)
            }
            Some(Unmapped::Other(url)) => (Vec::new(), Some(url.clone())),
        }
    }

    fn reversed<'a>(&'a self, code: &'a str, map: &'a str) -> impl Iterator<Item = Match> + 'a {
        self.elements.iter().flat_map(move |element| {
            let hits = element.targets.iter().filter(move |target| target.code.as_deref() == Some(code));
            hits.map(move |target| Match {
                equivalence: turned(&target.equivalence).to_owned(),
                system: self.source.clone(),
                code: Some(element.code.clone()),
                display: None,
                product: Vec::new(),
                map: map.to_owned(),
            })
        })
    }
}

/// The relation from the other side (R4 valueset-concept-map-equivalence.html).
fn turned(equivalence: &str) -> &str {
    match equivalence {
        "wider" => "narrower",
        "narrower" => "wider",
        "subsumes" => "specializes",
        "specializes" => "subsumes",
        other => other,
    }
}

/// Maps that lead on to others: no more than this many after each other.
const OTHER_MAPS_MAX: usize = 4;

/// Translates codings by the maps that a query means.
///
/// # Errors
/// Where no map is meant, or one has to be fetched first.
pub fn translate(
    library: &dyn Library,
    query: &MapQuery,
    asked: &Translation,
) -> Result<Vec<Match>, ListError> {
    let maps = library.concept_maps(query).required(|| unknown(query))?;
    Engine::new(library).translate_by(&maps, asked)
}

impl Engine<'_> {
    /// Translates codings by these maps, each translation once.
    ///
    /// # Errors
    /// Where a map that one of them leads on to is not known.
    pub fn translate_by(
        &self,
        maps: &[Arc<ConceptMap>],
        asked: &Translation,
    ) -> Result<Vec<Match>, ListError> {
        let mut found: Vec<Match> = Vec::new();
        for map in maps {
            for (system, code) in &asked.codings {
                for one in self.translate_one(map, (system.as_deref(), code), asked)? {
                    if !found.contains(&one) {
                        found.push(one);
                    }
                }
            }
        }
        Ok(found)
    }

    fn translate_one(
        &self,
        map: &ConceptMap,
        (system, code): (Option<&str>, &str),
        asked: &Translation,
    ) -> Result<Vec<Match>, ListError> {
        let (mut matches, mut other) = map.translate(system, code, asked);
        for _ in 0..OTHER_MAPS_MAX {
            let Some(url) = other.take() else { break };
            let next = MapQuery { url: Some(url), ..MapQuery::default() };
            let maps = self.library.concept_maps(&next).required(|| unknown(&next))?;
            let Some(map) = maps.first() else { break };
            let (more, next) = map.translate(system, code, asked);
            matches.extend(more);
            other = next;
        }
        Ok(matches)
    }
}

fn unknown(query: &MapQuery) -> ListError {
    ListError::UnknownConceptMap(query.url.clone().or(query.source.clone()).unwrap_or_default())
}

fn items<'a>(value: Value<'a>, name: &str) -> impl Iterator<Item = Value<'a>> {
    value.get(name).into_iter().flat_map(Value::items)
}

fn group(row: Value<'_>) -> Group {
    let unmapped = row.get("unmapped").and_then(|unmapped| {
        Some(match text(unmapped, "mode")?.as_str() {
            "provided" => Unmapped::Provided,
            "fixed" => Unmapped::Fixed(text(unmapped, "code"), text(unmapped, "display")),
            "other-map" => Unmapped::Other(text(unmapped, "url")?),
            _ => return None,
        })
    });
    let element =
        |row| Some(Element { code: text(row, "code")?, targets: items(row, "target").map(target).collect() });
    Group {
        source: text(row, "source"),
        target: text(row, "target"),
        elements: items(row, "element").filter_map(element).collect(),
        unmapped,
    }
}

fn target(row: Value<'_>) -> Target {
    let dependencies = |name| {
        let rows = items(row, name);
        rows.map(|row| Dependency {
            property: text(row, "property").unwrap_or_default(),
            system: text(row, "system"),
            value: text(row, "value").unwrap_or_default(),
        })
        .collect()
    };
    Target {
        code: text(row, "code"),
        display: text(row, "display"),
        equivalence: text(row, "equivalence").unwrap_or_else(|| "equivalent".to_owned()),
        depends_on: dependencies("dependsOn"),
        product: dependencies("product"),
    }
}
