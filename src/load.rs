//! The loader: sends bundles and resources from files to a FHIR server, and tells what failed.
//!
//! Files are read as a stream, so memory is bounded by the number of requests under way and the size of one
//! document, whatever the size of the input. Files of organizations, locations and practitioners are sent
//! before the others, so that conditional references find what they name.
//!
//! A request is repeated when the server says that it is too busy (429, 503) or when the connection breaks; every
//! other refusal is final and reported. A connection that breaks after the request was sent leaves open whether
//! the server has carried it out. Transactions have an `Idempotency-Key`, under which a server that knows it carries
//! them out once; where that is not known, [`Summary::repeated_after_break`] counts the repetition, since a bundle
//! that creates without `ifNoneExist` may then have been stored twice.

mod answer;
mod client;
pub mod code_system;
mod compare;
mod documents;
mod files;
mod reading;
mod retry;
#[cfg(test)]
mod tests;
mod verify;

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use answer::Failure;
use client::{Client, Delivery};
pub use files::Source;
use reading::Message;

/// How often a request is repeated at most unless told otherwise: with the pauses of [`retry`] that is about
/// half a minute.
pub const RETRIES_DEFAULT: u32 = 5;

/// How many requests are under way at once unless told otherwise.
pub const CONCURRENCY_DEFAULT: usize = 8;

/// After so many bundles in a row that no server took, the rest is not tried.
const UNREACHABLE_MAX: usize = 3;

/// What to load, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// Files and directories. Directories are searched recursively for `.json` and `.ndjson` files, also with
    /// `.gz` and `.zst` behind.
    pub paths: Vec<PathBuf>,
    /// The base address of the FHIR service, such as `http://127.0.0.1:8080/default/fhir`.
    pub server: Url,
    /// How many requests are under way at once; at least 1.
    pub concurrency: usize,
    /// How often one request is repeated at most.
    pub retries: u32,
    /// Read back every resource and compare it with what was sent.
    pub verify: bool,
    /// Headers of every request, such as an access token.
    pub headers: HeaderMap,
}

/// What has been done so far, or in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files read to their end.
    pub files: usize,
    /// Requests that the server has answered for good.
    pub requests: usize,
    /// Entries that the server has accepted.
    pub accepted: usize,
    /// Resources that were read back and are the same, if that was asked for.
    pub verified: usize,
    /// What failed for good: refused entries of batches, refused transactions, and documents that could not be
    /// read or sent.
    pub failed: usize,
    /// Repetitions because the server was busy or out of reach.
    pub retries: usize,
    /// Those repetitions that followed on a broken connection, see the module's description.
    pub repeated_after_break: usize,
    /// Loading was stopped before its end.
    pub interrupted: bool,
    /// Loading gave up, because no server could be reached any more.
    pub server_lost: bool,
}

/// Is told what happens while loading.
pub trait Observer {
    /// Loading begins: these files, in this order.
    fn began(&mut self, files: &[Source]);
    /// Something was sent, or a second has passed. `bytes_read` counts the bytes of the files on disk.
    fn advanced(&mut self, summary: &Summary, bytes_read: u64);
    /// Something failed for good.
    fn failed(&mut self, failure: &Failure);
}

/// Why loading did not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A path cannot be read.
    #[error("{path}: {error}")]
    Path {
        /// The path as it was given.
        path: PathBuf,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// A file was named whose name does not tell what it holds.
    #[error("{0}: the name must end in .json or .ndjson, also with .gz or .zst behind")]
    UnknownFormat(PathBuf),
    /// There is nothing to load.
    #[error("no .json or .ndjson files found")]
    NothingFound,
    /// Nothing answers at the server's address.
    #[error("no server answers at {server}: {reason}")]
    NoServer {
        /// The address.
        server: Url,
        /// What went wrong last.
        reason: String,
    },
    /// The HTTP client could not be set up.
    #[error("the HTTP client could not be set up: {0}")]
    Client(String),
}

/// Loads everything that `options` names. When `stop` is cancelled, nothing more is sent, requests under way are
/// waited for, and the summary says `interrupted`.
///
/// # Errors
/// When a path cannot be read, nothing is found or no server answers. What fails later is told to the observer and
/// counted in the summary.
pub async fn load(
    options: &Options,
    observer: &mut impl Observer,
    stop: &CancellationToken,
) -> Result<Summary, LoadError> {
    let files = files::find(&options.paths)?;
    let client = Client::new(options)?;
    client.reach(stop).await?;
    observer.began(&files);
    let concurrency = options.concurrency.max(1);
    let (sender, receiver) = mpsc::channel(concurrency);
    let bytes_read = reading::ByteCount::default();
    let counted = bytes_read.clone();
    let reader = tokio::task::spawn_blocking(move || reading::read_all(&files, &counted, &sender));
    let mut run = Run {
        client,
        stop: stop.clone(),
        concurrency,
        observer,
        under_way: JoinSet::new(),
        summary: Summary::default(),
        bytes_read,
        unreachable_in_a_row: 0,
    };
    run.dispatch(receiver).await;
    // The receiver is gone, so that the reader ends at its next document.
    if reader.await.is_err() {
        run.summary.interrupted = true;
    }
    run.observer.advanced(&run.summary, run.bytes_read.get());
    Ok(run.summary)
}

/// One run of the loader: takes documents from the reader and keeps a bounded number of requests under way.
struct Run<'a, O> {
    client: Client,
    stop: CancellationToken,
    concurrency: usize,
    observer: &'a mut O,
    under_way: JoinSet<Delivery>,
    summary: Summary,
    bytes_read: reading::ByteCount,
    unreachable_in_a_row: usize,
}

impl<O: Observer> Run<'_, O> {
    async fn dispatch(&mut self, mut receiver: mpsc::Receiver<Message>) {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            let message = tokio::select! {
                biased;
                () = self.stop.cancelled() => {
                    self.summary.interrupted = true;
                    break;
                }
                _ = tick.tick() => {
                    self.observer.advanced(&self.summary, self.bytes_read.get());
                    continue;
                }
                Some(joined) = self.under_way.join_next() => {
                    self.finish(joined);
                    if self.summary.server_lost {
                        break;
                    }
                    continue;
                }
                message = receiver.recv(), if self.under_way.len() < self.concurrency => message,
            };
            match message {
                Some(Message::Request(request)) => {
                    let (client, stop) = (self.client.clone(), self.stop.clone());
                    self.under_way.spawn(async move { client.deliver(*request, &stop).await });
                }
                Some(Message::Failed(failure)) => self.fail(&failure),
                Some(Message::FileDone) => self.summary.files += 1,
                Some(Message::WaitForAll) => self.finish_all().await,
                None => break,
            }
        }
        drop(receiver);
        self.finish_all().await;
    }

    async fn finish_all(&mut self) {
        while let Some(joined) = self.under_way.join_next().await {
            self.finish(joined);
        }
    }

    fn finish(&mut self, joined: Result<Delivery, tokio::task::JoinError>) {
        let Ok(delivery) = joined else {
            // A delivery neither panics nor is it aborted; should it happen all the same, it is not hidden.
            self.summary.failed += 1;
            return;
        };
        self.summary.retries += delivery.retries;
        self.summary.repeated_after_break += delivery.repeated_after_break;
        self.summary.accepted += delivery.accepted;
        self.summary.verified += delivery.verified;
        self.summary.requests += 1;
        if delivery.unreachable {
            self.unreachable_in_a_row += 1;
            self.summary.server_lost |= self.unreachable_in_a_row >= UNREACHABLE_MAX.max(self.concurrency);
        } else {
            self.unreachable_in_a_row = 0;
        }
        for failure in &delivery.failures {
            self.fail(failure);
        }
        self.observer.advanced(&self.summary, self.bytes_read.get());
    }

    fn fail(&mut self, failure: &Failure) {
        self.summary.failed += 1;
        self.observer.failed(failure);
    }
}

impl Summary {
    /// Whether everything was loaded.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && !self.interrupted && !self.server_lost
    }
}
