//! The relay: it tails the log and publishes every event to JetStream under its own number.
//!
//! Each publish expects the stream to stand at `position − 1`, so the stream's sequence *is* the position: nothing is
//! published twice, two relays cannot fork the stream, a lost acknowledgement is settled by asking where the stream
//! stands, and a shortened or lost stream is refilled from Postgres with the same numbers. The relay keeps no
//! checkpoint of its own.

mod erased;

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishAckFuture, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{Context, ContextBuilder};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::message::{MessageOptions, encode, encode_sealed, subject};
use crate::stream::{StreamError, StreamOptions, open_or_create, standing};
use crate::{Event, Log, Position};

/// Bounds and waits of a relay.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// How events become messages.
    pub messages: MessageOptions,
    /// What the stream keeps.
    pub stream: StreamOptions,
    /// Publishes that wait for their acknowledgement at once: enough to fill the pipe, few enough to resend.
    pub in_flight_max: usize,
    /// Events read from the log at once.
    pub page_size: usize,
    /// How long an acknowledgement may take before the stream is asked where it stands.
    pub acknowledge_timeout: Duration,
    /// How often an idle relay looks whether the stream is still whole.
    pub check_interval: Duration,
}

impl RelayOptions {
    /// The defaults for a workspace.
    #[must_use]
    pub fn new(workspace: &str, service: &str) -> Self {
        Self {
            messages: MessageOptions::new(workspace, service),
            stream: StreamOptions::default(),
            in_flight_max: 256,
            page_size: 512,
            acknowledge_timeout: Duration::from_secs(5),
            check_interval: Duration::from_secs(2),
        }
    }
}

/// What a relay is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayState {
    /// Looking for the stream.
    Starting,
    /// Publishing; everything up to the status' position is in the stream.
    Live,
    /// Another relay publishes; this one watches.
    Standby,
    /// NATS or Postgres does not answer; the relay tries again by itself.
    Waiting(String),
    /// The stream is of another history; only an operator can help.
    Halted(String),
}

/// State and progress of a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayStatus {
    /// What it is doing.
    pub state: RelayState,
    /// The last position known to be in the stream.
    pub published: Position,
}

/// A running relay; it stops when told to, or when dropped.
#[derive(Debug)]
pub struct Relay {
    task: Option<JoinHandle<()>>,
    stop: CancellationToken,
    status: watch::Receiver<RelayStatus>,
}

impl Relay {
    /// Starts the relay of one log. It never gives up: a broker that is away delays subscribers and loses nothing.
    #[must_use]
    pub fn start(log: Log, client: async_nats::Client, options: RelayOptions) -> Self {
        let stop = CancellationToken::new();
        let starting = RelayStatus { state: RelayState::Starting, published: Position::ZERO };
        let (sender, status) = watch::channel(starting);
        let context = ContextBuilder::new()
            .timeout(options.acknowledge_timeout)
            .max_ack_inflight(options.in_flight_max.saturating_mul(2).max(2))
            .build(client);
        let erasing = watch::Sender::new(Position::ZERO);
        let worker = Worker { log, context, options, stop: stop.clone(), status: sender, erasing };
        // The handle in `Relay` owns the task and stops it.
        let task = tokio::spawn(worker.run());
        Self { task: Some(task), stop, status }
    }

    /// State and progress, as a value to watch.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<RelayStatus> {
        self.status.clone()
    }

    /// Ends it. What is in flight may or may not be stored; the next relay asks the stream.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // A panic inside has been reported by the runtime; there is nothing left to stop.
            let _ended = task.await;
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

struct Worker {
    log: Log,
    context: Context,
    options: RelayOptions,
    stop: CancellationToken,
    status: watch::Sender<RelayStatus>,
    /// The last event that was sent and erases earlier ones.
    erasing: watch::Sender<Position>,
}

/// How a session with the broker ended.
enum Ended {
    Stopped,
    /// Somebody else published a number that we wanted to publish.
    Overtaken,
    Failed(StreamError),
}

const BACK_OFF_MIN: Duration = Duration::from_millis(50);
const BACK_OFF_MAX: Duration = Duration::from_secs(2);
/// A relay that was overtaken lets the other one work and looks this often whether it still does.
const STANDBY_INTERVAL: Duration = Duration::from_millis(100);

impl Worker {
    async fn run(self) {
        let mut back_off = BACK_OFF_MIN;
        loop {
            let stop = self.stop.clone();
            let before = self.status.borrow().published;
            let ended = tokio::select! {
                () = stop.cancelled() => Ended::Stopped,
                ended = self.session() => ended,
            };
            if self.status.borrow().published > before {
                back_off = BACK_OFF_MIN;
            }
            match ended {
                Ended::Stopped => return,
                Ended::Overtaken => self.stand_by().await,
                Ended::Failed(error) => {
                    self.report(&error);
                    let wait = if error.is_final() { BACK_OFF_MAX } else { back_off };
                    back_off = (back_off * 2).min(BACK_OFF_MAX);
                    self.pause(wait).await;
                }
            }
        }
    }

    fn report(&self, error: &StreamError) {
        metrics::counter!("anamnesis_relay_failures_total", "workspace" => self.workspace()).increment(1);
        let text = error.to_string();
        let state = if error.is_final() { RelayState::Halted(text) } else { RelayState::Waiting(text) };
        metrics::gauge!("anamnesis_relay_halted", "workspace" => self.workspace()).set(if error.is_final() {
            1.0
        } else {
            0.0
        });
        let changed = self.status.send_if_modified(|status| {
            let changed = status.state != state;
            status.state = state;
            changed
        });
        if changed && error.is_final() {
            tracing::error!(error = %error, "the relay has stopped publishing");
        } else if changed {
            tracing::warn!(error = %error, "the relay waits for the broker");
        }
    }

    /// The label of this relay's metrics.
    fn workspace(&self) -> String {
        self.options.messages.workspace.clone()
    }

    async fn pause(&self, wait: Duration) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    fn publishing(&self, state: RelayState, published: Position) {
        metrics::gauge!("anamnesis_relay_halted", "workspace" => self.workspace()).set(0.0);
        metrics::gauge!("anamnesis_relay_position", "workspace" => self.workspace())
            .set(position_gauge(published));
        metrics::gauge!("anamnesis_relay_lag_events", "workspace" => self.workspace())
            .set(lag(*self.log.watch().borrow(), published));
        self.status.send_if_modified(|status| {
            let changed = status.published != published || status.state != state;
            status.published = published;
            status.state = state;
            changed
        });
    }

    /// Publishes until the broker fails, another relay overtakes, or the relay is stopped.
    async fn session(&self) -> Ended {
        match self.publish_all().await {
            Ok(ended) => ended,
            Err(error) => Ended::Failed(error),
        }
    }

    async fn publish_all(&self) -> Result<Ended, StreamError> {
        let workspace = &self.options.messages.workspace;
        let stream = open_or_create(&self.context, &self.log, workspace, &self.options.stream).await?;
        let published = standing(&stream, &self.log).await?;
        self.publishing(RelayState::Live, published);
        tokio::select! {
            ended = self.publish_behind(&stream, published) => ended,
            () = self.clean(&stream, published) => Ok(Ended::Stopped),
        }
    }

    async fn publish_behind(&self, stream: &Stream, published: Position) -> Result<Ended, StreamError> {
        let mut doorbell = self.log.watch();
        let mut window = Window { sent: published, acknowledged: published, waiting: FuturesOrdered::new() };
        loop {
            // Mark the doorbell as seen before reading, so that an append in between rings again. Each acknowledgement
            // leads here as well: the log is not asked for what it cannot have.
            let head = *doorbell.borrow_and_update();
            let events = match head > window.sent {
                true => self.log.read_on(window.sent, self.options.page_size).await?,
                false => Vec::new(),
            };
            let idle = events.is_empty();
            for event in &events {
                if window.waiting.len() >= self.options.in_flight_max
                    && let Some(ended) = self.settle_one(&mut window).await?
                {
                    return Ok(ended);
                }
                self.publish(&mut window, event).await?;
            }
            if idle && let Some(ended) = self.wait(&mut window, &mut doorbell, stream).await? {
                return Ok(ended);
            }
        }
    }

    async fn publish(&self, window: &mut Window, event: &Event) -> Result<(), StreamError> {
        let (headers, payload) = self.message(event).await?;
        let message = PublishMessage::build()
            .payload(payload)
            .headers(headers)
            .expected_last_sequence(window.sent.get());
        let subject = subject(event, &self.options.messages);
        let acknowledgement = self.context.send_publish(subject, message).await.map_err(StreamError::nats)?;
        window.push(event.position, acknowledgement);
        self.note_erasing(event);
        Ok(())
    }

    /// The message of an event. Where bodies are sealed in the log they are sealed in the stream.
    async fn message(&self, event: &Event) -> Result<(HeaderMap, Bytes), StreamError> {
        let options = &self.options.messages;
        let sealed = if options.carries(event) { self.log.seal(event).await? } else { None };
        Ok(match sealed {
            Some(sealed) => encode_sealed(event, options, sealed),
            None => encode(event, options),
        })
    }

    /// Waits for the oldest acknowledgement.
    async fn settle_one(&self, window: &mut Window) -> Result<Option<Ended>, StreamError> {
        let Some((position, outcome)) = window.waiting.next().await else { return Ok(None) };
        match outcome {
            Ok(sequence) if sequence == position.get() => {
                window.acknowledged = position;
                metrics::counter!("anamnesis_relay_published_total", "workspace" => self.workspace())
                    .increment(1);
                self.publishing(RelayState::Live, position);
                Ok(None)
            }
            Ok(sequence) => Err(StreamError::Nats(format!("event {position} was stored as {sequence}"))),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(Some(Ended::Overtaken)),
            Err(error) => Err(StreamError::nats(error)),
        }
    }

    /// Nothing to publish: settle what is in flight, then wait for the log, and look after the stream now and then.
    async fn wait(
        &self,
        window: &mut Window,
        doorbell: &mut watch::Receiver<Position>,
        stream: &Stream,
    ) -> Result<Option<Ended>, StreamError> {
        tokio::select! {
            biased;
            rung = doorbell.changed() => match rung {
                Ok(()) => Ok(None),
                Err(_) => Ok(Some(Ended::Stopped)),
            },
            ended = self.settle_one(window), if !window.waiting.is_empty() => ended,
            () = tokio::time::sleep(self.options.check_interval), if window.waiting.is_empty() => {
                let stands = standing(stream, &self.log).await?;
                if stands < window.acknowledged {
                    tracing::warn!(stream.position = %stands, relay.position = %window.acknowledged,
                        "the stream was shortened; refilling it from the log");
                    return Err(StreamError::Nats("the stream was shortened".into()));
                }
                // Ahead of us, yet not ahead of the log: another relay has published.
                Ok((stands > window.acknowledged).then_some(Ended::Overtaken))
            }
        }
    }

    /// Lets the other relay work for as long as it makes progress.
    async fn stand_by(&self) {
        let mut last = None;
        loop {
            self.pause(STANDBY_INTERVAL).await;
            if self.stop.is_cancelled() {
                return;
            }
            let workspace = &self.options.messages.workspace;
            let Ok(stream) = open_or_create(&self.context, &self.log, workspace, &self.options.stream).await
            else {
                return;
            };
            let (Ok(stands), Ok(head)) = (standing(&stream, &self.log).await, self.log.head().await) else {
                return;
            };
            self.publishing(RelayState::Standby, stands);
            if stands < head && last == Some(stands) {
                return;
            }
            last = Some(stands);
        }
    }
}

type Acknowledged = (Position, Result<u64, async_nats::jetstream::context::PublishError>);

/// What has been sent and not yet acknowledged, in order.
struct Window {
    sent: Position,
    acknowledged: Position,
    waiting: FuturesOrdered<futures::future::BoxFuture<'static, Acknowledged>>,
}

impl Window {
    fn push(&mut self, position: Position, acknowledgement: PublishAckFuture) {
        self.sent = position;
        self.waiting
            .push_back(Box::pin(async move { (position, acknowledgement.await.map(|ack| ack.sequence)) }));
    }
}

fn position_gauge(position: Position) -> f64 {
    // Exact up to 2^53 events.
    position.get() as f64
}

fn lag(head: Position, published: Position) -> f64 {
    head.get().saturating_sub(published.get()) as f64
}
