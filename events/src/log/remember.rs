//! What was recorded under idempotency keys: looking it up, and forgetting it after a while.

use std::time::Duration;

use chrono::TimeDelta;
use deadpool_postgres::Pool;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Log;
use super::decide::Span;
use super::read::{READ_EVENTS_MAX, pool_error};
use crate::options::Clock;
use crate::{AppendError, Event, LogError, Position, Recorded, Remembered};

const REMEMBERED: &str = "SELECT fingerprint, first_seq, events, note FROM anamnesis.idempotency
    WHERE log = $1 AND key = $2";
/// Rows that somebody else deletes at this moment are left to them.
const FORGET: &str = "DELETE FROM anamnesis.idempotency WHERE log = $1 AND key = ANY (ARRAY(
    SELECT key FROM anamnesis.idempotency WHERE log = $1 AND recorded_at < $2
    ORDER BY recorded_at LIMIT $3 FOR UPDATE SKIP LOCKED))";

/// Keys that one statement forgets: some milliseconds of work, so that appends hardly notice.
const FORGET_MAX: i64 = 1_000;
/// The rest between two such statements: forgetting keeps up with 10,000 keys a second and leaves the database to
/// others for nine tenths of the time.
const REST: Duration = Duration::from_millis(100);

impl Log {
    /// What was recorded under an idempotency key; `None` if nothing was, or it is forgotten.
    ///
    /// # Errors
    /// When the database cannot be read, an event is damaged, or the bodies have more than
    /// [`crate::LogOptions::fetch_bytes_max`].
    pub async fn remembered(&self, key: Uuid) -> Result<Option<Remembered>, LogError> {
        let rows = self.query(REMEMBERED, &[&self.inner.number, &key]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let first = Position::from_sql(row.try_get(1)?);
        let events = u32::try_from(row.try_get::<_, i32>(2)?).unwrap_or(0);
        let fingerprint: &[u8] = row.try_get(0)?;
        Ok(Some(Remembered {
            fingerprint: fingerprint.try_into().unwrap_or([0; 32]),
            note: row.try_get::<_, Option<Vec<u8>>>(3)?.unwrap_or_default(),
            events: self.span(Span { first, events }).await?,
        }))
    }

    /// Answers a group with what was recorded before. This append has recorded nothing, so a failure to read is told
    /// as such.
    pub(super) async fn replay(&self, span: Span) -> Result<Vec<Recorded>, AppendError> {
        let events = self.span(span).await.map_err(|error| AppendError::Unavailable(error.to_string()))?;
        let recorded = |event: Event| Recorded {
            position: event.position,
            version: event.version,
            recorded_at: event.recorded_at,
            payload: event.payload,
            replayed: true,
        };
        Ok(events.into_iter().map(recorded).collect())
    }

    /// All events of consecutive positions.
    async fn span(&self, span: Span) -> Result<Vec<Event>, LogError> {
        let positions: Vec<Position> =
            (0..u64::from(span.events)).map(|offset| span.first.plus(offset)).collect();
        let mut events = Vec::with_capacity(positions.len());
        for part in positions.chunks(READ_EVENTS_MAX) {
            events.extend(self.fetch(part).await?);
        }
        match positions.get(events.len()) {
            None => Ok(events),
            Some(_) => {
                let reason = "an event that an idempotency key stands for is missing".to_owned();
                Err(LogError::Broken { position: span.first, reason })
            }
        }
    }

    pub(super) fn forgetter(&self) -> Forgetter {
        let options = &self.inner.options;
        Forgetter {
            log: self.inner.number,
            pool: self.inner.pool.clone(),
            // Beyond what a timestamp can express, keys are kept for ever.
            retention: TimeDelta::from_std(options.idempotency_retention).unwrap_or(TimeDelta::MAX),
            interval: options.idempotency_sweep.max(Duration::from_millis(1)),
            clock: options.clock.clone(),
        }
    }
}

/// Forgets old keys now and then. Holds no handle of the log: the log ends when its last handle is dropped.
pub(crate) struct Forgetter {
    log: i16,
    pool: Pool,
    retention: TimeDelta,
    interval: Duration,
    clock: Clock,
}

impl Forgetter {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval_at(Instant::now() + self.interval, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                forgotten = self.forget_old() => if let Err(error) = forgotten {
                    tracing::debug!(%error, "old idempotency keys could not be forgotten; later again");
                }
            }
        }
    }

    /// Forgets what is old now, a bounded number at a time. A key that comes again meanwhile is either still known or
    /// forgotten: the appender has looked under the lock, and a delete does not bring a key back.
    async fn forget_old(&self) -> Result<(), LogError> {
        let Some(until) = (self.clock)().checked_sub_signed(self.retention) else { return Ok(()) };
        loop {
            let client = self.pool.get().await.map_err(pool_error)?;
            let statement = client.prepare_cached(FORGET).await?;
            let forgotten = client.execute(&statement, &[&self.log, &until, &FORGET_MAX]).await?;
            drop(client);
            if i64::try_from(forgotten).unwrap_or(0) < FORGET_MAX {
                return Ok(());
            }
            tokio::time::sleep(REST).await;
        }
    }
}
