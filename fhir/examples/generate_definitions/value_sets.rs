//! Expands the value sets of required and maximum bindings, where all of their code systems are published.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anamnesis_fhir::definitions::table::{SystemRow, Text, ValueSetRow};
use serde_json::Value;

use crate::package::{Package, items, text, texts};

/// Value sets include others; no line of R4 is longer than this.
const INCLUDE_DEPTH_MAX: usize = 4;

type Codes = BTreeMap<String, BTreeSet<String>>;

/// Numbers value sets as they are asked for and writes them sorted by address.
pub(crate) struct Collector {
    expansions: HashMap<String, Codes>,
    order: Vec<String>,
}

impl Collector {
    /// Expands every value set that can be; the others are left out.
    pub(crate) fn new(package: &Package) -> Self {
        let by_url = |resource_type| {
            package
                .of_type(resource_type)
                .iter()
                .filter_map(|resource| Some((text(resource, "url")?, resource)))
                .collect::<HashMap<&str, &Value>>()
        };
        let (sets, systems) = (by_url("ValueSet"), by_url("CodeSystem"));
        let expansions: HashMap<String, Codes> = sets
            .keys()
            .filter_map(|url| Some(((*url).to_owned(), expand(url, &sets, &systems, 0)?)))
            .collect();
        // Indexes must not depend on who asks first: all bound sets are numbered in the order of addresses.
        let mut order: Vec<String> = package
            .of_type("StructureDefinition")
            .iter()
            .filter(|definition| crate::structures::is_base(definition))
            .filter_map(|definition| definition.get("snapshot"))
            .flat_map(|snapshot| items(snapshot, "element"))
            .filter_map(|element| element.get("binding"))
            .flat_map(bound)
            .collect();
        order.sort();
        order.dedup();
        Collector { expansions, order }
    }

    /// The index of a bound value set.
    pub(crate) fn index_of(&mut self, url: &str) -> u16 {
        let found = self.order.binary_search_by(|known| known.as_str().cmp(url));
        // Some 230 sets are bound, all of them listed in `new`.
        found.unwrap_or_default() as u16
    }

    /// The rows, sorted by address.
    pub(crate) fn into_rows(self) -> Vec<ValueSetRow<'static>> {
        let row = |url: String| {
            let systems = self.expansions.get(&url).into_iter().flatten().map(|(system, codes)| SystemRow {
                u: Text::from(system.as_str()),
                c: codes.iter().map(|code| Text::from(code.as_str())).collect(),
            });
            ValueSetRow { u: Text::from(url.as_str()), s: systems.collect() }
        };
        self.order.into_iter().map(row).collect()
    }
}

/// The addresses that a binding makes necessary, without versions.
fn bound(binding: &Value) -> Vec<String> {
    let required =
        (text(binding, "strength") == Some("required")).then(|| text(binding, "valueSet")).flatten();
    let maximum = crate::package::extension(binding, "elementdefinition-maxValueSet");
    let plain = |url: &str| url.split('|').next().unwrap_or_default().to_owned();
    required.into_iter().chain(maximum).map(plain).collect()
}

/// The codes of a value set by system; nothing where a part of it is not published or needs a filter.
fn expand(
    url: &str,
    sets: &HashMap<&str, &Value>,
    systems: &HashMap<&str, &Value>,
    depth: usize,
) -> Option<Codes> {
    if depth > INCLUDE_DEPTH_MAX {
        return None;
    }
    let compose = sets.get(url.split('|').next()?)?.get("compose")?;
    let mut codes = Codes::new();
    for part in items(compose, "include") {
        for (system, found) in expand_part(part, sets, systems, depth)? {
            codes.entry(system).or_default().extend(found);
        }
    }
    for part in items(compose, "exclude") {
        for (system, found) in expand_part(part, sets, systems, depth)? {
            codes.entry(system).or_default().retain(|code| !found.contains(code));
        }
    }
    Some(codes)
}

fn expand_part(
    part: &Value,
    sets: &HashMap<&str, &Value>,
    systems: &HashMap<&str, &Value>,
    depth: usize,
) -> Option<Codes> {
    if !items(part, "filter").is_empty() {
        return None;
    }
    let mut codes = Codes::new();
    for set in texts(part, "valueSet") {
        codes.extend(expand(set, sets, systems, depth + 1)?);
    }
    let Some(system) = text(part, "system") else { return Some(codes) };
    let mut found = BTreeSet::new();
    if items(part, "concept").is_empty() {
        let definition = systems.get(system).filter(|row| text(row, "content") == Some("complete"))?;
        add_concepts(definition, &mut found);
    } else {
        add_concepts(part, &mut found);
    }
    codes.insert(system.to_owned(), found);
    Some(codes)
}

/// Adds the concepts and those below them; a code system is a tree of a few levels.
fn add_concepts(parent: &Value, found: &mut BTreeSet<String>) {
    for concept in items(parent, "concept") {
        found.extend(text(concept, "code").map(str::to_owned));
        add_concepts(concept, found);
    }
}
