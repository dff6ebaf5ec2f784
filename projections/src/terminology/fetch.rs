//! Fetches what a question lacks: small definitions from the log, parts of large code systems from their tables.

mod ordered;
mod page;
mod part;
pub(super) mod places;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anamnesis_events::{Log, Operation, Position, ResourceKey};
use anamnesis_fhir::json::{Document, Limits};
use anamnesis_fhir::terminology::{
    Canonical, CodeSystem, ConceptMap, Extent, Found, Library, MapQuery, Published, ValueSet, by_version,
};
use tokio_postgres::Row;

use super::WHOLE_MAX;
use super::orders::Orders;
use super::rows::system;
use super::snapshot::{Fetched, Head, Large, Need, Stored};
use super::tables::Tables;
use crate::{Database, ProjectionError};

/// Resources with one address that are looked at: a code system of 350,000 concepts comes in 70 fragments or more.
const SAME_ADDRESS_MAX: i64 = 10_000;
/// Concept maps that answer one question.
const MAPS_MAX: i64 = 50;

/// Reads one version of the tables.
pub(super) struct Fetcher<'f> {
    database: &'f Database,
    log: &'f Log,
    orders: &'f Orders,
    tables: Tables,
}

/// A row of the table of definitions.
struct Known {
    seq: i64,
    version: Option<String>,
    content: String,
    declared: Option<i64>,
    concepts: i64,
    id: String,
}

impl<'f> Fetcher<'f> {
    pub(super) fn new(database: &'f Database, log: &'f Log, orders: &'f Orders, tables: Tables) -> Self {
        Self { database, log, orders, tables }
    }

    /// Fetches all of it. The needs of one large system are fetched together.
    ///
    /// # Errors
    /// [`ProjectionError::MovedOn`] where a part of a large system was replaced meanwhile: the question has to begin anew.
    pub(super) async fn fetch(
        &self,
        needs: HashSet<Need>,
        known: &Fetched,
    ) -> Result<Fetched, ProjectionError> {
        let mut fetched = Fetched::default();
        let mut codes: HashMap<Canonical, Vec<String>> = HashMap::new();
        for need in needs {
            match need {
                Need::Set(canonical) => {
                    let set = self.value_set(&canonical).await?;
                    fetched.sets.insert(canonical, set);
                }
                Need::System(canonical) => {
                    let stored = self.code_system(&canonical).await?;
                    fetched.systems.insert(canonical, stored);
                }
                Need::Maps(query) => {
                    let maps = self.concept_maps(&query).await?;
                    fetched.maps.insert(query, Arc::new(maps));
                }
                Need::Part(canonical, Extent::Code(code)) => codes.entry(canonical).or_default().push(code),
                Need::Part(canonical, extent) => {
                    if let Some(Stored::Large(large)) = known.systems.get(&canonical) {
                        let part = Arc::new(Box::pin(self.part(large, &extent)).await?);
                        self.check_parts(large).await?;
                        fetched.parts.insert((canonical, extent), part);
                    }
                }
            }
        }
        for (canonical, codes) in codes {
            let Some(Stored::Large(large)) = known.systems.get(&canonical) else { continue };
            let part = Arc::new(Box::pin(self.with_codes(large, &codes)).await?);
            self.check_parts(large).await?;
            for code in codes {
                fetched.parts.insert((canonical.clone(), Extent::Code(code)), Arc::clone(&part));
            }
        }
        Ok(fetched)
    }

    /// Whether all parts of a system are still there. The rows of one go with its definition: what was read before this was
    /// whole.
    async fn check_parts(&self, large: &Large) -> Result<(), ProjectionError> {
        let select =
            format!("SELECT count(*) FROM {} WHERE log = $1 AND seq = ANY($2)", self.tables.definition);
        let client = self.database.get().await?;
        let statement = client.prepare_cached(&select).await?;
        let row = client.query_one(&statement, &[&self.log.number(), &large.parts]).await?;
        match usize::try_from(row.try_get::<_, i64>(0)?) {
            Ok(count) if count == large.parts.len() => Ok(()),
            _ => Err(ProjectionError::MovedOn),
        }
    }

    async fn known(&self, kind: &str, canonical: &Canonical) -> Result<Vec<Known>, ProjectionError> {
        let select = format!(
            "SELECT seq, version, coalesce(content, ''), declared, concepts, id FROM {}
             WHERE log = $1 AND kind = $2 AND url = $3 ORDER BY seq DESC LIMIT {SAME_ADDRESS_MAX}",
            self.tables.definition
        );
        let client = self.database.get().await?;
        let statement = client.prepare_cached(&select).await?;
        let rows = client.query(&statement, &[&self.log.number(), &kind, &canonical.url]).await?;
        let known = |row: &Row| {
            Ok(Known {
                seq: row.try_get(0)?,
                version: row.try_get(1)?,
                content: row.try_get(2)?,
                declared: row.try_get(3)?,
                concepts: row.try_get(4)?,
                id: row.try_get(5)?,
            })
        };
        let rows: Result<Vec<Known>, tokio_postgres::Error> = rows.iter().map(known).collect();
        let mut rows = rows?;
        rows.retain(|row| row.content != "supplement" && canonical.takes(row.version.as_deref()));
        // The latest version by its number, as profiles have it; of one version what was written last.
        let of = |row: &Known| row.version.clone().unwrap_or_default();
        rows.sort_by(|a, b| by_version(&of(b), &of(a)).then(b.seq.cmp(&a.seq)));
        Ok(rows)
    }

    /// The resources at these positions.
    async fn read<T>(
        &self,
        seqs: &[i64],
        read: impl Fn(anamnesis_fhir::json::Value<'_>) -> T,
    ) -> Result<Vec<T>, ProjectionError> {
        let mut all = Vec::with_capacity(seqs.len());
        // One at a time: many together could be more than is read at once.
        for seq in seqs {
            for event in self.log.fetch(&[Position::new(seq.unsigned_abs())]).await? {
                // What the projection has taken can be parsed.
                if let Ok(document) = Document::parse(event.payload.to_vec(), &Limits::default()) {
                    all.push(read(document.root()));
                }
            }
        }
        Ok(all)
    }

    async fn value_set(&self, canonical: &Canonical) -> Result<Option<Arc<ValueSet>>, ProjectionError> {
        if let Some(id) = canonical.url.strip_prefix("ValueSet/") {
            return self.value_set_at(id, canonical).await;
        }
        if let Some(newest) = self.known("ValueSet", canonical).await?.first() {
            let found = self.read(&[newest.seq], ValueSet::read).await?;
            return Ok(found.into_iter().next().map(Arc::new));
        }
        // The value set of all codes of a code system has the versions of that.
        let select = format!(
            "SELECT url FROM {} WHERE log = $1 AND value_set = $2 AND ($3::text IS NULL OR version = $3) LIMIT 1",
            self.tables.definition
        );
        let client = self.database.get().await?;
        let statement = client.prepare_cached(&select).await?;
        let row =
            client.query_opt(&statement, &[&self.log.number(), &canonical.url, &canonical.version]).await?;
        let system: Option<String> = row.map(|row| row.try_get(0)).transpose()?;
        Ok(system.map(|system| Arc::new(ValueSet::of_version(canonical, &system))))
    }

    /// The value set with an id, as a relative reference names it.
    async fn value_set_at(
        &self,
        id: &str,
        canonical: &Canonical,
    ) -> Result<Option<Arc<ValueSet>>, ProjectionError> {
        let key = ResourceKey { resource_type: "ValueSet".into(), id: id.to_owned() };
        let current = self.log.current(&key).await?;
        let body = current.filter(|event| event.operation != Operation::Delete && event.has_body());
        let document =
            body.and_then(|event| Document::parse(event.payload.to_vec(), &Limits::default()).ok());
        let set = document.map(|document| ValueSet::read(document.root()));
        Ok(set.filter(|set| canonical.takes(set.version.as_deref())).map(Arc::new))
    }

    /// The latest version, where none is asked for; of it the newest whole resource, else all fragments.
    async fn code_system(&self, canonical: &Canonical) -> Result<Stored, ProjectionError> {
        let mut rows = self.known("CodeSystem", canonical).await?;
        let Some(newest) = rows.first() else { return Ok(Stored::Absent) };
        let (version, seq) = (newest.version.clone(), newest.seq);
        rows.retain(|row| row.version == version);
        if let Some(whole) = rows.iter().position(|row| row.content == "complete") {
            rows = rows.into_iter().skip(whole).take(1).collect();
        } else if rows.iter().any(|row| row.concepts > 0) {
            rows.retain(|row| row.concepts > 0);
        } else {
            rows.truncate(1);
        }
        let concepts: i64 = rows.iter().map(|row| row.concepts).sum();
        let declared = rows.iter().filter_map(|row| row.declared).max();
        let parts: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        // Fragments that have together what the system says it has leave nothing out.
        let is_closed = declared.is_some_and(|declared| declared > 0 && concepts >= declared);
        if concepts <= WHOLE_MAX as i64 {
            let mut found = self.read(&parts, CodeSystem::read).await?.into_iter();
            let Some(mut system) = found.next() else { return Ok(Stored::Absent) };
            found.for_each(|part| system.join(part));
            if is_closed && system.content == "fragment" {
                system.content = "complete".to_owned();
            }
            return Ok(Stored::Whole(Arc::new(system)));
        }
        let head = parts.first().copied().unwrap_or(seq);
        let found = self.read(&[head], |root| Head::of(&CodeSystem::head(root))).await?;
        let mut head = found.into_iter().next().unwrap_or_default();
        if is_closed {
            head.content = "complete".to_owned();
        }
        let system = system(self.log.number(), &canonical.url);
        let large = Large { head, system, parts, concepts, declared, ..Large::default() };
        Ok(Stored::Large(Arc::new(large)))
    }

    /// Stored maps, and those of R4 whose addresses no stored one has.
    async fn concept_maps(&self, query: &MapQuery) -> Result<Vec<Arc<ConceptMap>>, ProjectionError> {
        let select = format!(
            "SELECT seq FROM {} WHERE log = $1 AND kind = 'ConceptMap'
                 AND ($2::text IS NULL OR url = $2) AND ($3::text IS NULL OR version = $3)
                 AND ($4::text IS NULL OR split_part(source, '|', 1) = $4)
                 AND ($5::text IS NULL OR split_part(target, '|', 1) = $5)
             ORDER BY seq DESC LIMIT {MAPS_MAX}",
            self.tables.definition
        );
        let plain = |text: &Option<String>| text.as_deref().map(|text| Canonical::parse(text).url);
        let (url, source, target) = (plain(&query.url), plain(&query.source), plain(&query.target));
        let rows = {
            let client = self.database.get().await?;
            let statement = client.prepare_cached(&select).await?;
            client.query(&statement, &[&self.log.number(), &url, &query.version, &source, &target]).await?
        };
        let seqs = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
        let mut maps: Vec<Arc<ConceptMap>> =
            self.read(&seqs, ConceptMap::read).await?.into_iter().map(Arc::new).collect();
        if let Found::Here(published) = Published.concept_maps(query) {
            let stored: HashSet<String> = maps.iter().map(|map| map.url.clone()).collect();
            maps.extend(published.iter().filter(|map| !stored.contains(&map.url)).cloned());
        }
        Ok(maps)
    }
}
