//! Following the log once over all servers: whoever watches holds a lock, and where it has come to is kept in the database.

use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::AuditLog;
use crate::{AuditError, Number, Recorded};

/// Marks the advisory locks of those who watch; the log is in the lower half.
const MARK: i64 = 0x414E_4157 << 32;

/// The right to watch a log, which one holds at a time. It ends with its connection.
pub struct Watch {
    log: AuditLog,
    client: Client,
    driver: JoinHandle<()>,
    watched: Number,
}

impl AuditLog {
    /// Takes the watch; `None` where another server has it.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn watch(&self) -> Result<Option<Watch>, AuditError> {
        let (client, driver) = self.inner.connector.connect().await?;
        let lock = MARK | i64::from(self.inner.number);
        let taken: bool = client.query_one("SELECT pg_try_advisory_lock($1)", &[&lock]).await?.try_get(0)?;
        if !taken {
            return Ok(None);
        }
        let statement = "SELECT watched FROM anamnesis.audit_log WHERE log = $1";
        let watched = Number::from_sql(client.query_one(statement, &[&self.inner.number]).await?.try_get(0)?);
        Ok(Some(Watch { log: self.clone(), client, driver, watched }))
    }
}

impl Watch {
    /// Up to where everything has been done.
    #[must_use]
    pub fn watched(&self) -> Number {
        self.watched
    }

    /// The records after a number.
    ///
    /// # Errors
    /// When the database cannot be read or a block is damaged.
    pub async fn read(&self, after: Number, limit: usize) -> Result<Vec<Recorded>, AuditError> {
        self.log.read(after, limit).await
    }

    /// Notes that everything up to a number has been done.
    ///
    /// # Errors
    /// When the database cannot be written to. Then the watch may be somebody else's by now.
    pub async fn advance(&mut self, number: Number) -> Result<(), AuditError> {
        let statement = "UPDATE anamnesis.audit_log SET watched = greatest(watched, $2) WHERE log = $1";
        self.client.execute(statement, &[&self.log.inner.number, &number.to_sql()]).await?;
        self.watched = self.watched.max(number);
        Ok(())
    }
}

impl Watch {
    /// Gives the watch back, so that another server can take it at once. Dropping it does so too, a little later.
    pub async fn close(self) {
        let lock = MARK | i64::from(self.log.inner.number);
        // A connection that cannot say so has ended, and the watch with it.
        let _given_back = self.client.execute("SELECT pg_advisory_unlock($1)", &[&lock]).await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Watch").field("watched", &self.watched).finish_non_exhaustive()
    }
}
