//! A file of an export on its way to a client: read from the log line by line, as it is wanted.

use anamnesis_events::{Event, Log, LogError, Position};
use bytes::Bytes;
use futures::Stream;

use super::store::{Store, StoreError};

/// Events that are read at once, besides the bound on their bytes.
const PAGE: usize = 200;

/// What stands in a file. Nothing is read until it is asked for.
#[derive(Debug, Clone)]
pub struct Lines {
    pub(super) log: Log,
    pub(super) store: Store,
    pub(super) job: String,
    pub(super) resource_type: String,
    pub(super) number: u32,
    /// How many resources the file was given.
    pub(super) resources: u64,
}

/// Why a file breaks off in its middle: the client sees the connection end without its last part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenOff {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Exports cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The export was removed while it was read.
    #[error("the export was removed")]
    Removed,
}

impl Lines {
    /// The lines, each with its line end, in portions. `each` is told every version that is given.
    pub fn stream(self, each: impl FnMut(&Event)) -> impl Stream<Item = Result<Bytes, BrokenOff>> {
        let reading = Reading { left: self.resources, lines: self, chunk: 0, rest: Vec::new(), each };
        futures::stream::unfold(Some(reading), |reading| async move {
            let mut reading = reading?;
            match reading.portion().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(reading))),
                Ok(None) => None,
                Err(error) => {
                    tracing::warn!(%error, "A file of an export broke off.");
                    Some((Err(error), None))
                }
            }
        })
    }
}

struct Reading<F> {
    lines: Lines,
    /// The part that was read last.
    chunk: i32,
    /// What is to be read of it, the first at the end.
    rest: Vec<Position>,
    /// Resources that are to come. An export that is removed meanwhile must not look like one that ends.
    left: u64,
    each: F,
}

impl<F: FnMut(&Event)> Reading<F> {
    /// The next lines; `None` at the end.
    async fn portion(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        loop {
            if self.rest.is_empty() {
                if self.left == 0 {
                    return Ok(None);
                }
                self.chunk += 1;
                let Lines { store, job, resource_type, number, .. } = &self.lines;
                let next = store.chunk(job, (resource_type, *number), self.chunk).await?;
                self.rest = next.ok_or(BrokenOff::Removed)?;
                self.rest.reverse();
            }
            let wanted: Vec<Position> = self.rest.iter().rev().take(PAGE).copied().collect();
            let events = self.lines.log.fetch_page(&wanted).await?.events;
            if events.is_empty() {
                return Err(BrokenOff::Removed);
            }
            self.rest.truncate(self.rest.len().saturating_sub(events.len()));
            self.left = self.left.saturating_sub(events.len() as u64);
            let mut out = Vec::new();
            // What has been erased since is not there any more.
            for event in events.iter().filter(|event| !event.is_gone()) {
                (self.each)(event);
                line(&mut out, &event.payload);
            }
            // An empty portion would end the answer.
            if !out.is_empty() {
                return Ok(Some(out.into()));
            }
        }
    }
}

/// Adds a resource as it was recorded, but for line ends, which only stand between its elements: within a JSON string they
/// are escaped (RFC 8259 section 7).
fn line(out: &mut Vec<u8>, payload: &[u8]) {
    out.extend(payload.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    out.push(b'\n');
}
