//! The projection: how definitions get into the tables.

use anamnesis_events::{Event, Position};
use deadpool_postgres::Transaction;

use super::rows::{self, ConceptRow, Definition};
use super::tables::{NAME, SCHEMA, Tables};
use crate::checkpoint::number;
use crate::tables::make_where_missing;
use crate::{Change, Erasing, Poison, Projection, ProjectionError};

/// The projection of stored terminology: one version of it, over the log with one number.
#[derive(Debug)]
pub struct TerminologyProjection {
    log: i16,
    tables: Tables,
}

/// What an event gives: a definition, or nothing.
#[derive(Debug)]
pub struct TerminologyRows(Option<Definition>);

impl TerminologyProjection {
    /// The name of the projection.
    pub const NAME: &str = NAME;
    /// The form of the rows that this program writes and reads.
    pub const SCHEMA: i32 = SCHEMA;

    /// The version with this number over the log with this number.
    #[must_use]
    pub fn new(log: i16, version: i32) -> Self {
        Self { log, tables: Tables::of(version) }
    }

    /// The rows of concepts, whole statements at a time: a fragment has some thousands.
    async fn insert(
        &self,
        transaction: &Transaction<'_>,
        (id, seq): (&str, i64),
        definition: &Definition,
    ) -> Result<(), tokio_postgres::Error> {
        let system = rows::system(self.log, &definition.url);
        let insert = format!(
            "INSERT INTO {} (log, seq, kind, url, version, content, declared, concepts, value_set, source, target, id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            self.tables.definition
        );
        let Definition { kind, url, version, content, declared, count, value_set, source, target, .. } =
            definition;
        let statement = transaction.prepare_cached(&insert).await?;
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 12] =
            [&self.log, &seq, kind, url, version, content, declared, count, value_set, source, target, &id];
        transaction.execute(&statement, &values).await?;
        let concepts = format!(
            "INSERT INTO {} (system, code, log, seq, body, words)
             SELECT $1, code, $2, $3, body, array_to_tsvector(string_to_array(words, ' '))
             FROM unnest($4::text[], $5::text[], $6::text[]) AS new (code, body, words)",
            self.tables.concept
        );
        let statement = transaction.prepare_cached(&concepts).await?;
        let column = |of: fn(&ConceptRow) -> &str| definition.concepts.iter().map(of).collect::<Vec<_>>();
        let (codes, bodies, words) =
            (column(|row| &row.code), column(|row| &row.body), column(|row| &row.words));
        transaction.execute(&statement, &[&system, &self.log, &seq, &codes, &bodies, &words]).await?;
        let edges = format!(
            "INSERT INTO {} (system, parent, child, log, seq)
             SELECT $1, parent, child, $2, $3 FROM unnest($4::text[], $5::text[]) AS new (parent, child)",
            self.tables.edge
        );
        let statement = transaction.prepare_cached(&edges).await?;
        let parents: Vec<&str> = definition.edges.iter().map(|(parent, _)| parent.as_str()).collect();
        let children: Vec<&str> = definition.edges.iter().map(|(_, child)| child.as_str()).collect();
        transaction.execute(&statement, &[&system, &self.log, &seq, &parents, &children]).await?;
        Ok(())
    }

    /// Takes away what is kept of the resources that stand at these events.
    async fn delete(&self, transaction: &Transaction<'_>, seqs: &[i64]) -> Result<(), tokio_postgres::Error> {
        for table in [&self.tables.definition, &self.tables.concept, &self.tables.edge] {
            let delete = format!("DELETE FROM {table} WHERE log = $1 AND seq = ANY($2)");
            let statement = transaction.prepare_cached(&delete).await?;
            transaction.execute(&statement, &[&self.log, &seqs]).await?;
        }
        Ok(())
    }
}

impl Projection for TerminologyProjection {
    type Rows = TerminologyRows;

    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i32 {
        self.tables.version
    }

    fn schema(&self) -> i32 {
        SCHEMA
    }

    fn rows(&self, event: &Event) -> Result<TerminologyRows, Poison> {
        rows::definition(self.log, event).map(TerminologyRows)
    }

    async fn prepare(&self, transaction: &Transaction<'_>) -> Result<(), ProjectionError> {
        make_where_missing(transaction, &self.tables.edge, || self.tables.create()).await
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
        changes: &[Change<TerminologyRows>],
        _reached: Position,
    ) -> Result<(), tokio_postgres::Error> {
        let replaced: Vec<i64> = changes.iter().filter_map(|change| change.replaces).map(number).collect();
        self.delete(transaction, &replaced).await?;
        for change in changes {
            if let Some(definition) = &change.rows.0 {
                self.insert(transaction, (&change.key.id, number(change.position)), definition).await?;
            }
        }
        Ok(())
    }

    /// Of a resource that is there only what it is now is kept. One that is parked still stands as it was before.
    async fn erase(
        &self,
        transaction: &Transaction<'_>,
        erasing: &[Erasing],
    ) -> Result<(), tokio_postgres::Error> {
        let parked = erasing.iter().filter(|one| one.is_parked);
        let of_types: Vec<&Erasing> =
            parked.filter(|one| rows::TYPES.contains(&&*one.key.resource_type)).collect();
        if of_types.is_empty() {
            return Ok(());
        }
        let kinds: Vec<&str> = of_types.iter().map(|one| &*one.key.resource_type).collect();
        let ids: Vec<&str> = of_types.iter().map(|one| one.key.id.as_str()).collect();
        let last: Vec<i64> = of_types.iter().map(|one| number(one.last)).collect();
        let first: Vec<i64> = of_types.iter().map(|one| if one.all { 0 } else { number(one.last) }).collect();
        let select = format!(
            "SELECT d.seq FROM {} AS d
             JOIN unnest($2::text[], $3::text[], $4::int8[], $5::int8[]) AS c (kind, id, first, last)
                 ON d.kind = c.kind AND d.id = c.id AND d.seq BETWEEN c.first AND c.last
             WHERE d.log = $1",
            self.tables.definition
        );
        let rows = transaction.query(&select, &[&self.log, &kinds, &ids, &first, &last]).await?;
        let seqs = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
        self.delete(transaction, &seqs).await
    }
}
