//! Checking the tables of terminology against the log, both ways, for auditors.
//!
//! Every resource that has rows is compared with what its event gives, and every living CodeSystem, ConceptMap and
//! ValueSet of the log must have been among them. One resource is looked at at a time, in short statements. What is
//! different because it was written meanwhile is told from what is wrong by where its resource stands: where that is no
//! further than the projection had come when the check began, the tables must have exactly that version.

use std::collections::HashSet;

use anamnesis_events::audit::{Faults, Positions};
use anamnesis_events::{Event, HistoryRange, HistoryScope, Log, LogError, Position, ResourceKey};
use sha2::{Digest, Sha256};

use super::rows::{self, ConceptRow, Definition};
use super::tables::{NAME, SCHEMA, Tables};
use crate::auditing::{self, Begun};
use crate::checkpoint::{Name, number, unsigned};
use crate::{Database, Parked, ProjectionError};

/// Positions of one type that are read at a time.
const PAGE_POSITIONS: usize = 1_000;

/// What the comparison found.
#[derive(Debug)]
pub struct Audited {
    /// The version that was compared: the one that answers questions.
    pub version: i32,
    /// How far it had come.
    pub reached: Position,
    /// How many resources are in it.
    pub resources: u64,
    /// How many concepts of them are in tables.
    pub concepts: u64,
    /// How many rows say which concept lies below which.
    pub edges: u64,
    /// Events that the projection could not take; their resources stand in it as they were before.
    pub parked: Vec<Parked>,
    /// Of what should be there: the same for two stores with the same log, where nothing was written meanwhile.
    pub digest: [u8; 32],
    /// What is wrong.
    pub faults: Faults,
}

/// Compares the active version of the projection with the log. `progress` is told how many resources have been looked
/// at. Where a rebuild takes that version away meanwhile, the check begins once more with the one in its place.
///
/// # Errors
/// When the database or the log cannot be read, or there is no version with rows of this program's form.
pub async fn audit(
    database: &Database,
    log: &Log,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Audited, ProjectionError> {
    let check = async |name, _| once(database, log, name, &mut *progress).await;
    auditing::of_active(database, log, (NAME, SCHEMA), check).await
}

async fn once(
    database: &Database,
    log: &Log,
    name: Name,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Audited, ProjectionError> {
    let Begun { reached, parked, faults } =
        Begun::read(database, log, &name, "the tables say that they have").await?;
    let audit = Audit {
        database,
        log,
        reached,
        tables: Tables::of(name.version),
        parked: parked.iter().map(|parked| parked.key.clone()).collect(),
    };
    let mut seen = Seen {
        at: Positions::new(Position::ZERO, reached),
        resources: 0,
        concepts: 0,
        edges: 0,
        digest: Sha256::new(),
        faults,
    };
    audit.rows(&mut seen, progress).await?;
    audit.living(&mut seen).await?;
    Ok(Audited {
        version: name.version,
        reached,
        resources: seen.resources,
        concepts: seen.concepts,
        edges: seen.edges,
        parked,
        digest: seen.digest.finalize().into(),
        faults: seen.faults,
    })
}

struct Audit<'a> {
    database: &'a Database,
    log: &'a Log,
    /// How far the projection had come when the check began.
    reached: Position,
    tables: Tables,
    /// Resources that may stand as they were before.
    parked: HashSet<ResourceKey>,
}

struct Seen {
    /// Positions that have rows.
    at: Positions,
    resources: u64,
    concepts: u64,
    edges: u64,
    digest: Sha256,
    faults: Faults,
}

/// The rows of one resource as they are there.
struct Found {
    id: Option<String>,
    definition: Definition,
    /// Whether all concepts and edges stand under the system that they are of.
    is_of_system: bool,
}

impl Audit<'_> {
    /// Everything that has rows, in order.
    async fn rows(
        &self,
        seen: &mut Seen,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), ProjectionError> {
        let mut after = Position::ZERO;
        while let Some(position) = self.next(after).await? {
            after = position;
            if position > self.reached {
                continue;
            }
            seen.at.insert(position);
            self.compare(position, seen).await?;
            seen.resources += 1;
            progress(seen.resources);
        }
        // What is in the tables was in the log before.
        if after > self.log.head().await? {
            seen.faults.add(after, "the tables have a resource whose event is not there");
        }
        Ok(())
    }

    /// The next position that any of the tables has.
    async fn next(&self, after: Position) -> Result<Option<Position>, ProjectionError> {
        let Tables { definition, concept, edge, .. } = &self.tables;
        let least = |table: &str| {
            format!("(SELECT seq FROM {table} WHERE log = $1 AND seq > $2 ORDER BY log, seq LIMIT 1)")
        };
        let tables = [definition, concept, edge].map(|table| least(table)).join(" UNION ALL ");
        let client = self.database.get().await?;
        let statement = client.prepare_cached(&format!("SELECT min(seq) FROM ({tables}) AS t")).await?;
        let row = client.query_one(&statement, &[&self.log.number(), &number(after)]).await?;
        Ok(row.try_get::<_, Option<i64>>(0)?.map(|seq| Position::new(unsigned(seq))))
    }

    async fn compare(&self, position: Position, seen: &mut Seen) -> Result<(), ProjectionError> {
        let Some(event) = self.event(position).await? else {
            seen.faults.add(position, "the tables have a resource whose event cannot be read");
            return Ok(());
        };
        let should = rows::definition(self.log.number(), &event).ok().flatten();
        let found = self.found(position).await?;
        let stand = self.stand(&event.key).await?;
        if stand != Some(position) {
            // What was written since the check began may have replaced the rows at any moment.
            let is_later = stand.is_some_and(|stand| stand > self.reached);
            if !is_later && !self.parked.contains(&event.key) {
                seen.faults.add(position, "the tables have a version that is not its resource's newest");
            }
            if is_later {
                return Ok(());
            }
        }
        let Some(should) = should else {
            seen.faults.add(position, "the tables have rows of what gives none");
            return Ok(());
        };
        if let Some(reason) = difference(&event, &should, &found) {
            seen.faults.add(position, reason);
        }
        seen.concepts += should.concepts.len() as u64;
        seen.edges += should.edges.len() as u64;
        digest(&mut seen.digest, position, &should);
        Ok(())
    }

    /// Every living resource of these types that has an address must have been among the rows.
    async fn living(&self, seen: &mut Seen) -> Result<(), ProjectionError> {
        for name in rows::TYPES {
            let mut after = Position::ZERO;
            loop {
                let range = HistoryRange {
                    after_position: Some(after),
                    limit: PAGE_POSITIONS,
                    ascending: true,
                    ..HistoryRange::default()
                };
                let page = self.log.history_positions(HistoryScope::Type(name.to_owned()), range).await?;
                let Some(last) = page.last() else { break };
                after = *last;
                for position in page {
                    if position <= self.reached && !seen.at.contains(position) {
                        self.missing(position, seen).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// An event that has no rows: it is of an earlier version, or gives none, or is parked.
    async fn missing(&self, position: Position, seen: &mut Seen) -> Result<(), ProjectionError> {
        let Some(event) = self.event(position).await? else { return Ok(()) };
        let should = rows::definition(self.log.number(), &event).ok().flatten();
        if should.is_none() || self.parked.contains(&event.key) {
            return Ok(());
        }
        // It stands there still after it was not found: so it stood there then.
        if self.found(position).await?.id.is_none() && self.stand(&event.key).await? == Some(position) {
            seen.faults.add(position, "the tables do not have the resource");
        }
        Ok(())
    }

    /// An event; `None` where it cannot be read, of which the walk over the log tells.
    async fn event(&self, position: Position) -> Result<Option<Event>, ProjectionError> {
        match self.log.fetch(&[position]).await {
            Err(LogError::Broken { .. } | LogError::UnknownKind { .. }) => Ok(None),
            fetched => Ok(fetched?.into_iter().next()),
        }
    }

    async fn stand(&self, key: &ResourceKey) -> Result<Option<Position>, ProjectionError> {
        let stands = self.log.stands(std::slice::from_ref(key)).await?;
        Ok(stands.into_iter().flatten().next().map(|stand| stand.position))
    }

    async fn found(&self, position: Position) -> Result<Found, ProjectionError> {
        let (log, seq) = (self.log.number(), number(position));
        let client = self.database.get().await?;
        let select = format!(
            "SELECT id, kind, url, version, content, declared, concepts, value_set, source, target
             FROM {} WHERE log = $1 AND seq = $2",
            self.tables.definition
        );
        let row = client.query_opt(&select, &[&log, &seq]).await?;
        let mut found = Found { id: None, definition: Definition::default(), is_of_system: true };
        if let Some(row) = row {
            found.id = Some(row.try_get(0)?);
            found.definition = Definition {
                kind: row.try_get(1)?,
                url: row.try_get(2)?,
                version: row.try_get(3)?,
                content: row.try_get(4)?,
                declared: row.try_get(5)?,
                count: row.try_get(6)?,
                value_set: row.try_get(7)?,
                source: row.try_get(8)?,
                target: row.try_get(9)?,
                ..Definition::default()
            };
        }
        let system = rows::system(log, &found.definition.url);
        let select = format!(
            "SELECT system, code, body, array_to_string(tsvector_to_array(words), ' ')
             FROM {} WHERE log = $1 AND seq = $2",
            self.tables.concept
        );
        for row in client.query(&select, &[&log, &seq]).await? {
            found.is_of_system &= row.try_get::<_, i64>(0)? == system;
            let concept = ConceptRow { code: row.try_get(1)?, body: row.try_get(2)?, words: row.try_get(3)? };
            found.definition.concepts.push(concept);
        }
        let select =
            format!("SELECT system, parent, child FROM {} WHERE log = $1 AND seq = $2", self.tables.edge);
        for row in client.query(&select, &[&log, &seq]).await? {
            found.is_of_system &= row.try_get::<_, i64>(0)? == system;
            found.definition.edges.push((row.try_get(1)?, row.try_get(2)?));
        }
        Ok(found)
    }
}

/// What is not as it should be.
fn difference(event: &Event, should: &Definition, found: &Found) -> Option<&'static str> {
    let Some(id) = &found.id else { return Some("the tables have concepts of it, but not the resource") };
    let (there, should) = (sorted(&found.definition), sorted(should));
    if *id != event.key.id || without_rows(&there) != without_rows(&should) {
        return Some("the table of definitions has other values than the resource gives");
    }
    if !found.is_of_system {
        return Some("the tables have its concepts under another code system");
    }
    if there.concepts != should.concepts {
        return Some("the table of concepts has other rows than the resource gives");
    }
    (there.edges != should.edges).then_some("the table of edges has other rows than the resource gives")
}

/// Rows have no order, nor do the words of a concept.
fn sorted(definition: &Definition) -> Definition {
    let mut sorted = definition.clone();
    for concept in &mut sorted.concepts {
        let mut words: Vec<&str> = concept.words.split(' ').collect();
        words.sort_unstable();
        words.dedup();
        concept.words = words.join(" ");
    }
    let of = |row: &ConceptRow| (row.code.clone(), row.body.clone(), row.words.clone());
    sorted.concepts.sort_by_cached_key(of);
    sorted.edges.sort_unstable();
    sorted
}

fn without_rows(definition: &Definition) -> Definition {
    Definition { concepts: Vec::new(), edges: Vec::new(), ..definition.clone() }
}

fn digest(hash: &mut Sha256, position: Position, should: &Definition) {
    let should = sorted(should);
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    let Definition { kind, url, version, content, value_set, source, target, .. } = &should;
    add(&position.to_string());
    [kind, url].into_iter().for_each(|text| add(text));
    for text in [version, content, value_set, source, target] {
        add(text.as_deref().unwrap_or_default());
    }
    add(&format!("{:?} {}", should.declared, should.count));
    for ConceptRow { code, body, words } in &should.concepts {
        [code, body, words].into_iter().for_each(|text| add(text));
    }
    for (parent, child) in &should.edges {
        [parent, child].into_iter().for_each(|text| add(text));
    }
}
