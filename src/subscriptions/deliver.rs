//! Delivers to one receiver: in order, one request after the other, until one fails.

use std::time::Duration;

use anamnesis_events::{Event, Log, Version};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;

use super::allow::{Allow, Guarded};
use super::audited::OnRecord;
use super::definition::{Definition, Status};
use super::notification::{self, Kind, Message, Told, rest_hook};
use super::store::{Numbered, Register, Standing};

/// Bytes of an answer that are read, so that the connection can be used again; nobody looks at them.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Why a delivery failed, in words that tell nothing of what was sent or answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed(pub(super) String);

/// Sends messages.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    client: reqwest::Client,
    allow: Allow,
    /// How long a request may take altogether.
    timeout: Duration,
}

/// What a delivery needs, for one subscription as it stands.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) sender: Sender,
    pub(super) register: Register,
    pub(super) log: Log,
    pub(super) base: String,
    pub(super) id: String,
    /// The version of the Subscription.
    pub(super) version: Version,
    pub(super) on_record: OnRecord,
    pub(super) definition: std::sync::Arc<Definition>,
    pub(super) standing: Standing,
}

impl Sender {
    /// A client that follows no redirect, uses no proxy and reaches allowed addresses only.
    pub(super) fn new(allow: Allow, timeout: Duration) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .dns_resolver(std::sync::Arc::new(Guarded))
            .timeout(timeout)
            .user_agent(concat!("anamnesis/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, allow, timeout })
    }

    async fn send(&self, definition: &Definition, message: Message) -> Result<(), Failed> {
        self.allow.check(&message.url).map_err(|reason| Failed(reason.to_owned()))?;
        let timeout = definition.timeout.map_or(self.timeout, |own| own.min(self.timeout));
        let mut request = self.client.request(message.method, message.url).timeout(timeout);
        request = request.headers(definition.headers.clone());
        if let Some(body) = message.body {
            request =
                request.header(CONTENT_TYPE, HeaderValue::from_static("application/fhir+json")).body(body);
        }
        let mut response = request.send().await.map_err(|error| Failed(why(&error).to_owned()))?;
        let status = response.status();
        let mut read = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            read += chunk.len();
            if read > ANSWER_BYTES_MAX {
                break;
            }
        }
        match status.is_success() {
            true => Ok(()),
            false => Err(Failed(format!("the receiver answered with status {}", status.as_u16()))),
        }
    }
}

/// The error without its address, which may hold a secret.
fn why(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "the receiver did not answer in time"
    } else if error.is_connect() {
        "no connection to the receiver could be made"
    } else {
        "the request could not be sent, or the connection broke"
    }
}

impl Delivery {
    /// Delivers what is next: at most one notification of a topic, or so many events one by one. Answers the number of
    /// the last event that was taken, and why it did not go on.
    pub(super) async fn events(self) -> (i64, Option<Failed>) {
        let mut delivered = self.standing.delivered;
        let (from, until) = (delivered + 1, self.standing.events);
        let numbered = self.register.events(&self.id, from, until, self.definition.events_max).await;
        let events = match numbered {
            Ok(numbered) if numbered.is_empty() => Err(Failed("the register lacks an event".to_owned())),
            Ok(numbered) => read(&self.log, &numbered).await,
            Err(error) => Err(Failed(format!("the register cannot be read: {error}"))),
        };
        let events = match events {
            Ok(events) => events,
            Err(failed) => return (delivered, Some(failed)),
        };
        if self.definition.topic().is_some() {
            let Some((last, _)) = events.last() else { return (delivered, None) };
            let (last, told) = (*last, self.told(Kind::Event, *last));
            if let Err(failed) = self.record(events.iter().map(|(_, event)| event)).await {
                return (delivered, Some(failed));
            }
            let message = notification::of_topic(&self.definition, &told, &events);
            return match self.sender.send(&self.definition, message).await {
                Ok(()) => (last, None),
                Err(failed) => (delivered, Some(failed)),
            };
        }
        for (number, event) in &events {
            // There is nothing left to tell of a version that was erased meanwhile.
            if event.erased.is_none()
                && let Err(failed) = self.hook(event).await
            {
                return (delivered, Some(failed));
            }
            delivered = *number;
        }
        (delivered, None)
    }

    /// Sends one event to a receiver that takes them one by one.
    async fn hook(&self, event: &Event) -> Result<(), Failed> {
        self.record(std::iter::once(event)).await?;
        self.sender.send(&self.definition, rest_hook(&self.definition, event)).await
    }

    async fn record(&self, events: impl Iterator<Item = &Event>) -> Result<(), Failed> {
        self.on_record.notification((&self.id, self.version), events).await
    }

    /// Sends a notification without events.
    pub(super) async fn bare(self, kind: Kind) -> Result<(), Failed> {
        let told = self.told(kind, self.standing.events);
        let message = notification::of_topic(&self.definition, &told, &[]);
        self.sender.send(&self.definition, message).await
    }

    fn told(&self, kind: Kind, events: i64) -> Told<'_> {
        let status = if kind == Kind::Handshake { Status::Requested } else { Status::Active };
        let topic = self.definition.topic().map(|topic| &*topic.canonical);
        Told { kind, base: &self.base, id: &self.id, status, topic, events, error: None }
    }
}

/// The events from the log, with their numbers; fewer than asked for where their bodies are large.
async fn read(log: &Log, numbered: &[Numbered]) -> Result<Vec<(i64, Event)>, Failed> {
    let positions: Vec<_> = numbered.iter().map(|event| event.position).collect();
    let page = log.fetch_page(&positions).await;
    let events = page.map_err(|error| Failed(format!("the log cannot be read: {error}")))?.events;
    let found = events.into_iter().filter_map(|event| {
        let number = numbered.iter().find(|known| known.position == event.position)?.number;
        Some((number, event))
    });
    Ok(found.collect())
}
