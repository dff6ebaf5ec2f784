//! Carries out purges of patients, one after the other, and goes on with those that were interrupted.
//!
//! A purge belongs to the workspace and not to the request that asked for it: a client that goes away takes nothing along.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anamnesis_events::{Log, PurgeError, PurgeReport, PurgeRequest};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::actors::Compartments;
use crate::exports::Exports;

/// Purges that may wait for their turn: each may take minutes.
const WAITING_MAX: usize = 16;
/// How often it is looked for purges that nobody goes on with: those of a server that has ended. The first time at once.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PurgesError {
    /// It was refused, or has to go on later.
    #[error(transparent)]
    Purge(#[from] PurgeError),
    /// Too many wait for their turn.
    #[error("too many purges wait for their turn")]
    Busy,
    /// The server stops; what has begun goes on when it starts.
    #[error("the server stops")]
    Stopped,
}

struct Asked {
    request: PurgeRequest,
    reply: oneshot::Sender<Result<PurgeReport, PurgeError>>,
}

/// The purges of a workspace. It owns a task; dropping it stops the task.
#[derive(Debug)]
pub struct Purges {
    queue: mpsc::Sender<Asked>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
    _stop_when_dropped: DropGuard,
}

impl Purges {
    /// Goes on with what was interrupted, and takes what is asked for. `compartments` are the actors of the services, which
    /// forget what they know of a patient that is gone, and `exports` are dropped that were begun for that patient.
    #[must_use]
    pub fn start(log: &Log, compartments: Vec<Compartments>, exports: Option<Exports>) -> Arc<Self> {
        let stop = CancellationToken::new();
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let worker = Worker { log: log.clone(), compartments, exports };
        let task = tokio::spawn(worker.run(waiting, stop.clone()));
        Arc::new(Self {
            queue,
            _stop_when_dropped: stop.clone().drop_guard(),
            stop,
            task: Mutex::new(Some(task)),
        })
    }

    /// Purges a patient. Where the caller gives up waiting, it goes on.
    ///
    /// # Errors
    /// [`PurgesError`].
    pub async fn purge(&self, request: PurgeRequest) -> Result<PurgeReport, PurgesError> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Asked { request, reply }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => PurgesError::Busy,
            mpsc::error::TrySendError::Closed(_) => PurgesError::Stopped,
        })?;
        Ok(answer.await.map_err(|_stopped| PurgesError::Stopped)??)
    }

    /// Ends the task and waits for it. What has begun goes on when the next one starts.
    pub async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // A task that panicked has been logged by its runtime.
            let _ = task.await;
        }
    }
}

struct Worker {
    log: Log,
    compartments: Vec<Compartments>,
    exports: Option<Exports>,
}

impl Worker {
    async fn run(self, mut waiting: mpsc::Receiver<Asked>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let work = async {
                tokio::select! {
                    asked = waiting.recv() => {
                        let Some(Asked { request, reply }) = asked else { return false };
                        // Whoever has gone away is not answered.
                        let _gone = reply.send(self.purge(&request).await);
                    }
                    _ = ticks.tick() => self.go_on().await,
                }
                true
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                goes_on = work => if !goes_on { return },
            }
        }
    }

    async fn purge(&self, request: &PurgeRequest) -> Result<PurgeReport, PurgeError> {
        let report = self.log.purge(request).await;
        for compartments in &self.compartments {
            compartments.forget_all(&request.compartment);
        }
        if let (Some(exports), Ok(_)) = (&self.exports, &report)
            && let Err(error) = exports.forget_patient(&request.compartment).await
        {
            // What is in their files is gone already; what they say of whom they were for goes when they expire.
            tracing::warn!(%error, "Exports that were begun for a purged patient stay until they expire.");
        }
        report
    }

    async fn go_on(&self) {
        let open = match self.log.open_purges().await {
            Ok(open) => open,
            Err(error) => {
                tracing::warn!(%error, "It cannot be looked now whether purges were interrupted.");
                return;
            }
        };
        for purge in open {
            let begun = purge.begun;
            tracing::info!(%begun, "A purge that began at position {begun} goes on.");
            match self.purge(&purge.request).await {
                Ok(_) => tracing::info!(%begun, "The purge that began at position {begun} has ended."),
                Err(error) => {
                    tracing::warn!(%begun, %error, "The purge that began at position {begun} goes on later.");
                }
            }
        }
    }
}
