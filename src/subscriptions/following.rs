//! The log as the leader reads it: not at all while nobody is to be told of anything.

use std::time::Duration;

use anamnesis_events::{
    Event, Feed, FeedError, HistoryRange, HistoryScope, Log, LogError, Position, PostgresFeed,
};

use super::matching::TYPE;

/// Events that are matched at a time: a batch takes some ten milliseconds.
const BATCH: usize = 256;
/// Where there is no subscription, the shortest and the longest time between two looks whether one was written.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

pub(super) struct Following {
    pub(super) log: Log,
    pub(super) feed: PostgresFeed,
}

impl Following {
    /// The next events that may concern somebody. While there is nobody that is only the next version of a subscription,
    /// and what comes behind it. Where the log has been skipped to need not be recorded: whoever takes up from an earlier
    /// position skips the same. Dropping the future loses nothing.
    pub(super) async fn next(&mut self, nobody: bool) -> Result<Vec<Event>, FeedError> {
        let mut doorbell = self.log.watch();
        while nobody && !self.log.is_closed() {
            // What is written behind this position is looked for the next time.
            let end = *doorbell.borrow_and_update();
            let before = self.before_the_next().await?;
            let skipped = before.unwrap_or(end);
            if skipped > self.feed.position() {
                self.feed = self.log.feed(skipped);
            }
            if before.is_some() {
                break;
            }
            let _in_time = tokio::time::timeout(PAUSE_MAX, doorbell.changed()).await;
            tokio::time::sleep(PAUSE).await;
        }
        self.feed.next(BATCH).await
    }

    /// The position before the next version of a subscription, where there is one.
    async fn before_the_next(&self) -> Result<Option<Position>, LogError> {
        let range = HistoryRange {
            after_position: Some(self.feed.position()),
            limit: 1,
            ascending: true,
            ..HistoryRange::default()
        };
        let found = self.log.history_positions(HistoryScope::Type(TYPE.to_owned()), range).await?;
        Ok(found.first().map(|next| Position::new(next.get().saturating_sub(1))))
    }
}
