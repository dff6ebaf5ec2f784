//! Retention: whole months are dropped when their last record is old enough.

use chrono::{DateTime, NaiveDate, Utc};

use super::AuditLog;
use super::migrate::next_month;
use crate::{AuditError, Number};

/// What was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// How many months.
    pub months: usize,
    /// The last record that was dropped, now or before; 0 where none was.
    pub after: Number,
}

/// The months of a log that have a table.
const MONTHS: &str = "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass(format('anamnesis.audit_block_%s', $1::smallint)) ORDER BY c.relname";
const LAST: &str = "SELECT last, hash FROM anamnesis.audit_block WHERE log = $1 AND month = $2
    ORDER BY last DESC LIMIT 1";
const KEEP: &str =
    "UPDATE anamnesis.audit_log SET kept_after = $2, kept_hash = $3, watched = greatest(watched, $2)
    WHERE log = $1 AND kept_after < $2";

impl AuditLog {
    /// Drops the months that ended before a time, oldest first. The number and hash of the last record that went stay, so that
    /// the chain can be verified from there on. The month of the head is never dropped.
    ///
    /// # Errors
    /// When the database refuses; what was dropped before stays dropped.
    pub async fn drop_before(&self, time: DateTime<Utc>) -> Result<Kept, AuditError> {
        let log = self.inner.number;
        let (mut client, driver) = self.inner.connector.connect().await?;
        let rows = client.query(MONTHS, &[&log]).await?;
        let mut months = 0;
        let newest: Option<NaiveDate> = client
            .query_opt(
                "SELECT month FROM anamnesis.audit_block WHERE log = $1 ORDER BY last DESC LIMIT 1",
                &[&log],
            )
            .await?
            .map(|row| row.try_get(0))
            .transpose()?;
        for row in &rows {
            let table: &str = row.try_get(0)?;
            let Some(month) = month_in(table) else { continue };
            if next_month(month) > time.date_naive() || newest.is_none_or(|newest| month >= newest) {
                continue;
            }
            let transaction = client.transaction().await?;
            if let Some(last) = transaction.query_opt(LAST, &[&log, &month]).await? {
                let (number, hash): (i64, Vec<u8>) = (last.try_get(0)?, last.try_get(1)?);
                transaction.execute(KEEP, &[&log, &number, &hash]).await?;
            }
            // The name comes from the database and was read as that of a month.
            transaction.batch_execute(&format!("DROP TABLE anamnesis.{table}")).await?;
            transaction.commit().await?;
            months += 1;
        }
        drop(client);
        // Ends by itself, as its client is gone.
        drop(driver);
        Ok(Kept { months, after: self.head().await?.kept_after })
    }
}

/// The month in `audit_block_1_202611`.
fn month_in(table: &str) -> Option<NaiveDate> {
    let (rest, digits) = table.rsplit_once('_')?;
    let is_ours = rest.strip_prefix("audit_block_")?.bytes().all(|byte| byte.is_ascii_digit());
    NaiveDate::parse_from_str(&format!("{digits}01"), "%Y%m%d").ok().filter(|_| is_ours && digits.len() == 6)
}
