//! The terminology that R4 itself publishes: its code systems, value sets and concept maps.
//!
//! They are part of the program, packed (400 kB). The text is unpacked when the first of them is asked for (4 MB) and
//! stays; each definition is read when it is asked for, and stays as well: all of them take some 25 MB.

use std::collections::HashMap;
use std::io::Read;
use std::sync::{Arc, OnceLock};

use super::library::{Canonical, Extent, Found, Library, MapQuery};
use super::{CodeSystem, ConceptMap, ValueSet};
use crate::json::{Document, Limits};

/// The table, as the generator wrote it: a definition a line, as type, address and JSON.
static TABLE: &[u8] = include_bytes!("../../definitions/r4-terminology.tsv.zst");
/// The unpacked table is about 4 MB; more is refused.
const UNPACKED_BYTES_MAX: u64 = 32 << 20;

/// What R4 publishes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Published;

/// Value sets with the versions of their code systems, by their addresses.
type Implicit = HashMap<String, (Arc<ValueSet>, Option<String>)>;

struct Table {
    rows: Vec<Row>,
    by_url: HashMap<(&'static str, &'static str), usize>,
    /// Value sets that no resource defines, by their address, with the code system whose codes they all have,
    /// and the version of that.
    implicit: OnceLock<Implicit>,
    maps: OnceLock<Vec<Arc<ConceptMap>>>,
}

struct Row {
    kind: &'static str,
    url: &'static str,
    json: &'static str,
    model: OnceLock<Model>,
}

#[derive(Clone)]
enum Model {
    System(Arc<CodeSystem>),
    Set(Arc<ValueSet>),
    Map(Arc<ConceptMap>),
}

fn table() -> &'static Table {
    static LOADED: OnceLock<Table> = OnceLock::new();
    LOADED.get_or_init(|| match load() {
        Ok(table) => table,
        Err(error) => unreachable!("the built-in table of R4 terminology is broken: {error}"),
    })
}

fn load() -> Result<Table, std::io::Error> {
    let mut text = String::new();
    zstd::Decoder::new(TABLE)?.take(UNPACKED_BYTES_MAX).read_to_string(&mut text)?;
    let text: &'static str = Box::leak(text.into_boxed_str());
    let row = |line: &'static str| {
        let mut parts = line.splitn(3, '\t');
        let (kind, url, json) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Row { kind, url, json, model: OnceLock::new() })
    };
    let rows: Vec<Row> = text.lines().filter_map(row).collect();
    let by_url = rows.iter().enumerate().map(|(index, row)| ((row.kind, row.url), index)).collect();
    Ok(Table { rows, by_url, implicit: OnceLock::new(), maps: OnceLock::new() })
}

impl Table {
    fn model(&'static self, kind: &str, url: &str) -> Option<&'static Model> {
        // The key's lifetime is that of the table, which a borrowed key need not have.
        let by_url: &HashMap<(&str, &str), usize> = &self.by_url;
        by_url.get(&(kind, url)).and_then(|index| self.rows.get(*index)).and_then(Row::model)
    }

    /// HL7 has published some tables of version 2 with the version as a part of the address itself.
    fn find(&'static self, kind: &str, canonical: &Canonical) -> Option<&'static Model> {
        let whole = canonical.version.as_ref().and_then(|_| self.model(kind, &canonical.to_string()));
        whole.or_else(|| self.model(kind, &canonical.url))
    }

    fn implicit(&'static self) -> &'static Implicit {
        self.implicit.get_or_init(|| {
            let systems = self.rows.iter().filter(|row| row.kind == "CodeSystem");
            let named = systems.filter_map(|row| match row.model() {
                Some(Model::System(system)) => {
                    Some((system.value_set.clone()?, row.url, system.version.clone()))
                }
                _ => None,
            });
            let set = |url: &str, system: &str| Arc::new(ValueSet::of_system(url, system));
            named.map(|(url, system, version)| (url.clone(), (set(&url, system), version))).collect()
        })
    }

    fn maps(&'static self) -> &'static [Arc<ConceptMap>] {
        self.maps.get_or_init(|| {
            let rows = self.rows.iter().filter(|row| row.kind == "ConceptMap");
            let map = |row: &'static Row| match row.model() {
                Some(Model::Map(map)) => Some(Arc::clone(map)),
                _ => None,
            };
            rows.filter_map(map).collect()
        })
    }
}

impl Row {
    fn model(&self) -> Option<&Model> {
        let read = || {
            let document = Document::parse(self.json, &Limits::default());
            let root = document.as_ref().map(Document::root).ok();
            match (self.kind, root) {
                ("CodeSystem", Some(root)) => Model::System(Arc::new(CodeSystem::read(root))),
                ("ValueSet", Some(root)) => Model::Set(Arc::new(ValueSet::read(root))),
                (_, Some(root)) => Model::Map(Arc::new(ConceptMap::read(root))),
                (_, None) => unreachable!("the built-in table of R4 terminology holds JSON"),
            }
        };
        Some(self.model.get_or_init(read))
    }
}

impl Library for Published {
    fn value_set(&self, canonical: &Canonical) -> Found<ValueSet> {
        if let Some(Model::Set(set)) = table().find("ValueSet", canonical) {
            return here(Some(Arc::clone(set)).filter(|set| takes(canonical, &set.url, &set.version)));
        }
        let implicit = table().implicit().get(&canonical.url);
        let implicit = implicit.filter(|(_, version)| canonical.takes(version.as_deref()));
        here(implicit.map(|(set, _)| Arc::clone(set)))
    }

    fn code_system(&self, canonical: &Canonical, _extent: &Extent) -> Found<CodeSystem> {
        let Some(Model::System(system)) = table().find("CodeSystem", canonical) else { return Found::Absent };
        here(Some(Arc::clone(system)).filter(|system| takes(canonical, &system.url, &system.version)))
    }

    fn concept_maps(&self, query: &MapQuery) -> Found<Vec<Arc<ConceptMap>>> {
        let maps: Vec<_> = table().maps().iter().filter(|map| map.is_meant(query)).cloned().collect();
        if maps.is_empty() { Found::Absent } else { Found::Here(Arc::new(maps)) }
    }
}

fn takes(canonical: &Canonical, url: &str, version: &Option<String>) -> bool {
    url != canonical.url || canonical.takes(version.as_deref())
}

fn here<T>(found: Option<Arc<T>>) -> Found<T> {
    found.map_or(Found::Absent, Found::Here)
}

impl Published {
    /// The addresses of all definitions of a type (`CodeSystem`, `ValueSet`, `ConceptMap`), sorted.
    pub fn addresses(resource_type: &str) -> impl Iterator<Item = &'static str> {
        table().rows.iter().filter(move |row| row.kind == resource_type).map(|row| row.url)
    }
}
