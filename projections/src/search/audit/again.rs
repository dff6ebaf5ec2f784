//! What seemed wrong is looked at again, in one short snapshot: it may have been written meanwhile.

use std::collections::HashMap;

use anamnesis_events::audit::{FAULTS_KEPT_MAX, Faults, Positions};
use anamnesis_events::{Event, Operation, Position, ResourceKey};
use tokio_postgres::IsolationLevel;

use super::narrow::SLOW;
use super::{Audit, RowOfResource};
use crate::checkpoint::{self, number};
use crate::search::entries::Entries;
use crate::{ProjectionError, parked};

/// Positions in one snapshot.
const CHUNK: usize = 500;
/// When so many have been found wrong, the rest is not looked at.
const ENOUGH: u64 = 10 * FAULTS_KEPT_MAX as u64;

/// What the index has at some positions, at one moment.
#[derive(Default)]
struct Snapshot {
    reached: Position,
    /// The first parked event of each resource that has some.
    parked: HashMap<ResourceKey, Position>,
    rows: HashMap<i64, Vec<RowOfResource>>,
    spans: HashMap<i64, Vec<[i64; 3]>>,
    texts: HashMap<i64, Vec<(i64, String)>>,
}

impl Audit<'_> {
    /// Looks at the suspects again and tells what is wrong for certain.
    pub(super) async fn again(
        &self,
        suspects: &Positions,
        faults: &mut Faults,
    ) -> Result<(), ProjectionError> {
        let mut suspects = suspects.iter().peekable();
        while suspects.peek().is_some() {
            if faults.count() >= ENOUGH {
                faults.add(Position::ZERO, "so much differs that the rest was not looked at");
                return Ok(());
            }
            let chunk: Vec<Position> = suspects.by_ref().take(CHUNK).collect();
            let snapshot = self.snapshot(&chunk).await?;
            let events = self.events(&chunk).await?;
            for position in chunk {
                let event = events.iter().find(|event| event.position == position);
                self.judge(position, event, &snapshot, faults).await?;
            }
        }
        Ok(())
    }

    async fn judge(
        &self,
        position: Position,
        event: Option<&Event>,
        snapshot: &Snapshot,
        faults: &mut Faults,
    ) -> Result<(), ProjectionError> {
        let rows = snapshot.rows.get(&number(position)).map(Vec::as_slice).unwrap_or_default();
        let Some(event) = event else {
            if !rows.is_empty() {
                faults.add(position, "the index has a resource whose event cannot be read");
            }
            return Ok(());
        };
        if position > snapshot.reached {
            return Ok(());
        }
        // Of a resource that is parked, the version before that is there.
        let parked = snapshot.parked.get(&event.key);
        let until = parked.map_or(snapshot.reached, |parked| Position::new(parked.get() - 1));
        let is_current = event.operation != Operation::Delete
            && position <= until
            && self.log.was_current(&event.key, position, until).await?;
        let entries = if is_current { self.entries(event) } else { None };
        match (entries, rows) {
            (None, []) => {}
            (None, _) => faults.add(position, "the index has a version that is not its resource's newest"),
            (Some(_), []) => faults.add(position, "the index does not have the resource"),
            (Some(_), [_, _, ..]) => faults.add(position, "the index has the resource more than once"),
            (Some(entries), [row]) => self.compare(event, &entries, row, snapshot, faults),
        }
        Ok(())
    }

    fn compare(
        &self,
        event: &Event,
        entries: &Entries,
        row: &RowOfResource,
        snapshot: &Snapshot,
        faults: &mut Faults,
    ) {
        let seq = number(event.position);
        if let Some(reason) = row.difference(&RowOfResource::should_be(event, entries)) {
            faults.add(event.position, reason);
        }
        let mut spans: Vec<[i64; 3]> =
            entries.table_spans().map(|span| [span.key, span.low, span.high]).collect();
        spans.sort_unstable();
        if snapshot.spans.get(&seq).map(Vec::as_slice).unwrap_or_default() != spans {
            faults.add(event.position, "the table of spans has other rows than the resource gives");
        }
        let texts: Vec<(i64, String)> =
            entries.texts.iter().map(|text| (text.key, text.text.clone())).collect();
        if snapshot.texts.get(&seq).map(Vec::as_slice).unwrap_or_default() != texts {
            faults.add(event.position, "the table of texts has other rows than the resource gives");
        }
    }

    async fn snapshot(&self, positions: &[Position]) -> Result<Snapshot, ProjectionError> {
        let seqs: Vec<i64> = positions.iter().map(|position| number(*position)).collect();
        let log = self.log.number();
        let mut client = self.database.get().await?;
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        transaction.batch_execute(SLOW).await?;
        let mut snapshot = Snapshot {
            reached: checkpoint::read(&*transaction, &self.name).await?.position,
            ..Snapshot::default()
        };
        for parked in parked::list(&*transaction, &self.name, Position::ZERO, usize::MAX).await? {
            // In order: the first one stays.
            snapshot.parked.entry(parked.key).or_insert(parked.position);
        }
        let rows = format!(
            "SELECT kind, seq, last_updated, id, tokens, spans FROM {} WHERE log = $1 AND seq = ANY ($2)",
            self.tables.resource
        );
        for row in transaction.query(&rows, &[&log, &seqs]).await? {
            snapshot.rows.entry(row.try_get(1)?).or_default().push(RowOfResource::read(&row)?);
        }
        let spans = format!(
            "SELECT seq, key, low, high FROM {} WHERE seq = ANY ($1) ORDER BY key, low, high",
            self.tables.span
        );
        for row in transaction.query(&spans, &[&seqs]).await? {
            let span = [row.try_get(1)?, row.try_get(2)?, row.try_get(3)?];
            snapshot.spans.entry(row.try_get(0)?).or_default().push(span);
        }
        let texts = format!(
            "SELECT seq, key, text FROM {} WHERE log = $1 AND seq = ANY ($2) ORDER BY key, text",
            self.tables.text
        );
        for row in transaction.query(&texts, &[&log, &seqs]).await? {
            let text = (row.try_get(1)?, row.try_get(2)?);
            snapshot.texts.entry(row.try_get(0)?).or_default().push(text);
        }
        transaction.commit().await?;
        Ok(snapshot)
    }
}
