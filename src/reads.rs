//! Reads by id and by position: many clients' reads in one statement, always of what the log has now.
//!
//! Each worker takes what is queued as soon as its last statement has come back, and never lingers: alone, a read
//! waits for nobody; under load the cost of a statement is shared. Nothing is cached, so there is nothing that another
//! node could have changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anamnesis_events::{Event, Log, LogError, Packed, Position, ResourceKey};
use tokio::runtime::Handle;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::task::JoinHandle;

/// Reads that may wait; beyond it the answer is 503. At some thousands a second that is a wait of under a second.
const QUEUE_MAX: usize = 2048;
/// Reads in one statement: more would make the first wait for the last.
const BATCH_MAX: usize = 64;
/// Statements at the same time: while one is in the database, another one's results are unpacked.
const WORKERS: usize = 3;
/// Positions of one read that shares its statement; who wants more has a statement alone, for which nobody else waits.
const SHARED_POSITIONS_MAX: usize = 64;

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
    log: Log,
    queue: mpsc::Sender<Ask>,
    /// By position, which take longer than by id.
    by_position: mpsc::Sender<AskAt>,
    workers: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

type Answer<T> = oneshot::Sender<Result<T, ReadError>>;

#[derive(Debug)]
enum Ask {
    Current { key: ResourceKey, reply: Answer<Option<Arc<Event>>> },
    Head { reply: Answer<Position> },
}

/// A read by position. Whoever asks unpacks what is found, so that this is done on as many threads as there are.
#[derive(Debug)]
struct AskAt {
    positions: Vec<Position>,
    reply: Answer<Vec<Packed>>,
}

impl Ask {
    /// Whether nobody waits for the answer any more.
    fn is_gone(&self) -> bool {
        match self {
            Self::Current { reply, .. } => reply.is_closed(),
            Self::Head { reply } => reply.is_closed(),
        }
    }
}

impl Reads {
    /// Starts the workers on a runtime.
    #[must_use]
    pub fn start(log: &Log, runtime: &Handle) -> Self {
        let (queue, asked) = mpsc::channel(QUEUE_MAX);
        let asked = Arc::new(AsyncMutex::new(asked));
        let (by_position, asked_at) = mpsc::channel(QUEUE_MAX);
        let asked_at = Arc::new(AsyncMutex::new(asked_at));
        let by_id = (0..WORKERS).map(|_| runtime.spawn(work(log.clone(), Arc::clone(&asked))));
        let at = (0..WORKERS).map(|_| runtime.spawn(work_at(log.clone(), Arc::clone(&asked_at))));
        let workers = Arc::new(Mutex::new(by_id.chain(at).collect()));
        Self { log: log.clone(), queue, by_position, workers }
    }

    /// The newest event of a resource, a delete included; `None` if it has never existed.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn current(&self, key: ResourceKey) -> Result<Option<Arc<Event>>, ReadError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Current { key, reply })?;
        answer.await.unwrap_or(Err(ReadError::Stopped))
    }

    /// The position of the last event, as the database has it now, whichever node wrote it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn head(&self) -> Result<Position, ReadError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Ask::Head { reply })?;
        answer.await.unwrap_or(Err(ReadError::Stopped))
    }

    /// The events at these positions, as [`Log::fetch`] gives them.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn fetch(&self, positions: Vec<Position>) -> Result<Vec<Event>, ReadError> {
        let failed = |error| ReadError::Log(Arc::new(error));
        if positions.is_empty() {
            return Ok(Vec::new());
        }
        if positions.len() > SHARED_POSITIONS_MAX {
            return self.log.fetch(&positions).await.map_err(failed);
        }
        let (reply, answer) = oneshot::channel();
        self.by_position.try_send(AskAt { positions, reply }).map_err(refused)?;
        let packed = answer.await.unwrap_or(Err(ReadError::Stopped))?;
        self.log.unpack(&packed).map_err(failed)
    }

    fn ask(&self, ask: Ask) -> Result<(), ReadError> {
        self.queue.try_send(ask).map_err(refused)
    }

    /// Ends the workers; reads that wait are answered with [`ReadError::Stopped`].
    pub fn stop(&self) {
        for worker in self.workers.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            worker.abort();
        }
    }
}

fn refused<T>(error: mpsc::error::TrySendError<T>) -> ReadError {
    match error {
        mpsc::error::TrySendError::Full(_) => ReadError::Overloaded,
        mpsc::error::TrySendError::Closed(_) => ReadError::Stopped,
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
        let (mut heads, mut reads) = (Vec::new(), Vec::with_capacity(batch.len()));
        for ask in batch.drain(..).filter(|ask| !ask.is_gone()) {
            match ask {
                Ask::Current { key, reply } => reads.push((key, reply)),
                Ask::Head { reply } => heads.push(reply),
            }
        }
        // Both statements begin after everybody in the batch has asked.
        futures::join!(answer_heads(&log, heads), answer_reads(&log, reads));
    }
}

/// Answers reads by position until the last handle is gone.
async fn work_at(log: Log, asked: Arc<AsyncMutex<mpsc::Receiver<AskAt>>>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        if asked.lock().await.recv_many(&mut batch, BATCH_MAX).await == 0 {
            return;
        }
        batch.retain(|ask: &AskAt| !ask.reply.is_closed());
        let mut wanted: Vec<Position> = batch.iter().flat_map(|ask| &ask.positions).copied().collect();
        wanted.sort_unstable();
        wanted.dedup();
        // One statement that begins after everybody in the batch has asked.
        let found = log.fetch_packed(&wanted).await.map_err(Arc::new);
        for AskAt { positions, reply } in batch.drain(..) {
            let packed = match &found {
                Ok(found) => Ok(positions.iter().filter_map(|one| found.get(one).cloned()).collect()),
                Err(error) => Err(ReadError::Log(Arc::clone(error))),
            };
            let _gone = reply.send(packed);
        }
    }
}

async fn answer_heads(log: &Log, heads: Vec<Answer<Position>>) {
    if heads.is_empty() {
        return;
    }
    let head = log.head().await.map_err(Arc::new);
    for reply in heads {
        // Who has gone away needs no answer.
        let _gone = reply.send(head.clone().map_err(ReadError::Log));
    }
}

async fn answer_reads(log: &Log, reads: Vec<(ResourceKey, Answer<Option<Arc<Event>>>)>) {
    // One resource may be asked for by several.
    let mut places: HashMap<&ResourceKey, usize> = HashMap::with_capacity(reads.len());
    let mut keys = Vec::with_capacity(reads.len());
    for (key, _) in &reads {
        places.entry(key).or_insert_with(|| {
            keys.push(key.clone());
            keys.len() - 1
        });
    }
    let found = match keys.as_slice() {
        [] => Ok(Vec::new()),
        keys => match log.current_of_all(keys).await {
            // Large resources asked for at the same time must not fail each other.
            Err(LogError::TooManyBytes { .. }) => one_by_one(log, keys).await,
            found => found,
        },
    };
    let found: Result<Vec<Option<Arc<Event>>>, Arc<LogError>> =
        found.map(|events| events.into_iter().map(|event| event.map(Arc::new)).collect()).map_err(Arc::new);
    let places: Vec<Option<usize>> = reads.iter().map(|(key, _)| places.get(key).copied()).collect();
    for ((_, reply), place) in reads.into_iter().zip(places) {
        let event = match &found {
            Ok(events) => Ok(place.and_then(|place| events.get(place)).cloned().flatten()),
            Err(error) => Err(ReadError::Log(Arc::clone(error))),
        };
        let _gone = reply.send(event);
    }
}

async fn one_by_one(log: &Log, keys: &[ResourceKey]) -> Result<Vec<Option<Event>>, LogError> {
    let mut events = Vec::with_capacity(keys.len());
    for key in keys {
        events.push(log.current(key).await?);
    }
    Ok(events)
}
