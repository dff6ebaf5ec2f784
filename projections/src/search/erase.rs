//! What the index keeps of versions that were erased: nothing, also not for those who still turn pages.

use deadpool_postgres::Transaction;
use tokio_postgres::types::ToSql;

use super::key::type_number;
use super::sql::unused;
use super::tables::Tables;
use super::write::labels;
use crate::Erasing;
use crate::checkpoint::number;

/// Takes away what is kept of erased versions beside what their resources are now.
pub(super) async fn erase(
    transaction: &Transaction<'_>,
    (tables, log): (&Tables, i16),
    erasing: &[Erasing],
) -> Result<(), tokio_postgres::Error> {
    replaced(transaction, (tables, log), erasing).await?;
    let (mut kinds, mut ids, mut until) = (Vec::new(), Vec::new(), Vec::new());
    let (mut left_kinds, mut left_ids) = (Vec::new(), Vec::new());
    let (mut left_first, mut left_last) = (Vec::new(), Vec::new());
    for one in erasing {
        let (kind, last) = (type_number(&one.key.resource_type), number(one.last));
        if one.is_parked {
            left_kinds.push(kind);
            left_ids.push(one.key.id.as_str());
            left_first.push(if one.all { 0 } else { last });
            left_last.push(last);
        }
        if one.all {
            kinds.push(kind);
            ids.push(one.key.id.as_str());
            until.push(last);
        }
    }
    let Tables { resource, superseded, span, text, .. } = tables;
    let unused = unused(tables, "gone");
    if !kinds.is_empty() {
        // Erasing whole histories is rare, and superseded rows are those of minutes: they are looked through.
        let statement = format!(
            "WITH gone AS (
                 DELETE FROM {superseded} AS s USING unnest($2::int4[], $3::text[], $4::int8[]) AS c (kind, id, last)
                 WHERE s.log = $1 AND s.kind = c.kind AND s.id = c.id AND s.seq <= c.last
                 RETURNING s.seq, s.tokens),
             texts AS (DELETE FROM {text} AS t USING gone AS g WHERE t.log = $1 AND t.seq = g.seq),
             {unused}
             SELECT token FROM unused WHERE uses <= 0"
        );
        let statement = transaction.prepare_cached(&statement).await?;
        let rows = transaction.query(&statement, &[&log, &kinds, &ids, &until]).await?;
        labels::remove(transaction, tables, &rows).await?;
    }
    if !left_kinds.is_empty() {
        // A resource that is parked still stands in the index as it was before. Nearly never: all of its type are looked
        // through.
        let statement = format!(
            "WITH gone AS (
                 DELETE FROM {resource} AS r
                 USING unnest($2::int4[], $3::text[], $4::int8[], $5::int8[]) AS c (kind, id, first, last)
                 WHERE r.log = $1 AND r.kind = c.kind AND r.id = c.id AND r.seq BETWEEN c.first AND c.last
                 RETURNING r.seq, r.tokens, r.spans),
             spans AS (
                 DELETE FROM {span} AS s USING gone AS g, generate_series(1, cardinality(g.spans), 3) AS i
                 WHERE s.key = g.spans[i] AND s.low = g.spans[i + 1] AND s.seq = g.seq),
             texts AS (DELETE FROM {text} AS t USING gone AS g WHERE t.log = $1 AND t.seq = g.seq),
             {unused}
             SELECT token FROM unused WHERE uses <= 0"
        );
        let values: [&(dyn ToSql + Sync); 5] = [&log, &left_kinds, &left_ids, &left_first, &left_last];
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
    let Tables { superseded, text, .. } = tables;
    let unused = unused(tables, "gone");
    let statement = format!(
        "WITH gone AS (
             DELETE FROM {superseded} AS s USING unnest($2::int8[], $3::int8[]) AS c (until, seq)
             WHERE s.log = $1 AND s.until = c.until AND s.seq = c.seq
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
