//! The JetStream stream against the log (I5): the same events under the same numbers, nothing missing.

use std::time::{Duration, Instant};

use anamnesis_events::message::{self, MessageOptions};
use anamnesis_events::stream::stream_name;
use async_nats::jetstream;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::stream::Stream;
use futures::StreamExt;

use super::{Story, named};

/// How long the relay may take to catch up.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(60);
/// How long the next message may take to come.
const NEXT_WITHIN: Duration = Duration::from_secs(20);
const WORKSPACE: &str = "default";

pub(crate) async fn check(story: &Story, nats_url: &str) -> Vec<String> {
    match compare(story, nats_url).await {
        Ok(violations) => violations,
        Err(error) => vec![format!("I5: the stream cannot be read: {error}")],
    }
}

async fn compare(story: &Story, nats_url: &str) -> Result<Vec<String>, async_nats::Error> {
    let client = async_nats::connect(nats_url).await?;
    let stream = jetstream::new(client).get_stream(stream_name(WORKSPACE)).await?;
    let mut violations = Vec::new();
    let last = caught_up(&stream, story.head()).await?;
    if last != story.head() {
        violations.push(format!("I5: the stream stands at {last}, the log at {}", story.head()));
    }
    let mut messages = stream.create_consumer(OrderedConfig::default()).await?.messages().await?;
    let options = MessageOptions::new(WORKSPACE, "fhir");
    for event in story.events.iter().take(usize::try_from(last)?) {
        let Some(message) = tokio::time::timeout(NEXT_WITHIN, messages.next()).await? else { break };
        let message = message?;
        let sequence = message.info()?.stream_sequence;
        let subject = message.subject.as_str() == message::subject(event, &options);
        let headers = message.headers.clone().unwrap_or_default();
        let received = message::decode(sequence, &headers, message.payload.clone());
        let is_same = received.is_ok_and(|received| !received.body_left_out && received.event == *event);
        let is_same = is_same && subject && sequence == event.position.get();
        if !is_same {
            violations.push(format!("I5: sequence {sequence} of the stream is not the {}", named(event)));
            break;
        }
    }
    Ok(violations)
}

/// The stream's last sequence, once that is the log's end or time is up.
async fn caught_up(stream: &Stream, head: u64) -> Result<u64, async_nats::Error> {
    let deadline = Instant::now() + CATCH_UP_WITHIN;
    loop {
        let last = stream.get_info().await?.state.last_sequence;
        if last >= head || Instant::now() > deadline {
            return Ok(last);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
