//! The feed that listens to JetStream, and reads the log wherever the stream does not have the wanted number.
//!
//! Because a message's stream sequence is its event's position, changing over between the two is exact: what comes
//! next is `position + 1`, from wherever it can be had first.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use futures::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::message::decode;
use crate::stream::stream_name;
use crate::{Event, Feed, FeedError, Log, Position, envelope};

/// How long the stream may be behind the log before the log is read instead.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long to wait before asking a broker again that did not answer.
const REOPEN_INTERVAL: Duration = Duration::from_secs(1);
/// How long opening a consumer may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);

/// Events from JetStream while it has them, from Postgres where it does not.
pub struct JetStreamFeed {
    log: Log,
    context: Context,
    stream: String,
    position: Position,
    doorbell: watch::Receiver<Position>,
    messages: Option<Ordered>,
    /// Hash of the event at the position, once an event has been read: messages must continue the chain from there.
    hash: Option<[u8; 32]>,
    /// True until the log has been read up to its end: history comes from there in large pages.
    catching_up: bool,
    reopen_at: Instant,
}

impl JetStreamFeed {
    /// The events after a position.
    #[must_use]
    pub fn new(log: Log, context: Context, workspace: &str, after: Position) -> Self {
        let doorbell = log.watch();
        Self {
            log,
            context,
            stream: stream_name(workspace),
            position: after,
            doorbell,
            messages: None,
            hash: None,
            catching_up: true,
            reopen_at: Instant::now(),
        }
    }

    async fn read_log(&mut self, max: usize) -> Result<Vec<Event>, FeedError> {
        self.doorbell.borrow_and_update();
        let events = self.log.read(self.position, max).await?;
        if let Some(last) = events.last() {
            self.position = last.position;
            self.hash = Some(last.hash);
        }
        // A page may be cut by its bytes as well.
        self.catching_up = events.len() == max || self.position < *self.doorbell.borrow();
        Ok(events)
    }

    /// Opens a consumer behind the position. A broker that is away is no fault: the log has everything.
    async fn open(&mut self) {
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.position.next().get() },
            ..OrderedConfig::default()
        };
        let opening = async {
            let stream = self.context.get_stream(&self.stream).await.ok()?;
            stream.create_consumer(config).await.ok()?.messages().await.ok()
        };
        self.messages = tokio::time::timeout(OPEN_TIMEOUT, opening).await.ok().flatten();
        self.reopen_at = Instant::now() + REOPEN_INTERVAL;
    }

    /// Waits for the next message, but not longer than the log's patience once the log is known to be ahead.
    async fn wait(&mut self) -> Waited {
        let Some(messages) = self.messages.as_mut() else {
            let wait = tokio::time::timeout_at(self.reopen_at, self.doorbell.changed());
            return match wait.await {
                Ok(Err(_)) => Waited::Closed,
                Ok(Ok(())) | Err(_) => Waited::LogAhead,
            };
        };
        loop {
            let behind = *self.doorbell.borrow_and_update() > self.position;
            tokio::select! {
                biased;
                message = messages.next() => return match message {
                    Some(Ok(message)) => Waited::Message(Box::new(message)),
                    Some(Err(_)) | None => Waited::Lost,
                },
                () = tokio::time::sleep(PATIENCE), if behind => return Waited::LogAhead,
                rung = self.doorbell.changed(), if !behind => if rung.is_err() { return Waited::Closed },
            }
        }
    }

    /// Whether an event is the log's next one and not that of another history: a stream can outlive the end of a log
    /// that was restored from an older copy.
    fn continues(&self, event: &Event) -> bool {
        let is_known = event.position <= *self.doorbell.borrow();
        is_known && self.hash.is_some_and(|previous| envelope::chain(&previous, event) == event.hash)
    }

    /// Takes a message where it is the next event; what came before is known already.
    async fn take(&mut self, message: &async_nats::jetstream::Message, into: &mut Vec<Event>) -> Taken {
        let Ok(sequence) = message.info().map(|info| info.stream_sequence) else { return Taken::Gap };
        if sequence <= self.position.get() {
            return Taken::Known;
        }
        if sequence != self.position.next().get() {
            return Taken::Gap;
        }
        let Some(headers) = &message.headers else { return Taken::Gap };
        let Ok(received) = decode(sequence, headers, message.payload.clone()) else { return Taken::Gap };
        if received.event.position.get() != sequence || received.body_left_out {
            return Taken::Gap;
        }
        // Where its key is gone, the log says what became of the body.
        let Ok(Some(event)) = self.log.unseal(received).await else { return Taken::Gap };
        if !self.continues(&event) {
            return Taken::Gap;
        }
        self.position = event.position;
        self.hash = Some(event.hash);
        into.push(event);
        Taken::Next
    }
}

enum Waited {
    Message(Box<async_nats::jetstream::Message>),
    LogAhead,
    Lost,
    Closed,
}

enum Taken {
    Next,
    Known,
    /// The next event is not this message; the log has it.
    Gap,
}

impl Feed for JetStreamFeed {
    async fn next(&mut self, max: usize) -> Result<Vec<Event>, FeedError> {
        let max = max.clamp(1, crate::READ_EVENTS_MAX);
        loop {
            if self.log.is_closed() {
                return Err(FeedError::Closed);
            }
            if self.catching_up {
                let events = self.read_log(max).await?;
                if !events.is_empty() {
                    return Ok(events);
                }
            }
            if self.messages.is_none() && Instant::now() >= self.reopen_at {
                self.open().await;
            }
            let mut events = Vec::new();
            let mut message = match self.wait().await {
                Waited::Message(message) => *message,
                Waited::LogAhead => {
                    let events = self.read_log(max).await?;
                    if events.is_empty() {
                        continue;
                    }
                    return Ok(events);
                }
                Waited::Lost => {
                    self.messages = None;
                    continue;
                }
                Waited::Closed => return Err(FeedError::Closed),
            };
            // Everything that has already arrived belongs into this batch.
            loop {
                if let Taken::Gap = self.take(&message, &mut events).await {
                    self.catching_up = true;
                    break;
                }
                if events.len() >= max {
                    break;
                }
                match self.messages.as_mut().and_then(|messages| messages.next().now_or_never()) {
                    Some(Some(Ok(next))) => message = next,
                    Some(Some(Err(_)) | None) => {
                        self.messages = None;
                        break;
                    }
                    None => break,
                }
            }
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }

    fn position(&self) -> Position {
        self.position
    }
}
