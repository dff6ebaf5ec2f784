//! How labels get into their tables, and out of them with the last row that has them.

use deadpool_postgres::Transaction;
use tokio_postgres::Row;

use crate::search::label::{Uses, beginnings};
use crate::search::tables::Tables;

/// Counts rows for their labels; those that are new get their words. The checkpoint is held, so that nobody else counts
/// labels of this log meanwhile.
pub(super) async fn add(
    transaction: &Transaction<'_>,
    tables: &Tables,
    uses: &Uses<'_>,
) -> Result<(), tokio_postgres::Error> {
    if uses.is_empty() {
        return Ok(());
    }
    let Tables { label, label_word, .. } = tables;
    let (mut tokens, mut keys, mut texts, mut counts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (label, count) in uses.iter() {
        tokens.push(label.token);
        keys.push(label.key);
        texts.push(label.text.as_str());
        counts.push(count);
    }
    // A label without rows is not there: where there are as many rows as are added, it is new.
    let statement = format!(
        "WITH added AS (
             INSERT INTO {label} AS l (token, key, uses, text)
             SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::text[])
             ON CONFLICT (token) DO UPDATE SET uses = l.uses + excluded.uses RETURNING l.token, l.uses)
         SELECT a.token FROM added AS a JOIN unnest($1::int8[], $3::int8[]) AS u (token, uses)
             ON a.token = u.token AND a.uses = u.uses"
    );
    let statement = transaction.prepare_cached(&statement).await?;
    let rows = transaction.query(&statement, &[&tokens, &keys, &counts, &texts]).await?;
    let (mut tokens, mut keys, mut texts) = (Vec::new(), Vec::new(), Vec::new());
    for row in &rows {
        let Some(label) = uses.get(row.try_get(0)?) else { continue };
        for text in beginnings(&label.text) {
            tokens.push(label.token);
            keys.push(label.key);
            texts.push(text);
        }
    }
    if tokens.is_empty() {
        return Ok(());
    }
    let statement = format!(
        "INSERT INTO {label_word} (key, token, text) SELECT * FROM unnest($1::int8[], $2::int8[], $3::text[])"
    );
    let statement = transaction.prepare_cached(&statement).await?;
    transaction.execute(&statement, &[&keys, &tokens, &texts]).await?;
    Ok(())
}

/// Takes away the labels that have no row left; `rows` are their tokens.
pub(in crate::search) async fn remove(
    transaction: &Transaction<'_>,
    tables: &Tables,
    rows: &[Row],
) -> Result<(), tokio_postgres::Error> {
    let tokens: Vec<i64> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    if tokens.is_empty() {
        return Ok(());
    }
    let Tables { label, label_word, .. } = tables;
    let statement = format!(
        "WITH gone AS (DELETE FROM {label} WHERE token = ANY ($1) AND uses <= 0 RETURNING token)
         DELETE FROM {label_word} AS w USING gone AS g WHERE w.token = g.token"
    );
    let statement = transaction.prepare_cached(&statement).await?;
    transaction.execute(&statement, &[&tokens]).await?;
    Ok(())
}
