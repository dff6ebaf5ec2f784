//! Looks up the head now and then, to notice what other nodes append.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Log;
use super::appender::advance;
use super::read::{head_position, pool_error};
use crate::{LogError, Position};

/// Holds no handle of the log: the log ends when its last handle is dropped.
pub(crate) struct Poller {
    log: i16,
    pool: Pool,
    interval: Duration,
    head: Arc<watch::Sender<Position>>,
}

impl Log {
    pub(crate) fn poller(&self) -> Poller {
        Poller {
            log: self.inner.number,
            pool: self.inner.pool.clone(),
            interval: self.inner.options.poll_interval.max(Duration::from_millis(1)),
            head: self.inner.head.clone(),
        }
    }
}

impl Poller {
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut reachable = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match self.poll().await {
                Ok(position) => {
                    advance(&self.head, position);
                    reachable = true;
                }
                Err(error) if reachable => {
                    tracing::warn!(%error, "the log's head cannot be looked up");
                    reachable = false;
                }
                Err(_) => {}
            }
        }
    }

    async fn poll(&self) -> Result<Position, LogError> {
        let client = self.pool.get().await.map_err(pool_error)?;
        head_position(&client, self.log).await
    }
}
