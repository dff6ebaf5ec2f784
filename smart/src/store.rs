//! The tables of the authorization server. One file below for each.

pub(crate) mod assertions;
mod attempts;
pub(crate) mod clients;
pub(crate) mod ended;
pub(crate) mod families;
pub(crate) mod keys;
mod launches;
mod requests;
pub(crate) mod revocations;
pub(crate) mod sessions;
pub(crate) mod users;

use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres::{Config, NoTls};

use crate::error::SmartError;

/// How long a caller waits for a connection.
const WAIT: Duration = Duration::from_secs(5);
/// How long a statement may take. All of them find their rows by a key.
const STATEMENT_TIMEOUT_MS: u64 = 5_000;
/// The steps of the schema, in order. A step that was released is never edited.
const MIGRATIONS: [(i32, &str); 1] = [(1, include_str!("../migrations/0001_smart.sql"))];
/// Serialises migrations of all processes; an arbitrary number that nobody else uses.
const ADVISORY_LOCK: i64 = 0x414E_5341_0001;

/// The tables of one workspace. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pool: Pool,
    /// One connection for those who follow the tables, so that they never wait behind requests.
    following: Pool,
    pub(crate) realm: i16,
}

impl Store {
    /// Connects, and brings the tables up to date.
    pub(crate) async fn open(database: &str, workspace: &str, size: usize) -> Result<Self, SmartError> {
        let pool = pool(database, size)?;
        migrate(&pool).await?;
        let client = get(&pool).await?;
        client
            .execute(
                "INSERT INTO anamnesis.smart_realm (workspace) SELECT $1
                 WHERE NOT EXISTS (SELECT 1 FROM anamnesis.smart_realm WHERE workspace = $1)
                 ON CONFLICT (workspace) DO NOTHING",
                &[&workspace],
            )
            .await?;
        let row = client
            .query_one("SELECT realm FROM anamnesis.smart_realm WHERE workspace = $1", &[&workspace])
            .await?;
        Ok(Self { realm: row.try_get(0)?, following: self::pool(database, 1)?, pool })
    }

    /// The connection of those who follow the tables.
    pub(crate) async fn get_following(&self) -> Result<Object, SmartError> {
        get(&self.following).await
    }

    /// A connection.
    pub(crate) async fn get(&self) -> Result<Object, SmartError> {
        get(&self.pool).await
    }
}

async fn get(pool: &Pool) -> Result<Object, SmartError> {
    pool.get().await.map_err(|error| SmartError::Pool(error.to_string()))
}

fn pool(database: &str, size: usize) -> Result<Pool, SmartError> {
    let mut config = Config::from_str(database).map_err(|error| SmartError::Address(error.to_string()))?;
    if config.get_application_name().is_none() {
        config.application_name("anamnesis-smart");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(WAIT);
    }
    if config.get_options().is_none() {
        config.options(format!("-c statement_timeout={STATEMENT_TIMEOUT_MS}"));
    }
    let manager =
        Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    Pool::builder(manager)
        .max_size(size.max(1))
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(WAIT))
        .create_timeout(Some(WAIT))
        .build()
        .map_err(|error| SmartError::Pool(error.to_string()))
}

/// Runs the steps that the database does not have yet, each in its own transaction.
async fn migrate(pool: &Pool) -> Result<(), SmartError> {
    let known = MIGRATIONS.last().map_or(0, |(version, _)| *version);
    let mut client = get(pool).await?;
    loop {
        let transaction = client.transaction().await?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&ADVISORY_LOCK]).await?;
        transaction
            .batch_execute(
                "CREATE SCHEMA IF NOT EXISTS anamnesis;
                 CREATE TABLE IF NOT EXISTS anamnesis.smart_schema (
                     version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())",
            )
            .await?;
        let query = "SELECT coalesce(max(version), 0) FROM anamnesis.smart_schema";
        let found: i32 = transaction.query_one(query, &[]).await?.try_get(0)?;
        if found > known {
            return Err(SmartError::SchemaTooNew { found, known });
        }
        let Some((version, step)) = MIGRATIONS.iter().find(|(version, _)| *version > found) else {
            transaction.commit().await?;
            return Ok(());
        };
        transaction.batch_execute(step).await?;
        transaction.execute("INSERT INTO anamnesis.smart_schema VALUES ($1)", &[version]).await?;
        transaction.commit().await?;
    }
}
