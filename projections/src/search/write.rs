//! The search projection: how a batch of resources gets into the tables.

pub(super) mod labels;

use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};

use anamnesis_events::{Event, Position};
use deadpool_postgres::Transaction;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use super::contained::{Placed, Whole};
use super::entries::Entries;
use super::erase;
use super::extract::Extractor;
use super::key::type_number;
use super::label::Uses;
use super::parameters::CustomParameters;
use super::shelf::Shelf;
use super::sql::unused;
use super::tables::{NAME, SCHEMA, Tables};
use crate::checkpoint::number;
use crate::tables::make_where_missing;
use crate::{Change, Erasing, Inputs, Passed, Poison, Projection, ProjectionError};

/// How long superseded rows are kept, by the times of the events: somebody turning pages gets every resource once,
/// as it was when the first page was made, for this long.
const KEPT_MICROSECONDS: i64 = 10 * 60 * 1_000_000;
/// How often superseded rows are dropped, by the times of the events.
const DROP_EVERY_MICROSECONDS: i64 = 1_000_000;
/// Superseded rows that are dropped in one batch. With the pause this is more a second than a server on one machine
/// updates, so that they do not pile up while it goes on.
const DROPPED_MAX: i64 = 5000;

/// The projection that FHIR searches are answered from: one version of it, over the log with one number.
#[derive(Debug)]
pub struct SearchProjection {
    log: i16,
    inputs: Inputs,
    tables: Tables,
    extractor: Extractor,
    /// The time of the event at which superseded rows were dropped last, in microseconds.
    dropped_at: AtomicI64,
}

/// What an event gives: the index entries of the resource and of those in it, or nothing when it was deleted or the body was erased.
#[derive(Debug)]
pub struct SearchRows(Option<Whole>);

impl SearchProjection {
    /// The name of the projection.
    pub const NAME: &str = NAME;
    /// The form of the rows that this program writes and reads.
    pub const SCHEMA: i32 = SCHEMA;

    /// The version with this number over the log with this number, by R4's search parameters and these. Numbers of
    /// versions begin at 1; a store from before there were several has that one.
    #[must_use]
    pub fn new(parameters: &CustomParameters, log: i16, version: i32) -> Self {
        let extractor = Extractor::of(parameters, log);
        let (inputs, dropped_at) = (parameters.to_inputs(), AtomicI64::new(0));
        Self { log, inputs, tables: Tables::of(version), extractor, dropped_at }
    }

    /// Makes versions over the log with this number, by their numbers and what they are made from; for
    /// [`crate::Supervisor::start`]. [`ProjectionError::Inputs`] for what is no text of [`CustomParameters`].
    pub fn maker(
        log: i16,
    ) -> impl Fn(i32, &Inputs) -> Result<Self, ProjectionError> + Clone + Send + Sync + 'static {
        move |version, inputs| match CustomParameters::from_inputs(inputs) {
            Ok(parameters) => Ok(Self::new(&parameters, log, version)),
            Err(error) => Err(ProjectionError::Inputs { version, reason: error.to_string() }),
        }
    }
}

impl Projection for SearchProjection {
    type Rows = SearchRows;

    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        self.tables.version
    }

    fn schema(&self) -> i32 {
        SCHEMA
    }

    fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    fn rows(&self, event: &Event) -> Result<SearchRows, Poison> {
        if !event.has_body() {
            return Ok(SearchRows(None));
        }
        let key = &event.key;
        self.extractor.whole(&key.resource_type, &key.id, &event.payload).map(|whole| SearchRows(Some(whole)))
    }

    async fn prepare(&self, transaction: &Transaction<'_>) -> Result<(), ProjectionError> {
        make_where_missing(transaction, &self.tables.text, || self.tables.create()).await
    }

    async fn clear(&self, transaction: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
        transaction.batch_execute(&self.tables.clear()).await
    }

    async fn remove(&self, transaction: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
        transaction.batch_execute(&self.tables.drop()).await
    }

    async fn write(
        &self,
        transaction: &Transaction<'_>,
        changes: &[Change<SearchRows>],
        _reached: Position,
    ) -> Result<(), tokio_postgres::Error> {
        let mut uses = Uses::default();
        for tables in [&self.tables, &self.tables.contained()] {
            self.supersede(transaction, tables, changes).await?;
            let there = || changes.iter().flat_map(|change| rows_now(tables, change));
            self.copy_resources(transaction, tables, there()).await?;
            self.copy_spans(transaction, tables, there()).await?;
            self.copy_texts(transaction, tables, there()).await?;
            let kept = self.keep_passed(transaction, tables, changes).await?;
            there().map(|row| row.entries).chain(kept).for_each(|entries| uses.add(entries));
            if there().next().is_some() {
                // Sorted by key and taken at once this costs a fifth of taking row by row, and no search has to look
                // through a list of what is pending.
                let clean = format!("SELECT gin_clean_pending_list('{}')", tables.token_index);
                let statement = transaction.prepare_cached(&clean).await?;
                transaction.query(&statement, &[]).await?;
            }
        }
        labels::add(transaction, &self.tables, &uses).await?;
        self.drop_superseded(transaction, changes).await
    }

    async fn erase(
        &self,
        transaction: &Transaction<'_>,
        erasing: &[Erasing],
    ) -> Result<(), tokio_postgres::Error> {
        erase::erase(transaction, (&self.tables, self.log), erasing).await
    }
}

/// The rows of a shelf that a change comes to.
fn rows_now<'a>(tables: &Tables, change: &'a Change<SearchRows>) -> impl Iterator<Item = Placed<'a>> {
    let shelf = tables.shelf;
    let at = (change.position, change.recorded_at);
    change.rows.0.iter().flat_map(move |whole| whole.rows(shelf, &change.key, at))
}

impl SearchProjection {
    /// Takes the rows of the versions before out of the index and keeps them apart for a while.
    async fn supersede(
        &self,
        transaction: &Transaction<'_>,
        tables: &Tables,
        changes: &[Change<SearchRows>],
    ) -> Result<(), tokio_postgres::Error> {
        let (mut kinds, mut seqs, mut until, mut until_at) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for change in changes {
            let Some(before) = change.replaces else { continue };
            kinds.push(type_number(&change.key.resource_type));
            seqs.push(number(before));
            until.push(number(change.position));
            until_at.push(change.recorded_at.timestamp_micros());
        }
        if seqs.is_empty() {
            return Ok(());
        }
        let Tables { resource, superseded, span, shelf, .. } = tables;
        let of_kind = if *shelf == Shelf::Standing { " AND r.kind = c.kind" } else { "" };
        let (came_with, until_row) = (shelf.came_with("r", "c.seq"), shelf.until("c.until"));
        let statement = format!(
            "WITH gone AS (
                 DELETE FROM {resource} AS r
                 USING unnest($2::int4[], $3::int8[], $4::int8[], $5::int8[]) AS c (kind, seq, until, until_at)
                 WHERE r.log = $1{of_kind} AND {came_with}
                 RETURNING r.kind, r.seq, r.last_updated, {until_row} AS until, c.until_at, r.id, r.tokens, r.spans),
             kept AS (
                 INSERT INTO {superseded} (log, kind, seq, last_updated, until, until_at, id, tokens, spans)
                 SELECT $1, kind, seq, last_updated, until, until_at, id, tokens, spans FROM gone)
             DELETE FROM {span} AS s USING gone AS g, generate_series(1, cardinality(g.spans), 3) AS i
             WHERE s.key = g.spans[i] AND s.low = g.spans[i + 1] AND s.seq = g.seq"
        );
        let statement = transaction.prepare_cached(&statement).await?;
        transaction.execute(&statement, &[&self.log, &kinds, &seqs, &until, &until_at]).await?;
        Ok(())
    }

    async fn copy_resources<'a>(
        &self,
        transaction: &Transaction<'_>,
        tables: &Tables,
        there: impl Iterator<Item = Placed<'a>>,
    ) -> Result<(), tokio_postgres::Error> {
        let into = format!("{} (log, kind, seq, last_updated, id, tokens, spans)", tables.resource);
        let types =
            [Type::INT2, Type::INT4, Type::INT8, Type::INT8, Type::TEXT, Type::INT8_ARRAY, Type::INT8_ARRAY];
        let mut copy = Copy::new(transaction, into, &types);
        for Placed { kind, seq, last_updated, id, entries } in there {
            let spans = entries.flat_spans();
            copy.row(&[&self.log, &kind, &seq, &last_updated, &id, &entries.tokens, &spans]).await?;
        }
        copy.finish().await
    }

    async fn copy_spans<'a>(
        &self,
        transaction: &Transaction<'_>,
        tables: &Tables,
        there: impl Iterator<Item = Placed<'a>>,
    ) -> Result<(), tokio_postgres::Error> {
        let into = format!("{} (key, low, high, seq)", tables.span);
        let types = [Type::INT8, Type::INT8, Type::INT8, Type::INT8];
        let mut copy = Copy::new(transaction, into, &types);
        for row in there {
            for span in row.entries.table_spans() {
                copy.row(&[&span.key, &span.low, &span.high, &row.seq]).await?;
            }
        }
        copy.finish().await
    }

    async fn copy_texts<'a>(
        &self,
        transaction: &Transaction<'_>,
        tables: &Tables,
        of: impl Iterator<Item = Placed<'a>>,
    ) -> Result<(), tokio_postgres::Error> {
        let into = format!("{} (key, seq, log, text)", tables.text);
        let types = [Type::INT8, Type::INT8, Type::INT2, Type::TEXT];
        let mut copy = Copy::new(transaction, into, &types);
        for row in of {
            for entry in &row.entries.texts {
                copy.row(&[&entry.key, &row.seq, &self.log, &entry.text]).await?;
            }
        }
        copy.finish().await
    }

    /// Keeps what resources were within the batch as superseded rows, but for what would be dropped at once. What the kept
    /// ones are found by comes back.
    async fn keep_passed<'a>(
        &self,
        transaction: &Transaction<'_>,
        tables: &Tables,
        changes: &'a [Change<SearchRows>],
    ) -> Result<Vec<&'a Entries>, tokio_postgres::Error> {
        let Some(newest) = changes.iter().map(|change| change.recorded_at.timestamp_micros()).max() else {
            return Ok(Vec::new());
        };
        let is_kept = |passed: &Passed<SearchRows>| {
            passed.until_at.timestamp_micros() >= newest.saturating_sub(KEPT_MICROSECONDS)
        };
        let into = format!(
            "{} (log, kind, seq, last_updated, until, until_at, id, tokens, spans)",
            tables.superseded
        );
        let (bigint, bigints) = (Type::INT8, Type::INT8_ARRAY);
        let types = [
            Type::INT2,
            Type::INT4,
            bigint.clone(),
            bigint.clone(),
            bigint.clone(),
            bigint,
            Type::TEXT,
            bigints.clone(),
            bigints,
        ];
        let mut copy = Copy::new(transaction, into, &types);
        let (mut left_out, mut texts) = (None, Vec::new());
        for change in changes {
            for passed in &change.passed {
                let Some(whole) = &passed.rows.0 else { continue };
                if !is_kept(passed) {
                    left_out = left_out.max(Some(number(passed.until)));
                    continue;
                }
                let until_at = passed.until_at.timestamp_micros();
                let until = tables.shelf.first(passed.until);
                for row in whole.rows(tables.shelf, &change.key, (passed.position, passed.recorded_at)) {
                    let Placed { kind, seq, last_updated, id, entries } = row;
                    let (tokens, spans) = (&entries.tokens, entries.flat_spans());
                    let values: [&(dyn ToSql + Sync); 9] =
                        [&self.log, &kind, &seq, &last_updated, &until, &until_at, &id, tokens, &spans];
                    copy.row(&values).await?;
                    texts.push(row);
                }
            }
        }
        copy.finish().await?;
        let kept = texts.iter().map(|row| row.entries).collect();
        self.copy_texts(transaction, tables, texts.into_iter()).await?;
        let Some(left_out) = left_out else { return Ok(kept) };
        let kept_from = "UPDATE anamnesis.projection_checkpoint SET kept_from = greatest(kept_from, $4)
            WHERE name = $1 AND version = $2 AND log = $3";
        let statement = transaction.prepare_cached(kept_from).await?;
        transaction.execute(&statement, &[&NAME, &self.tables.version, &self.log, &left_out]).await?;
        Ok(kept)
    }

    /// Drops superseded rows that nobody turns pages over any more, and says how far back is kept now.
    async fn drop_superseded(
        &self,
        transaction: &Transaction<'_>,
        changes: &[Change<SearchRows>],
    ) -> Result<(), tokio_postgres::Error> {
        let newest = changes.iter().map(|change| change.recorded_at.timestamp_micros()).max();
        let Some(newest) = newest else { return Ok(()) };
        if newest.saturating_sub(self.dropped_at.load(Ordering::Relaxed)) < DROP_EVERY_MICROSECONDS {
            return Ok(());
        }
        for tables in [&self.tables, &self.tables.contained()] {
            self.drop_superseded_of(transaction, tables, newest).await?;
        }
        self.dropped_at.store(newest, Ordering::Relaxed);
        Ok(())
    }

    async fn drop_superseded_of(
        &self,
        transaction: &Transaction<'_>,
        tables: &Tables,
        newest: i64,
    ) -> Result<(), tokio_postgres::Error> {
        let Tables { superseded, text, shelf, .. } = tables;
        let (unused, until) = (unused(tables, "dropped"), shelf.position("max(until)"));
        let statement = format!(
            "WITH dropped AS (
                 DELETE FROM {superseded} AS s USING (
                     SELECT until, seq FROM {superseded} WHERE log = $1 ORDER BY until, seq LIMIT $3) AS o
                 WHERE s.log = $1 AND s.until = o.until AND s.seq = o.seq AND s.until_at < $2
                 RETURNING s.until, s.seq, s.tokens),
             texts AS (
                 DELETE FROM {text} AS t USING dropped AS d WHERE t.log = $1 AND t.seq = d.seq),
             kept AS (
                 UPDATE anamnesis.projection_checkpoint AS c
                 SET kept_from = greatest(c.kept_from, (SELECT {until} FROM dropped))
                 WHERE c.name = $4 AND c.version = $5 AND c.log = $1 AND EXISTS (SELECT FROM dropped)),
             {unused}
             SELECT token FROM unused WHERE uses <= 0"
        );
        let statement = transaction.prepare_cached(&statement).await?;
        let before = newest.saturating_sub(KEPT_MICROSECONDS);
        let version = self.tables.version;
        let values: [&(dyn ToSql + Sync); 5] = [&self.log, &before, &DROPPED_MAX, &NAME, &version];
        let rows = transaction.query(&statement, &values).await?;
        labels::remove(transaction, tables, &rows).await
    }
}

/// Binary COPY into a table, begun with the first row.
struct Copy<'a> {
    transaction: &'a Transaction<'a>,
    statement: String,
    types: &'a [Type],
    writer: Option<Pin<Box<BinaryCopyInWriter>>>,
}

impl<'a> Copy<'a> {
    fn new(transaction: &'a Transaction<'a>, into: String, types: &'a [Type]) -> Self {
        Self { transaction, statement: format!("COPY {into} FROM STDIN BINARY"), types, writer: None }
    }

    async fn row(&mut self, values: &[&(dyn ToSql + Sync)]) -> Result<(), tokio_postgres::Error> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let statement = self.transaction.prepare_cached(&self.statement).await?;
                let sink = self.transaction.copy_in(&statement).await?;
                self.writer.insert(Box::pin(BinaryCopyInWriter::new(sink, self.types)))
            }
        };
        writer.as_mut().write(values).await
    }

    async fn finish(self) -> Result<(), tokio_postgres::Error> {
        match self.writer {
            Some(mut writer) => writer.as_mut().finish().await.map(|_rows| ()),
            None => Ok(()),
        }
    }
}
