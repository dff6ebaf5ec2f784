//! The appender's connection: one statement writes a block and moves the head, or does nothing.
//!
//! The head is compared and set: it moves only from where the appender saw it last, hash and all. So the numbers are dense,
//! the chain is one, and it takes one round trip, also where several servers write.

use chrono::{DateTime, NaiveDate, Utc};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Error, Row, Statement};

use super::connection::Connector;
use super::migrate::ensure_months;
use crate::Number;
use crate::chain::Hash;

const APPEND: &str = "WITH moved AS (
        UPDATE anamnesis.audit_log SET head = $4, hash = $5, recorded_at = $6
        WHERE log = $1 AND head = $2 AND hash = $3 RETURNING log)
    INSERT INTO anamnesis.audit_block (log, month, first, last, since, until, hash, tokens, body)
    SELECT $1, $7, $2 + 1, $4, $8, $6, $5, $9, $10 FROM moved";
/// Waits for a commit that is still under way on a lost connection.
const HEAD: &str = "SELECT head, hash, recorded_at FROM anamnesis.audit_log WHERE log = $1 FOR UPDATE";
const HAS: &str =
    "SELECT 1 FROM anamnesis.audit_block WHERE log = $1 AND month = $2 AND last = $3 AND hash = $4";

/// The end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) number: Number,
    pub(crate) hash: Hash,
    /// `None` before the first record.
    pub(crate) recorded_at: Option<DateTime<Utc>>,
}

/// A block ready to be written.
pub(crate) struct Block {
    pub(crate) tail: Tail,
    pub(crate) month: NaiveDate,
    pub(crate) since: DateTime<Utc>,
    pub(crate) until: DateTime<Utc>,
    pub(crate) tokens: Vec<i64>,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Session {
    log: i16,
    client: Client,
    driver: JoinHandle<()>,
    append: Statement,
    head: Statement,
    has: Statement,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    pub(crate) async fn open(connector: &Connector, log: i16) -> Result<Self, Error> {
        let (client, driver) = connector.connect().await?;
        let append = client.prepare(APPEND).await?;
        let head = client.prepare(HEAD).await?;
        let has = client.prepare(HAS).await?;
        Ok(Self { log, client, driver, append, head, has })
    }

    /// Writes a block behind `before`; `false` where that is not the end of the log any more.
    pub(crate) async fn append(&self, before: &Tail, block: &Block) -> Result<bool, Error> {
        let written = self
            .client
            .execute(
                &self.append,
                &[
                    &self.log,
                    &before.number.to_sql(),
                    &&before.hash[..],
                    &block.tail.number.to_sql(),
                    &&block.tail.hash[..],
                    &block.until,
                    &block.month,
                    &block.since,
                    &block.tokens,
                    &block.body,
                ],
            )
            .await?;
        Ok(written == 1)
    }

    /// Begins a transaction that keeps others from writing until [`Session::commit`] or the end of the connection.
    pub(crate) async fn lock(&self) -> Result<Tail, Error> {
        let (begun, tail) = futures::join!(self.client.batch_execute("BEGIN"), self.tail());
        begun?;
        tail
    }

    /// Ends the transaction.
    pub(crate) async fn commit(&self) -> Result<(), Error> {
        self.client.batch_execute("COMMIT").await
    }

    /// The end of the log.
    pub(crate) async fn tail(&self) -> Result<Tail, Error> {
        tail_of(&self.client.query_one(&self.head, &[&self.log]).await?)
    }

    /// Whether a block was written.
    pub(crate) async fn has(&self, block: &Block) -> Result<bool, Error> {
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
            [&self.log, &block.month, &block.tail.number.to_sql(), &&block.tail.hash[..]];
        Ok(self.client.query_opt(&self.has, &parameters).await?.is_some())
    }

    pub(crate) async fn ensure_months(&mut self, month: NaiveDate) -> Result<(), Error> {
        ensure_months(&mut self.client, self.log, month).await
    }
}

/// A row of head, hash and time; before the first record the time is infinite.
pub(crate) fn tail_of(row: &Row) -> Result<Tail, Error> {
    use tokio_postgres::types::Timestamp;
    let hash: &[u8] = row.try_get(1)?;
    let recorded_at = match row.try_get::<_, Timestamp<DateTime<Utc>>>(2)? {
        Timestamp::Value(time) => Some(time),
        Timestamp::PosInfinity | Timestamp::NegInfinity => None,
    };
    // A hash of another length is not the hash of anything.
    let hash = hash.try_into().unwrap_or([0; 32]);
    Ok(Tail { number: Number::from_sql(row.try_get(0)?), hash, recorded_at })
}
