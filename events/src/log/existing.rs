//! Opening a log that is there, for reading only: nothing is written, nothing is brought up to date.

use std::sync::Arc;

use deadpool_postgres::Client;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::claims::Claims;
use super::connection::Connector;
use super::data_keys::DataKeys;
use super::{Inner, Log, appender, migrate, read};
use crate::{LogError, LogOptions};

impl Log {
    /// Opens the log of `workspace` for reading, without writing anything: for auditors, also beside a running server.
    /// Its connections refuse to write, and every append is refused as [`crate::AppendError::Closed`]. The end of the
    /// chain is not checked: that is what [`Log::verify`] is for.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), anamnesis_events::LogError> {
    /// use anamnesis_events::{Log, LogOptions};
    /// let log = Log::open_existing("postgres://localhost/anamnesis", "default", LogOptions::default()).await?;
    /// println!("{} events", log.head().await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the database cannot be reached, its schema is not the one of this program, or it has no log of that name.
    pub async fn open_existing(
        database_url: &str,
        workspace: &str,
        options: LogOptions,
    ) -> Result<Log, LogError> {
        Self::open_without_appender(database_url, workspace, options, false).await
    }

    /// The same for upkeep of what is recorded, which may write: see [`Log::rewrap`] and [`Log::seal_step`].
    ///
    /// # Errors
    /// As those of [`Log::open_existing`].
    pub async fn open_for_upkeep(
        database_url: &str,
        workspace: &str,
        options: LogOptions,
    ) -> Result<Log, LogError> {
        Self::open_without_appender(database_url, workspace, options, true).await
    }

    async fn open_without_appender(
        database_url: &str,
        workspace: &str,
        options: LogOptions,
        writes: bool,
    ) -> Result<Log, LogError> {
        let runtime = options.runtime.clone().unwrap_or_else(Handle::current);
        let connector = Connector::new(database_url, runtime.clone(), &options)?;
        let connector = if writes { connector } else { connector.read_only() };
        let pool = connector.pool(options.pool_size)?;
        let client = pool.get().await.map_err(read::pool_error)?;
        migrate::check(&client).await?;
        let number = known_log(&client, workspace).await?;
        drop(client);
        let stop = CancellationToken::new();
        // Nobody takes what is queued: the queue is closed from the beginning.
        let (queue, _) = mpsc::channel(1);
        let encryption = options.encryption.clone();
        let data_keys = DataKeys::open(pool.clone(), (number, workspace), encryption, writes).await?;
        let connections = (pool.clone(), Claims::new(pool), data_keys);
        let inner = Inner::new((number, workspace), connections, queue, &stop, options);
        let log = Log { inner: Arc::new(inner) };
        appender::advance(&log.inner.head, log.head().await?);
        log.keep(runtime.spawn(log.poller().run(stop)));
        Ok(log)
    }
}

/// The number of the workspace's log.
async fn known_log(client: &Client, workspace: &str) -> Result<i16, LogError> {
    let rows = client.query("SELECT workspace, log FROM anamnesis.log ORDER BY workspace", &[]).await?;
    let mut known = Vec::with_capacity(rows.len());
    for row in &rows {
        let name: String = row.try_get(0)?;
        if name == workspace {
            return Ok(row.try_get(1)?);
        }
        known.push(name);
    }
    Err(LogError::UnknownWorkspace { workspace: workspace.to_owned(), known: known.join(", ") })
}
