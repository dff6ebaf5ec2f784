//! The feed: events after a position, in order, without a hole, waiting when there are none.

mod jetstream;

pub use jetstream::JetStreamFeed;

use std::time::Duration;

use tokio::sync::watch;

use crate::{Event, FeedError, Log, Position};

/// The longest wait for the doorbell before the log is looked at again: a lost ring costs no more.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Events after a position, in order. Whoever reads a feed cannot tell where the events come from.
pub trait Feed: Send {
    /// The next events, at least one and at most `max`; waits when there are none. Dropping the future
    /// loses nothing: the next call gives the same events.
    ///
    /// # Errors
    /// The feed keeps its place: calling again is safe. After [`FeedError::Closed`] nothing comes.
    fn next(&mut self, max: usize) -> impl Future<Output = Result<Vec<Event>, FeedError>> + Send;

    /// The position after which the next events are.
    fn position(&self) -> Position;
}

/// The feed that reads the log itself: for catching up, for rebuilding, and where there is no broker.
#[derive(Debug)]
pub struct PostgresFeed {
    log: Log,
    after: Position,
    head: watch::Receiver<Position>,
}

impl PostgresFeed {
    pub(crate) fn new(log: Log, after: Position) -> PostgresFeed {
        let head = log.watch();
        PostgresFeed { log, after, head }
    }
}

impl Feed for PostgresFeed {
    async fn next(&mut self, max: usize) -> Result<Vec<Event>, FeedError> {
        let max = max.clamp(1, crate::READ_EVENTS_MAX);
        loop {
            let closed = self.log.is_closed();
            let events = self.log.read_on(self.after, max).await?;
            if let Some(last) = events.last() {
                self.after = last.position;
                return Ok(events);
            }
            if closed {
                return Err(FeedError::Closed);
            }
            let after = self.after;
            let rung = self.head.wait_for(|head| *head > after);
            tokio::select! {
                _ = tokio::time::timeout(LOOK_AGAIN, rung) => {}
                () = self.log.closed() => {}
            }
        }
    }

    fn position(&self) -> Position {
        self.after
    }
}
