//! Tells the planner early that the tables have grown: plans made for empty tables are kept otherwise.
//!
//! Postgres looks by itself once a minute, and a minute is a hundred thousand events. So the tables are
//! analysed whenever the newest partition has doubled, until it is so large that its plans do not change.

use deadpool_postgres::Pool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Log;
use super::read::pool_error;
use crate::{LogError, Position};

/// The first look, in events of a partition: below it every plan is a good one.
const FIRST_LOOK: u64 = 1_000;
/// After this many, Postgres' own schedule is enough.
const LAST_LOOK: u64 = 1_000_000;

/// Holds no handle of the log: the log ends when its last handle is dropped.
pub(crate) struct Statistics {
    pool: Pool,
    head: watch::Receiver<Position>,
}

impl Log {
    pub(crate) fn statistics(&self) -> Statistics {
        Statistics { pool: self.inner.pool.clone(), head: self.watch() }
    }
}

impl Statistics {
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut next = Position::new(FIRST_LOOK);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                reached = self.head.wait_for(|head| *head >= next) => if reached.is_err() { return },
            }
            let head = *self.head.borrow();
            next = match self.analyse(head).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::debug!(%error, "the log's tables could not be analysed");
                    head.plus(FIRST_LOOK)
                }
            };
        }
    }

    /// Analyses the partition that the log has reached and what belongs to it; answers when to look again.
    async fn analyse(&self, head: Position) -> Result<Position, LogError> {
        let client = self.pool.get().await.map_err(pool_error)?;
        let statement = "SELECT from_seq, until_seq FROM anamnesis.event_partition
            WHERE from_seq <= $1 AND until_seq > $1";
        let Some(row) = client.query_opt(statement, &[&head.to_sql()]).await? else {
            return Ok(head.plus(FIRST_LOOK));
        };
        let from = Position::from_sql(row.try_get(0)?);
        let until = Position::from_sql(row.try_get(1)?);
        let filled = head.next().get().saturating_sub(from.get());
        if filled >= FIRST_LOOK {
            let tables = format!(
                "ANALYZE anamnesis.event_from_{from}, anamnesis.head, anamnesis.link, anamnesis.identifier"
            );
            client.batch_execute(&tables).await?;
        }
        let doubled = filled.saturating_mul(2).max(FIRST_LOOK);
        let within = from.plus(doubled);
        let after_border = until.plus(FIRST_LOOK);
        Ok(if doubled > LAST_LOOK { after_border } else { within.min(after_border) })
    }
}
