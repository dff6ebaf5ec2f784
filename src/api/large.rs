//! Requests with large bodies: worked on beside the threads that serve requests, few at a time.
//!
//! Such a request takes processor time and memory in every step, from the parsing to the answer. So all of it is done
//! on a thread of its own, which may take its time without keeping others waiting; what waits, for the database or for a
//! turn, waits on the runtime of the thread that has received it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::error::Failure;

/// Bodies that are larger are large. Parsing and validating less takes some ten milliseconds.
pub(super) const LARGE_BYTES_MIN: usize = 1 << 20;

/// How many are worked on at the same time where nobody says. Each may hold a place while it waits for the database or for a turn; each
/// takes up to eight times its body beside it (measured with 30 MB of the smallest objects).
const AT_ONCE: usize = 4;

/// How long a place may be waited for: as long as clients do.
const PLACE_WAIT: Duration = Duration::from_secs(60);

/// Places for requests with large bodies, shared by all services: a handle, free to clone.
#[derive(Debug, Clone)]
pub struct Large {
    places: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Default for Large {
    fn default() -> Self {
        Self::new(AT_ONCE)
    }
}

impl Large {
    /// So many places.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(at_once.min(Semaphore::MAX_PERMITS))),
            waiting: Arc::default(),
        }
    }

    /// How many requests wait for a place.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Does the work on another thread when there is a place. It is given up at its next wait when nobody wants its answer any
    /// more; the place is free when it has ended.
    ///
    /// # Errors
    /// 503 where there is no place in time.
    pub async fn run<F>(&self, work: impl FnOnce() -> F + Send + 'static) -> Result<F::Output, Failure>
    where
        F: Future<Output: Send + 'static>,
    {
        let place = {
            let _waiting = Waiting::new(&self.waiting);
            let place = timeout(PLACE_WAIT, Arc::clone(&self.places).acquire_owned()).await;
            place.ok().and_then(Result::ok)
        };
        let Some(place) = place else {
            let text = "Too many large bodies are worked on at the same time; try again later.";
            return Err(Failure::unavailable(text));
        };
        let (runtime, span, stop) = (Handle::current(), Span::current(), CancellationToken::new());
        let _stop_at_end = stop.clone().drop_guard();
        let on_thread = move || {
            let _place = place;
            runtime.block_on(async move {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => None,
                    done = work().instrument(span) => Some(done),
                }
            })
        };
        let done = tokio::task::spawn_blocking(on_thread).await;
        done.ok().flatten().ok_or_else(Failure::internal)
    }
}

/// Counts one who waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn work_is_done_on_another_thread_and_the_caller_goes_on() {
        let large = Large::new(1);
        let (sender, receiver) = mpsc::channel();
        // It blocks its thread until the thread of the caller has done something else.
        let work = large.run(move || async move {
            receiver.recv().unwrap();
            thread::current().id()
        });
        let (other, ()) = tokio::join!(work, async move { sender.send(()).unwrap() });
        assert_ne!(other.unwrap(), thread::current().id());
    }

    #[tokio::test]
    async fn no_more_are_worked_on_than_there_are_places() {
        let (large, now, most) =
            (Large::new(2), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = (0..20).map(|number| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            large.run(move || async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                number
            })
        });
        let done: Vec<usize> = join_all(work).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(done, (0..20).collect::<Vec<_>>());
        assert!(most.load(Ordering::SeqCst) <= 2);
        assert_eq!((large.waiting(), large.places.available_permits()), (0, 2));
    }

    #[tokio::test]
    async fn work_that_nobody_wants_any_more_gives_its_place_back() {
        let large = Large::new(1);
        let (sender, begun) = tokio::sync::oneshot::channel();
        let endless = large.run(move || async move {
            sender.send(()).unwrap();
            std::future::pending::<()>().await;
        });
        tokio::select! {
            _ = endless => unreachable!("it has no end"),
            begun = begun => begun.unwrap(),
        }
        assert_eq!(large.run(|| async { 1 }).await.unwrap(), 1);
    }
}
