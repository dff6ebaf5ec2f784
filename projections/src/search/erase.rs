//! What the index keeps of versions that were erased: nothing, also not for those who still turn pages.

use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;

use super::key::type_number;
use super::shelf::Shelf;
use super::sql::unused;
use super::tables::Tables;
use super::write::labels;
use crate::Erasing;
use crate::checkpoint::number;

/// Takes away what is kept of erased versions, and of what they contained, beside what their resources are now.
pub(super) async fn erase(
    transaction: &Transaction<'_>,
    (tables, log): (&Tables, i16),
    erasing: &[Erasing],
) -> Result<(), tokio_postgres::Error> {
    for tables in [tables, &tables.contained()] {
        erase_of(transaction, (tables, log), erasing).await?;
    }
    Ok(())
}

/// In SQL: the rows `row` of the resource that `c` names.
fn is_of(tables: &Tables, row: &str) -> String {
    match tables.shelf {
        Shelf::Standing => format!("{row}.kind = c.kind AND {row}.id = c.id"),
        // Names of contained resources end with their container, see `contained::Name`.
        Shelf::Contained => format!("right({row}.id, length(c.name) + 1) = '#' || c.name"),
    }
}

async fn erase_of(
    transaction: &Transaction<'_>,
    (tables, log): (&Tables, i16),
    erasing: &[Erasing],
) -> Result<(), tokio_postgres::Error> {
    replaced(transaction, (tables, log), erasing).await?;
    let (mut kinds, mut ids, mut until) = (Vec::new(), Vec::new(), Vec::new());
    let (mut names, mut left_names) = (Vec::new(), Vec::new());
    let (mut left_kinds, mut left_ids) = (Vec::new(), Vec::new());
    let (mut left_first, mut left_last) = (Vec::new(), Vec::new());
    for one in erasing {
        let (kind, last) = (type_number(&one.key.resource_type), number(one.last));
        if one.is_parked {
            left_kinds.push(kind);
            left_ids.push(one.key.id.as_str());
            left_names.push(one.key.to_string());
            left_first.push(if one.all { 0 } else { last });
            left_last.push(last);
        }
        if one.all {
            kinds.push(kind);
            ids.push(one.key.id.as_str());
            names.push(one.key.to_string());
            until.push(last);
        }
    }
    let Tables { resource, superseded, span, text, shelf, .. } = tables;
    let position = |row: &str| shelf.position(&format!("{row}.seq"));
    let unused = unused(tables, "gone");
    if !kinds.is_empty() {
        let (is_of, position) = (is_of(tables, "s"), position("s"));
        // Erasing whole histories is rare, and superseded rows are those of minutes: they are looked through.
        let statement = format!(
            "WITH gone AS (
                 DELETE FROM {superseded} AS s
                 USING unnest($2::int4[], $3::text[], $4::text[], $5::int8[]) AS c (kind, id, name, last)
                 WHERE s.log = $1 AND {is_of} AND {position} <= c.last
                 RETURNING s.seq, s.tokens),
             texts AS (DELETE FROM {text} AS t USING gone AS g WHERE t.log = $1 AND t.seq = g.seq),
             {unused}
             SELECT token FROM unused WHERE uses <= 0"
        );
        let statement = transaction.prepare_cached(&statement).await?;
        let rows = transaction.query(&statement, &[&log, &kinds, &ids, &names, &until]).await?;
        labels::remove(transaction, tables, &rows).await?;
    }
    if !left_kinds.is_empty() {
        let (is_of, position) = (is_of(tables, "r"), position("r"));
        // A resource that is parked still stands in the index as it was before. Nearly never: all of its type are looked
        // through.
        let statement = format!(
            "WITH gone AS (
                 DELETE FROM {resource} AS r
                 USING unnest($2::int4[], $3::text[], $4::text[], $5::int8[], $6::int8[])
                     AS c (kind, id, name, first, last)
                 WHERE r.log = $1 AND {is_of} AND {position} BETWEEN c.first AND c.last
                 RETURNING r.seq, r.tokens, r.spans),
             spans AS (
                 DELETE FROM {span} AS s USING gone AS g, generate_series(1, cardinality(g.spans), 3) AS i
                 WHERE s.key = g.spans[i] AND s.low = g.spans[i + 1] AND s.seq = g.seq),
             texts AS (DELETE FROM {text} AS t USING gone AS g WHERE t.log = $1 AND t.seq = g.seq),
             {unused}
             SELECT token FROM unused WHERE uses <= 0"
        );
        let values: [&(dyn ToSql + Sync); 6] =
            [&log, &left_kinds, &left_ids, &left_names, &left_first, &left_last];
        let rows = transaction.query(&statement, &values).await?;
        labels::remove(transaction, tables, &rows).await?;
    }
    Ok(())
}

/// Versions that their successors have erased: those are found by the key of the table.
async fn replaced(
    transaction: &Transaction<'_>,
    (tables, log): (&Tables, i16),
    erasing: &[Erasing],
) -> Result<(), tokio_postgres::Error> {
    let (mut until, mut seqs) = (Vec::new(), Vec::new());
    for one in erasing.iter().filter(|one| !one.all) {
        until.push(number(one.by));
        seqs.push(number(one.last));
    }
    if seqs.is_empty() {
        return Ok(());
    }
    let Tables { superseded, text, shelf, .. } = tables;
    let (came_with, kept_until) = (shelf.came_with("s", "c.seq"), shelf.until("c.until"));
    let unused = unused(tables, "gone");
    let statement = format!(
        "WITH gone AS (
             DELETE FROM {superseded} AS s USING unnest($2::int8[], $3::int8[]) AS c (until, seq)
             WHERE s.log = $1 AND s.until = {kept_until} AND {came_with}
             RETURNING s.seq, s.tokens),
         texts AS (DELETE FROM {text} AS t USING gone AS g WHERE t.log = $1 AND t.seq = g.seq),
         {unused}
         SELECT token FROM unused WHERE uses <= 0"
    );
    let statement = transaction.prepare_cached(&statement).await?;
    let rows = transaction.query(&statement, &[&log, &until, &seqs]).await?;
    labels::remove(transaction, tables, &rows).await?;
    Ok(())
}
