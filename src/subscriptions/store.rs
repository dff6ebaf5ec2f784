//! What is remembered of subscriptions, in Postgres: how far events have been matched, which ones each subscription is to
//! be told of, and how far it has been.
//!
//! Only the session that holds the lock of a log writes, and everything it writes goes through the connection that holds the
//! lock: a server that has lost it can write nothing any more. A server that has died has lost it with its connection.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use anamnesis_events::Position;
use chrono::{DateTime, Utc};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error, NoTls, Row};

/// How long a connection and a statement may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections for reading, shared by all deliveries: a page of numbers each, at most.
const READERS: usize = 2;
/// The first half of the lock's key; an arbitrary number that nobody else uses. The other half is the log.
const LOCK: i32 = 0x5542_5343;

const TABLES: &str = r#"
    SET client_min_messages = warning;
    SELECT pg_advisory_lock(1430410051, -1);
    CREATE SCHEMA IF NOT EXISTS anamnesis;
    CREATE TABLE IF NOT EXISTS anamnesis.subscription_feed (
        log smallint PRIMARY KEY, matched bigint NOT NULL);
    CREATE TABLE IF NOT EXISTS anamnesis.subscription (
        log smallint NOT NULL, id text COLLATE "C" NOT NULL, since bigint NOT NULL,
        events bigint NOT NULL, delivered bigint NOT NULL, shaken boolean NOT NULL, attempts integer NOT NULL,
        failing_since timestamptz, try_at timestamptz, reason text,
        PRIMARY KEY (log, id));
    CREATE TABLE IF NOT EXISTS anamnesis.subscription_event (
        log smallint NOT NULL, id text COLLATE "C" NOT NULL, number bigint NOT NULL, seq bigint NOT NULL,
        PRIMARY KEY (log, id, number));
    SELECT pg_advisory_unlock(1430410051, -1);
"#;

/// How a subscription stands. Numbers count its events, from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The position of the log after which its events begin.
    pub(crate) since: i64,
    /// The number of its last event.
    pub(crate) events: i64,
    /// The number of the last event that its receiver has taken.
    pub(crate) delivered: i64,
    /// Its receiver has answered a handshake.
    pub(crate) shaken: bool,
    /// Tries that have failed one after the other.
    pub(crate) attempts: i32,
    /// When the first of them was.
    pub(crate) failing_since: Option<DateTime<Utc>>,
    /// When the next one is.
    pub(crate) try_at: Option<DateTime<Utc>>,
    /// Why the last one failed. Holds no content.
    pub(crate) reason: Option<String>,
}

impl Standing {
    fn of(row: &Row, from: usize) -> Result<Self, Error> {
        Ok(Self {
            since: row.try_get(from)?,
            events: row.try_get(from + 1)?,
            delivered: row.try_get(from + 2)?,
            shaken: row.try_get(from + 3)?,
            attempts: row.try_get(from + 4)?,
            failing_since: row.try_get(from + 5)?,
            try_at: row.try_get(from + 6)?,
            reason: row.try_get(from + 7)?,
        })
    }
}

/// An event of a subscription: its number and where it is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) number: i64,
    pub(crate) position: Position,
}

/// What matching a part of the log has come to.
#[derive(Debug, Default)]
pub(super) struct Matched {
    /// Subscriptions that are no more, or begin anew.
    pub(super) ended: Vec<String>,
    /// Subscriptions that stand differently.
    pub(super) standing: BTreeMap<String, Standing>,
    /// Events by subscription, in order.
    pub(super) events: Vec<(String, Numbered)>,
}

fn config(url: &str) -> Result<Config, Error> {
    let mut config = Config::from_str(url)?;
    config.application_name("anamnesis-subscriptions").connect_timeout(PATIENCE);
    config.options(format!("-c statement_timeout={}", PATIENCE.as_millis()));
    Ok(config)
}

fn sql(position: Position) -> i64 {
    i64::try_from(position.get()).unwrap_or(i64::MAX)
}

fn position(number: i64) -> Position {
    Position::new(u64::try_from(number).unwrap_or(0))
}

/// The one session that may match and deliver for a log.
pub(super) struct Session {
    client: Client,
    connection: JoinHandle<()>,
    log: i16,
}

impl Session {
    /// Takes the lock; `None` where another one holds it.
    pub(super) async fn open(url: &str, log: i16) -> Result<Option<Self>, Error> {
        let (client, connection) = config(url)?.connect(NoTls).await?;
        // Owned by the session, which ends it.
        let connection = tokio::spawn(async move {
            let _closed = connection.await;
        });
        let session = Self { client, connection, log };
        let statement = "SELECT pg_try_advisory_lock($1, $2)";
        let row = session.client.query_one(statement, &[&LOCK, &i32::from(log)]).await?;
        if !row.try_get::<_, bool>(0)? {
            return Ok(None);
        }
        session.client.batch_execute(TABLES).await?;
        Ok(Some(session))
    }

    /// Whether the connection, and the lock with it, is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// How far events have been matched; `first` where this was never done.
    pub(super) async fn matched(&self, first: Position) -> Result<Position, Error> {
        let begin = "INSERT INTO anamnesis.subscription_feed VALUES ($1, $2) ON CONFLICT DO NOTHING";
        self.client.execute(begin, &[&self.log, &sql(first)]).await?;
        let statement = "SELECT matched FROM anamnesis.subscription_feed WHERE log = $1";
        Ok(position(self.client.query_one(statement, &[&self.log]).await?.try_get(0)?))
    }

    /// How all subscriptions stand.
    pub(super) async fn standing(&self) -> Result<BTreeMap<String, Standing>, Error> {
        let statement = "SELECT id, since, events, delivered, shaken, attempts, failing_since, try_at, reason
             FROM anamnesis.subscription WHERE log = $1";
        let rows = self.client.query(statement, &[&self.log]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, Standing::of(row, 1)?))).collect()
    }

    /// Records what the log up to a position has come to, all at once.
    pub(super) async fn record(&mut self, until: Position, matched: &Matched) -> Result<(), Error> {
        let log = self.log;
        let transaction = self.client.transaction().await?;
        for table in ["subscription_event", "subscription"] {
            if !matched.ended.is_empty() {
                let statement = format!("DELETE FROM anamnesis.{table} WHERE log = $1 AND id = ANY ($2)");
                transaction.execute(&statement, &[&log, &matched.ended]).await?;
            }
        }
        for (id, standing) in &matched.standing {
            stand(&transaction, log, id, standing).await?;
        }
        if !matched.events.is_empty() {
            let ids: Vec<&str> = matched.events.iter().map(|(id, _)| id.as_str()).collect();
            let numbers: Vec<i64> = matched.events.iter().map(|(_, event)| event.number).collect();
            let positions: Vec<i64> = matched.events.iter().map(|(_, event)| sql(event.position)).collect();
            let statement = "INSERT INTO anamnesis.subscription_event
                 SELECT $1, id, number, seq FROM unnest($2::text[], $3::bigint[], $4::bigint[]) AS e (id, number, seq)";
            transaction.execute(statement, &[&log, &ids, &numbers, &positions]).await?;
        }
        let statement = "UPDATE anamnesis.subscription_feed SET matched = $2 WHERE log = $1";
        transaction.execute(statement, &[&log, &sql(until)]).await?;
        transaction.commit().await
    }

    /// Records how a subscription stands.
    pub(super) async fn stand(&mut self, id: &str, standing: &Standing) -> Result<(), Error> {
        let log = self.log;
        let transaction = self.client.transaction().await?;
        stand(&transaction, log, id, standing).await?;
        transaction.commit().await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The lock goes with the connection.
        self.connection.abort();
    }
}

async fn stand(
    transaction: &tokio_postgres::Transaction<'_>,
    log: i16,
    id: &str,
    standing: &Standing,
) -> Result<(), Error> {
    let Standing { since, events, delivered, shaken, attempts, failing_since, try_at, reason } = standing;
    let statement = "INSERT INTO anamnesis.subscription
             (log, id, since, events, delivered, shaken, attempts, failing_since, try_at, reason)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (log, id) DO UPDATE SET since = $3, events = $4, delivered = $5, shaken = $6, attempts = $7,
             failing_since = $8, try_at = $9, reason = $10";
    transaction
        .execute(
            statement,
            &[&log, &id, since, events, delivered, shaken, attempts, failing_since, try_at, reason],
        )
        .await?;
    Ok(())
}

/// Reads what sessions have recorded, on any server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Register {
    pool: Pool,
    log: i16,
}

/// Why the register cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegisterError {
    /// There is no connection.
    #[error("there is no connection: {0}")]
    Pool(#[from] deadpool_postgres::PoolError),
    /// The database fails.
    #[error(transparent)]
    Database(#[from] Error),
}

impl Register {
    /// Prepares connections; none is made yet.
    pub(super) fn new(url: &str, log: i16) -> anyhow::Result<Self> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_config(config(url)?, NoTls, recycling))
            .max_size(READERS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .build()?;
        Ok(Self { pool, log })
    }

    /// How a subscription stands; `None` where none has been begun.
    pub(crate) async fn standing(&self, id: &str) -> Result<Option<Standing>, RegisterError> {
        let client = self.pool.get().await?;
        let statement = "SELECT since, events, delivered, shaken, attempts, failing_since, try_at, reason
             FROM anamnesis.subscription WHERE log = $1 AND id = $2";
        let row = client.query_opt(statement, &[&self.log, &id]).await?;
        Ok(row.map(|row| Standing::of(&row, 0)).transpose()?)
    }

    /// The events of a subscription with these numbers, both ends included, at most `limit`.
    pub(crate) async fn events(
        &self,
        id: &str,
        from: i64,
        until: i64,
        limit: usize,
    ) -> Result<Vec<Numbered>, RegisterError> {
        let client = self.pool.get().await?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let statement = "SELECT number, seq FROM anamnesis.subscription_event
             WHERE log = $1 AND id = $2 AND number BETWEEN $3 AND $4 ORDER BY number LIMIT $5";
        let rows = client.query(statement, &[&self.log, &id, &from, &until, &limit]).await?;
        let event = |row: &Row| -> Result<Numbered, Error> {
            Ok(Numbered { number: row.try_get(0)?, position: position(row.try_get(1)?) })
        };
        Ok(rows.iter().map(event).collect::<Result<_, _>>()?)
    }
}
