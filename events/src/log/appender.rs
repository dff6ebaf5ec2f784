//! The appender: the one task that writes to a log from this process.
//!
//! It takes what is queued as soon as the previous commit has returned, and never waits for more: idle,
//! a write costs one commit; under load, at most two, and the batches grow by themselves. It owns its
//! connection and nobody cancels it. A write is answered only when it is known what became of it.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::batch::{Done, Pending, Prepared, Storing, prepare};
use super::connection::Connector;
use super::data_keys::DataKeys;
use super::decide::{Recorded, Wanted, decide};
use super::guard;
use super::measures::Measures;
use super::migrate::ensure_partitions;
use super::recent::Recent;
use super::transaction::{Session, Tail};
use crate::codec::Encoder;
use crate::{AppendError, Draft, Group, LogError, LogOptions, Position, error};

/// First wait before connecting again; doubles up to the longest.
const BACK_OFF: Duration = Duration::from_millis(10);
const BACK_OFF_MAX: Duration = Duration::from_millis(500);

/// Where and why the log was found broken, once it was.
pub(crate) type Broken = Option<(Position, String)>;

pub(crate) struct Appender {
    pub(crate) log: i16,
    pub(crate) genesis: [u8; 32],
    pub(crate) connector: Connector,
    pub(crate) pool: Pool,
    pub(crate) options: LogOptions,
    pub(crate) encoder: Encoder,
    pub(crate) data_keys: DataKeys,
    pub(crate) head: Arc<watch::Sender<Position>>,
    pub(crate) recent: Recent,
    pub(crate) broken: Arc<watch::Sender<Broken>>,
    pub(crate) measures: Measures,
    /// The end of the log as this appender saw it last: it can only move on.
    pub(crate) known: Option<Tail>,
    /// How far the partitions reach, as far as this appender knows.
    pub(crate) partitioned_until: i64,
    pub(crate) session: Option<Session>,
    /// Whether there were guards on compartments when it looked last: then it asks for those of each batch.
    pub(crate) is_guarded: bool,
    /// Whether the last batch was given up: the next ones get one attempt each until one succeeds, so that
    /// those who wait behind each other are told soon.
    pub(crate) given_up: bool,
}

/// Why a batch was not recorded in one attempt.
enum Failure {
    /// Nothing was recorded; trying again may help.
    Retry(String),
    /// The database refused these very rows; trying them again together will not help.
    Refused(String),
    /// The transaction may have committed with this end.
    Unknown(String, Box<Prepared>),
    /// The log is not as this appender left it.
    Broken(Position, String),
}

impl Appender {
    /// Runs until it is told to stop (what is queued then is still written) or nobody can send any more.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Pending>, stop: CancellationToken) {
        // Before anybody's patience is measured: making the first partitions may take longer than that.
        self.look_ahead().await;
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
            self.measures.batch(&batch, queue.len());
            let started = Instant::now();
            self.record(batch).await;
            self.measures.appended(started.elapsed());
            self.look_ahead().await;
            // Writers that were just answered and have more to write get to queue it first. Otherwise the
            // writers fall into two halves that wait for each other's commits. Costs no time when idle.
            tokio::task::yield_now().await;
        }
    }

    /// The first group and what is queued behind it, within the limits of a batch; and the group that
    /// did not fit any more.
    fn collect(
        &self,
        first: Pending,
        queue: &mut mpsc::Receiver<Pending>,
    ) -> (Vec<Pending>, Option<Pending>) {
        // What others of the batch are judged by must not change within it.
        if guards(&first) {
            return (vec![first], None);
        }
        let (mut events, mut bytes) = (first.group.drafts.len(), first.bytes);
        let mut batch = vec![first];
        while let Ok(next) = queue.try_recv() {
            events += next.group.drafts.len();
            bytes += next.bytes;
            if guards(&next) || events > self.options.batch_events_max || bytes > self.options.batch_bytes_max
            {
                return (batch, Some(next));
            }
            batch.push(next);
        }
        (batch, None)
    }

    /// Records a batch and answers its writers; when the database refuses it, group by group, so that
    /// one group's rows do not stand in the way of the others.
    async fn record(&mut self, batch: Vec<Pending>) {
        if let Some(batch) = self.record_whole(batch).await {
            for pending in batch {
                self.record_whole(vec![pending]).await;
            }
        }
    }

    /// Gives the batch back when it was refused and can be split.
    async fn record_whole(&mut self, mut batch: Vec<Pending>) -> Option<Vec<Pending>> {
        let patience = if self.given_up { Duration::ZERO } else { self.options.retry_for };
        let deadline = Instant::now() + patience;
        let mut pause = BACK_OFF;
        loop {
            if let Some((position, reason)) = self.broken.borrow().clone() {
                answer_all(batch, &AppendError::Broken { position, reason });
                return None;
            }
            let failure = match self.attempt(&mut batch).await {
                Ok(prepared) => {
                    self.answer(batch, prepared);
                    return None;
                }
                Err(failure) => failure,
            };
            let reason = match failure {
                Failure::Broken(position, reason) => {
                    self.declare_broken(position, reason);
                    continue;
                }
                Failure::Refused(_) if batch.len() > 1 => return Some(batch),
                Failure::Refused(reason) => {
                    tracing::error!(%reason, "the database refused an append");
                    answer_all(batch, &AppendError::Unavailable(reason));
                    return None;
                }
                Failure::Unknown(reason, prepared) => {
                    tracing::warn!(%reason, "an append failed while committing; looking whether it is there");
                    match self.find_out(&prepared, deadline).await {
                        Some(true) => {
                            self.answer(batch, *prepared);
                            return None;
                        }
                        Some(false) => reason,
                        None => {
                            answer_unknown(batch, *prepared);
                            return None;
                        }
                    }
                }
                Failure::Retry(reason) => reason,
            };
            if Instant::now() + pause > deadline {
                tracing::error!(%reason, "an append was given up");
                self.given_up = true;
                answer_all(batch, &AppendError::Unavailable(reason));
                return None;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACK_OFF_MAX);
        }
    }

    /// One transaction. After any failure the session is gone.
    async fn attempt(&mut self, batch: &mut [Pending]) -> Result<Prepared, Failure> {
        let session = match self.session.take() {
            Some(session) => session,
            None => self.open_session().await?,
        };
        let (tail, mut recorded) = self.begin(&session, batch).await?;
        self.check(tail)?;
        self.known = tail;
        if !recorded.destroyed_keys.is_empty() {
            // Gives the lock back, gets other keys and begins again.
            drop(session);
            self.replace_keys(batch, &recorded.destroyed_keys).await?;
            return Err(Failure::Retry("a data key was destroyed meanwhile".to_owned()));
        }
        guard::keep_held(batch, &recorded.guards);
        recorded.refused = guard::refused(batch, &recorded.guards);
        let position = tail.map_or(Position::ZERO, |tail| tail.position);
        let verdict = decide(&recorded, position, batch.iter().map(|pending| &pending.group));
        if verdict.tail == position {
            self.timed(session.rollback()).await.map_err(Failure::Retry)?;
        } else if verdict.tail.to_sql() >= self.partitioned_until {
            // Gives the lock back, makes room and begins again.
            drop(session);
            self.make_partitions(verdict.tail).await?;
            return Err(Failure::Retry("the event table had no room".to_owned()));
        }
        let any_won = verdict.tail != position;
        let now = (self.options.clock)();
        let sealing = self.data_keys.is_on().then(|| self.data_keys.genesis());
        let store = Storing { encoder: &mut self.encoder, sealing };
        let prepared = prepare(batch, verdict, (tail, self.genesis), now, store)
            .map_err(|error| Failure::Refused(error.to_string()))?;
        if any_won {
            match tokio::time::timeout(self.patience(), session.commit(&prepared.writes)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) if is_refusal(&error) => {
                    return Err(Failure::Refused(error::describe(&error)));
                }
                Ok(Err(error)) => {
                    return Err(Failure::Unknown(error::describe(&error), Box::new(prepared)));
                }
                Err(_) => {
                    return Err(Failure::Unknown("the database does not answer".into(), Box::new(prepared)));
                }
            }
        }
        self.session = Some(session);
        Ok(prepared)
    }

    /// Takes the lock and reads what the batch is to be compared with; a second time where there are guards now that were not
    /// asked for.
    async fn begin(
        &mut self,
        session: &Session,
        batch: &[Pending],
    ) -> Result<(Option<Tail>, Recorded), Failure> {
        let known = self.known.map_or(Position::ZERO, |tail| tail.position);
        loop {
            let asks = self.is_guarded || batch.iter().any(guards);
            let mut wanted = Wanted::of(batch.iter().map(|pending| &pending.group));
            wanted.data_keys = keys_of(batch);
            wanted.compartments = if asks { guard::wanted(batch) } else { Vec::new() };
            let (tail, recorded) = self.timed(session.begin(known, wanted)).await.map_err(Failure::Retry)?;
            self.is_guarded = recorded.is_guarded;
            if asks || !recorded.is_guarded {
                return Ok((tail, recorded));
            }
            self.timed(session.rollback()).await.map_err(Failure::Retry)?;
        }
    }

    /// Gets the groups that were to be sealed with destroyed keys others.
    async fn replace_keys(&self, batch: &mut [Pending], destroyed: &[u32]) -> Result<(), Failure> {
        self.data_keys.forget(destroyed);
        for pending in batch {
            if !pending.keys.values().any(|key| destroyed.contains(&key.number())) {
                continue;
            }
            let made = self.data_keys.for_writing(homes(&pending.group)).await;
            pending.keys = made.map_err(|error| Failure::Retry(error.to_string()))?;
        }
        Ok(())
    }

    /// The end of the log is where this appender saw it last, or further on.
    fn check(&self, tail: Option<Tail>) -> Result<(), Failure> {
        let Some(known) = self.known else { return Ok(()) };
        match tail {
            None => Err(Failure::Broken(known.position, "events that were recorded are gone".into())),
            Some(tail) if tail.position == known.position && tail.hash != known.hash => {
                Err(Failure::Broken(known.position, "the last event is not the one recorded".into()))
            }
            Some(_) => Ok(()),
        }
    }

    fn declare_broken(&self, position: Position, reason: String) {
        tracing::error!(%position, %reason, "the log is broken at position {position}; it takes no more writes");
        self.broken.send_replace(Some((position, reason)));
    }

    /// Looks, on a new connection, whether the batch was committed; `None` if that cannot be found out
    /// before the deadline.
    async fn find_out(&mut self, prepared: &Prepared, deadline: Instant) -> Option<bool> {
        let tail = prepared.tail?;
        let mut pause = BACK_OFF;
        loop {
            if let Ok(session) = self.open_session().await
                && let Ok(found) = self.timed(session.has(tail.position, &tail.hash)).await
            {
                self.session = Some(session);
                return Some(found);
            }
            if Instant::now() + pause > deadline {
                return None;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACK_OFF_MAX);
        }
    }

    /// Answers what was committed, and rings the doorbell before: a reader that was told of a position
    /// finds the head there.
    fn answer(&mut self, batch: Vec<Pending>, prepared: Prepared) {
        self.given_up = false;
        if let Some(tail) = prepared.tail {
            self.known = Some(tail);
            self.recent.take(prepared.events, !prepared.writes.erased.is_empty());
            advance(&self.head, tail.position);
            self.measures.head(tail.position);
        }
        for (pending, answer) in batch.into_iter().zip(prepared.answers) {
            match &answer {
                Err(AppendError::Conflict { .. }) => self.measures.conflict(),
                Ok(Done::Before(_)) => self.measures.repeated(),
                _ => {}
            }
            pending.answer(answer);
        }
    }

    async fn open_session(&mut self) -> Result<Session, Failure> {
        self.timed(Session::open(&self.connector, self.log)).await.map_err(Failure::Retry)
    }

    /// Makes the next partition while the last one still has a quarter of its room.
    async fn look_ahead(&mut self) {
        let reached = self.known.map_or(Position::ZERO, |tail| tail.position);
        if self.needed(reached) >= self.partitioned_until
            && let Err(Failure::Retry(reason)) = self.make_partitions(reached).await
        {
            tracing::warn!(%reason, "no partition could be made ahead; the next batch will try again");
        }
    }

    fn needed(&self, reach: Position) -> i64 {
        reach.plus(self.options.partition_events / 4).to_sql()
    }

    async fn make_partitions(&mut self, reach: Position) -> Result<(), Failure> {
        let size = Position::new(self.options.partition_events.max(1)).to_sql();
        let needed = self.needed(reach);
        let made = async {
            let mut client = self.pool.get().await.map_err(|error| LogError::Pool(error.to_string()))?;
            ensure_partitions(&mut client, needed, size).await
        };
        self.partitioned_until = made.await.map_err(|error| Failure::Retry(error.to_string()))?;
        Ok(())
    }

    /// The server ends its statements by itself; this is for a server that has gone silent.
    fn patience(&self) -> Duration {
        self.options.statement_timeout + Duration::from_secs(1)
    }

    async fn timed<T>(
        &self,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, String> {
        match tokio::time::timeout(self.patience(), work).await {
            Ok(result) => result.map_err(|error| error::describe(&error)),
            Err(_) => Err("the database does not answer".to_owned()),
        }
    }
}

/// Whether the server refused the rows for what they are (SQLSTATE classes data exception, integrity
/// violation and program limit): the transaction is certainly rolled back.
fn is_refusal(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.code().starts_with(class)))
}

/// Whether a group changes what may be written in a compartment.
fn guards(pending: &Pending) -> bool {
    pending.group.drafts.iter().any(Draft::guards)
}

/// The compartments for whose data keys a group asks: those of the drafts with a body.
pub(crate) fn homes(group: &Group) -> impl Iterator<Item = &str> {
    group.drafts.iter().filter(|draft| !draft.payload.is_empty()).map(|draft| draft.home.as_str())
}

/// The numbers of the data keys of a batch, each once.
fn keys_of(batch: &[Pending]) -> Vec<i32> {
    let all = batch.iter().flat_map(|pending| pending.keys.values());
    let mut numbers: Vec<i32> = all.filter_map(|key| i32::try_from(key.number()).ok()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Moves the doorbell on, never back.
pub(crate) fn advance(head: &watch::Sender<Position>, position: Position) {
    head.send_if_modified(|head| {
        let further = position > *head;
        *head = position.max(*head);
        further
    });
}

fn answer_all(batch: Vec<Pending>, error: &AppendError) {
    for pending in batch {
        pending.answer(Err(error.clone()));
    }
}

/// The winners may or may not be recorded. The losers surely are not.
fn answer_unknown(batch: Vec<Pending>, prepared: Prepared) {
    for (pending, answer) in batch.into_iter().zip(prepared.answers) {
        pending.answer(match answer {
            Ok(_) => Err(AppendError::OutcomeUnknown),
            Err(_) => Err(AppendError::Unavailable("the database went away".to_owned())),
        });
    }
}
