//! How far a projection has come, and waiting for it.

use std::time::Duration;

use anamnesis_events::Position;
use tokio::sync::watch;

/// The wanted position was not reached in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the projection has reached position {reached}, not yet {wanted}")]
pub struct Late {
    /// What was waited for.
    pub wanted: Position,
    /// How far the projection has come.
    pub reached: Position,
}

/// Tells how far a projection has come: what it has reached is committed and visible to searches. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Progress {
    reached: watch::Receiver<Position>,
}

impl Progress {
    pub(crate) fn new(reached: watch::Receiver<Position>) -> Self {
        Self { reached }
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
        let mut reached = self.reached.clone();
        if *reached.borrow() >= wanted {
            return Ok(*reached.borrow());
        }
        let waited = tokio::time::timeout(timeout, reached.wait_for(|reached| *reached >= wanted)).await;
        match waited {
            Ok(Ok(reached)) => Ok(*reached),
            Ok(Err(_)) | Err(_) => Err(Late { wanted, reached: self.reached() }),
        }
    }
}
