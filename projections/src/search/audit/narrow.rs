//! The narrow tables: every row of spans and texts is accounted for, by sums over buckets of resources.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use anamnesis_events::Position;
use anamnesis_events::audit::Positions;

use super::keys::Keys;
use super::{Audit, Seen};
use crate::ProjectionError;
use crate::checkpoint::{number, unsigned};

/// Blocks of a table that are read by one statement: 2 MiB.
const PAGE_BLOCKS: i64 = 256;
/// Resources with spans but without being in the index that are remembered.
pub(super) const STRANGERS_MAX: usize = 1000;

/// Sums over rows. The order of the rows does not matter.
pub(super) struct Sums {
    spans: Vec<u64>,
    texts: Vec<u64>,
    rows: u64,
}

impl Sums {
    /// Eight bytes for each bucket, twice.
    pub(super) fn new(buckets: usize) -> Self {
        Self { spans: vec![0; buckets.max(1)], texts: vec![0; buckets.max(1)], rows: 0 }
    }

    /// How many rows were added.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn add_span(&mut self, seq: i64, span: [i64; 3]) {
        self.rows += 1;
        add(&mut self.spans, seq, hash_span(seq, span));
    }

    pub(super) fn add_text(&mut self, seq: i64, key: i64, text: &str) {
        self.rows += 1;
        add(&mut self.texts, seq, hash((seq, key, text)));
    }

    /// The buckets in which there is something else.
    fn different(&self, other: &Self) -> Different {
        let spans = self.spans.iter().zip(&other.spans);
        let both = spans.zip(self.texts.iter().zip(&other.texts));
        Different(both.map(|(spans, texts)| spans.0 != spans.1 || texts.0 != texts.1).collect())
    }
}

/// A flag for each bucket.
pub(super) struct Different(Vec<bool>);

impl Different {
    pub(super) fn contains(&self, position: Position) -> bool {
        bucket(number(position), self.0.len()).and_then(|bucket| self.0.get(bucket)).is_some_and(|is| *is)
    }
}

/// The sum of a resource's rows in the table of spans is that of these.
pub(super) fn hash_span(seq: i64, span: [i64; 3]) -> u64 {
    hash((seq, span))
}

/// Without random keys: the same in every process. Never stored.
fn hash(row: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.hash(&mut hasher);
    hasher.finish()
}

fn bucket(seq: i64, buckets: usize) -> Option<usize> {
    usize::try_from(seq).ok()?.checked_rem(buckets)
}

fn add(sums: &mut [u64], seq: i64, hash: u64) {
    if let Some(sum) = bucket(seq, sums.len()).and_then(|bucket| sums.get_mut(bucket)) {
        *sum = sum.wrapping_add(hash);
    }
}

/// Rows of what is not in the index, as far as it had come when the check began.
pub(super) struct Strangers {
    /// One span, key and beginning, of each of the first ones.
    pub(super) spans: BTreeMap<i64, (i64, i64)>,
    /// Those with texts: superseded rows keep theirs.
    pub(super) texts: Positions,
    /// The last position that has a row; it may have been written meanwhile.
    pub(super) last: i64,
}

impl Audit<'_> {
    /// Sums up the narrow tables. In which buckets there is something else than there should be, and what has rows
    /// there without being in the index. What was written since the check began is not looked at.
    pub(super) async fn narrow(&self, seen: &Seen) -> Result<(Different, Strangers), ProjectionError> {
        let mut is = Sums::new(self.options.buckets);
        let texts = Positions::new(Position::ZERO, self.reached);
        let mut strangers = Strangers { spans: BTreeMap::new(), texts, last: 0 };
        let reached = number(self.reached);
        let is_indexed = |seq: i64| seen.indexed.contains(Position::new(unsigned(seq)));
        self.scan_spans(&seen.keys, &mut |seq, span| {
            strangers.last = strangers.last.max(seq);
            if is_indexed(seq) {
                is.add_span(seq, span);
            } else if seq <= reached && strangers.spans.len() < STRANGERS_MAX {
                let [key, low, _] = span;
                strangers.spans.insert(seq, (key, low));
            }
        })
        .await?;
        self.scan_texts(&mut |seq, key, text| {
            strangers.last = strangers.last.max(seq);
            match is_indexed(seq) {
                true => is.add_text(seq, key, text),
                false => _ = strangers.texts.insert(Position::new(unsigned(seq))),
            }
        })
        .await?;
        Ok((seen.should.different(&is), strangers))
    }

    /// The sum of the spans of each of these resources; read from the table as a whole, which has no index by them.
    pub(super) async fn sums_of_spans(
        &self,
        of: impl Iterator<Item = Position>,
        keys: &Keys,
    ) -> Result<HashMap<i64, u64>, ProjectionError> {
        let mut sums: HashMap<i64, u64> = of.map(|position| (number(position), 0)).collect();
        if sums.is_empty() {
            return Ok(sums);
        }
        self.scan_spans(keys, &mut |seq, span| {
            if let Some(sum) = sums.get_mut(&seq) {
                *sum = sum.wrapping_add(hash_span(seq, span));
            }
        })
        .await?;
        Ok(sums)
    }

    /// Every span of this log.
    async fn scan_spans(
        &self,
        keys: &Keys,
        take: &mut (dyn FnMut(i64, [i64; 3]) + Send),
    ) -> Result<(), ProjectionError> {
        if keys.are_too_many() {
            return Ok(());
        }
        self.scan(&self.tables.span, "seq, key, low, high", &mut |row| {
            let (seq, key) = (row.try_get(0)?, row.try_get(1)?);
            if keys.are_of_log(key) {
                take(seq, [key, row.try_get(2)?, row.try_get(3)?]);
            }
            Ok(())
        })
        .await
    }

    /// Every text of this log.
    async fn scan_texts(&self, take: &mut (dyn FnMut(i64, i64, &str) + Send)) -> Result<(), ProjectionError> {
        // Told apart here: with a condition on the log each page would be read through the index by it, as a whole.
        let log = self.log.number();
        self.scan(&self.tables.text, "seq, key, text, log", &mut |row| {
            if row.try_get::<_, i16>(3)? == log {
                take(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            }
            Ok(())
        })
        .await
    }

    /// Every row of a table, page by page; each statement is a transaction.
    async fn scan(
        &self,
        table: &str,
        columns: &str,
        take: &mut (dyn FnMut(&tokio_postgres::Row) -> Result<(), tokio_postgres::Error> + Send),
    ) -> Result<(), ProjectionError> {
        let client = self.database.get().await?;
        let size = format!("SELECT pg_relation_size('{table}') / current_setting('block_size')::bigint");
        let blocks: i64 = client.query_one(&size, &[]).await?.try_get(0)?;
        let mut from = 0;
        // Rows that come behind the end meanwhile are of resources that have been written meanwhile.
        while from <= blocks {
            let until = from + PAGE_BLOCKS;
            let page =
                format!("SELECT {columns} FROM {table} WHERE ctid >= '({from},0)' AND ctid < '({until},0)'");
            for row in client.query(&page, &[]).await? {
                take(&row)?;
            }
            from = until;
        }
        Ok(())
    }
}
