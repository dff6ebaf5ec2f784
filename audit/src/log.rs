//! The handle of a workspace's audit log: opening, appending, closing.

mod appender;
mod connection;
mod migrate;
mod read;
mod retention;
mod search;
mod session;
mod verify;
mod watch;

use std::sync::{Arc, Mutex, PoisonError};

use deadpool_postgres::Pool;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot, watch as channel};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::appender::{Appender, Pending};
use self::connection::Connector;
use self::session::Session;
use crate::{AppendError, AuditError, AuditOptions, Number, Record, block, token};

pub use self::read::{Head, READ_RECORDS_MAX};
pub use self::retention::Kept;
pub use self::verify::{Break, Verified};
pub use self::watch::Watch;

/// The audit log of one workspace. Clones are handles of the same log. A second one on the same workspace, in this process or
/// another, is a second appender, and safe.
#[derive(Clone)]
pub struct AuditLog {
    inner: Arc<Inner>,
}

struct Inner {
    number: i16,
    workspace: Arc<str>,
    pool: Pool,
    connector: Connector,
    options: AuditOptions,
    /// `None` where it was opened for reading only.
    queue: Option<mpsc::Sender<Pending>>,
    queue_bytes: Arc<Semaphore>,
    head: Arc<channel::Sender<Number>>,
    stop: CancellationToken,
    /// Ends when the log is closed or its last handle is dropped.
    task: Mutex<Option<JoinHandle<()>>>,
    _stop_when_dropped: DropGuard,
}

impl AuditLog {
    /// Opens the audit log of `workspace`: brings the schema up to date and starts the appender.
    ///
    /// ```no_run
    /// # async fn example(record: anamnesis_audit::Record) -> Result<(), Box<dyn std::error::Error>> {
    /// use anamnesis_audit::{AuditLog, AuditOptions};
    /// let log = AuditLog::open("postgres://localhost/anamnesis", "default", AuditOptions::default()).await?;
    /// let number = log.append(vec![record]).await?;
    /// println!("written as {number}");
    /// log.close().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the database cannot be reached or is newer than this program.
    pub async fn open(
        database_url: &str,
        workspace: &str,
        options: AuditOptions,
    ) -> Result<Self, AuditError> {
        let connector = Connector::new(database_url, &options)?;
        let (mut client, driver) = connector.connect().await?;
        migrate::migrate(&mut client).await?;
        let number = migrate::log_number(&client, workspace).await?;
        drop(client);
        // The connection ends by itself, as its client is gone.
        drop(driver);
        let session = Session::open(&connector, number).await?;
        let tail = session.tail().await?;
        let (queue, waiting) = mpsc::channel(options.queue_max.max(1));
        let runtime = options.runtime.clone().unwrap_or_else(Handle::current);
        let log = Self::of((number, workspace), connector.clone(), Some(queue), options)?;
        log.inner.head.send_replace(tail.number);
        let appender = Appender {
            log: number,
            connector,
            options: log.inner.options.clone(),
            compressor: block::compressor().map_err(|error| AuditError::Codec(error.to_string()))?,
            head: log.inner.head.clone(),
            tail,
            session: Some(session),
            month: None,
            given_up: false,
            locked_blocks: 0,
            broken: None,
        };
        let task = runtime.spawn(appender.run(waiting, log.inner.stop.clone()));
        *log.inner.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(log)
    }

    /// Opens a log that is there for reading and verifying: nothing is written or changed.
    ///
    /// # Errors
    /// As [`AuditLog::open`]; when there is no such log.
    pub async fn open_for_reading(
        database_url: &str,
        workspace: &str,
        options: AuditOptions,
    ) -> Result<Self, AuditError> {
        let connector = Connector::new(database_url, &options)?;
        let (client, _driver) = connector.connect().await?;
        migrate::check(&client).await?;
        let number = migrate::known_number(&client, workspace).await?;
        Self::of((number, workspace), connector, None, options)
    }

    fn of(
        (number, workspace): (i16, &str),
        connector: Connector,
        queue: Option<mpsc::Sender<Pending>>,
        options: AuditOptions,
    ) -> Result<Self, AuditError> {
        let stop = CancellationToken::new();
        let pool = connector.reading(options.search_timeout).pool(options.pool_size)?;
        let inner = Inner {
            number,
            workspace: workspace.into(),
            pool,
            connector,
            queue,
            queue_bytes: Arc::new(Semaphore::new(options.queue_bytes_max.min(Semaphore::MAX_PERMITS))),
            head: Arc::new(channel::Sender::new(Number::ZERO)),
            stop: stop.clone(),
            task: Mutex::default(),
            _stop_when_dropped: stop.drop_guard(),
            options,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Writes the records of one access: durable, at consecutive numbers, all or none. Answers a number that is at least that
    /// of the last. Dropping the future does not take them back.
    ///
    /// # Errors
    /// Nothing was recorded, but for [`AppendError::OutcomeUnknown`], which leaves that open.
    pub async fn append(&self, records: Vec<Record>) -> Result<Number, AppendError> {
        let answer = self.queue(&records)?;
        // The appender answers everything that it took; no answer means that its runtime is gone.
        answer.await.unwrap_or(Err(AppendError::OutcomeUnknown))
    }

    /// Hands the records of one access over to be written, for whoever cannot wait for it.
    ///
    /// # Errors
    /// They were not taken.
    pub fn hand_over(&self, records: Vec<Record>) -> Result<(), AppendError> {
        // Nobody waits for the answer; what fails, the appender logs.
        self.queue(&records).map(drop)
    }

    fn queue(
        &self,
        records: &[Record],
    ) -> Result<oneshot::Receiver<Result<Number, AppendError>>, AppendError> {
        let inner = &self.inner;
        let queue = inner.queue.as_ref().ok_or(AppendError::Closed)?;
        let mut encoded = Vec::with_capacity(records.len());
        let mut tokens = Vec::with_capacity(12 * records.len());
        for record in records {
            tokens.extend(token::tokens(record));
            // Strings and numbers: there is nothing in a record that JSON does not have.
            let json = serde_json::to_vec(record);
            encoded.push(json.map_err(|error| AppendError::Unavailable(error.to_string()))?);
        }
        let bytes = encoded.iter().map(Vec::len).sum();
        let too_large = || AppendError::TooLarge(bytes);
        if bytes > inner.options.block_bytes_max.min(inner.options.queue_bytes_max) {
            return Err(too_large());
        }
        let share = u32::try_from(bytes).map_err(|_| too_large())?;
        let permit =
            inner.queue_bytes.clone().try_acquire_many_owned(share).map_err(|_| AppendError::Overloaded)?;
        let (reply, answer) = oneshot::channel();
        let pending = Pending { records: encoded, tokens, bytes, reply, permit };
        queue.try_send(pending).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => AppendError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => AppendError::Closed,
        })?;
        Ok(answer)
    }

    /// The name of the workspace.
    #[must_use]
    pub fn workspace(&self) -> &str {
        &self.inner.workspace
    }

    /// The highest number that this process has written or seen.
    #[must_use]
    pub fn written(&self) -> channel::Receiver<Number> {
        self.inner.head.subscribe()
    }

    /// Takes no more records, writes those that are queued and ends the appender. Reading goes on.
    pub async fn close(&self) {
        self.inner.stop.cancel();
        let task = self.inner.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // A task that panicked has been logged by its runtime.
            let _ended = task.await;
        }
    }
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AuditLog").field("workspace", &self.inner.workspace).finish_non_exhaustive()
    }
}
