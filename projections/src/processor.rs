//! Long work for a processor, beside the threads that serve requests: a few at a time, so that the others stay free.

use std::sync::LazyLock;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::ProjectionError;

/// Who waits for longer than this is told to come back later.
const WAIT: Duration = Duration::from_secs(10);

/// Half of the processors, and one at least.
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| {
    Semaphore::new(std::thread::available_parallelism().map_or(1, |all| all.get() / 2).max(1))
});

/// Does something on a thread that serves nobody. The work must have a bound of its own: it goes on where the caller is
/// dropped, unless it is told to stop.
///
/// # Errors
/// [`ProjectionError::Crowded`] where no turn came within ten seconds.
pub async fn compute<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ProjectionError> {
    let turn = match tokio::time::timeout(WAIT, TURNS.acquire()).await {
        Ok(Ok(turn)) => turn,
        Ok(Err(_)) | Err(_) => return Err(ProjectionError::Crowded),
    };
    let work = move || {
        // The turn ends with the work, not with whoever waits for it.
        let _turn = turn;
        work()
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_cancelled) => Err(ProjectionError::Crowded),
        },
    }
}
