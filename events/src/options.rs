//! How a log is opened: limits with their reasons, the runtime and the clock.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::runtime::Handle;

use crate::keys::Encryption;

/// Tells the time at which events are recorded. Injected, so that tests can let it jump.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// Limits and surroundings of a [`crate::Log`]. The defaults suit one server on one machine.
#[derive(Clone)]
pub struct LogOptions {
    /// Connections for reading. More than a few only compete for the same cores.
    pub pool_size: usize,
    /// Connections for claims, made when there are any: as many writers may hold one at once. Each holds its for a few
    /// milliseconds.
    pub claims_max: usize,
    /// Groups that may wait for the appender; beyond that appends are refused as overloaded.
    pub queue_groups_max: usize,
    /// Payload bytes that may wait for the appender: bounds its memory.
    pub queue_bytes_max: usize,
    /// Events in one database transaction: bounds the wait of those who come next.
    pub batch_events_max: usize,
    /// Payload bytes in one database transaction.
    pub batch_bytes_max: usize,
    /// Events in one group. A larger bundle belongs into an import.
    pub group_events_max: usize,
    /// Bytes of bodies after which a page of events ends, however many were asked for: bounds its memory. A page has at
    /// least one event.
    pub read_bytes_max: usize,
    /// Bytes of bodies that may be fetched by position in one call, which cannot be cut.
    pub fetch_bytes_max: usize,
    /// How long the appender keeps trying to record a batch when the database fails.
    pub retry_for: Duration,
    /// How often the head is looked up, to notice what other nodes append.
    pub poll_interval: Duration,
    /// How long idempotency keys are remembered at least. A day covers a client that tries again after a night's outage;
    /// each key costs some 150 bytes as long as it is kept.
    pub idempotency_retention: Duration,
    /// How often keys that are older are looked for.
    pub idempotency_sweep: Duration,
    /// How long a statement may take, waiting for locks included.
    pub statement_timeout: Duration,
    /// Events in one partition of the event table, for partitions made from now on.
    pub partition_events: u64,
    /// The zstd level of bodies. On an Observation of 1.3 kB level 5 takes 3.6 µs more than level 1, in some 160 that its
    /// write takes altogether, and saves 17 of 313 bytes; level 9 would take 10 µs and save 31.
    pub compression_level: i32,
    /// How bodies are sealed; `None` where they are stored in clear.
    pub encryption: Option<Encryption>,
    /// Where connections and the appender run; the current runtime if none is given.
    pub runtime: Option<Handle>,
    /// Tells the time.
    pub clock: Clock,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            pool_size: 4,
            claims_max: 4,
            queue_groups_max: 1024,
            queue_bytes_max: 64 << 20,
            batch_events_max: 512,
            batch_bytes_max: 4 << 20,
            group_events_max: 10_000,
            read_bytes_max: 64 << 20,
            fetch_bytes_max: 256 << 20,
            retry_for: Duration::from_secs(5),
            poll_interval: Duration::from_millis(100),
            idempotency_retention: Duration::from_hours(24),
            idempotency_sweep: Duration::from_secs(60),
            statement_timeout: Duration::from_secs(30),
            partition_events: 1 << 24,
            compression_level: 5,
            encryption: None,
            runtime: None,
            clock: Arc::new(Utc::now),
        }
    }
}

impl std::fmt::Debug for LogOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LogOptions")
            .field("pool_size", &self.pool_size)
            .field("claims_max", &self.claims_max)
            .field("queue_groups_max", &self.queue_groups_max)
            .field("queue_bytes_max", &self.queue_bytes_max)
            .field("batch_events_max", &self.batch_events_max)
            .field("batch_bytes_max", &self.batch_bytes_max)
            .field("group_events_max", &self.group_events_max)
            .field("read_bytes_max", &self.read_bytes_max)
            .field("fetch_bytes_max", &self.fetch_bytes_max)
            .field("retry_for", &self.retry_for)
            .field("poll_interval", &self.poll_interval)
            .field("idempotency_retention", &self.idempotency_retention)
            .field("idempotency_sweep", &self.idempotency_sweep)
            .field("statement_timeout", &self.statement_timeout)
            .field("partition_events", &self.partition_events)
            .field("compression_level", &self.compression_level)
            .field("encryption", &self.encryption)
            .finish_non_exhaustive()
    }
}
