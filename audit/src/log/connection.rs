//! Connections: one of its own for the appender, a few for those who read.

use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Connect, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error, NoTls};

use crate::{AuditError, AuditOptions};

/// How long a caller waits for a connection.
const WAIT: Duration = Duration::from_secs(5);

/// Makes connections whose sockets and tasks live on one runtime, whoever asks for them.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Config,
    runtime: Handle,
    settings: String,
}

impl Connector {
    pub(crate) fn new(database_url: &str, options: &AuditOptions) -> Result<Self, AuditError> {
        let mut config =
            Config::from_str(database_url).map_err(|error| AuditError::Address(error.to_string()))?;
        if config.get_application_name().is_none() {
            config.application_name("anamnesis-audit");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(WAIT);
        }
        let runtime = options.runtime.clone().unwrap_or_else(Handle::current);
        Ok(Self { config, runtime, settings: settings(options.statement_timeout) })
    }

    /// The same for those who read: their statements may take longer, and write nothing.
    pub(crate) fn reading(&self, timeout: Duration) -> Self {
        let settings = format!("{}; SET default_transaction_read_only = on", settings(timeout));
        Self { settings, ..self.clone() }
    }

    /// A connection driven by a task of the runtime. Dropping the client ends it.
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
                tracing::debug!(%error, "a connection of the audit log ended");
            }
        });
        client.batch_execute(&self.settings).await?;
        Ok((client, driver))
    }

    pub(crate) fn pool(&self, size: usize) -> Result<Pool, AuditError> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(self.config.clone(), self.clone(), recycling);
        Pool::builder(manager)
            .max_size(size.max(1))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(WAIT))
            .create_timeout(Some(WAIT))
            .build()
            .map_err(|error| AuditError::Pool(error.to_string()))
    }
}

impl Connect for Connector {
    fn connect(&self, _config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        Box::pin(Connector::connect(self))
    }
}

/// Commits wait for the disk, or for more where the server is set so: an answered access must be on record.
fn settings(timeout: Duration) -> String {
    let timeout = timeout.as_millis();
    format!(
        "SET statement_timeout = {timeout};
         SET idle_in_transaction_session_timeout = {timeout};
         SET client_min_messages = warning;
         SET default_transaction_isolation = 'read committed';
         SET jit = off;
         SELECT set_config('synchronous_commit', 'on', false)
             WHERE current_setting('synchronous_commit') IN ('off', 'local')"
    )
}
