//! The events of some types alone, out of the log.

use std::sync::Arc;
use std::time::Duration;

use anamnesis_events::{Event, Feed, FeedError, HistoryRange, HistoryScope, Log, LogError, Position};
use futures::future::try_join_all;
use tokio::sync::{Notify, watch};

use crate::Source;

/// The longest wait before the log is looked at again: another node may have written.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The shortest time between two looks where nobody asks: a busy log rings many times a second.
const PAUSE: Duration = Duration::from_millis(50);
/// Events of one type that are read at a time.
const PAGE_MAX: usize = 64;

/// Reads the events of some types by the log's index over types: what others write costs nothing but a look now and then.
#[derive(Debug, Clone)]
pub struct OfTypes {
    log: Log,
    types: &'static [&'static str],
    asked: Arc<Notify>,
    head: Arc<watch::Sender<Position>>,
}

impl OfTypes {
    /// The events of these types in a log; a few, because each look asks for each of them.
    #[must_use]
    pub fn new(log: &Log, types: &'static [&'static str]) -> Self {
        let head = Arc::new(watch::channel(Position::ZERO).0);
        Self { log: log.clone(), types, asked: Arc::default(), head }
    }

    /// Has the feed look at once.
    pub(crate) fn look(&self) {
        self.asked.notify_waiters();
        self.asked.notify_one();
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Notes that there is an event of these types at a position.
    fn saw(&self, last: Position) {
        self.head.send_if_modified(|head| std::mem::replace(head, (*head).max(last)) != *head);
    }
}

impl Source for OfTypes {
    type Feed = TypedFeed;

    fn feed(&self, after: Position) -> TypedFeed {
        self.saw(after);
        TypedFeed { source: self.clone(), after }
    }

    fn fetch(&self, positions: &[Position]) -> impl Future<Output = Result<Vec<Event>, LogError>> + Send {
        self.log.fetch(positions)
    }

    /// The last event of these types that was seen: what comes after it in the log is no lag.
    fn head(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }

    fn end(&self) -> impl Future<Output = Result<Position, LogError>> + Send {
        self.log.head()
    }

    /// The position of the last event of these types.
    async fn last(&self) -> Result<Position, LogError> {
        let newest = HistoryRange { limit: 1, ..HistoryRange::default() };
        let of_type =
            |name: &&str| self.log.history_positions(HistoryScope::Type((*name).to_owned()), newest);
        let found = try_join_all(self.types.iter().map(of_type)).await?;
        let last = found.into_iter().flatten().max().unwrap_or(Position::ZERO);
        self.saw(last);
        Ok(last)
    }
}

/// The feed of [`OfTypes`].
#[derive(Debug)]
pub struct TypedFeed {
    source: OfTypes,
    after: Position,
}

impl TypedFeed {
    /// The next events of all types together, up to a position that the log has come to. A page that was cut says nothing of
    /// what comes behind its end.
    async fn page(&self, until: Position, max: usize) -> Result<Vec<Event>, LogError> {
        let limit = max.clamp(1, PAGE_MAX);
        let range = HistoryRange {
            after_position: Some(self.after),
            before_position: Some(until.next()),
            limit,
            ascending: true,
            ..HistoryRange::default()
        };
        let OfTypes { log, types, .. } = &self.source;
        let of_type = |name: &&str| log.history_events(HistoryScope::Type((*name).to_owned()), range);
        let pages = try_join_all(types.iter().map(of_type)).await?;
        let cut = pages.iter().filter(|page| page.is_cut || page.events.len() >= limit);
        let known = cut.filter_map(|page| page.events.last()).map(|event| event.position).min();
        let mut events: Vec<Event> = pages.into_iter().flat_map(|page| page.events).collect();
        events.retain(|event| known.is_none_or(|known| event.position <= known));
        events.sort_by_key(|event| event.position);
        events.truncate(limit);
        // The rest of a bundle is of other types: nobody would ever see its end.
        events.iter_mut().for_each(|event| event.transaction = None);
        Ok(events)
    }
}

impl Feed for TypedFeed {
    async fn next(&mut self, max: usize) -> Result<Vec<Event>, FeedError> {
        let mut head = self.source.log.watch();
        loop {
            let closed = self.source.log.is_closed();
            head.mark_unchanged();
            // Each type is asked for by a statement of its own. What is committed between two of them, one would show and the
            // other not, and what it did not show would be passed over: so only what was there before the first one.
            let until = self.source.log.head().await?;
            let events = self.page(until, max).await?;
            if let Some(last) = events.last().map(|event| event.position) {
                // How many there are behind these is lag.
                self.source.last().await?;
                self.after = last;
                return Ok(events);
            }
            // There is nothing of these types up to there.
            self.after = self.after.max(until);
            if closed {
                return Err(FeedError::Closed);
            }
            let rung = async {
                let _ended = tokio::time::timeout(LOOK_AGAIN, head.changed()).await;
                tokio::time::sleep(PAUSE).await;
            };
            tokio::select! {
                () = rung => {}
                () = self.source.asked.notified() => {}
            }
        }
    }

    fn position(&self) -> Position {
        self.after
    }
}
