//! Connections to the database: a small pool for reading, and single ones for the appender.

use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error, NoTls};

use crate::{LogError, LogOptions};

/// How long a caller waits for a pooled connection, and for a new one to be made.
const WAIT_FOR_CONNECTION: Duration = Duration::from_secs(5);

/// Makes connections whose sockets and tasks live on one runtime, whoever asks for them.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Config,
    runtime: Handle,
    settings: String,
}

impl Connector {
    /// # Errors
    /// When the address is not a Postgres URL or connection string.
    pub(crate) fn new(
        database_url: &str,
        runtime: Handle,
        options: &LogOptions,
    ) -> Result<Connector, LogError> {
        let mut config =
            Config::from_str(database_url).map_err(|error| LogError::Address(error.to_string()))?;
        if config.get_application_name().is_none() {
            config.application_name("anamnesis-events");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(WAIT_FOR_CONNECTION);
        }
        Ok(Connector { config, runtime, settings: settings(options) })
    }

    /// The same connector, whose connections refuse to write.
    pub(crate) fn read_only(mut self) -> Connector {
        self.settings.push_str("; SET default_transaction_read_only = on");
        self
    }

    /// A connection with the settings below, driven by a task of the runtime. Dropping the client ends it.
    pub(crate) async fn connect(&self) -> Result<(Client, JoinHandle<()>), Error> {
        match self.runtime.spawn(self.clone().connect_here()).await {
            Ok(connected) => connected,
            // Only when the runtime is shutting down: whoever still asks is served where it runs.
            Err(_) => self.clone().connect_here().await,
        }
    }

    async fn connect_here(self) -> Result<(Client, JoinHandle<()>), Error> {
        let (client, connection) = self.config.connect(NoTls).await?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a database connection ended");
            }
        });
        client.batch_execute(&self.settings).await?;
        Ok((client, driver))
    }

    /// The pool for reading.
    pub(crate) fn pool(&self, size: usize) -> Result<Pool, LogError> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(self.config.clone(), self.clone(), recycling);
        Pool::builder(manager)
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(WAIT_FOR_CONNECTION))
            .create_timeout(Some(WAIT_FOR_CONNECTION))
            .build()
            .map_err(|error| LogError::Pool(error.to_string()))
    }
}

impl Connect for Connector {
    fn connect(&self, _config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        Box::pin(Connector::connect(self))
    }
}

/// Every statement of this crate finds its rows by index: the planner is told so, because plans made
/// while the tables are small would otherwise read them whole later. Commits wait for the disk (or for
/// more, if the server is set so): a position that was answered must never be given out again.
fn settings(options: &LogOptions) -> String {
    let timeout = options.statement_timeout.as_millis();
    format!(
        "SET statement_timeout = {timeout};
         SET idle_in_transaction_session_timeout = {timeout};
         SET client_min_messages = warning;
         SET default_transaction_isolation = 'read committed';
         SET jit = off;
         SET plan_cache_mode = force_generic_plan;
         SET enable_seqscan = off;
         SET enable_hashjoin = off;
         SET enable_mergejoin = off;
         SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') IN ('off', 'local')"
    )
}
