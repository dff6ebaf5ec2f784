//! The store itself, for commands that look at it: through the server's engines, or through engines of their own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anamnesis_engines::EngineError;
use anamnesis_events::{Log, LogOptions};
use anamnesis_projections::{Database, DatabaseOptions};
use anyhow::Context as _;
use clap::{Args, ValueHint};

use crate::app::{Addresses, PrivateEngines, Surroundings, exposed};
use crate::config::{Overrides, Settings, Sources};
use crate::{encryption, telemetry};

/// How often a server that is starting or stopping is asked again, and how long at most: a Postgres that recovers from
/// a crash takes its time.
const UNSETTLED_PAUSE: Duration = Duration::from_millis(100);
const UNSETTLED_TRIES: u32 = 300;
/// How long NATS may take to answer.
const NATS_WITHIN: Duration = Duration::from_secs(10);
/// How long one statement may take: some count a whole table.
const STATEMENT_WITHIN: Duration = Duration::from_secs(600);
/// Connections for reading the log, and as many for the read models: a command does few things at once.
const CONNECTIONS_MAX: usize = 4;

/// Which store is looked at.
#[derive(Debug, Args)]
pub(super) struct StoreArguments {
    /// The data folder of the server, running or not [env: ANAMNESIS_DATA] [default: ./data]
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    data: Option<PathBuf>,

    /// The configuration file of the server, in TOML [env: ANAMNESIS_CONFIG]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,

    /// The workspace
    #[arg(long, value_name = "NAME", default_value = "default")]
    workspace: String,
}

/// What a command needs of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// The log and the read models.
    Database,
    /// The stream as well.
    DatabaseAndStream,
}

/// What a command does with the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Reads,
    /// Works on how it is stored. Nothing is appended.
    Upkeep,
}

/// An open store. Nothing is written to it, but in upkeep.
pub(super) struct Store {
    /// The log, which refuses writes.
    pub(super) log: Log,
    /// The name of the workspace's service, as it stands in addresses.
    pub(super) service: String,
    addresses: Addresses,
    engines: Option<PrivateEngines>,
}

impl StoreArguments {
    /// Opens the store: with the addresses that are configured, else through the engines of the server that runs on the
    /// data folder, else by starting the private engines on it.
    pub(super) async fn open(&self, need: Need) -> anyhow::Result<Store> {
        self.open_to(need, Access::Reads).await
    }

    /// The same for a command that works on how the log is stored.
    pub(super) async fn open_for_upkeep(&self) -> anyhow::Result<Store> {
        self.open_to(Need::Database, Access::Upkeep).await
    }

    async fn open_to(&self, need: Need, access: Access) -> anyhow::Result<Store> {
        let sources = Sources::of_process(self.config.clone(), self.overrides()?);
        let mut settings = Settings::load(&sources)?;
        if settings.log == Settings::default().log {
            // What a command has to say stands in its output.
            "warn".clone_into(&mut settings.log.filter);
        }
        telemetry::start(&settings.log)?;
        let surroundings = Surroundings {
            path: sources.variable("PATH"),
            runtime: sources.variable("XDG_RUNTIME_DIR").map(Into::into),
        };
        let (addresses, engines) = reach(&settings, &surroundings, need).await?;
        match open_log(&addresses, &self.workspace, (&settings, access)).await {
            Ok(log) => Ok(Store { log, service: self.service(&settings), addresses, engines }),
            Err(error) => {
                stop(engines).await;
                Err(error)
            }
        }
    }

    fn service(&self, settings: &Settings) -> String {
        let services = settings.workspaces.get(&self.workspace).map(|workspace| workspace.services.keys());
        services.and_then(|mut names| names.next()).map_or_else(|| "fhir".to_owned(), String::clone)
    }

    fn overrides(&self) -> anyhow::Result<Overrides> {
        let Some(data) = &self.data else { return Ok(Vec::new()) };
        let text = data.to_str().with_context(|| format!("--data: {} is not valid UTF-8", data.display()))?;
        Ok(vec![("data", "--data", text.into())])
    }
}

impl Store {
    /// Connections to the read models.
    pub(super) fn database(&self) -> anyhow::Result<Database> {
        let options = DatabaseOptions { pool_size: CONNECTIONS_MAX, ..DatabaseOptions::default() };
        Ok(Database::new(&self.addresses.database, &options)?)
    }

    /// The address of the database.
    pub(super) fn database_address(&self) -> &str {
        &self.addresses.database
    }

    /// A connection to the stream's server.
    pub(super) async fn nats(&self) -> anyhow::Result<async_nats::Client> {
        let connecting =
            async_nats::ConnectOptions::new().name("anamnesis").connect(self.addresses.nats.as_str());
        let connected = tokio::time::timeout(NATS_WITHIN, connecting).await;
        connected.context("NATS does not answer")?.context("NATS cannot be reached; is its address right?")
    }

    /// Closes the log and stops the engines that were started for this.
    pub(super) async fn close(self) {
        self.log.close().await;
        stop(self.engines).await;
    }
}

async fn stop(engines: Option<PrivateEngines>) {
    if let Some(engines) = engines {
        engines.stop().await;
    }
}

async fn open_log(
    addresses: &Addresses,
    workspace: &str,
    (settings, access): (&Settings, Access),
) -> anyhow::Result<Log> {
    let encryption = match settings.workspaces.get(workspace) {
        Some(configured) => encryption::of(&configured.encryption).context("the master key")?,
        None => None,
    };
    let options = LogOptions {
        pool_size: CONNECTIONS_MAX,
        statement_timeout: STATEMENT_WITHIN,
        encryption,
        ..LogOptions::default()
    };
    let opened = match access {
        Access::Reads => Log::open_existing(&addresses.database, workspace, options).await,
        Access::Upkeep => Log::open_for_upkeep(&addresses.database, workspace, options).await,
    };
    opened.context("the log cannot be opened")
}

/// Finds the engines, or starts them.
async fn reach(
    settings: &Settings,
    surroundings: &Surroundings,
    need: Need,
) -> anyhow::Result<(Addresses, Option<PrivateEngines>)> {
    let (database, nats) = (exposed(&settings.database.url), exposed(&settings.nats.url));
    if let (Some(database), Some(nats)) = (&database, &nats) {
        return Ok((Addresses { database: database.clone(), nats: nats.clone() }, None));
    }
    if let (Some(database), Need::Database) = (&database, need) {
        return Ok((Addresses { database: database.clone(), nats: String::new() }, None));
    }
    if let Some(running) = running(&settings.data).await? {
        let address = |configured: &Option<String>, private: Option<String>, setting: &str| {
            configured.clone().or(private).with_context(|| {
                format!(
                    "the process {} on {} uses a {setting} that is not known here; name it as the server's \
                     configuration does",
                    running.pid,
                    settings.data.display()
                )
            })
        };
        let addresses = Addresses {
            database: address(&database, running.database_url.clone(), "database.url")?,
            nats: match need {
                Need::Database => nats.clone().or(running.nats_url.clone()).unwrap_or_default(),
                Need::DatabaseAndStream => address(&nats, running.nats_url.clone(), "nats.url")?,
            },
        };
        return Ok((addresses, None));
    }
    if settings.database.url.is_none() && !settings.data.join("postgres").exists() {
        anyhow::bail!(
            "there is no store in {}: name the data folder of the server with --data, or its configuration with --config",
            settings.data.display()
        );
    }
    // A NATS that is started where there was none would be empty, and would stay in the folder.
    let has_nats = settings.nats.url.is_some() || settings.data.join("nats").exists();
    if need == Need::DatabaseAndStream && !has_nats {
        anyhow::bail!(
            "the NATS of the store is not known: there is none in {}. Name nats.url as the server's configuration does, or \
             check without the stream: --only log,heads,search",
            settings.data.display()
        );
    }
    // Beside this command another one may run, which wants the stream.
    let engines = PrivateEngines::start_some(settings, surroundings, has_nats).await?;
    Ok((engines.addresses.clone(), Some(engines)))
}

/// The engines of the server on the data folder, once it has started.
async fn running(data: &Path) -> anyhow::Result<Option<anamnesis_engines::Addresses>> {
    for _ in 0..UNSETTLED_TRIES {
        match anamnesis_engines::running(data) {
            Err(EngineError::Unsettled { .. }) => tokio::time::sleep(UNSETTLED_PAUSE).await,
            settled => return Ok(settled?),
        }
    }
    Ok(anamnesis_engines::running(data)?)
}
