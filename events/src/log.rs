//! The handle of a workspace's log: opening, appending, the head and closing.

mod appender;
mod as_of;
mod batch;
mod claims;
mod connection;
mod data_keys;
pub(crate) mod decide;
mod erase;
mod erased;
mod existing;
mod guard;
mod history;
mod holder;
mod living;
mod measures;
mod migrate;
mod packed;
mod poll;
mod purge;
mod read;
mod recent;
mod remember;
pub(crate) mod ring;
pub(crate) mod row;
mod rows;
mod sealed;
mod standing;
mod statistics;
mod stored;
mod transaction;
mod verify;

use std::sync::{Arc, Mutex, PoisonError};

use deadpool_postgres::Pool;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::appender::{Appender, Broken, homes};
use self::batch::{Done, Pending};
use self::claims::Claims;
use self::connection::Connector;
use self::data_keys::DataKeys;
use self::measures::Measures;
use self::recent::Recent;
use crate::codec::Encoder;
use crate::draft::check;
use crate::{AppendError, Group, LogError, LogOptions, Position, PostgresFeed, Recorded, envelope};

pub use self::as_of::CompartmentAt;
pub use self::claims::{Claim, ClaimError};
pub use self::data_keys::{KeyStatus, SealedStep};
pub(crate) use self::erased::ErasedAt;
pub use self::history::{HistoryPage, HistoryRange, HistoryScope, Period};
pub use self::living::{Living, LivingAt};
pub use self::packed::Packed;
pub use self::purge::{Hold, Mentions, OpenPurge, PurgeError, PurgeReport, PurgeRequest};
pub use self::read::READ_EVENTS_MAX;
pub use self::standing::{HeadsPlace, Stand};
pub use self::stored::Stored;
pub use self::verify::Verified;

/// The longest name of a workspace, in bytes.
const WORKSPACE_BYTES_MAX: usize = 64;

/// The log of one workspace. Clones are handles of the same log. A second `Log` on the same workspace,
/// in this process or another, is a second appender on the same log, and safe.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

struct Inner {
    number: i16,
    workspace: Arc<str>,
    genesis: [u8; 32],
    pool: Pool,
    claims: Claims,
    data_keys: DataKeys,
    options: LogOptions,
    queue: mpsc::Sender<Pending>,
    queue_bytes: Arc<Semaphore>,
    head: Arc<watch::Sender<Position>>,
    /// Of bodies that leave the log; made when there is one.
    encoder: Mutex<Option<Encoder>>,
    recent: Recent,
    broken: Arc<watch::Sender<Broken>>,
    stop: CancellationToken,
    /// The appender and those beside it. They end when the log is closed or its last handle is dropped.
    tasks: Mutex<Vec<JoinHandle<()>>>,
    _stop_when_dropped: DropGuard,
}

impl Inner {
    /// Of the log with this number and workspace. Nothing is known of its end yet, and it has no tasks.
    fn new(
        (number, workspace): (i16, &str),
        (pool, claims, data_keys): (Pool, Claims, DataKeys),
        queue: mpsc::Sender<Pending>,
        stop: &CancellationToken,
        options: LogOptions,
    ) -> Self {
        Self {
            number,
            workspace: workspace.into(),
            genesis: envelope::genesis(workspace),
            pool,
            claims,
            data_keys,
            queue,
            queue_bytes: Arc::new(Semaphore::new(options.queue_bytes_max.min(Semaphore::MAX_PERMITS))),
            head: Arc::new(watch::Sender::new(Position::ZERO)),
            encoder: Mutex::default(),
            recent: Recent::default(),
            broken: Arc::new(watch::Sender::new(None)),
            stop: stop.clone(),
            tasks: Mutex::default(),
            _stop_when_dropped: stop.clone().drop_guard(),
            options,
        }
    }
}

impl Log {
    /// Opens the log of `workspace` in the database at `database_url` (a Postgres URL or connection
    /// string; Postgres 15 or newer): brings the schema up to date, checks the end of the chain and
    /// starts the appender. A log whose end is broken opens for reading and refuses appends.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), anamnesis_events::LogError> {
    /// use anamnesis_events::{Log, LogOptions, Position};
    /// let log = Log::open("postgres://localhost/anamnesis", "default", LogOptions::default()).await?;
    /// for event in log.read(Position::ZERO, 100).await? {
    ///     println!("{} {} {}", event.position, event.operation, event.key);
    /// }
    /// log.close().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the database cannot be reached, is newer than this program, or the workspace's name is not
    /// 1 to 64 bytes without control characters.
    pub async fn open(database_url: &str, workspace: &str, options: LogOptions) -> Result<Log, LogError> {
        if workspace.is_empty() || workspace.len() > WORKSPACE_BYTES_MAX {
            return Err(LogError::Workspace("must have 1 to 64 bytes"));
        }
        if workspace.chars().any(char::is_control) {
            return Err(LogError::Workspace("must not have control characters"));
        }
        let runtime = options.runtime.clone().unwrap_or_else(Handle::current);
        let connector = Connector::new(database_url, runtime.clone(), &options)?;
        let pool = connector.pool(options.pool_size)?;
        let mut client = pool.get().await.map_err(read::pool_error)?;
        migrate::migrate(&mut client).await?;
        let number = migrate::log_number(&client, workspace).await?;
        drop(client);

        let stop = CancellationToken::new();
        let (queue, waiting) = mpsc::channel(options.queue_groups_max.max(1));
        let claims = Claims::new(connector.pool(options.claims_max.max(1))?);
        let encryption = options.encryption.clone();
        let data_keys = DataKeys::open(pool.clone(), (number, workspace), encryption, true).await?;
        let connections = (pool.clone(), claims, data_keys.clone());
        let inner = Inner::new((number, workspace), connections, queue, &stop, options);
        let log = Log { inner: Arc::new(inner) };
        let known = log.check_end().await?;
        appender::advance(&log.inner.head, known.map_or(Position::ZERO, |tail| tail.position));
        let appender = Appender {
            log: number,
            genesis: log.inner.genesis,
            connector,
            pool,
            encoder: Encoder::new(log.inner.options.compression_level)
                .map_err(|error| LogError::Codec(error.to_string()))?,
            data_keys: data_keys.clone(),
            options: log.inner.options.clone(),
            head: log.inner.head.clone(),
            recent: log.inner.recent.clone(),
            broken: log.inner.broken.clone(),
            measures: Measures::new(workspace),
            known,
            partitioned_until: 0,
            session: None,
            is_guarded: false,
            given_up: false,
        };
        let (poller, statistics, forgetter) = (log.poller(), log.statistics(), log.forgetter());
        log.keep(runtime.spawn(appender.run(waiting, stop.clone())));
        log.keep(runtime.spawn(poller.run(stop.clone())));
        log.keep(runtime.spawn(log.releaser().run(stop.clone())));
        log.keep(runtime.spawn(statistics.run(stop.clone())));
        log.keep(runtime.spawn(data_keys.run(stop.clone())));
        log.keep(runtime.spawn(forgetter.run(stop)));
        Ok(log)
    }

    /// Records the group: durable, at consecutive positions, whole or not at all. A group without drafts
    /// is recorded as nothing. Dropping the future does not take the append back once it is queued.
    ///
    /// A group with an [`crate::Idempotency`] key is recorded once: appended again, it is answered with what was
    /// recorded the first time, and says so. Only what was recorded is remembered; after a refusal it is decided anew.
    ///
    /// # Errors
    /// A refusal says whose draft is at fault; nothing of the group is recorded then. Only
    /// [`AppendError::OutcomeUnknown`] leaves open whether the group was recorded.
    pub async fn append(&self, group: Group) -> Result<Vec<Recorded>, AppendError> {
        if group.drafts.is_empty() {
            return Ok(Vec::new());
        }
        let (events, bytes) = (group.drafts.len(), group.bytes());
        let inner = &self.inner;
        if events > inner.options.group_events_max || bytes > inner.options.queue_bytes_max {
            return Err(AppendError::TooLarge { events, bytes });
        }
        check(&group)?;
        let share = u32::try_from(bytes).map_err(|_| AppendError::TooLarge { events, bytes })?;
        let erasures = self.erasures(&group).await?;
        let keys = inner.data_keys.for_writing(homes(&group)).await;
        let keys = keys.map_err(|error| AppendError::Unavailable(error.to_string()))?;
        let permit =
            (inner.queue_bytes.clone().try_acquire_many_owned(share)).map_err(|_| AppendError::Overloaded)?;
        let (reply, answer) = oneshot::channel();
        inner.queue.try_send(Pending { group, keys, erasures, bytes, reply, permit }).map_err(|refused| {
            match refused {
                mpsc::error::TrySendError::Full(_) => AppendError::Overloaded,
                mpsc::error::TrySendError::Closed(_) => AppendError::Closed,
            }
        })?;
        // The appender answers everything it took; no answer means that its runtime is gone.
        match answer.await.unwrap_or(Err(AppendError::OutcomeUnknown))? {
            Done::Recorded(recorded) => Ok(recorded),
            Done::Before(span) => self.replay(span).await,
        }
    }

    /// The name of the workspace.
    pub fn workspace(&self) -> &str {
        &self.inner.workspace
    }

    /// The number by which the tables of the database know this log.
    pub fn number(&self) -> i16 {
        self.inner.number
    }

    /// The doorbell: the highest position that this process knows of. It moves before the writer of an
    /// event gets its answer, and within [`LogOptions::poll_interval`] for what other nodes append.
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.inner.head.subscribe()
    }

    /// Where and why the log was found broken, if it was: it takes no writes then.
    pub fn broken(&self) -> Option<(Position, String)> {
        self.inner.broken.borrow().clone()
    }

    /// The events after a position, in order, from the log itself.
    pub fn feed(&self, after: Position) -> PostgresFeed {
        PostgresFeed::new(self.clone(), after)
    }

    /// Whether [`Log::close`] was called.
    pub fn is_closed(&self) -> bool {
        self.inner.stop.is_cancelled()
    }

    /// Waits until [`Log::close`] is called.
    pub(crate) async fn closed(&self) {
        self.inner.stop.cancelled().await;
    }

    /// Takes no more appends, records and answers those that are queued, and ends the log's tasks.
    /// Reading goes on. Closing again does nothing.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        let tasks = std::mem::take(&mut *self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // A task that panicked has been logged by its runtime.
            let _ = task.await;
        }
    }

    fn keep(&self, task: JoinHandle<()>) {
        self.inner.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Log").field("workspace", &self.inner.workspace).finish_non_exhaustive()
    }
}
