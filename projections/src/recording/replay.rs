//! A recorded log as the source of a projection.

use std::sync::Arc;

use anamnesis_events::{Event, Feed, FeedError, LogError, Position};
use tokio::sync::watch;

use crate::Source;

/// Events in memory, read as a log is. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Replay {
    events: Arc<[Event]>,
    head: watch::Receiver<Position>,
}

impl Replay {
    /// The source of these events, which are in order.
    #[must_use]
    pub fn new(events: Vec<Event>) -> Self {
        let last = events.last().map_or(Position::ZERO, |event| event.position);
        Self { events: events.into(), head: watch::channel(last).1 }
    }

    /// The events.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}

/// The events behind a position; waits for ever at the end.
#[derive(Debug)]
pub struct ReplayFeed {
    events: Arc<[Event]>,
    after: Position,
}

impl Feed for ReplayFeed {
    async fn next(&mut self, max: usize) -> Result<Vec<Event>, FeedError> {
        let after = self.after;
        let events: Vec<Event> =
            self.events.iter().filter(|event| event.position > after).take(max.max(1)).cloned().collect();
        match events.last() {
            Some(last) => self.after = last.position,
            None => std::future::pending().await,
        }
        Ok(events)
    }

    fn position(&self) -> Position {
        self.after
    }
}

impl Source for Replay {
    type Feed = ReplayFeed;

    fn feed(&self, after: Position) -> ReplayFeed {
        ReplayFeed { events: Arc::clone(&self.events), after }
    }

    async fn fetch(&self, positions: &[Position]) -> Result<Vec<Event>, LogError> {
        let find = |wanted: &Position| self.events.iter().find(|event| event.position == *wanted).cloned();
        Ok(positions.iter().filter_map(find).collect())
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.head.clone()
    }

    async fn end(&self) -> Result<Position, LogError> {
        Ok(*self.head.borrow())
    }
}
