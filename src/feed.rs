//! A reader of the change feed over HTTP, which goes on where it was when the connection breaks.

use std::time::Duration;

use futures::StreamExt;
use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

/// A line is one event with its resource; beyond this the peer is no feed of ours.
const LINE_BYTES_MAX: usize = 256 << 20;
/// Pauses before connecting again.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The server sends something every 15 seconds; a connection that is silent for longer is dead.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// What to read.
#[derive(Debug, Clone)]
pub struct Request {
    /// Address of the workspace: `http://127.0.0.1:8080/default`.
    pub workspace: Url,
    /// First position wanted.
    pub from: u64,
    /// Last position wanted.
    pub to: Option<u64>,
    /// Whether to stay for what comes.
    pub follow: bool,
    /// Further parameters of `$events`.
    pub filters: Vec<(&'static str, String)>,
    /// Headers of every request, such as an access token.
    pub headers: HeaderMap,
}

/// Why reading ended before its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The server refused; it would do so again.
    #[error("the server refused: {0}")]
    Refused(String),
    /// What came is no feed.
    #[error("the answer is no change feed: {0}")]
    Strange(String),
    /// The server could not be reached, or the connection broke while nothing more was to be waited for.
    #[error("{0}")]
    Lost(String),
    /// Whoever takes the lines wants no more.
    #[error("stopped")]
    Stopped,
}

/// Reads the feed and hands over each line. With `follow` it connects again and again, and repeats nothing.
///
/// # Errors
/// [`FeedError`]; with `follow` a lost connection is none.
pub async fn read(mut request: Request, mut each: impl FnMut(&str, &Value) -> bool) -> Result<(), FeedError> {
    let client = reqwest::Client::builder()
        .read_timeout(SILENCE_MAX)
        .connect_timeout(PAUSE_MAX)
        .default_headers(std::mem::take(&mut request.headers))
        .build()
        .map_err(|error| FeedError::Lost(error.to_string()))?;
    let mut pause = PAUSE_MIN;
    loop {
        let before = request.from;
        let ended = connection(&client, &mut request, &mut each).await;
        match ended {
            Ok(()) if !request.follow || request.to.is_some_and(|to| request.from > to) => return Ok(()),
            Ok(()) => {}
            Err(FeedError::Lost(reason)) if request.follow => tracing::debug!(%reason, "connecting again"),
            Err(error) => return Err(error),
        }
        pause = if request.from > before { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
        tokio::time::sleep(pause).await;
    }
}

/// One connection, to its end.
async fn connection(
    client: &reqwest::Client,
    request: &mut Request,
    each: &mut impl FnMut(&str, &Value) -> bool,
) -> Result<(), FeedError> {
    let lost = |error: reqwest::Error| FeedError::Lost(describe(&error));
    let mut url = request.workspace.clone();
    url.set_path(&format!("{}/$events", url.path().trim_end_matches('/')));
    url.query_pairs_mut().append_pair("from", &request.from.to_string()).extend_pairs(&request.filters);
    if let Some(to) = request.to {
        url.query_pairs_mut().append_pair("to", &to.to_string());
    }
    if request.follow {
        url.query_pairs_mut().append_pair("follow", "true");
    }
    let response = client.get(url).send().await.map_err(lost)?;
    let status = response.status();
    if status.is_server_error() {
        return Err(FeedError::Lost(format!("the server answered {status}")));
    }
    if !status.is_success() {
        let outcome: Value = response.json().await.unwrap_or_default();
        let text = outcome.pointer("/issue/0/diagnostics").and_then(Value::as_str).unwrap_or_default();
        return Err(FeedError::Refused(format!("{status} {text}")));
    }
    let mut body = response.bytes_stream();
    let mut buffer: Vec<u8> = Vec::new();
    while let Some(chunk) = body.next().await {
        buffer.extend_from_slice(&chunk.map_err(lost)?);
        let mut start = 0;
        while let Some(length) =
            buffer.get(start..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
        {
            take(buffer.get(start..start + length).unwrap_or_default(), request, each)?;
            start += length + 1;
        }
        buffer.drain(..start);
        if buffer.len() > LINE_BYTES_MAX {
            return Err(FeedError::Strange("a line has no end".into()));
        }
    }
    Ok(())
}

fn take(
    line: &[u8],
    request: &mut Request,
    each: &mut impl FnMut(&str, &Value) -> bool,
) -> Result<(), FeedError> {
    // Empty lines only show that the connection lives.
    if line.is_empty() {
        return Ok(());
    }
    let strange = |what: &str| FeedError::Strange(what.to_owned());
    let text = std::str::from_utf8(line).map_err(|_bad| strange("a line is not UTF-8"))?;
    let event: Value = serde_json::from_str(text).map_err(|_bad| strange("a line is not JSON"))?;
    let position = event.get("sequence").and_then(Value::as_str).and_then(|text| text.parse::<u64>().ok());
    let position = position.ok_or_else(|| strange("an event has no position"))?;
    if position < request.from {
        return Err(strange("the positions do not rise"));
    }
    request.from = position + 1;
    if each(text, &event) { Ok(()) } else { Err(FeedError::Stopped) }
}

fn describe(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
