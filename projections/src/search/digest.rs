//! A digest of everything that the index says about a log: equal digests, equal answers.

use std::pin::pin;

use futures::TryStreamExt;
use sha2::{Digest, Sha256};
use tokio_postgres::Row;

use super::tables::Tables;
use crate::ProjectionError;
use crate::database::Database;

/// SHA-256 over the rows that a version has of all resources of the log, in the order of type number and position: what each is found
/// by, with its rows in the narrow tables. Superseded rows and the checkpoint are not part of it: the same events give
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
    let Tables { resource, span, text, .. } = Tables::of(version);
    let statement = format!(
        "SELECT m.kind, m.seq, m.last_updated, m.id, m.tokens, m.spans,
             ARRAY(SELECT x FROM {span} AS s, unnest(ARRAY[s.key, s.low, s.high]) WITH ORDINALITY AS v (x, o)
                   WHERE s.seq = m.seq AND s.key = ANY (m.spans) ORDER BY s.key, s.low, s.high, o),
             ARRAY(SELECT t.key || ' ' || t.text FROM {text} AS t
                   WHERE t.log = m.log AND t.seq = m.seq ORDER BY t.key, t.text)
         FROM {resource} AS m WHERE m.log = $1 ORDER BY m.kind, m.seq"
    );
    let mut rows = pin!(transaction.query_raw(&statement, [log]).await?);
    let mut hash = Sha256::new();
    while let Some(row) = rows.try_next().await? {
        add(&mut hash, &row)?;
    }
    let mut digest = [0; 32];
    digest.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    Ok(digest)
}

fn add(hash: &mut Sha256, row: &Row) -> Result<(), tokio_postgres::Error> {
    let mut part = |bytes: &[u8]| {
        hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(bytes);
    };
    part(&row.try_get::<_, i32>(0)?.to_be_bytes());
    part(&row.try_get::<_, i64>(1)?.to_be_bytes());
    part(&row.try_get::<_, i64>(2)?.to_be_bytes());
    part(row.try_get::<_, &str>(3)?.as_bytes());
    for column in [4, 5, 6] {
        let numbers: Vec<i64> = row.try_get(column)?;
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        part(&bytes);
    }
    for text in row.try_get::<_, Vec<&str>>(7)? {
        part(text.as_bytes());
    }
    Ok(())
}
