//! Checking the search index against the log, both ways, for auditors.
//!
//! Three passes in small statements, each of its own moment: over the rows of resources, each compared with what its
//! event gives; over the heads of the log, whose living resources must have been among them; and over the narrow tables,
//! whose rows are summed up in buckets and compared with the sums of what should be there. The dictionary of labels comes
//! last: each label must be of a row. Rows of what was written after
//! the check began are left out. Whatever differs may have been superseded meanwhile: those resources are looked at
//! again, some hundred at a time in one short snapshot.

mod again;
mod contained;
mod keys;
mod labels;
mod narrow;
mod strangers;

use anamnesis_events::audit::{Faults, Positions};
use anamnesis_events::{Event, Log, LogError, Position};
use tokio_postgres::Row;

use super::contained::Whole;
use super::digest::Digests;
use super::entries::Entries;
use super::extract::Extractor;
use super::key::type_number;
use super::parameters::CustomParameters;
use super::sql::labels_of_row;
use super::tables::{NAME, SCHEMA, Tables};
use crate::auditing::{self, Begun};
use crate::checkpoint::{Name, number, unsigned};
use crate::database::Database;
use crate::{Inputs, Parked, ProjectionError};
use keys::Keys;
use labels::Used;
use narrow::Sums;

/// Rows of one page.
const PAGE_ROWS: i64 = 250;
/// Bytes of bodies, as they are stored and unpacked, that are read at once, but for a single larger one.
const PAGE_BYTES_MAX: usize = 32 << 20;
/// Events that are read one by one, before the next ones are asked for together again.
const SINGLE_MAX: usize = 8;

/// How much memory a check may take. What it finds does not depend on these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditOptions {
    /// Buckets of resources, by their positions, in which the rows of the narrow tables are summed up. Where something
    /// was superseded meanwhile or is wrong, all resources of the bucket are looked at again: one in so many. 32 bytes
    /// each.
    pub buckets: usize,
    /// Resources that are looked at again for each further reading of the table of spans. Some 50 bytes each.
    pub suspects_max: usize,
}

impl Default for AuditOptions {
    /// 32 MiB, and at most 50 MiB more.
    fn default() -> Self {
        Self { buckets: 1 << 20, suspects_max: 1 << 20 }
    }
}

/// What the comparison found.
#[derive(Debug)]
pub struct Audited {
    /// The version of the index that was compared: the one that searches use.
    pub version: i32,
    /// How far it had come.
    pub reached: Position,
    /// How many resources are in it.
    pub resources: u64,
    /// How many rows of dates, numbers, quantities and texts they have.
    pub rows: u64,
    /// How many resources had to be looked at again.
    pub again: u64,
    /// The table of spans is other logs' as well: spans that no resource of this log has the like of were not looked at.
    pub is_shared: bool,
    /// Events that the index could not take; their resources stand in it as they were before.
    pub parked: Vec<Parked>,
    /// The same as [`super::digest()`] gives, where there is no fault and nothing was written meanwhile.
    pub digest: [u8; 32],
    /// What is wrong.
    pub faults: Faults,
}

/// Compares the active version of the search index with the log, by the search parameters that it is made from. `progress` is told how many rows and heads have been
/// looked at. Where a rebuild takes that version away meanwhile, the check begins once more with the one in its place.
///
/// # Errors
/// When the database or the log cannot be read, or there is no version with rows of this program's form.
pub async fn audit(
    database: &Database,
    log: &Log,
    options: AuditOptions,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Audited, ProjectionError> {
    let check = async |name: Name, inputs: Inputs| {
        // What takes resources apart by the search parameters that the version is made from.
        let parameters = CustomParameters::from_inputs(&inputs)
            .map_err(|error| ProjectionError::Inputs { version: name.version, reason: error.to_string() })?;
        let extractor = Extractor::of(&parameters, log.number());
        once(database, log, extractor, options.clone(), name, &mut *progress).await
    };
    auditing::of_active(database, log, (NAME, SCHEMA), check).await
}

async fn once(
    database: &Database,
    log: &Log,
    extractor: Extractor,
    options: AuditOptions,
    name: Name,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Audited, ProjectionError> {
    let Begun { reached, parked, faults } =
        Begun::read(database, log, &name, "the index says that it has").await?;
    let keys = Keys::of(&**database.get().await?, &name).await?;
    let audit = Audit { database, log, options, reached, tables: Tables::of(name.version), name, extractor };
    let mut seen = Seen {
        indexed: Positions::new(Position::ZERO, reached),
        current: Positions::new(Position::ZERO, reached),
        suspects: Positions::new(Position::ZERO, reached),
        last: Position::ZERO,
        should: Sums::new(audit.options.buckets),
        used: Used::none(),
        keys,
        again: 0,
        digests: Digests::default(),
        resources: 0,
        steps: 0,
        faults,
    };
    audit.rows(&mut seen, progress).await?;
    audit.heads(&mut seen, &parked, progress).await?;
    let mut suspects = std::mem::take(&mut seen.suspects);
    for position in seen.indexed.except(&seen.current) {
        suspects.insert(position);
    }
    let (different, strangers) = audit.narrow(&seen).await?;
    for position in seen.indexed.iter().filter(|position| different.contains(*position)) {
        suspects.insert(position);
    }
    audit.strangers(&strangers, &mut seen.faults).await?;
    audit.labels(&seen.used, &mut seen.faults).await?;
    audit.contained_strangers(&mut seen).await?;
    audit.again(&suspects, &different, &mut seen).await?;
    Ok(Audited {
        version: audit.name.version,
        reached,
        resources: seen.resources,
        rows: seen.should.rows(),
        again: seen.again,
        is_shared: seen.keys.are_shared(),
        parked,
        digest: seen.digests.finish(),
        faults: seen.faults,
    })
}

/// What is at hand for every pass.
struct Audit<'a> {
    database: &'a Database,
    log: &'a Log,
    options: AuditOptions,
    /// How far the index had come when the check began.
    reached: Position,
    name: Name,
    tables: Tables,
    extractor: Extractor,
}

/// What the passes have seen: a bit for each position, and sums.
struct Seen {
    /// Positions that have a row.
    indexed: Positions,
    /// Positions at which a living resource stands.
    current: Positions,
    /// Positions to be looked at again.
    suspects: Positions,
    /// The last position that has a row; it may have been written meanwhile.
    last: Position,
    /// What should be in the narrow tables.
    should: Sums,
    /// The labels that rows have.
    used: Used,
    /// The families of spans of this log.
    keys: Keys,
    /// How many resources were looked at again.
    again: u64,
    digests: Digests,
    resources: u64,
    steps: u64,
    /// What cannot have been written meanwhile.
    faults: Faults,
}

impl Audit<'_> {
    /// Every row of a resource that was there when the check began, against its event.
    async fn rows(
        &self,
        seen: &mut Seen,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), ProjectionError> {
        let (mut kind, mut seq) = (i32::MIN, i64::MIN);
        let statement = format!(
            "SELECT kind, seq, last_updated, id, tokens, spans, {} FROM {} AS m
             WHERE m.log = $1 AND (m.kind, m.seq) > ($2, $3) ORDER BY m.kind, m.seq LIMIT {PAGE_ROWS}",
            labels_of_row(&self.tables),
            self.tables.resource
        );
        loop {
            let client = self.database.get().await?;
            let rows = client.query(&statement, &[&self.log.number(), &kind, &seq]).await?;
            drop(client);
            let Some(last) = rows.last() else { break };
            (kind, seq) = (last.try_get(0)?, last.try_get(1)?);
            let mut page = Vec::with_capacity(rows.len());
            for row in &rows {
                let position = Position::new(unsigned(row.try_get(1)?));
                seen.last = seen.last.max(position);
                if position <= self.reached {
                    page.push((position, row));
                }
            }
            self.compare_rows(&page, seen).await?;
            seen.steps += rows.len() as u64;
            progress(seen.steps);
        }
        // What is in the index is in the log before.
        if seen.last > self.log.head().await? {
            seen.faults.add(seen.last, "the index has a resource whose event is not there");
        } else if seen.last > self.reached && self.is_behind_its_rows().await? {
            seen.faults.add(
                seen.last,
                "the index has a resource from beyond the position that it says it has come to",
            );
        }
        Ok(())
    }

    /// Whether there are rows of events that are behind the checkpoint: both are written together.
    async fn is_behind_its_rows(&self) -> Result<bool, ProjectionError> {
        let statement = format!(
            "SELECT FROM anamnesis.projection_checkpoint AS c
             WHERE c.name = $1 AND c.version = $2 AND c.log = $3 AND EXISTS (
                 SELECT FROM {} AS m WHERE m.log = $3 AND m.seq > c.seq)",
            self.tables.resource
        );
        let client = self.database.get().await?;
        let found =
            client.query_opt(&statement, &[&self.name.name, &self.name.version, &self.log.number()]).await?;
        Ok(found.is_some())
    }

    async fn compare_rows(&self, page: &[(Position, &Row)], seen: &mut Seen) -> Result<(), ProjectionError> {
        let mut rest = page;
        while !rest.is_empty() {
            let positions: Vec<Position> = rest.iter().map(|(position, _)| *position).collect();
            let (events, taken) = self.events(&positions).await?;
            let (now, behind) = rest.split_at(taken.min(rest.len()));
            rest = behind;
            let mut taken = Vec::with_capacity(now.len());
            for (position, row) in now {
                let event = events.iter().find(|event| event.position == *position);
                let row = RowOfResource::read(row)?;
                seen.used.add(&row.tokens);
                match (event, event.and_then(|event| self.whole(event))) {
                    (Some(event), Some(whole)) => {
                        seen.take(event, &whole, &row);
                        taken.push((event, whole));
                    }
                    (event, _) => seen.take_unknown(*position, event.is_some()),
                }
            }
            self.contained(&taken, seen).await?;
        }
        Ok(())
    }

    /// Every living resource of the log must have been among the rows.
    async fn heads(
        &self,
        seen: &mut Seen,
        parked: &[Parked],
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), ProjectionError> {
        let parked: std::collections::HashSet<Position> =
            parked.iter().map(|parked| parked.position).collect();
        let mut after = None;
        loop {
            let (heads, last) = self.log.living(after).await?;
            let Some(last) = last else { return Ok(()) };
            after = Some(last);
            for position in &heads {
                seen.current.insert(*position);
                if !seen.indexed.contains(*position) && !parked.contains(position) {
                    seen.suspects.insert(*position);
                }
            }
            seen.steps += heads.len() as u64;
            progress(seen.steps);
        }
    }

    /// The events that can be read, of the first of these positions: how many these are is told, and never none. There
    /// are fewer where their bodies are large. The walk over the log tells of what cannot be read.
    async fn events(&self, positions: &[Position]) -> Result<(Vec<Event>, usize), ProjectionError> {
        let count = self.log.count_within(positions, PAGE_BYTES_MAX).await?;
        let mut now = positions.get(..count).unwrap_or(positions);
        loop {
            match self.log.fetch(now).await {
                Err(LogError::TooManyBytes { .. }) if now.len() > 1 => {
                    now = now.get(..now.len() / 2).unwrap_or_default();
                }
                Err(LogError::Broken { .. } | LogError::UnknownKind { .. }) => break,
                fetched => return Ok((fetched?, now.len())),
            }
        }
        // One of them cannot be read. Few enough that all bodies fit where each of them does.
        let now = now.get(..SINGLE_MAX).unwrap_or(now);
        let mut events = Vec::with_capacity(now.len());
        for position in now {
            match self.log.fetch(&[*position]).await {
                Err(LogError::Broken { .. } | LogError::UnknownKind { .. }) => {}
                fetched => events.extend(fetched?),
            }
        }
        Ok((events, now.len()))
    }

    /// What the resource of an event is found by; `None` for what the index does not take.
    fn whole(&self, event: &Event) -> Option<Whole> {
        let key = &event.key;
        self.extractor.whole(&key.resource_type, &key.id, &event.payload).ok()
    }
}

/// A row of a resource as it is there.
struct RowOfResource {
    kind: i32,
    last_updated: i64,
    id: String,
    tokens: Vec<i64>,
    spans: Vec<i64>,
    /// Of the table of labels, as its tokens say.
    labels: Vec<String>,
}

impl RowOfResource {
    /// Of the columns kind, position, time, id, tokens, spans and labels.
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            kind: row.try_get(0)?,
            last_updated: row.try_get(2)?,
            id: row.try_get(3)?,
            tokens: row.try_get(4)?,
            spans: row.try_get(5)?,
            labels: row.try_get(6)?,
        })
    }

    fn should_be(event: &Event, entries: &Entries) -> Self {
        Self {
            kind: type_number(&event.key.resource_type),
            last_updated: event.recorded_at.timestamp_micros(),
            id: event.key.id.clone(),
            tokens: entries.tokens.clone(),
            spans: entries.flat_spans(),
            labels: entries.joined_labels(),
        }
    }

    /// What is not as it should be.
    fn difference(&self, should: &Self) -> Option<&'static str> {
        if (self.kind, &self.id) != (should.kind, &should.id) {
            return Some("the index has it under another type or id");
        }
        if self.last_updated != should.last_updated {
            return Some("the index has another time of the last update");
        }
        if self.tokens != should.tokens {
            return Some("the index has other tokens than the resource gives");
        }
        if self.labels != should.labels {
            return Some("the table of labels has other texts than the resource gives");
        }
        (self.spans != should.spans).then_some("the index has other spans than the resource gives")
    }
}

impl Seen {
    /// A row whose event cannot be read, or gives nothing to be found by.
    fn take_unknown(&mut self, position: Position, is_event: bool) {
        self.resources += 1;
        self.indexed.insert(position);
        match is_event {
            true => _ = self.suspects.insert(position),
            // What is in the index was in the log before, so it has not come since.
            false => self.faults.add(position, "the index has a resource whose event cannot be read"),
        }
    }

    fn take(&mut self, event: &Event, whole: &Whole, row: &RowOfResource) {
        let entries = &whole.entries;
        self.resources += 1;
        self.indexed.insert(event.position);
        // Whatever the resource is now: a row of this event is never another one.
        if let Some(reason) = row.difference(&RowOfResource::should_be(event, entries)) {
            self.faults.add(event.position, reason);
        }
        self.keys.add(entries);
        let position = number(event.position);
        for span in entries.table_spans() {
            self.should.add_span(position, [span.key, span.low, span.high]);
        }
        for text in &entries.texts {
            self.should.add_text(position, text.key, &text.text);
        }
        self.digests.add_resource(event, whole);
    }
}
