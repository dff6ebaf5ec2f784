//! Takes what was erased out of the stream: its messages are overwritten and removed, their numbers stay.
//!
//! A message can only be removed when it is there, so the erasing event is published first; everything before it is in
//! the stream then. How far the stream is clean is kept in the database: a relay that is killed in between leaves the
//! rest to the next one. Removing twice does no harm.

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{DeleteMessageErrorKind, LastRawMessageErrorKind, Stream};
use futures::{FutureExt, StreamExt, TryStreamExt};

use super::{BACK_OFF_MAX, Worker};
use crate::log::ErasedAt;
use crate::stream::StreamError;
use crate::{Erases, Event, Position};

/// Messages that are looked up at once.
const PAGE: usize = 500;
/// Removals that wait for their answer at once: each rewrites a part of a file of the broker.
const IN_FLIGHT_MAX: usize = 16;

impl Worker {
    /// Tells the cleaning when an erasing event has been sent.
    pub(super) fn note_erasing(&self, event: &Event) {
        if event.kind.erases() != Erases::Nothing {
            self.erasing.send_replace(event.position);
        }
    }

    /// Cleans the stream for as long as it is published to. `begin` is where the stream stood at the beginning: one that
    /// was lost or shortened is cleaned again from there on.
    pub(super) async fn clean(&self, stream: &Stream, begin: Position) {
        let mut erasing = self.erasing.subscribe();
        let mut status = self.status.subscribe();
        // At the beginning there may be something left over from a relay that ended.
        let mut until = begin;
        let mut progress = None;
        loop {
            let reached = status.wait_for(|status| status.published >= until).await;
            let Ok(published) = reached.map(|status| status.published) else { return };
            while let Err(error) = self.clean_until(stream, (begin, published), &mut progress).await {
                tracing::warn!(%error, "erased messages could not be removed from the stream; later again");
                self.pause(BACK_OFF_MAX).await;
            }
            if erasing.changed().await.is_err() {
                return;
            }
            until = *erasing.borrow_and_update();
        }
    }

    async fn clean_until(
        &self,
        stream: &Stream,
        (begin, published): (Position, Position),
        progress: &mut Option<Progress>,
    ) -> Result<(), StreamError> {
        let Progress { known, cleaned } = match *progress {
            Some(progress) => progress,
            None => {
                let known = self.log.stream_cleaned().await?;
                Progress { known, cleaned: known.min(begin) }
            }
        };
        let mut place = ErasedAt { by: cleaned, position: Position::new(u64::MAX) };
        loop {
            let page = self.log.erased(place, published, PAGE).await?;
            let removals: Vec<_> =
                page.iter().map(|erased| clean_one(stream.clone(), *erased, known).boxed()).collect();
            let removals = futures::stream::iter(removals).buffer_unordered(IN_FLIGHT_MAX);
            removals.try_collect::<Vec<()>>().await?;
            match page.last() {
                Some(last) if page.len() >= PAGE => place = *last,
                _ => break,
            }
        }
        if published > known {
            self.log.set_stream_cleaned(published).await?;
        }
        *progress = Some(Progress { known, cleaned: published });
        Ok(())
    }
}

/// How far the cleaning of one session has come.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// What earlier sessions had cleaned.
    known: Position,
    /// Up to where this one has.
    cleaned: Position,
}

/// Cleans one number. What was known to be clean before was filled again since: its message has no body, and says so.
async fn clean_one(stream: Stream, erased: ErasedAt, known: Position) -> Result<(), StreamError> {
    if erased.by <= known && is_without_body(&stream, erased.position).await? {
        return Ok(());
    }
    remove(&stream, erased.position).await
}

/// Whether the message is not there, or is that of an erased event.
async fn is_without_body(stream: &Stream, position: Position) -> Result<bool, StreamError> {
    match stream.get_raw_message(position.get()).await {
        Ok(message) => Ok(message.payload.is_empty()),
        Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(true),
        Err(error) => Err(StreamError::nats(error)),
    }
}

/// Removes one message, and is content where it is gone: by its age, or by another relay.
async fn remove(stream: &Stream, position: Position) -> Result<(), StreamError> {
    let error = match stream.delete_message(position.get()).await {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    let refused = matches!(
        error.kind(),
        DeleteMessageErrorKind::JetStream(ref error)
            if [ErrorCode::SEQUENCE_NOT_FOUND, ErrorCode::STREAM_MESSAGE_DELETE_FAILED].contains(&error.error_code())
    );
    match refused && is_without_body(stream, position).await? {
        true => Ok(()),
        false => Err(StreamError::nats(error)),
    }
}
