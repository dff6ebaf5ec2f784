//! What the index has of contained resources: compared with their containers.
//!
//! Whatever is written of a container and of what it contains is written at once, and each statement sees one moment: what
//! differs here is wrong, and need not be looked at again.

use std::collections::HashMap;

use anamnesis_events::{Event, Position};
use sha2::{Digest, Sha256};

use super::again::{SAME_SPANS_MAX, SLOW};
use super::{Audit, Seen};
use crate::ProjectionError;
use crate::checkpoint::{number, unsigned};
use crate::search::contained::Whole;
use crate::search::digest::{self, Indexed};
use crate::search::key::type_number;
use crate::search::shelf::Shelf;
use crate::search::tables::Tables;

/// Positions with rows of what is not there that are told of.
const STRANGERS_MAX: i64 = 1000;

impl Audit<'_> {
    /// Compares what some resources contain, as far as they are still the newest.
    pub(super) async fn contained(
        &self,
        page: &[(&Event, Whole)],
        seen: &mut Seen,
    ) -> Result<(), ProjectionError> {
        let kinds: Vec<i32> = page.iter().map(|(event, _)| type_number(&event.key.resource_type)).collect();
        let seqs: Vec<i64> = page.iter().map(|(event, _)| number(event.position)).collect();
        let tables = self.tables.contained();
        let expected: Vec<bool> = page.iter().map(|(_, whole)| !whole.contained.is_empty()).collect();
        // Whether the container is still there is asked only where something is contained.
        let statement = format!(
            "SELECT {}, w.seq AS container, m.seq IS NOT NULL AS is_there
             FROM unnest($2::int4[], $3::bigint[], $4::bool[]) AS w (kind, seq, is_expected)
             LEFT JOIN {} AS m ON m.log = $1 AND {}
             WHERE CASE WHEN w.is_expected OR m.seq IS NOT NULL THEN EXISTS (
                 SELECT FROM {} AS one WHERE one.log = $1 AND one.kind = w.kind AND one.seq = w.seq) ELSE FALSE END
             ORDER BY w.seq, m.seq",
            digest::columns(&tables, &spans_where_named(&tables)),
            tables.resource,
            tables.shelf.came_with("m", "w.seq"),
            tables.standing,
        );
        let client = self.database.get().await?;
        let mut is: HashMap<i64, Sha256> = HashMap::new();
        for row in client.query(&statement, &[&self.log.number(), &kinds, &seqs, &expected]).await? {
            let hash = is.entry(row.try_get("container")?).or_default();
            if row.try_get("is_there")? {
                digest::add(hash, &row)?;
            }
        }
        for (event, whole) in page {
            let mut should = Sha256::new();
            Indexed::add_resource(&mut should, Shelf::Contained, event, whole);
            if is.remove(&number(event.position)).is_some_and(|is| is.finalize() != should.finalize()) {
                seen.faults.add(event.position, "the index has something else of what the resource contains");
            }
        }
        Ok(())
    }

    /// Tells of rows that are of no contained resource, and of spans that no row names.
    pub(super) async fn contained_strangers(&self, seen: &mut Seen) -> Result<(), ProjectionError> {
        let tables = self.tables.contained();
        let mut statements = vec![
            (
                without_container(&tables),
                "the index has rows of what the resource contained, but not the resource",
            ),
            (
                texts_of_nothing(&tables),
                "the index has rows of what the resource contained, but not the resource",
            ),
        ];
        // Spans do not say which log they are of.
        if !seen.keys.are_shared() {
            statements.push((
                spans_of_nothing(&tables),
                "the table of spans has other rows than what the resource contains gives",
            ));
        }
        let mut client = self.database.get().await?;
        for (statement, reason) in statements {
            let transaction = client.build_transaction().read_only(true).start().await?;
            transaction.batch_execute(SLOW).await?;
            let statement = format!("{statement} ORDER BY at LIMIT {STRANGERS_MAX}");
            for row in transaction.query(&statement, &[&self.log.number()]).await? {
                seen.faults.add(Position::new(unsigned(row.try_get(0)?)), reason);
            }
            transaction.commit().await?;
        }
        Ok(())
    }
}

/// The rows of the table of spans that have a key and a beginning of the row `m`. Written so that only the index by these
/// can be taken; what else the table has, [`spans_of_nothing`] tells.
fn spans_where_named(tables: &Tables) -> String {
    format!(
        "SELECT one.* FROM (
             SELECT DISTINCT m.spans[i] AS key, m.spans[i + 1] AS low
             FROM generate_series(1, cardinality(m.spans), 3) AS i) AS w
         CROSS JOIN LATERAL (
             SELECT * FROM {} AS s WHERE s.key = w.key AND s.low = w.low AND s.seq = m.seq
             LIMIT {SAME_SPANS_MAX}) AS one",
        tables.span
    )
}

fn without_container(tables: &Tables) -> String {
    let position = tables.shelf.position("m.seq");
    format!(
        "SELECT DISTINCT {position} AS at FROM {} AS m WHERE m.log = $1 AND NOT EXISTS (
             SELECT FROM {} AS r WHERE r.log = $1 AND r.seq = {position})",
        tables.resource, tables.standing,
    )
}

/// Texts of superseded rows are kept as long as these are.
fn texts_of_nothing(tables: &Tables) -> String {
    format!(
        "SELECT DISTINCT {} AS at FROM {} AS t WHERE t.log = $1
         AND NOT EXISTS (SELECT FROM {} AS m WHERE m.log = $1 AND m.seq = t.seq)
         AND NOT EXISTS (SELECT FROM {} AS s WHERE s.log = $1 AND s.seq = t.seq)",
        tables.shelf.position("t.seq"),
        tables.text,
        tables.resource,
        tables.superseded,
    )
}

fn spans_of_nothing(tables: &Tables) -> String {
    format!(
        "SELECT DISTINCT {} AS at FROM {} AS s LEFT JOIN {} AS m ON m.log = $1 AND m.seq = s.seq
         WHERE NOT EXISTS (SELECT FROM generate_series(1, cardinality(m.spans), 3) AS i
             WHERE m.spans[i] = s.key AND m.spans[i + 1] = s.low)",
        tables.shelf.position("s.seq"),
        tables.span,
        tables.resource,
    )
}
