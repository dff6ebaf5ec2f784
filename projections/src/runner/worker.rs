//! The task of a runner: one batch after the other, each written whole with its checkpoint or not at all.

mod unpark;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anamnesis_events::{Event, Feed, FeedError, Position, ResourceKey};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::{Command, RunnerOptions, Source};
use crate::checkpoint::{self, Name, Standing};
use crate::database::Database;
use crate::lag::Lag;
use crate::parked::marks::Resources;
use crate::{Change, Projection, ProjectionError, error, parked};

/// First wait before a batch is tried again; doubles up to the longest.
const BACK_OFF: Duration = Duration::from_millis(20);
const BACK_OFF_MAX: Duration = Duration::from_secs(2);
/// How often the lag is measured: also, and above all, when nothing moves.
const MEASURED_EVERY: Duration = Duration::from_secs(1);
/// How often the checkpoint is read back. After a crash the database may have lost the last batches, which are not waited
/// for until they are on the disk; and another process may have gone on.
const CHECKED_EVERY: Duration = Duration::from_secs(3);
/// How often rows that the database refuses are offered before they are parked.
const TRIES_MAX: u32 = 3;
/// If the database refuses more resources of one batch than this, and more than half of it, the fault is not theirs.
const REFUSED_MAX: usize = 10;

pub(super) struct Worker<P, S: Source> {
    name: Name,
    database: Database,
    projection: P,
    source: S,
    options: RunnerOptions,
    feed: S::Feed,
    /// Events that have been read and not yet written: the beginning of a bundle, at most.
    unwritten: Vec<Event>,
    parked: Resources,
    parked_events: usize,
    /// How often resources have been un-parked, as far as this task knows.
    unparked: i64,
    /// When the position moved last, in milliseconds of the epoch; zero if it has not.
    moved_at: Arc<AtomicI64>,
    reached: watch::Sender<Position>,
    orders: mpsc::Receiver<Command>,
    /// When the checkpoint was last known to stand where `reached` says.
    checked_at: Instant,
    lag: Lag,
}

/// What a runner begins with.
pub(super) struct Beginning {
    pub(super) resources: Resources,
    pub(super) events: usize,
    pub(super) unparked: i64,
    pub(super) moved_at: Arc<AtomicI64>,
}

/// Why a batch was not written in one attempt.
enum Failure {
    /// The checkpoint stands elsewhere: another process is at work.
    MovedOn,
    /// The database refuses the very rows.
    Refused(tokio_postgres::Error),
    /// Trying again may help.
    Retry(ProjectionError),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        // Cardinality violation, data exception, integrity constraint violation, program limit exceeded.
        const OF_THE_DATA: [&str; 4] = ["21", "22", "23", "54"];
        let class = error.code().and_then(|code| code.code().get(..2));
        match class {
            Some(class) if OF_THE_DATA.contains(&class) => Self::Refused(error),
            _ => Self::Retry(error.into()),
        }
    }
}

impl From<ProjectionError> for Failure {
    fn from(error: ProjectionError) -> Self {
        Self::Retry(error)
    }
}

impl<P: Projection, S: Source> Worker<P, S> {
    #[expect(
        clippy::too_many_arguments,
        reason = "made in one place, of parts that are each of another type"
    )]
    pub(super) fn new(
        name: Name,
        database: Database,
        projection: P,
        source: S,
        options: RunnerOptions,
        reached: watch::Sender<Position>,
        orders: mpsc::Receiver<Command>,
        beginning: Beginning,
    ) -> Self {
        let position = *reached.borrow();
        let Beginning { resources, events, unparked, moved_at } = beginning;
        let mut lag = Lag::new(&name, options.clock.clone(), source.head());
        lag.stands_at(position);
        lag.parked(events, resources.all().len());
        Self {
            feed: source.feed(position),
            unwritten: Vec::new(),
            parked: resources,
            parked_events: events,
            unparked,
            moved_at,
            name,
            database,
            projection,
            source,
            options,
            reached,
            orders,
            checked_at: Instant::now(),
            lag,
        }
    }

    /// Runs until it is told to stop, the log is closed or the version is taken away.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        self.work(stop).await;
        self.lag.end();
    }

    async fn work(&mut self, stop: CancellationToken) {
        let mut pause = BACK_OFF;
        let mut tick = tokio::time::interval(MEASURED_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let events = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = tick.tick() => {
                    self.lag.measure();
                    if self.checked_at.elapsed() >= CHECKED_EVERY && !self.check(&stop).await {
                        return;
                    }
                    continue;
                }
                Some(command) = self.orders.recv() => {
                    self.obey(command, &stop).await;
                    continue;
                }
                events = self.feed.next(self.options.batch_events_max) => events,
            };
            match events {
                Ok(events) => {
                    pause = BACK_OFF;
                    self.take(events);
                    if !self.write_whole_groups(&stop).await {
                        return;
                    }
                }
                Err(FeedError::Closed) => return,
                Err(error) => {
                    tracing::warn!(projection = self.name.name, %error, "the feed of a projection failed");
                    if !wait(&stop, &mut pause).await {
                        return;
                    }
                }
            }
        }
    }

    /// Adds events to those that wait. A feed gives each once; one that gives some again does no harm.
    fn take(&mut self, events: Vec<Event>) {
        let mut last = self.unwritten.last().map_or(*self.reached.borrow(), |event| event.position);
        for event in events {
            if event.position > last {
                last = event.position;
                self.unwritten.push(event);
            }
        }
    }

    /// Writes what has been read, up to the end of the last bundle that is there whole. False when told to stop.
    async fn write_whole_groups(&mut self, stop: &CancellationToken) -> bool {
        let Some(last) = self.unwritten.iter().rposition(Event::ends_group) else { return true };
        let rest = self.unwritten.split_off(last + 1);
        let events = std::mem::replace(&mut self.unwritten, rest);
        let started = Instant::now();
        match self.write(&events, stop).await {
            Written::Done => {
                self.lag.batch(&events, started.elapsed());
                true
            }
            Written::MovedOn => self.begin_again(stop).await,
            Written::Stopped => false,
        }
    }

    /// Writes one batch, as often as it takes.
    async fn write(&mut self, events: &[Event], stop: &CancellationToken) -> Written {
        let Some(last) = events.last().map(|event| event.position) else { return Written::Done };
        let mut pause = BACK_OFF;
        let mut tries = 0;
        let mut batch = Batch::of(&self.projection, events, self.parked.all()).await;
        loop {
            let failure = match self.attempt(&batch, last).await {
                Ok(()) => {
                    self.advanced_to(last, &batch);
                    return Written::Done;
                }
                Err(failure) => failure,
            };
            self.lag.retry();
            self.lag.measure();
            match failure {
                Failure::MovedOn => return Written::MovedOn,
                Failure::Refused(error) if tries >= TRIES_MAX => match self.culprits(&batch.changes).await {
                    Ok(refused) if !refused.is_empty() => {
                        batch.park(events, &refused);
                        tries = 0;
                        continue;
                    }
                    _ => self.complain(&error::describe(&error)),
                },
                Failure::Refused(error) => {
                    tries += 1;
                    self.complain(&error::describe(&error));
                }
                Failure::Retry(error) => self.complain(&error.to_string()),
            }
            if !wait(stop, &mut pause).await {
                return Written::Stopped;
            }
        }
    }

    /// Writes the rows, what is parked and the checkpoint in one transaction.
    async fn attempt(&mut self, batch: &Batch<'_, P::Rows>, last: Position) -> Result<(), Failure> {
        let from = *self.reached.borrow();
        let mut client = self.database.get().await?;
        let transaction = client.transaction().await?;
        if !checkpoint::take(&transaction, &self.name, from, self.unparked).await? {
            return Err(Failure::MovedOn);
        }
        self.projection.write(&transaction, &batch.changes, last).await?;
        if !batch.erasing.is_empty() {
            self.projection.erase(&transaction, &batch.erasing).await?;
        }
        for (event, reason) in &batch.parked {
            parked::park(&transaction, &self.name, event, reason).await?;
        }
        if !checkpoint::advance(&transaction, &self.name, from, last).await? {
            return Err(Failure::MovedOn);
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The resources whose changes the database refuses when they come alone, and why; found by halving. Empty when
    /// the fault is not theirs.
    async fn culprits(
        &mut self,
        changes: &[Change<P::Rows>],
    ) -> Result<HashMap<ResourceKey, String>, Failure> {
        let mut refused = HashMap::new();
        let mut suspects = vec![changes];
        while let Some(part) = suspects.pop() {
            let mut client = self.database.get().await?;
            let transaction = client.transaction().await?;
            let outcome = self.projection.write(&transaction, part, Position::ZERO).await;
            transaction.rollback().await?;
            let Err(error) = outcome else { continue };
            let Failure::Refused(error) = Failure::from(error) else { return Ok(HashMap::new()) };
            match part {
                [change] => {
                    refused.insert(change.key.clone(), error::describe(&error));
                }
                _ => {
                    let (first, second) = part.split_at(part.len() / 2);
                    suspects.extend([first, second].into_iter().filter(|half| !half.is_empty()));
                }
            }
            if refused.len() > REFUSED_MAX && refused.len() > changes.len() / 2 {
                return Ok(HashMap::new());
            }
        }
        Ok(refused)
    }

    fn advanced_to(&mut self, last: Position, batch: &Batch<'_, P::Rows>) {
        for (event, reason) in &batch.parked {
            tracing::warn!(
                projection = self.name.name,
                position = event.position.get(),
                %reason,
                "an event was parked, with the later ones of its resource"
            );
        }
        if !batch.parked.is_empty() {
            self.parked_events += batch.parked.len();
            // Before the position is told: whoever has waited for it knows what is not to be found.
            self.parked.add(batch.parked.iter().map(|(event, _)| &event.key));
            self.tell_parked();
        }
        self.checked_at = Instant::now();
        self.moved_to(last);
    }

    /// Reads the checkpoint back, and begins again where it stands if that is elsewhere. False when told to stop.
    async fn check(&mut self, stop: &CancellationToken) -> bool {
        self.checked_at = Instant::now();
        let reached = *self.reached.borrow();
        match self.read_standing().await {
            Ok((standing, end)) if standing == self.standing() && standing.position <= end => true,
            Ok((Standing { position, .. }, _)) => {
                if position < reached {
                    tracing::warn!(
                        projection = self.name.name,
                        "the database has lost what was written from position {position} to {reached}; it is written again"
                    );
                }
                self.begin_again(stop).await
            }
            Err(ProjectionError::Unknown { .. }) => self.begin_again(stop).await,
            // Batches complain for themselves; searches fail as well.
            Err(error) => {
                tracing::debug!(projection = self.name.name, %error, "the checkpoint of a projection could not be read");
                true
            }
        }
    }

    /// Begins again where the checkpoint stands. False when told to stop, or when the version has been taken away.
    async fn begin_again(&mut self, stop: &CancellationToken) -> bool {
        let mut pause = BACK_OFF;
        loop {
            match self.read_state().await {
                Ok((Standing { position, unparked }, (events, resources))) => {
                    self.parked.set(resources);
                    self.parked_events = events;
                    self.unparked = unparked;
                    self.unwritten.clear();
                    self.feed = self.source.feed(position);
                    self.lag.stands_at(position);
                    self.tell_parked();
                    self.moved_to(position);
                    return true;
                }
                Err(ProjectionError::Unknown { .. }) => {
                    let (projection, version) = (self.name.name, self.name.version);
                    tracing::info!(projection, version, "a version of a projection was taken away");
                    return false;
                }
                Err(error) => self.complain(&error.to_string()),
            }
            if !wait(stop, &mut pause).await {
                return false;
            }
        }
    }

    /// Where the checkpoint stands, and where the log ends: read after it, so that it is never beyond the log that it is of.
    async fn read_standing(&mut self) -> Result<(Standing, Position), ProjectionError> {
        let client = self.database.get().await?;
        let standing = checkpoint::read(&**client, &self.name).await?;
        drop(client);
        Ok((standing, self.source.end().await?))
    }

    /// A checkpoint beyond the log's end is of another history, as when a runner starts.
    async fn read_state(&mut self) -> Result<(Standing, parked::All), ProjectionError> {
        let (mut standing, end) = self.read_standing().await?;
        if standing.position > end {
            super::tell_other_history(&self.name, standing.position, end);
            standing.position =
                checkpoint::forget_everything(&self.database, &self.projection, &self.name).await?;
        }
        let client = self.database.get().await?;
        Ok((standing, parked::all(&**client, &self.name).await?))
    }

    /// Where this task believes that the version stands.
    fn standing(&self) -> Standing {
        Standing { position: *self.reached.borrow(), unparked: self.unparked }
    }

    fn moved_to(&self, position: Position) {
        if self.reached.send_replace(position) != position {
            self.moved_at.store((self.options.clock)().timestamp_millis(), Ordering::Relaxed);
        }
    }

    fn tell_parked(&self) {
        self.lag.parked(self.parked_events, self.parked.all().len());
    }

    fn complain(&self, reason: &str) {
        tracing::warn!(projection = self.name.name, %reason, "a batch of a projection could not be written");
    }
}

enum Written {
    Done,
    MovedOn,
    Stopped,
}

/// Waits before another try. False when told to stop.
async fn wait(stop: &CancellationToken, pause: &mut Duration) -> bool {
    let stopped = tokio::time::timeout(*pause, stop.cancelled()).await.is_ok();
    *pause = (*pause * 2).min(BACK_OFF_MAX);
    !stopped
}
