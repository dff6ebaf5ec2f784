//! A digest of everything that the index says about a log: equal digests, equal answers.

use std::pin::pin;

use anamnesis_events::Event;
use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;

use super::contained::{Placed, Whole};
use super::shelf::Shelf;
use super::sql::labels_of_row;
use super::tables::Tables;
use crate::ProjectionError;
use crate::database::Database;

/// SHA-256 over the rows that a version has of all resources of the log, in the order of type number and position: what each is found
/// by, with its rows in the narrow tables; where some contain others, over that and the same of what they contain, in the order of the containers. Superseded rows and the checkpoint are not part of it: the same events give
/// the same digest, in whatever batches they came and whatever number the version has.
///
/// Reads the whole index; for auditors and tests.
///
/// # Errors
/// When the database cannot be read.
pub async fn digest(database: &Database, log: i16, version: i32) -> Result<[u8; 32], ProjectionError> {
    let mut client = database.get().await?;
    let transaction = client.build_transaction().read_only(true).start().await?;
    // Longer than a search may take.
    transaction.batch_execute("SET LOCAL statement_timeout = 0").await?;
    let tables = Tables::of(version);
    let mut digests = Digests::default();
    for tables in [&tables, &tables.contained()] {
        let statement = statement(tables);
        let mut rows = pin!(transaction.query_raw(&statement, [log]).await?);
        while let Some(row) = rows.try_next().await? {
            add(digests.of(tables.shelf), &row)?;
        }
    }
    Ok(digests.finish())
}

/// The digests of the shelves, while they are made.
#[derive(Debug, Default)]
pub(super) struct Digests {
    standing: Sha256,
    contained: Option<Sha256>,
}

impl Digests {
    fn of(&mut self, shelf: Shelf) -> &mut Sha256 {
        match shelf {
            Shelf::Standing => &mut self.standing,
            Shelf::Contained => self.contained.get_or_insert_default(),
        }
    }

    /// Adds what the index has of the resource of an event, and of what it contains.
    pub(super) fn add_resource(&mut self, event: &Event, whole: &Whole) {
        Indexed::add_resource(&mut self.standing, Shelf::Standing, event, whole);
        if !whole.contained.is_empty() {
            Indexed::add_resource(self.of(Shelf::Contained), Shelf::Contained, event, whole);
        }
    }

    pub(super) fn finish(self) -> [u8; 32] {
        let Some(contained) = self.contained else { return self.standing.finalize().into() };
        let mut both = Sha256::new();
        both.update(self.standing.finalize());
        both.update(contained.finalize());
        both.finalize().into()
    }
}
fn statement(tables: &Tables) -> String {
    let (from, order) = match tables.shelf {
        Shelf::Standing => (format!("{} AS m", tables.resource), "m.kind, m.seq"),
        // The place in the order of what they are in; without that they come last.
        Shelf::Contained => {
            let Tables { standing, resource, .. } = tables;
            let position = tables.shelf.position("m.seq");
            let from =
                format!("{resource} AS m LEFT JOIN {standing} AS c ON c.log = m.log AND c.seq = {position}");
            (from, "c.kind NULLS LAST, m.seq")
        }
    };
    let columns = columns(tables, &spans_of_families(tables));
    format!("SELECT {columns} FROM {from} WHERE m.log = $1 ORDER BY {order}")
}

/// Everything that a shelf has of the resource of a row `m`. `spans` is a query for its rows `s` of the table of spans.
pub(super) fn columns(tables: &Tables, spans: &str) -> String {
    let (Tables { text, .. }, labels) = (tables, labels_of_row(tables));
    format!(
        "m.kind, m.seq, m.last_updated, m.id, m.tokens, m.spans,
             ARRAY(SELECT x FROM ({spans}) AS s, unnest(ARRAY[s.key, s.low, s.high]) WITH ORDINALITY AS v (x, o)
                   ORDER BY s.key, s.low, s.high, o),
             ARRAY(SELECT t.key || ' ' || t.text FROM {text} AS t
                   WHERE t.log = m.log AND t.seq = m.seq ORDER BY t.key, t.text), {labels}"
    )
}

/// All rows of the table of spans that are of the families of a row `m`. For who reads the whole table.
fn spans_of_families(tables: &Tables) -> String {
    format!("SELECT * FROM {} AS one WHERE one.seq = m.seq AND one.key = ANY (m.spans)", tables.span)
}

/// What the index has of one resource, by its rows or by its event, with its rows in the narrow tables.
pub(super) struct Indexed<'a> {
    kind: i32,
    seq: i64,
    last_updated: i64,
    id: &'a str,
    tokens: &'a [i64],
    spans: &'a [i64],
    /// Triples of key, low and high, sorted.
    table_spans: &'a [i64],
    /// Keys and texts, with a space between, sorted.
    texts: Vec<&'a str>,
    /// The same of labels.
    labels: Vec<&'a str>,
}

impl Indexed<'_> {
    /// Adds what a shelf has of the resource of an event.
    pub(super) fn add_resource(hash: &mut Sha256, shelf: Shelf, event: &Event, whole: &Whole) {
        for Placed { kind, seq, last_updated, id, entries } in
            whole.rows(shelf, &event.key, (event.position, event.recorded_at))
        {
            let spans: Vec<[i64; 3]> =
                entries.table_spans().map(|span| [span.key, span.low, span.high]).collect();
            let texts: Vec<String> =
                entries.texts.iter().map(|text| format!("{} {}", text.key, text.text)).collect();
            let labels = entries.joined_labels();
            let indexed = Indexed {
                kind,
                seq,
                last_updated,
                id,
                tokens: &entries.tokens,
                spans: &entries.flat_spans(),
                table_spans: spans.as_flattened(),
                texts: texts.iter().map(String::as_str).collect(),
                labels: labels.iter().map(String::as_str).collect(),
            };
            indexed.add_to(hash);
        }
    }

    fn add_to(&self, hash: &mut Sha256) {
        let mut part = |bytes: &[u8]| {
            hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(bytes);
        };
        part(&self.kind.to_be_bytes());
        part(&self.seq.to_be_bytes());
        part(&self.last_updated.to_be_bytes());
        part(self.id.as_bytes());
        for numbers in [self.tokens, self.spans, self.table_spans] {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
            part(&bytes);
        }
        for text in self.texts.iter().chain(&self.labels) {
            part(text.as_bytes());
        }
    }
}

/// Adds a row of [`columns`].
pub(super) fn add(hash: &mut Sha256, row: &Row) -> Result<(), tokio_postgres::Error> {
    let (tokens, spans, table_spans): (Vec<i64>, Vec<i64>, Vec<i64>) =
        (row.try_get(4)?, row.try_get(5)?, row.try_get(6)?);
    let indexed = Indexed {
        kind: row.try_get(0)?,
        seq: row.try_get(1)?,
        last_updated: row.try_get(2)?,
        id: row.try_get(3)?,
        tokens: &tokens,
        spans: &spans,
        table_spans: &table_spans,
        texts: row.try_get(7)?,
        labels: row.try_get(8)?,
    };
    indexed.add_to(hash);
    Ok(())
}
