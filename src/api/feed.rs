//! `$events`: the change feed of a workspace over HTTP, as NDJSON and as server-sent events.
//!
//! It is read from the log itself, so it goes back to position 1 whatever the broker has kept. Lines are CloudEvents
//! 1.0 in structured JSON; the event id of server-sent events is the position, so an `EventSource` that reconnects
//! goes on where it was.

mod line;
mod parameters;

use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, ContentEncoding};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use anamnesis_events::message::MessageOptions;
use anamnesis_events::{Event, Feed, FeedError, Log, Position, PostgresFeed};
use bytes::Bytes;
use futures::Stream;
use tokio_util::sync::CancellationToken;

use super::answer::{Style, respond};
use super::audited;
use super::operator;
use super::service::Services;
use crate::access::Action;
use crate::error::Failure;
use crate::telemetry::RequestIds;
use line::Form;
use parameters::Parameters;

/// Events read at once: at some kilobytes each, what a slow reader makes the server hold.
const PAGE: usize = 200;
/// A follower that hears nothing for so long gets an empty line, so that both ends notice a dead connection.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// One event as a line of the feed, with its resource.
pub(crate) fn event_line(event: &Event, messages: &MessageOptions) -> Vec<u8> {
    let mut line = Vec::new();
    line::write(&mut line, event, messages, Form::Lines, true);
    line
}

/// `GET /{workspace}/$events`
pub(crate) async fn serve(
    request: HttpRequest,
    workspace: Path<String>,
    services: Data<Services>,
) -> HttpResponse {
    match open(&request, &workspace, &services).await {
        Ok((parameters, reader)) => stream(&parameters, reader),
        Err(failure) => respond(Err(failure), &RequestIds::given_to(&request), Style::default()),
    }
}

async fn open(
    request: &HttpRequest,
    workspace: &str,
    services: &Services,
) -> Result<(Parameters, Reader), Failure> {
    operator::admit(request, services, workspace, &[Action::Feed, Action::Events]).await?;
    let Some(service) = services.of_workspace(workspace).next() else {
        return Err(Failure::not_found("There is no such workspace."));
    };
    let parameters = Parameters::read(request)?;
    let until = match (parameters.follow, parameters.to) {
        (true, to) => to,
        (false, to) => {
            let head = service.log.head().await?;
            Some(to.map_or(head, |to| to.min(head)))
        }
    };
    let mut messages = MessageOptions::new(workspace, &service.name);
    messages.body_bytes_max = usize::MAX;
    let log = service.log.clone();
    let reader = Reader {
        source: Source::new(&log, parameters.after, parameters.follow),
        until,
        messages,
        parameters: parameters.clone(),
        stopping: services.stopping(),
        end: audited::End::of(request, "$events-end"),
    };
    Ok((parameters, reader))
}

fn stream(parameters: &Parameters, reader: Reader) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.content_type(parameters.form.media_type()).insert_header((CACHE_CONTROL, "no-store"));
    if parameters.follow {
        // Compression would hold events back until there are enough of them.
        response.insert_header((CONTENT_ENCODING, ContentEncoding::Identity));
    }
    response.streaming(reader.into_stream())
}

/// Where the events come from: pages of the log, or its feed, which waits for more.
enum Source {
    Pages(Log, Position),
    Feed(PostgresFeed),
}

impl Source {
    fn new(log: &Log, after: Position, follow: bool) -> Self {
        if follow { Self::Feed(log.feed(after)) } else { Self::Pages(log.clone(), after) }
    }

    /// The next events; none at the end of what there is.
    async fn next(&mut self) -> Result<Vec<Event>, FeedError> {
        match self {
            Self::Feed(feed) => feed.next(PAGE).await,
            Self::Pages(log, after) => {
                let events = log.read(*after, PAGE).await?;
                *after = events.last().map_or(*after, |event| event.position);
                Ok(events)
            }
        }
    }
}

struct Reader {
    source: Source,
    until: Option<Position>,
    messages: MessageOptions,
    parameters: Parameters,
    stopping: CancellationToken,
    /// Put on record when the stream has ended.
    end: Option<audited::End>,
}

/// Why a feed breaks off in the middle; the client sees the connection end without its last chunk.
#[derive(Debug, thiserror::Error)]
#[error("the feed broke off: {0}")]
struct BrokenOff(String);

impl Reader {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, BrokenOff>> {
        futures::stream::unfold(Some(self), |reader| async move {
            let mut reader = reader?;
            match reader.chunk().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(reader))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// The next lines; `None` at the end.
    async fn chunk(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        loop {
            if self.until.is_some_and(|until| self.parameters.after >= until) {
                return Ok(None);
            }
            let waited = tokio::select! {
                biased;
                () = self.stopping.cancelled() => return Ok(None),
                waited = tokio::time::timeout(HEARTBEAT, self.source.next()) => waited,
            };
            let events = match waited {
                Ok(Ok(events)) => events,
                Ok(Err(FeedError::Closed)) => return Ok(None),
                Ok(Err(error)) => {
                    tracing::warn!(error = %error, "a feed over HTTP broke off");
                    return Err(BrokenOff(error.to_string()));
                }
                Err(_silence) => return Ok(Some(Bytes::from_static(self.parameters.form.heartbeat()))),
            };
            if events.is_empty() {
                return Ok(None);
            }
            let lines = self.lines(&events);
            // Nothing in a page may be wanted; an empty chunk would end the answer.
            if !lines.is_empty() {
                return Ok(Some(lines.into()));
            }
        }
    }

    fn lines(&mut self, events: &[Event]) -> Vec<u8> {
        let mut out = Vec::new();
        for event in events {
            if self.until.is_some_and(|until| event.position > until) {
                break;
            }
            self.parameters.after = event.position;
            if let Some(end) = &self.end {
                end.reaches(event.position);
            }
            if self.parameters.wants(event) {
                line::write(&mut out, event, &self.messages, self.parameters.form, self.parameters.body);
            }
        }
        out
    }
}

impl Form {
    fn heartbeat(self) -> &'static [u8] {
        match self {
            Self::Lines => b"\n",
            Self::ServerSent => b":\n\n",
        }
    }
}
