//! Checking what is recorded: density and the hash chain.

use tokio_postgres::Row;

use super::Log;
use super::row;
use super::transaction::Tail;
use crate::{Event, LogError, Position, envelope};

/// Events that are checked whenever a log is opened: more than a batch that was torn could leave behind.
const CHECKED_WHEN_OPENED: u64 = 64;

/// How far a check has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The last position that was checked.
    pub position: Position,
    /// Its hash: what the next part of the check starts from.
    pub hash: [u8; 32],
    /// How many events were checked.
    pub events: u64,
    /// How many of them have had a body that was erased.
    pub erased: u64,
}

impl Log {
    /// Checks up to `limit` events after the position: that none is missing, that each body can be read,
    /// and that each hash is the one that follows from the hash before it. A whole log is checked page
    /// by page from [`Position::ZERO`] on.
    ///
    /// # Errors
    /// [`LogError::Broken`] names the first event that is not as it was recorded.
    pub async fn verify(&self, after: Position, limit: usize) -> Result<Verified, LogError> {
        let mut hash = match after {
            Position::ZERO => self.inner.genesis,
            _ => self.stored_hash(after).await?,
        };
        let rows = self.read_rows(after, limit).await?;
        let mut verified = Verified { position: after, hash, events: 0, erased: 0 };
        let ring = self.ring(&rows).await?;
        for row in &rows {
            let event = row::stored(row, &ring)?;
            hash = follow(&hash, &event)?;
            let erased = verified.erased.saturating_add(u64::from(event.erased.is_some()));
            verified = Verified {
                position: event.position,
                hash,
                events: verified.events.saturating_add(1),
                erased,
            };
        }
        Ok(verified)
    }

    /// Checks the end of the log when it is opened. A log that is broken is read but not written.
    pub(crate) async fn check_end(&self) -> Result<Option<Tail>, LogError> {
        let head = self.head().await?;
        let after = Position::new(head.get().saturating_sub(CHECKED_WHEN_OPENED));
        let limit = usize::try_from(head.get() - after.get()).unwrap_or(0);
        match self.verify(after, limit).await {
            Ok(_) => {}
            Err(LogError::Broken { position, reason }) => {
                tracing::error!(%position, %reason, "the log is broken at position {position}; it takes no writes");
                self.inner.broken.send_replace(Some((position, reason)));
            }
            Err(error) => return Err(error),
        }
        // Not the body: one that is damaged does not keep the others from being read.
        let statement = "SELECT hash, recorded_at FROM anamnesis.event WHERE log = $1 AND seq = $2";
        let rows = self.query(statement, &[&self.inner.number, &head.to_sql()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        // A hash of another length has been found broken above, and nothing is written behind it.
        let hash = row.try_get::<_, &[u8]>(0)?.try_into().unwrap_or_default();
        Ok(Some(Tail { position: head, hash, recorded_at: row.try_get(1)? }))
    }

    pub(crate) async fn stored_hash(&self, position: Position) -> Result<[u8; 32], LogError> {
        let statement = "SELECT hash FROM anamnesis.event WHERE log = $1 AND seq = $2";
        let rows = self.query(statement, &[&self.inner.number, &position.to_sql()]).await?;
        let missing = || LogError::Broken { position, reason: "the event is missing".to_owned() };
        let row: &Row = rows.first().ok_or_else(missing)?;
        let hash: &[u8] = row.try_get(0)?;
        hash.try_into().map_err(|_| missing())
    }
}

/// The event's hash, if it is the one that follows.
fn follow(previous: &[u8; 32], event: &Event) -> Result<[u8; 32], LogError> {
    let hash = envelope::chain(previous, event);
    if hash != event.hash {
        let reason = "its hash does not follow from the events before it".to_owned();
        return Err(LogError::Broken { position: event.position, reason });
    }
    Ok(hash)
}
