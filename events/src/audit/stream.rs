//! The messages that JetStream still has, against the events of the same numbers.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::stream::{State, Stream};
use futures::StreamExt;

use super::{Faults, end_of_page};
use crate::message::{Received, decode};
use crate::stream::{StreamError, stream_name};
use crate::{Event, Log, LogError, Position};

/// Events of one page of the log.
const PAGE_EVENTS: u64 = 500;
/// Messages that are missing and have not been told of yet: the stream may have let go of them by its limits.
const MISSING_MAX: usize = 500;
/// How long the broker may be silent before the check gives up.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// By how much the clocks of the broker and the database may differ.
const CLOCKS_DIFFER_MAX: Duration = Duration::from_secs(3600);

/// The lowest age that a server can be told to keep messages for.
const AGE_MIN: Duration = Duration::from_secs(86_400);

/// What the comparison found.
#[derive(Debug)]
pub struct Streamed {
    /// The first sequence that the stream still has.
    pub first: Position,
    /// The last sequence of the stream when the check began.
    pub last: Position,
    /// Where the log ended then: the stream is behind as long as the relay has not caught up, which is no fault.
    pub head: Position,
    /// How many messages were compared.
    pub messages: u64,
    /// How many of them carry the body, which was compared as well.
    pub bodies: u64,
    /// Messages before the first have left the stream although they are younger than its age. They may have left by a
    /// lower one, of before; those of the last day cannot, which is a fault.
    pub is_early: bool,
    /// What is wrong.
    pub faults: Faults,
}

impl Streamed {
    /// How many events the stream was behind the log.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.head.get().saturating_sub(self.last.get())
    }
}

/// Compares every message that the stream has after one position and up to another with the log. `progress` is told how
/// far it has come.
///
/// # Errors
/// When the broker does not answer or the log cannot be read. A stream that is not there is a fault.
pub async fn stream(
    log: &Log,
    context: &Context,
    (after, until): (Position, Position),
    progress: &mut (dyn FnMut(Position) + Send),
) -> Result<Streamed, StreamError> {
    let mut faults = Faults::default();
    let name = stream_name(log.workspace());
    let Some(stream) = find(context, &name).await? else {
        let head = log.head().await?;
        faults.add(Position::ZERO, format!("there is no stream {name}"));
        let (first, last) = (Position::ZERO, Position::ZERO);
        return Ok(Streamed { first, last, head, messages: 0, bodies: 0, is_early: false, faults });
    };
    let state = state(&stream).await?;
    // Read after the stream's end, which is never beyond the log that it is of.
    let head = log.head().await?;
    let (first, last) = (Position::new(state.first_sequence), Position::new(state.last_sequence));
    let mut found = Streamed { first, last, head, messages: 0, bodies: 0, is_early: false, faults };
    if last > head {
        found.faults.add(last, format!("the stream goes on beyond the log, which ends at {head}"));
    }
    let gone = Position::new(state.first_sequence.saturating_sub(1));
    // What was erased was taken out, and says nothing about the others.
    let last_gone = if gone <= head { log.last_not_erased(gone).await? } else { Position::ZERO };
    if last_gone > after {
        match has_gone(log, &stream, last_gone).await? {
            Gone::InTime => {}
            Gone::Early => found.is_early = true,
            Gone::TooEarly => {
                let reason = "this message and those before it have left the stream before their time, and it has no other limit";
                found.faults.add(last_gone, reason);
            }
        }
    }
    let begin = after.max(gone);
    let end = until.min(last).min(head);
    if state.messages > 0 && begin < end {
        compare(log, &stream, (begin, end), &mut found, progress).await?;
    }
    Ok(found)
}

async fn find(context: &Context, name: &str) -> Result<Option<Stream>, StreamError> {
    match context.get_stream(name).await {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if crate::stream::is_missing(&error) => Ok(None),
        Err(error) => Err(StreamError::nats(error)),
    }
}

async fn state(stream: &Stream) -> Result<State, StreamError> {
    Ok(stream.get_info().await.map_err(StreamError::nats)?.state)
}

/// How the last message that the stream no longer has may have left it.
enum Gone {
    /// By a limit of the stream.
    InTime,
    /// Only by a limit that was lower then.
    Early,
    /// By none that a server can have set: somebody has taken it away.
    TooEarly,
}

/// Compares with the stream's age where nothing else bounds it. A message is never older than its event.
async fn has_gone(log: &Log, stream: &Stream, gone: Position) -> Result<Gone, StreamError> {
    let config = &stream.cached_info().config;
    let begins_there = config.first_sequence.is_some_and(|first| gone.get() < first);
    let bounds = [config.max_bytes, config.max_messages, config.max_messages_per_subject];
    if begins_there || bounds.iter().any(|bound| *bound > 0) {
        return Ok(Gone::InTime);
    }
    let before = Position::new(gone.get().saturating_sub(1));
    let Some([event]) = read(log, before, 1).await?.and_then(|events| <[Event; 1]>::try_from(events).ok())
    else {
        return Ok(Gone::InTime);
    };
    let now = log.database_time().await?;
    let age = now.signed_duration_since(event.recorded_at).to_std().unwrap_or_default();
    let age = age.saturating_add(CLOCKS_DIFFER_MAX);
    let max_age = if config.max_age.is_zero() { Duration::MAX } else { config.max_age };
    let is_in_time = age >= max_age;
    Ok(match age >= AGE_MIN {
        _ if is_in_time => Gone::InTime,
        true => Gone::Early,
        false => Gone::TooEarly,
    })
}

/// The next events, never none; `None` in the place of one that is not there or cannot be read.
async fn page(log: &Log, after: Position, end: Position) -> Result<Vec<(Position, Option<Event>)>, LogError> {
    let last = end_of_page(log, after, end, PAGE_EVENTS).await?;
    match read(log, after, last.get() - after.get()).await? {
        Some(events) if !events.is_empty() => {
            Ok(events.into_iter().map(|event| (event.position, Some(event))).collect())
        }
        // One of them at least; the sound ones are compared.
        _ => {
            let mut page = Vec::new();
            for position in (after.get()..last.get()).map(Position::new) {
                let event = read(log, position, 1).await?.and_then(|mut events| events.pop());
                page.push((position.next(), event));
            }
            Ok(page)
        }
    }
}

/// `None` where one of the events is not there or cannot be read.
async fn read(log: &Log, after: Position, events: u64) -> Result<Option<Vec<Event>>, LogError> {
    match log.read(after, usize::try_from(events).unwrap_or(usize::MAX)).await {
        Ok(events) => Ok(Some(events)),
        Err(LogError::Broken { .. } | LogError::UnknownKind { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn compare(
    log: &Log,
    stream: &Stream,
    (begin, end): (Position, Position),
    found: &mut Streamed,
    progress: &mut (dyn FnMut(Position) + Send),
) -> Result<(), StreamError> {
    let cleaned = log.stream_cleaned().await?;
    let mut messages = Messages::open(stream, begin).await?;
    let mut after = begin;
    let mut missing: Vec<Position> = Vec::new();
    while after < end {
        for (position, event) in page(log, after, end).await? {
            after = position;
            let message = messages.at(after).await?;
            match (message, event) {
                (_, None) => {
                    // The walk over the log tells what is wrong with it.
                    let reason = "the log cannot be read here, so the message cannot be compared";
                    found.faults.add(after, reason);
                }
                // What was erased is taken out of the stream.
                (None, Some(event)) if event.erased.is_some() => {}
                (None, Some(_)) => missing.push(after),
                (Some(message), Some(event)) => {
                    found.messages += 1;
                    match fault(log, (&message, &event), cleaned).await? {
                        Ok(true) => found.bodies += 1,
                        Ok(false) => {}
                        Err(reason) => found.faults.add(after, reason),
                    }
                }
            }
            if missing.len() >= MISSING_MAX {
                tell_missing(stream, &mut missing, &mut found.faults).await?;
            }
        }
        progress(after);
    }
    tell_missing(stream, &mut missing, &mut found.faults).await
}

/// What is missing below the stream's first sequence has left it by its age or size, and is no fault.
async fn tell_missing(
    stream: &Stream,
    missing: &mut Vec<Position>,
    faults: &mut Faults,
) -> Result<(), StreamError> {
    if missing.is_empty() {
        return Ok(());
    }
    let first = state(stream).await?.first_sequence;
    for position in missing.drain(..).filter(|position| position.get() >= first) {
        faults.add(position, "the stream does not have the message");
    }
    Ok(())
}

/// Whether the message is the event's, and has its body.
async fn fault(
    log: &Log,
    (message, event): (&async_nats::jetstream::Message, &Event),
    cleaned: Position,
) -> Result<Result<bool, String>, LogError> {
    let received = match received(message, event.position) {
        Ok(received) => received,
        Err(reason) => return Ok(Err(reason)),
    };
    let body_left_out = received.body_left_out;
    // Of what was erased the key may be gone, and it is not needed.
    let theirs = match event.erased {
        Some(_) => Some(received.event),
        None => log.unseal(received).await?,
    };
    let Some(theirs) = theirs else { return Ok(Err("the sealed body of the message does not open".into())) };
    Ok(differs((theirs, body_left_out), event, cleaned))
}

/// The event that the message says it is.
fn received(message: &async_nats::jetstream::Message, position: Position) -> Result<Received, String> {
    let headers = message.headers.as_ref().ok_or("the message has no headers")?;
    decode(position.get(), headers, message.payload.clone())
        .map_err(|error| format!("the message is no event: {} is not understood", error.attribute))
}

/// What is different in the message's event; else whether it has the body.
fn differs((theirs, body_left_out): (Event, bool), event: &Event, cleaned: Position) -> Result<bool, String> {
    if theirs.position != event.position {
        return Err(format!("the message is that of position {}", theirs.position));
    }
    if theirs.hash != event.hash {
        return Err("the message has another hash than the event".to_owned());
    }
    if let Some(erased) = event.erased
        && !theirs.payload.is_empty()
    {
        // The stream is cleaned a little after the log.
        let is_late = erased.by > cleaned;
        return if is_late { Ok(true) } else { Err("the message has a body that was erased".to_owned()) };
    }
    if !body_left_out && theirs.payload != event.payload {
        return Err("the message has another body than the event".to_owned());
    }
    let payload = event.payload.clone();
    // A message from before the erasure, whose body was left out, does not know of it.
    let erased = theirs.erased.or(event.erased);
    if (Event { payload, erased, ..theirs }) != *event {
        return Err("an attribute of the message is not that of the event".to_owned());
    }
    Ok(!body_left_out && !event.payload.is_empty())
}

/// The messages in their order, with one that was read ahead.
struct Messages {
    messages: Ordered,
    /// How many the stream still had behind the last one.
    pending: u64,
    next: Option<(Position, async_nats::jetstream::Message)>,
}

impl Messages {
    async fn open(stream: &Stream, after: Position) -> Result<Self, StreamError> {
        let start_sequence = after.next().get();
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
            ..OrderedConfig::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(StreamError::nats)?;
        let pending = consumer.cached_info().num_pending;
        let messages = consumer.messages().await.map_err(StreamError::nats)?;
        Ok(Self { messages, pending, next: None })
    }

    /// The message with this number; `None` where the stream goes on behind it.
    async fn at(&mut self, wanted: Position) -> Result<Option<async_nats::jetstream::Message>, StreamError> {
        loop {
            let (position, message) = match self.next.take() {
                Some(next) => next,
                None if self.pending == 0 => return Ok(None),
                None => self.read().await?,
            };
            if position == wanted {
                return Ok(Some(message));
            }
            if position > wanted {
                self.next = Some((position, message));
                return Ok(None);
            }
        }
    }

    async fn read(&mut self) -> Result<(Position, async_nats::jetstream::Message), StreamError> {
        let message = match tokio::time::timeout(SILENCE_MAX, self.messages.next()).await {
            Ok(Some(message)) => message.map_err(StreamError::nats)?,
            Ok(None) => return Err(StreamError::nats("the broker has ended the consumer")),
            Err(_) => return Err(StreamError::nats("the broker sends nothing more")),
        };
        let info = message.info().map_err(StreamError::nats)?;
        self.pending = info.pending;
        Ok((Position::new(info.stream_sequence), message))
    }
}
