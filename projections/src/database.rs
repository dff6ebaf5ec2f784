//! Connections to the database that holds the read models.

use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error, NoTls};

use crate::ProjectionError;

/// How long a caller waits for a connection, and for a new one to be made.
const WAIT_FOR_CONNECTION: Duration = Duration::from_secs(5);
/// Shapes of statements that a connection keeps prepared: a query that nobody has asked before must not fill the
/// memory of the database.
const STATEMENTS_MAX: usize = 300;

/// Limits and surroundings of the connections. The defaults suit one server on one machine.
#[derive(Debug, Clone)]
pub struct DatabaseOptions {
    /// Connections. More than a few only compete for the same cores.
    pub pool_size: usize,
    /// How long one statement of a search may take.
    pub statement_timeout: Duration,
    /// Where connections run; the current runtime if none is given.
    pub runtime: Option<Handle>,
}

impl Default for DatabaseOptions {
    fn default() -> Self {
        Self { pool_size: 4, statement_timeout: Duration::from_secs(10), runtime: None }
    }
}

/// How long one statement of a batch may take: a large bundle, on a busy machine.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);

/// A pool of connections whose sockets and tasks live on one runtime, whoever asks for them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Database {
    pool: Pool,
    config: Config,
    runtime: Handle,
}

impl Database {
    /// Prepares connections to the database at `url`, a Postgres URL or connection string. None is made yet.
    ///
    /// # Errors
    /// [`ProjectionError::Address`] when the address cannot be understood.
    ///
    /// # Panics
    /// Outside of a tokio runtime, where [`DatabaseOptions::runtime`] is not set.
    pub fn new(url: &str, options: &DatabaseOptions) -> Result<Self, ProjectionError> {
        let mut config =
            Config::from_str(url).map_err(|error| ProjectionError::Address(error.to_string()))?;
        if config.get_application_name().is_none() {
            config.application_name("anamnesis-projections");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(WAIT_FOR_CONNECTION);
        }
        let runtime = options.runtime.clone().unwrap_or_else(Handle::current);
        Self::with(config, runtime, options)
    }

    fn with(config: Config, runtime: Handle, options: &DatabaseOptions) -> Result<Self, ProjectionError> {
        let connector =
            Connector { config: config.clone(), runtime: runtime.clone(), settings: settings(options) };
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_connect(config.clone(), connector, recycling))
            .max_size(options.pool_size.max(1))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(WAIT_FOR_CONNECTION))
            .create_timeout(Some(WAIT_FOR_CONNECTION))
            .build()
            .map_err(|error| ProjectionError::Pool(error.to_string()))?;
        Ok(Self { pool, config, runtime })
    }

    /// One connection to the same database for a writer, which then never waits behind searches.
    pub(crate) fn for_writer(&self) -> Result<Self, ProjectionError> {
        let options =
            DatabaseOptions { pool_size: 1, statement_timeout: WRITE_TIMEOUT, ..DatabaseOptions::default() };
        Self::with(self.config.clone(), self.runtime.clone(), &options)
    }

    /// The runtime on which the connections live, and on which the tasks of this crate run.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(crate) async fn get(&self) -> Result<Object, ProjectionError> {
        let client = self.pool.get().await?;
        if client.statement_cache.size() > STATEMENTS_MAX {
            client.statement_cache.clear();
        }
        Ok(client)
    }
}

/// Makes connections on its own runtime.
#[derive(Clone)]
struct Connector {
    config: Config,
    runtime: Handle,
    settings: String,
}

impl Connector {
    async fn connect_here(self) -> Result<(Client, JoinHandle<()>), Error> {
        let (client, connection) = self.config.connect(NoTls).await?;
        // Owned by the pool, which ends it with the client.
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a database connection ended");
            }
        });
        client.batch_execute(&self.settings).await?;
        Ok((client, driver))
    }
}

impl Connect for Connector {
    fn connect(&self, _config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        let connecting = self.runtime.spawn(self.clone().connect_here());
        Box::pin(async move {
            match connecting.await {
                Ok(connected) => connected,
                // Only when the runtime is shutting down: whoever still asks is served where it runs.
                Err(_) => self.clone().connect_here().await,
            }
        })
    }
}

/// The statements of this crate are written for one plan each, by index; the planner is told not to look for
/// others, because it knows nothing of how many rows a hashed token has. Read models need no waiting for the disk:
/// what a crash takes is derived again.
fn settings(options: &DatabaseOptions) -> String {
    let timeout = options.statement_timeout.as_millis();
    format!(
        "SET statement_timeout = {timeout};
         SET idle_in_transaction_session_timeout = '60s';
         SET client_min_messages = warning;
         SET default_transaction_isolation = 'read committed';
         SET synchronous_commit = off;
         SET jit = off;
         SET plan_cache_mode = force_generic_plan;
         SET enable_seqscan = off;
         SET enable_hashjoin = off;
         SET enable_mergejoin = off;
         SET max_parallel_workers_per_gather = 0"
    )
}
