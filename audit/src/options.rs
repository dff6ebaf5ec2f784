//! How an audit log is opened: limits with their reasons, the runtime and the clock.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::runtime::Handle;

/// Tells the time at which records are written. Injected, so that tests can let it jump.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// Limits and surroundings of an [`crate::AuditLog`].
#[derive(Clone)]
pub struct AuditOptions {
    /// Connections for auditors: few, and their searches must not take the server's cores from its clients.
    pub pool_size: usize,
    /// Accesses that may wait to be written: a second's worth of a fast server.
    pub queue_max: usize,
    /// Bytes that may wait to be written.
    pub queue_bytes_max: usize,
    /// Records of one commit: bounds the wait of those who come next.
    pub block_records_max: usize,
    /// Bytes of one commit, which is also the most that one access may have.
    pub block_bytes_max: usize,
    /// How long writing is tried again when the database fails.
    pub retry_for: Duration,
    /// How long a statement may take.
    pub statement_timeout: Duration,
    /// How long an auditor's statement may take.
    pub search_timeout: Duration,
    /// Where connections and the appender run; the current runtime if none is given.
    pub runtime: Option<Handle>,
    /// Tells the time.
    pub clock: Clock,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self {
            pool_size: 2,
            queue_max: 4096,
            queue_bytes_max: 32 << 20,
            block_records_max: 1024,
            block_bytes_max: 4 << 20,
            retry_for: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(10),
            search_timeout: Duration::from_secs(30),
            runtime: None,
            clock: Arc::new(Utc::now),
        }
    }
}

impl std::fmt::Debug for AuditOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AuditOptions")
            .field("queue_max", &self.queue_max)
            .field("queue_bytes_max", &self.queue_bytes_max)
            .field("block_records_max", &self.block_records_max)
            .finish_non_exhaustive()
    }
}
