//! What seemed wrong is looked at again, in one short snapshot: it may have been written meanwhile.

use std::collections::{BTreeSet, HashMap, HashSet};

use anamnesis_events::audit::{FAULTS_KEPT_MAX, Faults, Positions};
use anamnesis_events::{Event, Operation, Position, ResourceKey};
use deadpool_postgres::Transaction;
use tokio_postgres::IsolationLevel;

use super::narrow::{Different, hash_span};
use super::{Audit, RowOfResource, Seen};
use crate::ProjectionError;
use crate::checkpoint::{self, number, unsigned};
use crate::search::contained::Whole;
use crate::search::entries::Entries;
use crate::search::key::type_number;
use crate::search::sql::labels_of_row;

/// Positions in one snapshot.
pub(super) const CHUNK: usize = 500;
/// When so many have been found wrong, the rest is not looked at.
pub(super) const ENOUGH: u64 = 10 * FAULTS_KEPT_MAX as u64;
/// Spans with the same key and beginning of one resource that are read. A sound index has one.
pub(super) const SAME_SPANS_MAX: usize = 10;
/// More than a search may take, for what was found wrong.
pub(super) const SLOW: &str = "SET LOCAL statement_timeout = '10min'";

/// An event that is looked at again, and what the index should have of it if it is its resource's newest.
struct Suspect<'a> {
    event: &'a Event,
    whole: Option<Whole>,
}

/// What the index has at some positions, at one moment.
#[derive(Default)]
struct Snapshot {
    reached: Position,
    /// The first parked event of each resource that has some.
    parked: HashMap<ResourceKey, Position>,
    rows: HashMap<i64, RowOfResource>,
    spans: HashMap<i64, Vec<[i64; 3]>>,
    texts: HashMap<i64, Vec<(i64, String)>>,
}

impl Snapshot {
    /// How far the log goes that a resource stands in the index by: of one that is parked, the version before that.
    fn until(&self, key: &ResourceKey) -> Position {
        self.parked.get(key).map_or(self.reached, |parked| Position::new(parked.get().saturating_sub(1)))
    }
}

impl Audit<'_> {
    /// Looks at the suspects again and tells what is wrong for certain.
    pub(super) async fn again(
        &self,
        suspects: &Positions,
        different: &Different,
        seen: &mut Seen,
    ) -> Result<(), ProjectionError> {
        let mut suspects = suspects.iter().peekable();
        while suspects.peek().is_some() {
            let window: Vec<Position> = suspects.by_ref().take(self.options.suspects_max.max(1)).collect();
            let is_summed = |at: &Position| different.contains(*at) && seen.indexed.contains(*at);
            let sums = self.sums_of_spans(window.iter().copied().filter(is_summed), &seen.keys).await?;
            let mut rest = window.as_slice();
            while !rest.is_empty() {
                if seen.faults.count() >= ENOUGH {
                    seen.faults.add(Position::ZERO, "so much differs that the rest was not looked at");
                    return Ok(());
                }
                let (events, taken) = self.events(rest.get(..CHUNK).unwrap_or(rest)).await?;
                seen.again += taken as u64;
                rest = rest.get(taken..).unwrap_or_default();
                let suspects: Vec<Suspect<'_>> = events
                    .iter()
                    .map(|event| Suspect {
                        event,
                        whole: (event.operation != Operation::Delete).then(|| self.whole(event)).flatten(),
                    })
                    .collect();
                self.judge(&suspects, &sums, seen).await?;
            }
        }
        Ok(())
    }

    async fn judge(
        &self,
        suspects: &[Suspect<'_>],
        sums: &HashMap<i64, u64>,
        seen: &mut Seen,
    ) -> Result<(), ProjectionError> {
        let snapshot = self.snapshot(suspects).await?;
        let asked: Vec<(&ResourceKey, Position, Position)> = suspects
            .iter()
            .filter(|suspect| suspect.event.position <= snapshot.until(&suspect.event.key))
            .map(|suspect| (&suspect.event.key, suspect.event.position, snapshot.until(&suspect.event.key)))
            .collect();
        let current: HashSet<Position> = self.log.were_current(&asked).await?.into_iter().collect();
        let mut late = Vec::new();
        for Suspect { event, whole } in suspects {
            let position = event.position;
            let whole = whole.as_ref().filter(|_| current.contains(&position));
            let row = snapshot.rows.get(&number(position));
            match (whole, row) {
                (None, None) => {}
                (None, Some(_)) => {
                    seen.faults.add(position, "the index has a version that is not its resource's newest");
                }
                (Some(_), None) => seen.faults.add(position, "the index does not have the resource"),
                (Some(whole), Some(row)) => {
                    let entries = &whole.entries;
                    // What the first pass has seen was compared there.
                    if !seen.indexed.contains(position) {
                        let difference = row.difference(&RowOfResource::should_be(event, entries));
                        difference.into_iter().for_each(|reason| seen.faults.add(position, reason));
                        late.push((*event, whole.clone()));
                    }
                    let sum = sums.get(&number(position)).copied();
                    snapshot.compare(position, entries, sum, &mut seen.faults);
                }
            }
        }
        self.contained(&late, seen).await
    }

    async fn snapshot(&self, suspects: &[Suspect<'_>]) -> Result<Snapshot, ProjectionError> {
        let mut client = self.database.get().await?;
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        let mut snapshot = Snapshot {
            reached: checkpoint::read(&*transaction, &self.name).await?.position,
            parked: self.parked(&transaction, suspects).await?,
            ..Snapshot::default()
        };
        self.read_rows(&transaction, suspects, &mut snapshot).await?;
        self.read_spans(&transaction, suspects, &mut snapshot).await?;
        let seqs: Vec<i64> = suspects.iter().map(|suspect| number(suspect.event.position)).collect();
        let texts = format!(
            "SELECT seq, key, text FROM {} WHERE log = $1 AND seq = ANY ($2) ORDER BY key, text",
            self.tables.text
        );
        for row in transaction.query(&texts, &[&self.log.number(), &seqs]).await? {
            let text = (row.try_get(1)?, row.try_get(2)?);
            snapshot.texts.entry(row.try_get(0)?).or_default().push(text);
        }
        transaction.commit().await?;
        Ok(snapshot)
    }

    async fn parked(
        &self,
        transaction: &Transaction<'_>,
        suspects: &[Suspect<'_>],
    ) -> Result<HashMap<ResourceKey, Position>, ProjectionError> {
        let keys = suspects.iter().map(|suspect| &suspect.event.key);
        let (types, ids): (Vec<&str>, Vec<&str>) =
            keys.map(|key| (&*key.resource_type, key.id.as_str())).unzip();
        let statement = "SELECT resource_type, resource_id, min(seq) FROM anamnesis.projection_parked
            WHERE name = $1 AND version = $2 AND log = $3
                AND (resource_type, resource_id) IN (SELECT * FROM unnest($4::text[], $5::text[]))
            GROUP BY resource_type, resource_id";
        let name = &self.name;
        let rows =
            transaction.query(statement, &[&name.name, &name.version, &name.log, &types, &ids]).await?;
        rows.iter()
            .map(|row| {
                let key = ResourceKey::new(row.try_get::<_, &str>(0)?, row.try_get::<_, String>(1)?);
                Ok((key, Position::new(unsigned(row.try_get(2)?))))
            })
            .collect()
    }

    async fn read_rows(
        &self,
        transaction: &Transaction<'_>,
        suspects: &[Suspect<'_>],
        snapshot: &mut Snapshot,
    ) -> Result<(), ProjectionError> {
        let events = suspects.iter().map(|suspect| suspect.event);
        let (kinds, seqs): (Vec<i32>, Vec<i64>) =
            events.map(|event| (type_number(&event.key.resource_type), number(event.position))).unzip();
        // Written so that only the primary key can be taken.
        let statement = format!(
            "SELECT m.kind, m.seq, m.last_updated, m.id, m.tokens, m.spans, {}
             FROM unnest($2::int4[], $3::bigint[]) AS w (kind, seq) CROSS JOIN LATERAL (
                 SELECT * FROM {} AS one WHERE one.log = $1 AND one.kind = w.kind AND one.seq = w.seq LIMIT 1) AS m",
            labels_of_row(&self.tables),
            self.tables.resource
        );
        for row in transaction.query(&statement, &[&self.log.number(), &kinds, &seqs]).await? {
            snapshot.rows.insert(row.try_get(1)?, RowOfResource::read(&row)?);
        }
        Ok(())
    }

    /// The spans that there should be and those that the rows name. Others are found by their sum.
    async fn read_spans(
        &self,
        transaction: &Transaction<'_>,
        suspects: &[Suspect<'_>],
        snapshot: &mut Snapshot,
    ) -> Result<(), ProjectionError> {
        let mut wanted: BTreeSet<(i64, i64, i64)> = BTreeSet::new();
        for Suspect { event, whole } in suspects {
            let seq = number(event.position);
            let should = whole.iter().flat_map(|whole| whole.entries.table_spans());
            wanted.extend(should.map(|span| (seq, span.key, span.low)));
            let named = snapshot.rows.get(&seq).map(|row| row.spans.as_slice()).unwrap_or_default();
            wanted.extend(named.as_chunks().0.iter().map(|[key, low, _]: &[i64; 3]| (seq, *key, *low)));
        }
        let seqs: Vec<i64> = wanted.iter().map(|span| span.0).collect();
        let keys: Vec<i64> = wanted.iter().map(|span| span.1).collect();
        let lows: Vec<i64> = wanted.iter().map(|span| span.2).collect();
        // Written so that only the index by key, beginning and position can be taken.
        let statement = format!(
            "SELECT s.seq, s.key, s.low, s.high
             FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS w (seq, key, low) CROSS JOIN LATERAL (
                 SELECT * FROM {} AS one WHERE one.key = w.key AND one.low = w.low AND one.seq = w.seq
                 LIMIT {SAME_SPANS_MAX}) AS s
             ORDER BY s.key, s.low, s.high",
            self.tables.span
        );
        for row in transaction.query(&statement, &[&seqs, &keys, &lows]).await? {
            let span = [row.try_get(1)?, row.try_get(2)?, row.try_get(3)?];
            snapshot.spans.entry(row.try_get(0)?).or_default().push(span);
        }
        Ok(())
    }
}

impl Snapshot {
    /// Compares the narrow tables with what a resource gives. A resource that was in the index when the check began and
    /// still is has had the same rows all the time, so that the sum of its spans is of this moment as well.
    fn compare(&self, position: Position, entries: &Entries, sum: Option<u64>, faults: &mut Faults) {
        let seq = number(position);
        let mut spans: Vec<[i64; 3]> =
            entries.table_spans().map(|span| [span.key, span.low, span.high]).collect();
        spans.sort_unstable();
        let should = spans.iter().fold(0_u64, |sum, span| sum.wrapping_add(hash_span(seq, *span)));
        let is_as_summed = sum.is_none_or(|sum| sum == should);
        if self.spans.get(&seq).map(Vec::as_slice).unwrap_or_default() != spans || !is_as_summed {
            faults.add(position, "the table of spans has other rows than the resource gives");
        }
        let texts: Vec<(i64, String)> =
            entries.texts.iter().map(|text| (text.key, text.text.clone())).collect();
        if self.texts.get(&seq).map(Vec::as_slice).unwrap_or_default() != texts {
            faults.add(position, "the table of texts has other rows than the resource gives");
        }
    }
}
