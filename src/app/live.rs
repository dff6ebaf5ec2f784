//! The source of live projections: JetStream while it has the next event, else the log.

use anamnesis_events::{Event, JetStreamFeed, Log, LogError, Position};
use anamnesis_projections::Source;
use async_nats::jetstream::Context;
use tokio::sync::watch;

/// The feed of a workspace as projections read it.
#[derive(Clone)]
pub(super) struct Live {
    log: Log,
    context: Context,
}

impl Live {
    /// Listens through this client.
    pub(super) fn new(log: &Log, client: &async_nats::Client) -> Self {
        Self { log: log.clone(), context: async_nats::jetstream::new(client.clone()) }
    }
}

impl Source for Live {
    type Feed = JetStreamFeed;

    fn feed(&self, after: Position) -> JetStreamFeed {
        JetStreamFeed::new(self.log.clone(), self.context.clone(), self.log.workspace(), after)
    }

    fn fetch(&self, positions: &[Position]) -> impl Future<Output = Result<Vec<Event>, LogError>> + Send {
        self.log.fetch(positions)
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.log.watch()
    }

    fn end(&self) -> impl Future<Output = Result<Position, LogError>> + Send {
        self.log.head()
    }
}
