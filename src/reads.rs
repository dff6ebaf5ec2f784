//! Reads by id: many clients' reads in one statement, always of what the log has now.
//!
//! Each worker takes what is queued as soon as its last statement has come back, and never lingers: alone, a read
//! waits for nobody; under load the cost of a statement is shared. Nothing is cached, so there is nothing that another
//! node could have changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anamnesis_events::{Event, Log, LogError, ResourceKey};
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::task::JoinHandle;

/// Reads that may wait; beyond it the answer is 503. At some thousands a second that is a wait of under a second.
const QUEUE_MAX: usize = 2048;
/// Reads in one statement: more would make the first wait for the last.
const BATCH_MAX: usize = 64;
/// Statements at the same time: while one is in the database, another one's results are unpacked.
const WORKERS: usize = 3;

/// Why a read failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Too many reads wait.
    #[error("too many reads wait")]
    Overloaded,
    /// The log could not be read; the same for all reads of the statement.
    #[error(transparent)]
    Log(Arc<LogError>),
    /// The server stops.
    #[error("reads have been stopped")]
    Stopped,
}

/// Reads of one log. A handle, free to clone; the workers end with the last one, or by [`Reads::stop`].
#[derive(Debug, Clone)]
pub struct Reads {
    queue: mpsc::Sender<Ask>,
    workers: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

#[derive(Debug)]
struct Ask {
    key: ResourceKey,
    reply: oneshot::Sender<Result<Option<Arc<Event>>, ReadError>>,
}

impl Reads {
    /// Starts the workers on a runtime.
    #[must_use]
    pub fn start(log: &Log, runtime: &Handle) -> Self {
        let (queue, asked) = mpsc::channel(QUEUE_MAX);
        let asked = Arc::new(AsyncMutex::new(asked));
        let worker = |_| runtime.spawn(work(log.clone(), Arc::clone(&asked)));
        Self { queue, workers: Arc::new(Mutex::new((0..WORKERS).map(worker).collect())) }
    }

    /// The newest event of a resource, a delete included; `None` if it has never existed.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn current(&self, key: ResourceKey) -> Result<Option<Arc<Event>>, ReadError> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Ask { key, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ReadError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => ReadError::Stopped,
        })?;
        answer.await.unwrap_or(Err(ReadError::Stopped))
    }

    /// Ends the workers; reads that wait are answered with [`ReadError::Stopped`].
    pub fn stop(&self) {
        for worker in self.workers.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            worker.abort();
        }
    }
}

/// Answers reads until the last handle is gone.
async fn work(log: Log, asked: Arc<AsyncMutex<mpsc::Receiver<Ask>>>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        // The lock is free while this worker's statement runs, so that another one can take the next batch.
        if asked.lock().await.recv_many(&mut batch, BATCH_MAX).await == 0 {
            return;
        }
        batch.retain(|ask| !ask.reply.is_closed());
        answer(&log, &mut batch).await;
    }
}

async fn answer(log: &Log, batch: &mut Vec<Ask>) {
    // One resource may be asked for by several.
    let mut places: HashMap<ResourceKey, usize> = HashMap::with_capacity(batch.len());
    let mut keys = Vec::with_capacity(batch.len());
    for ask in batch.iter() {
        places.entry(ask.key.clone()).or_insert_with(|| {
            keys.push(ask.key.clone());
            keys.len() - 1
        });
    }
    let found = match keys.as_slice() {
        [] => Ok(Vec::new()),
        keys => log.current_of_all(keys).await,
    };
    let found: Result<Vec<Option<Arc<Event>>>, Arc<LogError>> =
        found.map(|events| events.into_iter().map(|event| event.map(Arc::new)).collect()).map_err(Arc::new);
    for ask in batch.drain(..) {
        let event = match &found {
            Ok(events) => Ok(places.get(&ask.key).and_then(|place| events.get(*place)).cloned().flatten()),
            Err(error) => Err(ReadError::Log(Arc::clone(error))),
        };
        // Who has gone away needs no answer.
        let _gone = ask.reply.send(event);
    }
}
