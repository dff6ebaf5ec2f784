//! What is remembered of search parameters in Postgres: which are switched off, and the reindex jobs that were asked for.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio::sync::OnceCell;
use tokio_postgres::{Config, NoTls, Row};

/// How long a connection and a statement may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections: each is used for a row or a few.
const CONNECTIONS: usize = 2;
/// Jobs that are kept.
const JOBS_MAX: i64 = 100;

// The number in the lock is an arbitrary one that nobody else uses.
const TABLES: &str = r#"
    BEGIN;
    SET LOCAL client_min_messages = warning;
    SELECT pg_advisory_xact_lock(1431260243, -1);
    CREATE SCHEMA IF NOT EXISTS anamnesis;
    CREATE TABLE IF NOT EXISTS anamnesis.search_parameter_switch (
        log smallint NOT NULL, url text COLLATE "C" NOT NULL, is_off boolean NOT NULL,
        changed_at timestamptz NOT NULL, changed_by text NOT NULL, PRIMARY KEY (log, url));
    CREATE TABLE IF NOT EXISTS anamnesis.reindex_job (
        log smallint NOT NULL, id text COLLATE "C" NOT NULL, version integer NOT NULL, head bigint NOT NULL,
        asked_at timestamptz NOT NULL, asked_by text NOT NULL, parameters text NOT NULL, urls text NOT NULL,
        types text NOT NULL, PRIMARY KEY (log, id), UNIQUE (log, version));
    COMMIT;
"#;

/// A reindex job as it was asked for. What has become of it, the version of the index tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) id: String,
    /// The version of the index that is built for it.
    pub(crate) version: i32,
    /// The log's end when it was asked for.
    pub(crate) head: i64,
    pub(crate) asked_at: DateTime<Utc>,
    pub(crate) asked_by: String,
    /// What the client has said, as a JSON array of parameters.
    pub(crate) parameters: String,
    /// The addresses of the search parameters beside R4's, by commas.
    pub(crate) urls: String,
    /// The types that these are for, by commas.
    pub(crate) types: String,
}

impl Job {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            version: row.try_get(1)?,
            head: row.try_get(2)?,
            asked_at: row.try_get(3)?,
            asked_by: row.try_get(4)?,
            parameters: row.try_get(5)?,
            urls: row.try_get(6)?,
            types: row.try_get(7)?,
        })
    }
}

/// Why it cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no connection.
    #[error("there is no connection: {0}")]
    Pool(#[from] deadpool_postgres::PoolError),
    /// The database fails.
    #[error(transparent)]
    Database(#[from] tokio_postgres::Error),
}

/// The tables of one log.
#[derive(Debug)]
pub(super) struct Store {
    pool: Pool,
    log: i16,
    has_tables: OnceCell<()>,
}

impl Store {
    /// Prepares connections; none is made yet.
    pub(super) fn new(url: &str, log: i16) -> anyhow::Result<Self> {
        let mut config = Config::from_str(url)?;
        config.application_name("anamnesis-search-parameters").connect_timeout(PATIENCE);
        config.options(format!("-c statement_timeout={}", PATIENCE.as_millis()));
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_config(config, NoTls, recycling))
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .build()?;
        Ok(Self { pool, log, has_tables: OnceCell::new() })
    }

    async fn client(&self) -> Result<Object, StoreError> {
        let client = self.pool.get().await?;
        self.has_tables.get_or_try_init(|| client.batch_execute(TABLES)).await?;
        Ok(client)
    }

    /// The addresses of the search parameters that are switched off.
    pub(super) async fn off(&self) -> Result<BTreeSet<String>, StoreError> {
        let statement = "SELECT url FROM anamnesis.search_parameter_switch WHERE log = $1 AND is_off";
        let rows = self.client().await?.query(statement, &[&self.log]).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// Switches search parameters off or on, all of them or none.
    pub(super) async fn switch(
        &self,
        switches: &[(String, bool)],
        changed_at: DateTime<Utc>,
        changed_by: &str,
    ) -> Result<(), StoreError> {
        let (urls, off): (Vec<&str>, Vec<bool>) =
            switches.iter().map(|(url, is_off)| (url.as_str(), *is_off)).unzip();
        let statement = "INSERT INTO anamnesis.search_parameter_switch AS s
            SELECT $1, u.url, u.is_off, $4, $5 FROM unnest($2::text[], $3::bool[]) AS u (url, is_off)
            ON CONFLICT (log, url) DO UPDATE SET is_off = excluded.is_off, changed_at = excluded.changed_at,
                changed_by = excluded.changed_by WHERE s.is_off <> excluded.is_off";
        let client = self.client().await?;
        client.execute(statement, &[&self.log, &urls, &off, &changed_at, &changed_by]).await?;
        Ok(())
    }

    /// Records a job. False: there is one for its version already. The oldest make room.
    pub(super) async fn add(&self, job: &Job) -> Result<bool, StoreError> {
        let mut client = self.client().await?;
        let transaction = client.transaction().await?;
        let add = "INSERT INTO anamnesis.reindex_job VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            ON CONFLICT (log, version) DO NOTHING";
        let Job { id, version, head, asked_at, asked_by, parameters, urls, types } = job;
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 9] =
            [&self.log, id, version, head, asked_at, asked_by, parameters, urls, types];
        let added = transaction.execute(add, &values).await?;
        let remove = "DELETE FROM anamnesis.reindex_job WHERE log = $1 AND version < coalesce((
            SELECT version FROM anamnesis.reindex_job WHERE log = $1 ORDER BY version DESC OFFSET $2 LIMIT 1), 0)";
        transaction.execute(remove, &[&self.log, &(JOBS_MAX - 1)]).await?;
        transaction.commit().await?;
        Ok(added > 0)
    }

    /// The job with an id.
    pub(super) async fn job(&self, id: &str) -> Result<Option<Job>, StoreError> {
        let row = self.client().await?.query_opt(&selected("id = $2"), &[&self.log, &id]).await?;
        Ok(row.map(|row| Job::of(&row)).transpose()?)
    }

    /// The job for which a version of the index is built.
    pub(super) async fn job_of(&self, version: i32) -> Result<Option<Job>, StoreError> {
        let row = self.client().await?.query_opt(&selected("version = $2"), &[&self.log, &version]).await?;
        Ok(row.map(|row| Job::of(&row)).transpose()?)
    }

    /// All jobs that are kept, the newest first.
    pub(super) async fn jobs(&self) -> Result<Vec<Job>, StoreError> {
        let statement = selected("true ORDER BY version DESC LIMIT $2");
        let rows = self.client().await?.query(&statement, &[&self.log, &JOBS_MAX]).await?;
        Ok(rows.iter().map(Job::of).collect::<Result<_, _>>()?)
    }
}

fn selected(condition: &str) -> String {
    format!(
        "SELECT id, version, head, asked_at, asked_by, parameters, urls, types FROM anamnesis.reindex_job
         WHERE log = $1 AND {condition}"
    )
}
