//! How far a projection has come, and waiting for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anamnesis_events::Position;
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::{Inputs, ParkedMarks};

/// The wanted position was not reached in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the projection has reached position {reached}, not yet {wanted}")]
pub struct Late {
    /// What was waited for.
    pub wanted: Position,
    /// How far the projection has come.
    pub reached: Position,
}

/// Tells how far a version of a projection has come: what it has reached is committed and visible to searches. Cheap
/// to clone.
#[derive(Debug, Clone)]
pub struct Progress {
    version: i32,
    inputs: Inputs,
    reached: watch::Receiver<Position>,
    parked: watch::Receiver<Arc<ParkedMarks>>,
    moved_at: Arc<AtomicI64>,
}

impl Progress {
    pub(crate) fn new(
        (version, inputs): (i32, Inputs),
        reached: watch::Receiver<Position>,
        parked: watch::Receiver<Arc<ParkedMarks>>,
        moved_at: Arc<AtomicI64>,
    ) -> Self {
        Self { version, inputs, reached, parked, moved_at }
    }

    /// When this process saw it move last; `None` if it has not since it began.
    #[must_use]
    pub fn moved_at(&self) -> Option<DateTime<Utc>> {
        let moved_at = self.moved_at.load(Ordering::Relaxed);
        DateTime::from_timestamp_millis(moved_at).filter(|_| moved_at > 0)
    }

    pub(crate) fn is_of_same_runner(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.moved_at, &other.moved_at)
    }

    /// The version that it is of.
    #[must_use]
    pub fn version(&self) -> i32 {
        self.version
    }

    /// What the version is made from beside the events.
    #[must_use]
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// The resources that are parked: what has come of them since is not in the projection. Of what other processes
    /// park this one knows when it has reached the position, or some seconds later.
    #[must_use]
    pub fn parked(&self) -> Arc<ParkedMarks> {
        self.parked.borrow().clone()
    }

    /// The position up to which everything is in the projection.
    #[must_use]
    pub fn reached(&self) -> Position {
        *self.reached.borrow()
    }

    /// Waits until the projection has reached `wanted`, at most for `timeout`.
    ///
    /// # Errors
    /// [`Late`] when it has not, or when the projection's runner has ended.
    pub async fn wait_for(&self, wanted: Position, timeout: Duration) -> Result<Position, Late> {
        if self.reached() >= wanted {
            return Ok(self.reached());
        }
        match tokio::time::timeout(timeout, self.until(wanted)).await {
            Ok(Some(reached)) => Ok(reached),
            Ok(None) | Err(_) => Err(Late { wanted, reached: self.reached() }),
        }
    }

    /// `None` when the runner has ended before.
    async fn until(&self, wanted: Position) -> Option<Position> {
        let mut reached = self.reached.clone();
        let reached = reached.wait_for(|reached| *reached >= wanted).await;
        reached.ok().map(|reached| *reached)
    }
}

/// The version that readers use now; a switch changes it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Active(watch::Receiver<Option<Progress>>);

/// Always the same version.
impl From<Progress> for Active {
    fn from(progress: Progress) -> Self {
        Self(watch::channel(Some(progress)).1)
    }
}

impl Active {
    /// Follows what is sent. `None` is no version that could be read.
    #[must_use]
    pub fn new(versions: watch::Receiver<Option<Progress>>) -> Self {
        Self(versions)
    }

    /// The version to read now, and how far it has come.
    #[must_use]
    pub fn now(&self) -> Option<Progress> {
        self.0.borrow().clone()
    }

    /// The position up to which everything is in the version to read; zero where there is none.
    #[must_use]
    pub fn reached(&self) -> Position {
        self.0.borrow().as_ref().map_or(Position::ZERO, Progress::reached)
    }

    /// The version to read, once it is another than `version`; `None` if that takes longer than `timeout`.
    pub(crate) async fn after(&self, version: i32, timeout: Duration) -> Option<Progress> {
        let mut versions = self.0.clone();
        let is_other =
            |now: &Option<Progress>| now.as_ref().is_some_and(|progress| progress.version != version);
        let next = tokio::time::timeout(timeout, versions.wait_for(is_other)).await;
        next.ok()?.ok()?.clone()
    }

    /// Waits until the version to read has reached `wanted`, at most for `timeout`. After a switch it is the new
    /// version that is waited for.
    ///
    /// # Errors
    /// [`Late`] when it has not.
    pub async fn wait_for(&self, wanted: Position, timeout: Duration) -> Result<Position, Late> {
        if self.reached() >= wanted {
            return Ok(self.reached());
        }
        let deadline = Instant::now() + timeout;
        let mut versions = self.0.clone();
        loop {
            let now = versions.borrow_and_update().clone();
            let reached = async {
                match &now {
                    Some(progress) => match progress.until(wanted).await {
                        Some(reached) => reached,
                        // Its runner has ended; another may follow.
                        None => std::future::pending().await,
                    },
                    None => std::future::pending().await,
                }
            };
            let waited = timeout_at(deadline, async {
                tokio::select! {
                    reached = reached => Some(reached),
                    Ok(()) = versions.changed() => None,
                    else => std::future::pending().await,
                }
            });
            match waited.await {
                Ok(Some(reached)) => return Ok(reached),
                Ok(None) => {}
                Err(_) => return Err(Late { wanted, reached: self.reached() }),
            }
        }
    }
}
