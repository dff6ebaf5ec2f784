//! The JetStream stream of a workspace: its name, its limits, and where it stands against the log.

use std::time::Duration;

use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Compression, Config, DiscardPolicy, LastRawMessageErrorKind, RetentionPolicy, StorageType, Stream,
};
use async_nats::jetstream::{Context, ErrorCode};

use crate::message::subject_token;
use crate::{Log, LogError, Position};

/// What the stream keeps. Postgres keeps everything; the stream is a window on it.
#[derive(Debug, Clone)]
pub struct StreamOptions {
    /// Messages older than this leave the stream; subscribers that come later read the log over HTTP first.
    pub age_max: Duration,
    /// Oldest messages leave when the stream grows over this many bytes. None by default: a broker sets the space
    /// aside at once and refuses the stream where it does not have it; its own `max_file_store` bounds all streams.
    pub bytes_max: Option<i64>,
    /// Copies in a JetStream cluster; 1 for a single server.
    pub replicas: usize,
    /// A stream that was lost is refilled with at most this many of the newest events.
    pub refill_events_max: u64,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            age_max: Duration::from_secs(30 * 86_400),
            bytes_max: None,
            replicas: 1,
            refill_events_max: u64::MAX,
        }
    }
}

/// How JetStream writes "no bound".
const UNBOUNDED: i64 = -1;

/// Why the stream cannot be continued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// NATS does not answer, or refuses; trying again can help.
    #[error("NATS: {0}")]
    Nats(String),
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The stream holds numbers that the log does not have: the log was restored from an older copy, or the stream
    /// belongs to another log. Publishing on would give two facts one number, so it stops here.
    #[error("stream {stream} stands at {sequence}, the log ends at {head}: the stream is of another history")]
    Ahead {
        /// Name of the stream.
        stream: String,
        /// Its last sequence.
        sequence: Position,
        /// The log's last position.
        head: Position,
    },
    /// The last message of the stream is not the log's event of that number.
    #[error(
        "stream {stream} holds another event at {sequence} than the log: the stream is of another history"
    )]
    Differs {
        /// Name of the stream.
        stream: String,
        /// Where they differ.
        sequence: Position,
    },
}

impl StreamError {
    pub(crate) fn nats(error: impl std::fmt::Display) -> Self {
        Self::Nats(error.to_string())
    }

    /// True where only an operator can help.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Ahead { .. } | Self::Differs { .. })
    }
}

/// The stream's name: `ANAMNESIS_<workspace>`.
#[must_use]
pub fn stream_name(workspace: &str) -> String {
    format!("ANAMNESIS_{}", subject_token(workspace))
}

/// Opens the workspace's stream, or creates it with its first sequence at the floor of the refill.
///
/// # Errors
/// [`StreamError::Nats`] or a log that cannot be read.
pub async fn open_or_create(
    context: &Context,
    log: &Log,
    workspace: &str,
    options: &StreamOptions,
) -> Result<Stream, StreamError> {
    let name = stream_name(workspace);
    match context.get_stream(&name).await {
        Ok(stream) => adjust(context, (stream, workspace), options).await,
        Err(error) if is_missing(&error) => {
            let head = log.head().await?.get();
            let floor = head.saturating_sub(options.refill_events_max) + 1;
            let config = config(&name, workspace, options, (floor > 1).then_some(floor));
            tracing::info!(stream.name = %name, stream.first = floor, "creating the JetStream stream");
            context.create_stream(config).await.map_err(StreamError::nats)
        }
        Err(error) => Err(StreamError::nats(error)),
    }
}

pub(crate) fn is_missing(error: &GetStreamError) -> bool {
    match error.kind() {
        GetStreamErrorKind::JetStream(error) => error.error_code() == ErrorCode::STREAM_NOT_FOUND,
        _ => false,
    }
}

fn config(name: &str, workspace: &str, options: &StreamOptions, first_sequence: Option<u64>) -> Config {
    Config {
        name: name.to_owned(),
        description: Some("Anamnesis events; the stream sequence is the position in the log".into()),
        subjects: vec![subjects(workspace)],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        max_age: options.age_max,
        max_bytes: options.bytes_max.unwrap_or(UNBOUNDED),
        num_replicas: options.replicas,
        // The expected sequence makes publishing twice impossible; the de-duplication table would only cost memory.
        duplicate_window: Duration::from_millis(100),
        compression: Some(Compression::S2),
        allow_direct: true,
        deny_purge: false,
        first_sequence,
        ..Config::default()
    }
}

/// What the stream takes: the messages of events, whose subjects have as many parts. Other messages of the workspace, such as
/// alerts, have fewer; one that came into the stream would take a number that belongs to an event.
fn subjects(workspace: &str) -> String {
    format!("anamnesis.{}.*.*.*.*", subject_token(workspace))
}

/// Brings the limits and subjects of an existing stream to those of the configuration.
async fn adjust(
    context: &Context,
    (stream, workspace): (Stream, &str),
    options: &StreamOptions,
) -> Result<Stream, StreamError> {
    let current = &stream.cached_info().config;
    let subjects = vec![subjects(workspace)];
    if current.max_age == options.age_max
        && current.max_bytes == options.bytes_max.unwrap_or(UNBOUNDED)
        && current.num_replicas == options.replicas
        && current.subjects == subjects
    {
        return Ok(stream);
    }
    let mut wanted = current.clone();
    wanted.max_age = options.age_max;
    wanted.max_bytes = options.bytes_max.unwrap_or(UNBOUNDED);
    wanted.num_replicas = options.replicas;
    wanted.subjects = subjects;
    let name = wanted.name.clone();
    tracing::info!(stream.name = %name, "adjusting the limits of the JetStream stream");
    context.update_stream(wanted).await.map_err(StreamError::nats)?;
    context.get_stream(&name).await.map_err(StreamError::nats)
}

/// The position up to which the stream holds the log, checked against the log.
///
/// # Errors
/// [`StreamError::Ahead`] and [`StreamError::Differs`] where the two have parted.
pub async fn standing(stream: &Stream, log: &Log) -> Result<Position, StreamError> {
    let info = stream.get_info().await.map_err(StreamError::nats)?;
    let last = info.state.last_sequence;
    // An empty stream that starts at N reports N − 1 as its last sequence.
    let at = Position::new(last);
    if last == 0 {
        return Ok(at);
    }
    let name = info.config.name;
    let head = log.head().await?;
    if at > head {
        return Err(StreamError::Ahead { stream: name, sequence: at, head });
    }
    if info.state.messages == 0 {
        return Ok(at);
    }
    let message = match stream.get_raw_message(last).await {
        Ok(message) => message,
        // Expired or deleted in the meantime: nothing to compare.
        Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => return Ok(at),
        Err(error) => return Err(StreamError::nats(error)),
    };
    let event = log.fetch(&[at]).await?.into_iter().next();
    let ours = event.map(|event| crate::message::hex(&event.hash));
    let theirs = message.headers.get("ce-hash").map(|value| value.as_str().to_owned());
    if ours.is_some() && ours == theirs {
        Ok(at)
    } else {
        Err(StreamError::Differs { stream: name, sequence: at })
    }
}
