//! Work that takes a thread and memory: few at once, some wait, more are refused.

use tokio::sync::Semaphore;

use crate::error::SmartError;

/// A queue with two bounds.
#[derive(Debug)]
pub(super) struct Queue {
    at_work: Semaphore,
    /// Those at work too.
    waiting: Semaphore,
}

impl Queue {
    pub(super) const fn new(at_once: usize, waiting_max: usize) -> Self {
        Self { at_work: Semaphore::const_new(at_once), waiting: Semaphore::const_new(waiting_max) }
    }

    /// Does something on a thread of its own, when it is its turn.
    pub(super) async fn run<T: Send + 'static>(
        &'static self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, SmartError> {
        let busy = |_| SmartError::Busy("passwords to be checked");
        let waiting = self.waiting.try_acquire().map_err(busy)?;
        let at_work =
            self.at_work.acquire().await.map_err(|_| SmartError::Busy("passwords to be checked"))?;
        // The permits go along: work whose caller has gone still takes its memory.
        let done = tokio::task::spawn_blocking(move || {
            let _permits = (waiting, at_work);
            work()
        });
        done.await.map_err(|_| SmartError::Cryptography("making a digest"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn few_are_at_work_some_wait_and_more_are_refused() {
        static QUEUE: Queue = Queue::new(1, 2);
        let (began, has_begun) = channel();
        let (end, ends) = channel::<()>();
        let first = tokio::spawn(QUEUE.run(move || {
            began.send(()).unwrap();
            ends.recv().unwrap();
            1
        }));
        let has_begun = tokio::task::spawn_blocking(move || has_begun.recv().unwrap());
        has_begun.await.unwrap();
        let mut second = Box::pin(QUEUE.run(|| 2));
        assert!(futures::poll!(&mut second).is_pending(), "it waits");
        assert!(matches!(QUEUE.run(|| 3).await, Err(SmartError::Busy(_))));
        end.send(()).unwrap();
        assert_eq!((first.await.unwrap().unwrap(), second.await.unwrap()), (1, 2));
        assert_eq!(QUEUE.run(|| 4).await.unwrap(), 4);
    }
}
