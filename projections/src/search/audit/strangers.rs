//! Rows of what is not in the index: looked at again, in one short snapshot, before they are called a fault.

use std::collections::BTreeSet;

use anamnesis_events::audit::{Faults, Positions};
use anamnesis_events::{Event, Position};
use tokio_postgres::IsolationLevel;

use super::Audit;
use super::again::{CHUNK, ENOUGH, SLOW};
use super::narrow::Strangers;
use crate::ProjectionError;
use crate::checkpoint::{number, unsigned};
use crate::search::key::type_number;

/// Superseded rows in one page.
const PAGE_ROWS: i64 = 10_000;

impl Audit<'_> {
    /// Tells what has rows in the narrow tables without being in the index. Texts of superseded rows are kept as long as
    /// these are.
    pub(super) async fn strangers(
        &self,
        strangers: &Strangers,
        faults: &mut Faults,
    ) -> Result<(), ProjectionError> {
        let last = Position::new(unsigned(strangers.last));
        if last > self.log.head().await? {
            faults.add(last, "the index has rows of it, but not the resource");
        }
        let superseded = self.superseded().await?;
        let with_spans = strangers.spans.keys().map(|seq| Position::new(unsigned(*seq)));
        let mut with_texts = strangers.texts.except(&superseded);
        let mut rest = with_spans.chain(&mut with_texts).peekable();
        while rest.peek().is_some() {
            if faults.count() >= ENOUGH {
                faults.add(Position::ZERO, "so much differs that the rest was not looked at");
                return Ok(());
            }
            // A position can be there twice, for its spans and its texts.
            let chunk: BTreeSet<Position> = rest.by_ref().take(CHUNK).collect();
            let chunk: Vec<Position> = chunk.into_iter().collect();
            let mut chunk = chunk.as_slice();
            while !chunk.is_empty() {
                let (events, taken) = self.events(chunk).await?;
                let (now, behind) = chunk.split_at(taken.min(chunk.len()));
                chunk = behind;
                for position in self.still_strange(now, &events, strangers).await? {
                    faults.add(position, "the index has rows of it, but not the resource");
                }
            }
        }
        Ok(())
    }

    /// The positions of superseded rows that are kept, as far as the index had come.
    async fn superseded(&self) -> Result<Positions, ProjectionError> {
        let mut found = Positions::new(Position::ZERO, self.reached);
        let client = self.database.get().await?;
        let (mut until, mut seq) = (i64::MIN, i64::MIN);
        let statement = format!(
            "SELECT until, seq FROM {} WHERE log = $1 AND (until, seq) > ($2, $3) ORDER BY until, seq LIMIT {PAGE_ROWS}",
            self.tables.superseded
        );
        loop {
            let rows = client.query(&statement, &[&self.log.number(), &until, &seq]).await?;
            for row in &rows {
                (until, seq) = (row.try_get(0)?, row.try_get(1)?);
                found.insert(Position::new(unsigned(seq)));
            }
            if rows.is_empty() {
                return Ok(found);
            }
        }
    }

    /// Those that have rows in the narrow tables still, and are not in the index at the same moment: an event that was
    /// parked may have been taken since.
    async fn still_strange(
        &self,
        positions: &[Position],
        events: &[Event],
        strangers: &Strangers,
    ) -> Result<Vec<Position>, ProjectionError> {
        let (mut seqs, mut kinds) = (Vec::new(), Vec::new());
        let (mut keys, mut lows) = (Vec::new(), Vec::new());
        for position in positions {
            let event = events.iter().find(|event| event.position == *position);
            kinds.push(event.map(|event| type_number(&event.key.resource_type)));
            let span = strangers.spans.get(&number(*position)).copied();
            seqs.push(number(*position));
            keys.push(span.map(|(key, _)| key));
            lows.push(span.map(|(_, low)| low));
        }
        // Written so that only the indexes by these columns can be taken.
        let statement = format!(
            "SELECT w.seq, s.is AS has_span FROM unnest($2::bigint[], $3::int4[], $4::bigint[], $5::bigint[])
                 AS w (seq, kind, key, low)
             CROSS JOIN LATERAL (SELECT EXISTS (
                 SELECT FROM {span} AS s WHERE s.key = w.key AND s.low = w.low AND s.seq = w.seq) AS is) AS s
             CROSS JOIN LATERAL (SELECT EXISTS (
                 SELECT FROM {text} AS t WHERE t.log = $1 AND t.seq = w.seq LIMIT 1) AS is) AS t
             CROSS JOIN LATERAL (SELECT EXISTS (
                 SELECT FROM {resource} AS r WHERE r.log = $1 AND r.kind = w.kind AND r.seq = w.seq) AS is) AS r
             WHERE (s.is OR t.is) AND NOT r.is ORDER BY w.seq",
            resource = self.tables.resource,
            span = self.tables.span,
            text = self.tables.text,
        );
        let mut client = self.database.get().await?;
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        let rows = transaction.query(&statement, &[&self.log.number(), &seqs, &kinds, &keys, &lows]).await?;
        let (mut certain, mut by_texts) = (BTreeSet::new(), BTreeSet::new());
        for row in &rows {
            let (seq, has_span): (i64, bool) = (row.try_get(0)?, row.try_get(1)?);
            if has_span {
                certain.insert(seq)
            } else {
                by_texts.insert(seq)
            };
        }
        if !by_texts.is_empty() {
            // What was superseded since. It has no index by these, but hardly anything comes so far in a sound index.
            transaction.batch_execute(SLOW).await?;
            let wanted: Vec<i64> = by_texts.iter().copied().collect();
            let statement =
                format!("SELECT seq FROM {} WHERE log = $1 AND seq = ANY ($2)", self.tables.superseded);
            for row in transaction.query(&statement, &[&self.log.number(), &wanted]).await? {
                by_texts.remove(&row.try_get(0)?);
            }
        }
        certain.append(&mut by_texts);
        Ok(certain.into_iter().map(|seq| Position::new(unsigned(seq))).collect())
    }
}
