//! The narrow tables: every row of spans and texts is accounted for, by sums over buckets of resources.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use anamnesis_events::Position;
use anamnesis_events::audit::{Faults, Positions};

use super::Audit;
use crate::ProjectionError;
use crate::checkpoint::{number, unsigned};

/// Buckets of resources, by their positions: one in 65,536 is looked at again for each that differs.
const BUCKETS: usize = 1 << 16;
/// Blocks of a table that are read at once: 2 MiB.
const PAGE_BLOCKS: i64 = 256;
/// Resources with rows but without being in the index that are told one by one.
const STRANGERS_MAX: usize = 1000;

/// Sums over rows. The order of the rows does not matter.
pub(super) struct Narrow {
    spans: Vec<u64>,
    texts: Vec<u64>,
    rows: u64,
}

impl Narrow {
    pub(super) fn new() -> Self {
        Self { spans: vec![0; BUCKETS], texts: vec![0; BUCKETS], rows: 0 }
    }

    /// How many rows were added.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn add_span(&mut self, seq: i64, key: i64, low: i64, high: i64) {
        self.rows += 1;
        add(&mut self.spans, seq, (seq, key, low, high));
    }

    pub(super) fn add_text(&mut self, seq: i64, key: i64, text: &str) {
        self.rows += 1;
        add(&mut self.texts, seq, (seq, key, text));
    }

    /// The buckets in which there is something else.
    fn different(&self, other: &Self) -> BTreeSet<usize> {
        let differ = |(at, (one, other)): (usize, (&u64, &u64))| (one != other).then_some(at);
        let spans = self.spans.iter().zip(&other.spans).enumerate().filter_map(differ);
        spans.chain(self.texts.iter().zip(&other.texts).enumerate().filter_map(differ)).collect()
    }
}

fn bucket(seq: i64) -> usize {
    usize::try_from(seq.rem_euclid(1 << 16)).unwrap_or(0)
}

fn add(sums: &mut [u64], seq: i64, row: impl Hash) {
    // Without random keys: the same in every process. Never stored.
    let mut hasher = DefaultHasher::new();
    row.hash(&mut hasher);
    if let Some(sum) = sums.get_mut(bucket(seq)) {
        *sum = sum.wrapping_add(hasher.finish());
    }
}

impl Audit<'_> {
    /// Compares the narrow tables with what should be in them; what differs becomes a suspect.
    pub(super) async fn narrow(
        &self,
        should: &Narrow,
        indexed: &Positions,
        suspects: &mut Positions,
        faults: &mut Faults,
    ) -> Result<(), ProjectionError> {
        let mut is = Narrow::new();
        self.scan(&mut |row| match row {
            Narrowed::Span { seq, key, low, high } => is.add_span(seq, key, low, high),
            Narrowed::Text { seq, key, text } => is.add_text(seq, key, text),
        })
        .await?;
        let different = should.different(&is);
        if different.is_empty() {
            return Ok(());
        }
        let is_concerned = |seq: i64| different.contains(&bucket(seq));
        for position in indexed.iter().filter(|position| is_concerned(number(*position))) {
            suspects.insert(position);
        }
        let mut strangers: BTreeSet<i64> = BTreeSet::new();
        self.scan(&mut |row| {
            let (Narrowed::Span { seq, .. } | Narrowed::Text { seq, .. }) = row;
            let is_stranger = is_concerned(seq) && !indexed.contains(Position::new(unsigned(seq)));
            if is_stranger && strangers.len() < STRANGERS_MAX {
                strangers.insert(seq);
            }
        })
        .await?;
        let strangers: Vec<i64> = strangers.into_iter().collect();
        self.strangers(&strangers, faults).await
    }

    /// Rows of resources that are not in the index. Texts of superseded rows are kept as long as these are.
    async fn strangers(&self, seqs: &[i64], faults: &mut Faults) -> Result<(), ProjectionError> {
        if seqs.is_empty() {
            return Ok(());
        }
        let statement = format!(
            "SELECT w.seq FROM unnest($2::bigint[]) AS w (seq)
             WHERE NOT EXISTS (SELECT FROM {resource} AS m WHERE m.log = $1 AND m.seq = w.seq)
                 AND (EXISTS (SELECT FROM {span} AS s WHERE s.seq = w.seq)
                     OR EXISTS (SELECT FROM {text} AS t WHERE t.log = $1 AND t.seq = w.seq)
                         AND NOT EXISTS (SELECT FROM {superseded} AS o WHERE o.log = $1 AND o.seq = w.seq))
             ORDER BY w.seq",
            resource = self.tables.resource,
            span = self.tables.span,
            text = self.tables.text,
            superseded = self.tables.superseded,
        );
        let mut client = self.database.get().await?;
        let transaction = client.build_transaction().read_only(true).start().await?;
        transaction.batch_execute(SLOW).await?;
        for row in transaction.query(&statement, &[&self.log.number(), &seqs]).await? {
            let position = Position::new(unsigned(row.try_get(0)?));
            faults.add(position, "the index has rows of it, but not the resource");
        }
        Ok(())
    }

    /// Every row of the two tables. Tables that several logs share hold spans of all of them, which cannot be told
    /// apart; they are from before each log had its own, and not looked at.
    async fn scan(&self, take: &mut (dyn FnMut(Narrowed<'_>) + Send)) -> Result<(), ProjectionError> {
        let mut client = self.database.get().await?;
        let transaction = client.build_transaction().read_only(true).start().await?;
        transaction.batch_execute(SLOW).await?;
        for (table, columns) in
            [(&self.tables.span, "seq, key, low, high"), (&self.tables.text, "seq, key, text")]
        {
            let of_log = if columns.ends_with("text") {
                format!("log = {} AND", self.log.number())
            } else {
                String::new()
            };
            let size = format!("SELECT pg_relation_size('{table}') / current_setting('block_size')::bigint");
            let blocks: i64 = transaction.query_one(&size, &[]).await?.try_get(0)?;
            let mut from = 0;
            // Rows that come behind the end meanwhile are of resources that have been written meanwhile.
            while from <= blocks {
                let until = from + PAGE_BLOCKS;
                let page = format!(
                    "SELECT {columns} FROM {table} WHERE {of_log} ctid >= '({from},0)' AND ctid < '({until},0)'"
                );
                for row in transaction.query(&page, &[]).await? {
                    let (seq, key) = (row.try_get(0)?, row.try_get(1)?);
                    take(match of_log.is_empty() {
                        true => Narrowed::Span { seq, key, low: row.try_get(2)?, high: row.try_get(3)? },
                        false => Narrowed::Text { seq, key, text: row.try_get(2)? },
                    });
                }
                from = until;
            }
        }
        Ok(())
    }
}

/// More than a search may take; each statement reads a bounded part, or is for what was found wrong.
pub(super) const SLOW: &str = "SET LOCAL statement_timeout = '10min'";

/// A row of a narrow table.
enum Narrowed<'a> {
    Span { seq: i64, key: i64, low: i64, high: i64 },
    Text { seq: i64, key: i64, text: &'a str },
}
