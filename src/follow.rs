//! What a process keeps of all resources of one type, brought up to the log's end each time before it is used.
//!
//! It is read from the log, which is the same on every node: whatever was written since the last time is looked up by one
//! statement over an index. So what was written a moment ago on another node counts, and nothing has to be told to
//! anybody.

use std::sync::atomic::{AtomicU64, Ordering};

use anamnesis_events::{Event, HistoryRange, HistoryScope, Log, LogError, Position};
use anamnesis_fhir::json::{Document, Limits};
use tokio::sync::Mutex;

/// Events that one statement reads.
const PAGE_EVENTS: usize = 200;

/// How far what is kept has come: the position of the last event that was noted.
#[derive(Debug, Default)]
pub(crate) struct Reached(Position);

impl Reached {
    pub(crate) fn position(&self) -> Position {
        self.0
    }

    /// Notes an event. Whether its resource says something else now: an erasure leaves the current version, which alone is
    /// kept, as it is.
    pub(crate) fn is_news(&mut self, event: &Event) -> bool {
        self.0 = self.0.max(event.position);
        event.operation.makes_version()
    }
}

/// What a resource says after an event; `None` where it is gone, or cannot be read.
pub(crate) fn document(event: &Event) -> Option<Document> {
    event.has_body().then(|| Document::parse(event.payload.to_vec(), &Limits::default()).ok()).flatten()
}

/// Reads the events of one type, one reader at a time.
#[derive(Debug)]
pub(crate) struct Follow {
    log: Log,
    resource_type: &'static str,
    turn: Mutex<()>,
    /// How many times reading has begun: who waited while another began and ended need not read again.
    begun: AtomicU64,
}

impl Follow {
    pub(crate) fn new(log: Log, resource_type: &'static str) -> Self {
        Self { log, resource_type, turn: Mutex::new(()), begun: AtomicU64::new(0) }
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Hands over all events after a position, in order and in pages; `position` is asked again after each page, and has
    /// to be that of its last event.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(crate) async fn refresh(
        &self,
        position: impl Fn() -> Position,
        note: impl Fn(&[Event]),
    ) -> Result<(), LogError> {
        let seen = self.begun.load(Ordering::SeqCst);
        let _turn = self.turn.lock().await;
        // Somebody has begun behind us and ended: what they read is what we would read.
        if self.begun.load(Ordering::SeqCst) > seen {
            return Ok(());
        }
        self.begun.fetch_add(1, Ordering::SeqCst);
        loop {
            let range = HistoryRange {
                after_position: Some(position()),
                limit: PAGE_EVENTS,
                ascending: true,
                ..HistoryRange::default()
            };
            let scope = HistoryScope::Type(self.resource_type.to_owned());
            let page = self.log.history_events(scope, range).await?;
            if page.events.is_empty() {
                return Ok(());
            }
            note(&page.events);
        }
    }
}
