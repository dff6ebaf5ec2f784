//! Bodies: read with a bound on what arrives and on what it unpacks to.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Decompress;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Payload;
use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::large::LARGE_BYTES_MIN;
use crate::clock;
use crate::error::{Failure, FailureKind, IssueCode};

/// How long the next piece of a body may take: a client that stops in the middle must not keep its connection.
const CHUNK_WAIT: Duration = Duration::from_secs(30);

/// Room that is made for a body before it has arrived.
const EXPECTED_BYTES_MAX: usize = 1 << 20;

/// How much of a body that is too large is read and thrown away, so that the client hears the answer instead of a
/// broken connection.
const DRAIN_BYTES_MAX: usize = 128 << 20;

/// The memory for bodies that are arriving or worked on, shared by all services: a handle, free to clone. Without it every
/// connection could hold the largest body there is, for as long as its client takes to send the rest.
#[derive(Debug, Clone)]
pub struct Arriving {
    free: Arc<Semaphore>,
    bytes_max: usize,
}

impl Arriving {
    /// Memory of `bytes_max`.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(bytes_max)), bytes_max }
    }

    /// What is free, in bytes.
    #[must_use]
    pub fn left(&self) -> usize {
        self.free.available_permits()
    }

    /// Takes memory for a piece, given back with the share.
    fn take(&self, bytes: usize, share: &mut Share) -> Result<(), Failure> {
        // Large ones wait for a place with all they have: the last eighth is for small ones, which would find nothing left.
        let is_large = share.bytes().saturating_add(bytes) > LARGE_BYTES_MIN;
        let kept = if is_large { self.bytes_max / 8 } else { 0 };
        let is_left = self.left() >= bytes.saturating_add(kept);
        let take = |bytes| Arc::clone(&self.free).try_acquire_many_owned(bytes).ok().filter(|_| is_left);
        let Some(taken) = u32::try_from(bytes).ok().and_then(take) else {
            return Err(Failure::unavailable(
                "Too many bodies are arriving or worked on at the same time; try again later.",
            ));
        };
        match &mut share.0 {
            Some(share) => share.merge(taken),
            None => share.0 = Some(taken),
        }
        Ok(())
    }
}

/// The memory of one body, until its request has been answered.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Share(Option<OwnedSemaphorePermit>);

impl Share {
    fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

/// What a body may be.
pub(crate) struct Most {
    /// Its bytes, after unpacking.
    pub(crate) bytes: usize,
    /// What it is, for who sends more.
    pub(crate) what: &'static str,
    /// How long all of it may take to arrive.
    pub(crate) wait: Duration,
}

/// Reads a body, unpacked where it is compressed.
///
/// # Errors
/// 503 where too much is arriving, 408 where it stops or takes too long, 413 beyond the most (after unpacking), 415 for an unknown
/// encoding, 400 for broken compression or transfer.
pub(crate) async fn read(
    headers: &HeaderMap,
    payload: Payload,
    most: &Most,
    arriving: &Arriving,
) -> Result<(Vec<u8>, Share), Failure> {
    let bytes_max = most.bytes;
    let is_packed = check_encoding(headers)?;
    let declared = declared_length(headers);
    let mut payload = Decompress::from_headers(payload.into_inner(), headers);
    let expect = if is_packed { 0 } else { declared.unwrap_or(0).min(bytes_max) };
    // No more than a usual body: what a client declares, it need not send.
    let mut body = Vec::with_capacity(expect.min(EXPECTED_BYTES_MAX));
    let mut share = Share::default();
    let mut seen: usize = 0;
    let begun = clock::elapsed();
    loop {
        let left = most.wait.saturating_sub(clock::elapsed().saturating_sub(begun));
        let Ok(chunk) = timeout(CHUNK_WAIT.min(left), payload.next()).await else {
            let text = "The body did not arrive in time.";
            return Err(Failure::new(FailureKind::Timeout, IssueCode::Timeout, text));
        };
        let Some(chunk) = chunk else { break };
        let chunk: Bytes = chunk.map_err(|_broken| {
            Failure::new(
                FailureKind::Invalid,
                IssueCode::Structure,
                "The body could not be read: its transfer or compression is broken.",
            )
        })?;
        seen = seen.saturating_add(chunk.len());
        if seen <= bytes_max {
            arriving.take(chunk.len(), &mut share)?;
            body.extend_from_slice(&chunk);
            continue;
        }
        body = Vec::new();
        share = Share::default();
        // What unpacks endlessly is not worth the work; what was sent plainly is drained.
        if is_packed || seen > DRAIN_BYTES_MAX {
            break;
        }
    }
    if seen > bytes_max { Err(too_large(most)) } else { Ok((body, share)) }
}

fn too_large(most: &Most) -> Failure {
    let Most { bytes, what, .. } = most;
    let text =
        format!("The body is larger than {bytes} bytes, which is the most that this server takes of {what}.");
    Failure::new(FailureKind::TooLarge, IssueCode::TooLong, text)
}

/// Whether a request says that it brings no body: neither a length nor a type.
pub(super) fn is_empty(headers: &HeaderMap) -> bool {
    let length = declared_length(headers).unwrap_or(0);
    length == 0 && !headers.contains_key(header::TRANSFER_ENCODING)
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the body is compressed; only encodings that can be unpacked pass.
fn check_encoding(headers: &HeaderMap) -> Result<bool, Failure> {
    let mut packed = false;
    for line in headers.get_all(header::CONTENT_ENCODING) {
        match line.to_str().unwrap_or("?").trim().to_ascii_lowercase().as_str() {
            "identity" | "" => {}
            "gzip" | "deflate" if !packed => packed = true,
            _ => {
                return Err(Failure::new(
                    FailureKind::UnsupportedMedia,
                    IssueCode::NotSupported,
                    "A body of this Content-Encoding is not taken; gzip, deflate and identity are.",
                ));
            }
        }
    }
    Ok(packed)
}
