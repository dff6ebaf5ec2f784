//! Claims: slots that one writer at a time holds over all servers of a log, until it lets go or its process ends.
//!
//! A claim is a set of Postgres advisory locks on a connection of its own: the database gives them back when the
//! connection ends, however that comes about. They are taken in ascending order, so that two writers with several
//! slots cannot wait for each other.
//!
//! What is done under a claim must be safe without it too, or be refused when [`Claim::is_lost`]: a database that
//! breaks the connection has given the slots to somebody else.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Object, Pool, PoolError};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_util::sync::CancellationToken;

use super::Log;

/// Marks the advisory locks of claims among those of this database: the log and the slot are in the lower half.
const MARK: i64 = 0x414E_434C << 32;

/// How long one slot may be waited for. A holder has one write to do, which takes milliseconds.
const SLOT_WAIT: Duration = Duration::from_secs(10);

/// How long giving back may take before the connection is closed instead, which gives back too.
const RELEASE_WAIT: Duration = Duration::from_secs(5);

/// Why slots could not be had. Nothing is held then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimError {
    /// Others hold a slot or all connections for claims, for too long.
    #[error("others hold what is to be claimed")]
    Busy,
    /// The database cannot be reached or refused.
    #[error("the database gives no claim: {0}")]
    Unavailable(String),
}

/// Slots that are held until this is dropped.
pub struct Claim {
    client: Option<Object>,
    back: mpsc::Sender<Object>,
}

impl Claim {
    /// Whether the connection has ended, and with it the claim: somebody else may hold the slots.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.client.as_ref().is_none_or(|client| client.is_closed())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        if let Err(refused) = self.back.try_send(client) {
            // Nobody gives back any more: a connection that ends gives back.
            let client = match refused {
                mpsc::error::TrySendError::Full(client) | mpsc::error::TrySendError::Closed(client) => client,
            };
            drop(Object::take(client));
        }
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Claim").field("is_lost", &self.is_lost()).finish_non_exhaustive()
    }
}

/// The connections for claims, and the way back of those that are let go.
pub(super) struct Claims {
    pool: Pool,
    back: mpsc::Sender<Object>,
    returned: Mutex<Option<mpsc::Receiver<Object>>>,
}

impl Claims {
    /// No connection is made until there is a claim.
    pub(super) fn new(pool: Pool) -> Self {
        // No more connections than the pool has can come back at once.
        let (back, returned) = mpsc::channel(pool.status().max_size.max(1));
        Self { pool, back, returned: Mutex::new(Some(returned)) }
    }
}

impl Log {
    /// Holds these slots, which mean the same to every server of this log, alone. Waits for others, but not for ever.
    ///
    /// ```no_run
    /// # async fn example(log: anamnesis_events::Log) -> Result<(), anamnesis_events::ClaimError> {
    /// let claim = log.claim(&[3, 7].into()).await?;
    /// // Nobody else holds slot 3 or 7 of this log now.
    /// drop(claim);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ClaimError`]; nothing is held then.
    pub async fn claim(&self, slots: &BTreeSet<u16>) -> Result<Claim, ClaimError> {
        let claims = &self.inner.claims;
        let client = claims.pool.get().await.map_err(|error| match error {
            PoolError::Timeout(_) => ClaimError::Busy,
            other => ClaimError::Unavailable(other.to_string()),
        })?;
        // From here on whatever happens, also to this future, gives the connection back and what it holds.
        let claim = Claim { client: Some(client), back: claims.back.clone() };
        let mut statements = format!("SET lock_timeout = {}", SLOT_WAIT.as_millis());
        for slot in slots {
            statements.push_str(&format!("; SELECT pg_advisory_lock({})", self.lock_of(*slot)));
        }
        let client = claim.client.as_ref().ok_or(ClaimError::Busy)?;
        match client.batch_execute(&statements).await {
            Ok(()) => Ok(claim),
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => Err(ClaimError::Busy),
            Err(error) => Err(ClaimError::Unavailable(error.to_string())),
        }
    }

    fn lock_of(&self, slot: u16) -> i64 {
        MARK | i64::from(self.inner.number) << 16 | i64::from(slot)
    }

    /// Gives back what claims have held.
    pub(super) fn releaser(&self) -> Releaser {
        let mut returned = self.inner.claims.returned.lock().unwrap_or_else(PoisonError::into_inner);
        Releaser { returned: returned.take() }
    }
}

/// Holds no handle of the log: the log ends when its last handle is dropped.
pub(super) struct Releaser {
    returned: Option<mpsc::Receiver<Object>>,
}

impl Releaser {
    /// Gives back until the log is closed; what is let go later is given back by closing its connection.
    pub(super) async fn run(self, stop: CancellationToken) {
        let Some(mut returned) = self.returned else { return };
        // One that still waits for a lock must not hold up the others.
        let mut releasing = FuturesUnordered::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                client = returned.recv() => match client {
                    Some(client) => releasing.push(release(client)),
                    None => return,
                },
                Some(()) = releasing.next() => {}
            }
        }
    }
}

async fn release(client: Object) {
    let released = timeout(RELEASE_WAIT, client.batch_execute("SELECT pg_advisory_unlock_all()")).await;
    if !matches!(released, Ok(Ok(()))) {
        drop(Object::take(client));
    }
}
