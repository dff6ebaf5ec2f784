//! The log as the leader reads it: not at all while nobody is to be told of anything.

use anamnesis_events::{Event, Feed, FeedError, Log, Position, PostgresFeed};
use anamnesis_projections::{OfTypes, Source, TypedFeed};

use super::matching::TYPE;

/// Events that are matched at a time: a batch takes some ten milliseconds.
const BATCH: usize = 256;

/// A place in the log.
pub(super) struct Following {
    log: Log,
    /// All events.
    all: PostgresFeed,
    /// The versions of subscriptions alone.
    alone: TypedFeed,
}

impl Following {
    /// The events after a position.
    pub(super) fn new(log: &Log, after: Position) -> Self {
        let alone = OfTypes::new(log, &[TYPE]).feed(after);
        Self { log: log.clone(), all: log.feed(after), alone }
    }

    /// Up to where nothing is left that could concern anybody.
    pub(super) fn position(&self) -> Position {
        self.all.position().max(self.alone.position())
    }

    /// The next events that may concern somebody. While there is nobody that is only the next version of a subscription,
    /// and what comes behind it. Where the log has been skipped to need not be recorded: whoever takes up from an earlier
    /// position skips the same. Dropping the future loses nothing.
    pub(super) async fn next(&mut self, nobody: bool) -> Result<Vec<Event>, FeedError> {
        if nobody {
            if self.alone.position() < self.all.position() {
                *self = Self::new(&self.log, self.all.position());
            }
            let first = self.alone.next(1).await?.first().map(|event| event.position.get());
            let before = first.map_or(self.alone.position(), |first| Position::new(first.saturating_sub(1)));
            *self = Self::new(&self.log, before);
        }
        self.all.next(BATCH).await
    }
}
