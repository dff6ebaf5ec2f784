//! The appender: the one task of this process that writes to an audit log.
//!
//! It takes what is queued as soon as the last commit has returned and never waits for more: idle, a record costs one commit;
//! under load, many share one. An access is answered only when it is known what became of its records.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::Connector;
use super::migrate::month_of;
use super::session::{Block, Session, Tail};
use crate::block::Writer;
use crate::error::describe;
use crate::{AppendError, AuditOptions, Number, chain};

/// First wait before connecting again; doubles up to the longest.
const BACK_OFF: Duration = Duration::from_millis(10);
const BACK_OFF_MAX: Duration = Duration::from_millis(500);

/// After another server was quicker, so many blocks are written under the log's lock. Each then takes two round trips more,
/// and none waits for ever behind a busier server.
const LOCKED_BLOCKS: u32 = 64;

/// The records of one access, ready to be chained.
pub(crate) struct Pending {
    pub(crate) records: Vec<Vec<u8>>,
    pub(crate) tokens: Vec<i64>,
    pub(crate) bytes: usize,
    pub(crate) reply: oneshot::Sender<Result<Number, AppendError>>,
    /// Its share of the queue's memory, given back with the answer.
    pub(crate) permit: OwnedSemaphorePermit,
}

pub(crate) struct Appender {
    pub(crate) log: i16,
    pub(crate) connector: Connector,
    pub(crate) options: AuditOptions,
    pub(crate) compressor: zstd::bulk::Compressor<'static>,
    pub(crate) head: Arc<watch::Sender<Number>>,
    /// The end as this appender saw it last.
    pub(crate) tail: Tail,
    pub(crate) session: Option<Session>,
    /// The month whose table is known to be there.
    pub(crate) month: Option<NaiveDate>,
    /// Whether the last block was given up: the next ones get one attempt each until one succeeds.
    pub(crate) given_up: bool,
    /// How many of the next blocks are written under the log's lock.
    pub(crate) locked_blocks: u32,
    pub(crate) broken: Option<AppendError>,
}

/// What came of one attempt.
enum Attempt {
    Written,
    /// Another server was quicker; nothing was written.
    Overtaken,
    /// Nothing was written; the next attempt may succeed.
    Again(String),
    /// The log has become shorter, or its end is another.
    Broken(AppendError),
    /// It cannot be found out whether it was written.
    Unknown,
}

impl Appender {
    /// Runs until it is told to stop (what is queued then is still written) or nobody can send any more.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Pending>, stop: CancellationToken) {
        let mut carried = None;
        loop {
            let first = match carried.take() {
                Some(pending) => Some(pending),
                None => tokio::select! {
                    biased;
                    pending = queue.recv() => pending,
                    () = stop.cancelled(), if !queue.is_closed() => {
                        queue.close();
                        continue;
                    }
                },
            };
            let Some(first) = first else { return };
            let batch;
            (batch, carried) = self.collect(first, &mut queue);
            let outcome = self.record(&batch).await;
            answer(batch, &outcome);
            // Those who were just answered and have more to tell get to queue it first; otherwise they fall into two
            // halves that wait for each other's commits.
            tokio::task::yield_now().await;
        }
    }

    /// What shares the next commit, and what did not fit any more.
    fn collect(
        &self,
        first: Pending,
        queue: &mut mpsc::Receiver<Pending>,
    ) -> (Vec<Pending>, Option<Pending>) {
        let (mut records, mut bytes) = (first.records.len(), first.bytes);
        let mut batch = vec![first];
        while let Ok(next) = queue.try_recv() {
            records += next.records.len();
            bytes += next.bytes;
            if records > self.options.block_records_max || bytes > self.options.block_bytes_max {
                return (batch, Some(next));
            }
            batch.push(next);
        }
        (batch, None)
    }

    async fn record(&mut self, batch: &[Pending]) -> Result<Number, AppendError> {
        let patience = if self.given_up { Duration::ZERO } else { self.options.retry_for };
        let deadline = Instant::now() + patience;
        let mut pause = BACK_OFF;
        loop {
            if let Some(broken) = &self.broken {
                return Err(broken.clone());
            }
            let reason = match self.attempt(batch).await {
                Attempt::Written => {
                    self.given_up = false;
                    self.head.send_replace(self.tail.number);
                    return Ok(self.tail.number);
                }
                // Under the lock that cannot happen again.
                Attempt::Overtaken => continue,
                Attempt::Again(reason) => reason,
                Attempt::Broken(broken) => {
                    tracing::error!(error = %broken, "the audit log takes no more records");
                    self.broken = Some(broken);
                    continue;
                }
                Attempt::Unknown => return Err(AppendError::OutcomeUnknown),
            };
            if Instant::now() + pause > deadline {
                tracing::error!(%reason, "audit records were given up");
                self.given_up = true;
                return Err(AppendError::Unavailable(reason));
            }
            sleep(pause).await;
            pause = (pause * 2).min(BACK_OFF_MAX);
        }
    }

    /// One try. After a failure the session is gone.
    async fn attempt(&mut self, batch: &[Pending]) -> Attempt {
        if let Err(attempt) = self.prepare().await {
            return attempt;
        }
        let Some(session) = self.session.take() else { return Attempt::Again("no connection".into()) };
        let is_locked = self.locked_blocks > 0;
        if is_locked {
            match self.timed(session.lock()).await.map(|tail| self.follow(tail)) {
                Ok(Ok(())) => self.locked_blocks -= 1,
                Ok(Err(broken)) => return broken,
                Err(reason) => return Attempt::Again(reason),
            }
        }
        let block = self.block(batch);
        let written = async {
            let written = session.append(&self.tail, &block).await?;
            if is_locked {
                session.commit().await?;
            }
            Ok(written)
        };
        match self.timed(written).await {
            Ok(true) => {
                self.tail = block.tail;
                self.session = Some(session);
                Attempt::Written
            }
            // Another server was quicker: the block is made anew behind what it wrote.
            Ok(false) => {
                self.locked_blocks = LOCKED_BLOCKS;
                self.session = Some(session);
                Attempt::Overtaken
            }
            Err(reason) => {
                drop(session);
                tracing::warn!(%reason, "writing audit records failed; looking whether they are there");
                self.find_out(&block, reason).await
            }
        }
    }

    /// A session, and a table for the time of now.
    async fn prepare(&mut self) -> Result<(), Attempt> {
        if self.session.is_none() {
            let session =
                self.timed(Session::open(&self.connector, self.log)).await.map_err(Attempt::Again)?;
            let tail = self.timed(session.tail()).await.map_err(Attempt::Again)?;
            self.session = Some(session);
            self.follow(tail)?;
        }
        let month = month_of(self.next_time().date_naive());
        if self.month != Some(month)
            && let Some(mut session) = self.session.take()
        {
            self.timed(session.ensure_months(month)).await.map_err(Attempt::Again)?;
            self.session = Some(session);
            self.month = Some(month);
        }
        Ok(())
    }

    /// Takes the end as the database has it. It can only have moved on.
    fn follow(&mut self, tail: Tail) -> Result<(), Attempt> {
        let known = self.tail;
        let reason = if tail.number < known.number {
            "records that were written are gone"
        } else if tail.number == known.number && tail.hash != known.hash {
            "the last record is not the one that was written"
        } else {
            self.tail = tail;
            return Ok(());
        };
        Err(Attempt::Broken(AppendError::Broken { number: known.number, reason: reason.into() }))
    }

    /// Looks, on a new connection, whether a block was committed.
    async fn find_out(&mut self, block: &Block, reason: String) -> Attempt {
        let deadline = Instant::now() + self.options.retry_for;
        let mut pause = BACK_OFF;
        loop {
            if let Ok(session) = self.timed(Session::open(&self.connector, self.log)).await
                && let Ok(tail) = self.timed(session.tail()).await
                && let Ok(found) = self.timed(session.has(block)).await
            {
                self.session = Some(session);
                return match self.follow(tail) {
                    Ok(()) if found => Attempt::Written,
                    Ok(()) => Attempt::Again(reason),
                    Err(broken) => broken,
                };
            }
            if Instant::now() + pause > deadline {
                return Attempt::Unknown;
            }
            sleep(pause).await;
            pause = (pause * 2).min(BACK_OFF_MAX);
        }
    }

    /// Times strictly increase along the log, in whole microseconds, also when the clock jumps back.
    fn next_time(&self) -> DateTime<Utc> {
        let now = (self.options.clock)();
        let now = DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now);
        self.tail.recorded_at.map_or(now, |last| now.max(last + chrono::Duration::microseconds(1)))
    }

    /// Chains the records behind the end.
    fn block(&mut self, batch: &[Pending]) -> Block {
        let since = self.next_time();
        let capacity = batch.iter().map(|pending| pending.bytes + 12 * pending.records.len()).sum();
        let mut writer = Writer::new(capacity);
        let mut tokens = Vec::with_capacity(batch.iter().map(|pending| pending.tokens.len()).sum());
        let (mut tail, mut time) = (self.tail, since);
        for pending in batch {
            tokens.extend_from_slice(&pending.tokens);
            for record in &pending.records {
                let number = tail.number.next();
                let hash = chain::next(&tail.hash, number, time, record);
                writer.push(time, record);
                tail = Tail { number, hash, recorded_at: Some(time) };
                time += chrono::Duration::microseconds(1);
            }
        }
        tokens.sort_unstable();
        tokens.dedup();
        let until = tail.recorded_at.unwrap_or(since);
        let month = month_of(since.date_naive());
        Block { tail, month, since, until, tokens, body: writer.finish(&mut self.compressor) }
    }

    /// The server ends its statements by itself; this is for one that has gone silent.
    async fn timed<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, String> {
        match timeout(self.options.statement_timeout + Duration::from_secs(1), work).await {
            Ok(result) => result.map_err(|error| describe(&error)),
            Err(_) => Err("the database does not answer".to_owned()),
        }
    }
}

/// Answers everybody who waits for the block: the last number is told, which is all that they need.
fn answer(batch: Vec<Pending>, outcome: &Result<Number, AppendError>) {
    for pending in batch {
        drop(pending.permit);
        // Who has gone away needs no answer; the record stands.
        let _gone = pending.reply.send(outcome.clone());
    }
}
