//! The private Postgres: made with `initdb`, reached over a Unix socket that only its owner can enter.

mod control;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::timeout;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};

use crate::EngineError;
use crate::account::Account;
use crate::leftovers;
use crate::place::Places;
use crate::process::{Launch, become_user, leashed};
use crate::supervisor::Engine;

/// The owner of everything in the private Postgres, and the name of the database.
pub(crate) const OWNER: &str = "anamnesis";
/// The socket's number. It names a file in a folder of ours, so it collides with nobody's port.
const PORT: u16 = 5432;
/// How long `initdb` may take on a slow disk.
const INITDB_WITHIN: Duration = Duration::from_secs(300);
/// How long one connection attempt may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Fast shutdown writes a checkpoint, and is given longer once it does; immediate shutdown is a crash that the next
/// start recovers from. A Postgres that is itself recovering from a crash may not follow the first: version 18 then
/// waits for ever for processes that it has not told to end.
const STOP: &[(Signal, Duration)] =
    &[(Signal::INT, Duration::from_secs(10)), (Signal::QUIT, Duration::from_secs(10))];
/// The same for one that an earlier server left behind.
const CLEAN_UP: &[(Signal, Duration)] = &[
    (Signal::INT, Duration::from_secs(10)),
    (Signal::QUIT, Duration::from_secs(10)),
    (Signal::KILL, Duration::from_secs(10)),
];
/// Children that outlived their postmaster understand only this: INT would make them wait for its orders.
const CLEAN_UP_ORPHANS: &[(Signal, Duration)] =
    &[(Signal::QUIT, Duration::from_secs(10)), (Signal::KILL, Duration::from_secs(10))];

/// The same for an `initdb` whose result nobody wants any more.
const CLEAN_UP_INITDB: &[(Signal, Duration)] =
    &[(Signal::INT, Duration::from_secs(10)), (Signal::KILL, Duration::from_secs(5))];

/// What the name of a database folder begins with while it is being made.
const UNFINISHED: &str = "making-";

/// The folder of the database itself, which may not exist yet, in a folder of its owner's.
pub(crate) fn database_folder(places: &Places) -> Result<PathBuf, EngineError> {
    Ok(places.folder("postgres")?.join("data"))
}

/// A private Postgres on one folder.
#[derive(Debug)]
pub(crate) struct Postgres {
    bin: PathBuf,
    folder: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    account: Option<Account>,
}

impl Postgres {
    /// Takes the folders for it. `bin` must be runnable by the engines' user.
    pub(crate) fn new(places: &Places, bin: PathBuf, runtime: Option<&Path>) -> Result<Self, EngineError> {
        Ok(Postgres {
            bin,
            folder: database_folder(places)?,
            socket: places.socket_folder(runtime)?,
            log: places.logs.join("postgres.log"),
            account: places.account.clone(),
        })
    }

    /// Makes the database folder, once. It gets its name when it is whole, so that an interrupted attempt
    /// leaves nothing that looks like a database.
    async fn initialise(&self) -> Result<(), EngineError> {
        if self.folder.is_dir() {
            return Ok(());
        }
        tracing::info!(folder = %self.folder.display(), "making a new database");
        let home = self.folder.parent().unwrap_or(&self.folder);
        self.remove_unfinished(home).await?;
        let making = home.join(format!("{UNFINISHED}{}", std::process::id()));
        let mut command = leashed(&self.bin.join("initdb"), "INT");
        command
            .arg("--pgdata")
            .arg(&making)
            .args(["--username", OWNER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C"])
            .args(["--data-checksums", "--no-instructions"])
            .current_dir(home)
            .stdin(Stdio::null())
            .process_group(0);
        become_user(&mut command, self.account.as_ref());
        let setup = |message: String| EngineError::Setup { program: "initdb", message };
        let output = timeout(INITDB_WITHIN, command.output())
            .await
            .map_err(|_| setup(format!("not done within {} s", INITDB_WITHIN.as_secs())))?
            .map_err(|error| setup(error.to_string()))?;
        if !output.status.success() {
            return Err(setup(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        std::fs::rename(&making, &self.folder).map_err(EngineError::io("could not name", &self.folder))
    }

    /// Ends and removes what interrupted attempts to make a database left behind.
    async fn remove_unfinished(&self, home: &Path) -> Result<(), EngineError> {
        // It cleans up after itself, if it is given the time.
        leftovers::stop("initdb", home, CLEAN_UP_INITDB, || false).await?;
        for entry in std::fs::read_dir(home).map_err(EngineError::io("could not read", home))? {
            let path = entry.map_err(EngineError::io("could not read", home))?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED)) {
                leftovers::stop("postgres", &path, CLEAN_UP_ORPHANS, || false).await?;
                std::fs::remove_dir_all(&path).map_err(EngineError::io("could not remove", &path))?;
            }
        }
        Ok(())
    }

    /// Writes the settings anew, so that a new version's settings reach old databases too.
    fn configure(&self) -> Result<(), EngineError> {
        let path = self.folder.join("postgresql.conf");
        let local = self.folder.join("local.conf");
        if !local.exists() {
            let text = "# Settings in this file override those of Anamnesis. It is never written again.\n";
            std::fs::write(&local, text).map_err(EngineError::io("could not write", &local))?;
        }
        std::fs::write(&path, settings(&self.socket, memory_bytes()))
            .map_err(EngineError::io("could not write", &path))?;
        if let Some(account) = &self.account {
            for file in [&path, &local] {
                std::os::unix::fs::chown(file, Some(account.uid), Some(account.gid))
                    .map_err(EngineError::io("could not change the owner of", file))?;
            }
        }
        Ok(())
    }

    /// Whether the process that the pid file names is a Postgres on this folder, and not a stranger by now.
    fn has_postmaster(&self) -> bool {
        let text = std::fs::read_to_string(self.folder.join("postmaster.pid")).unwrap_or_default();
        let named: Option<i32> = text.lines().next().and_then(|line| line.trim().parse().ok());
        leftovers::find("postgres", &self.folder).iter().any(|pid| Some(pid.as_raw_nonzero().get()) == named)
    }

    /// Removes the lock files of a Postgres that is known to be dead. They name a process by its number alone,
    /// which after a crash may belong to anybody, and then Postgres would refuse to start.
    fn forget_dead_postmaster(&self) -> Result<(), EngineError> {
        let socket = self.socket.join(format!(".s.PGSQL.{PORT}"));
        let socket_lock = self.socket.join(format!(".s.PGSQL.{PORT}.lock"));
        for path in [self.folder.join("postmaster.pid"), socket_lock, socket] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(EngineError::io("could not remove", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn client(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(&self.socket).port(PORT).user(OWNER).dbname(database);
        config.connect_timeout(CONNECT_WITHIN);
        config
    }
}

impl Engine for Postgres {
    const NAME: &'static str = "postgres";
    const STOP: &'static [(Signal, Duration)] = STOP;

    async fn prepare(&mut self) -> Result<Launch, EngineError> {
        let signals = if self.has_postmaster() { CLEAN_UP } else { CLEAN_UP_ORPHANS };
        leftovers::stop("postgres", &self.folder, signals, || control::is_shutting_down(&self.folder))
            .await?;
        self.forget_dead_postmaster()?;
        self.initialise().await?;
        self.configure()?;
        Ok(Launch {
            program: self.bin.join("postgres"),
            arguments: vec!["-D".into(), self.folder.clone().into()],
            folder: self.folder.clone(),
            account: self.account.clone(),
            log: self.log.clone(),
            orphan_signal: "INT",
        })
    }

    async fn abandon(&mut self) {
        let home = self.folder.parent().unwrap_or(&self.folder);
        if let Err(error) = self.remove_unfinished(home).await {
            tracing::warn!(%error, "the making of a database could not be given up");
        }
    }

    async fn is_ready(&mut self) -> bool {
        execute(&self.client("postgres"), "SELECT 1").await.is_ok()
    }

    async fn settle(&mut self) -> Result<(), EngineError> {
        let setup = |error| EngineError::Setup { program: "postgres", message: format!("{error}") };
        let server = self.client("postgres");
        let there = format!("SELECT 1 FROM pg_database WHERE datname = '{OWNER}'");
        let rows = execute(&server, &there).await.map_err(setup)?;
        if !rows.iter().any(|message| matches!(message, SimpleQueryMessage::Row(_))) {
            execute(&server, &format!("CREATE DATABASE {OWNER}")).await.map_err(setup)?;
        }
        Ok(())
    }

    fn is_ending(&self) -> bool {
        control::is_shutting_down(&self.folder)
    }

    fn try_otherwise(&mut self, _log_tail: &str) -> bool {
        false
    }

    fn url(&self) -> String {
        url(&self.socket, OWNER)
    }
}

/// The address of a database, as libpq and its relatives read it.
fn url(socket: &Path, database: &str) -> String {
    format!("postgresql://{OWNER}@{}/{database}", percent_encoded(socket))
}

/// A path as the host part of an address: everything but letters, digits and `-._~` in percent form.
fn percent_encoded(path: &Path) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// Runs one statement on a connection of its own.
pub(crate) async fn execute(
    config: &Config,
    statement: &str,
) -> Result<Vec<SimpleQueryMessage>, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::pin!(connection);
    let work = client.simple_query(statement);
    tokio::pin!(work);
    loop {
        tokio::select! {
            rows = &mut work => return rows,
            // The connection ends only with an error, which the statement then reports too.
            ended = &mut connection => ended?,
        }
    }
}

/// The memory of this machine, as far as it says; 2 GiB if it does not.
fn memory_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.map_or(2 << 30, |kilobytes| kilobytes << 10)
}

/// The settings: durable, quiet about contents, and sized for a machine that also runs the server.
fn settings(socket: &Path, memory: u64) -> String {
    let megabytes = memory >> 20;
    let shared = (megabytes / 8).clamp(64, 1024);
    let cache = (megabytes / 2).max(256);
    let maintenance = (megabytes / 32).clamp(64, 256);
    format!(
        "# Written by Anamnesis at every start. Put your own settings into local.conf beside this file.
listen_addresses = ''
port = {PORT}
unix_socket_directories = '{socket}'
unix_socket_permissions = 0700
max_connections = 100

# A commit that was answered is on disk. Projections ask for less in their own transactions.
fsync = on
full_page_writes = on
synchronous_commit = on

shared_buffers = {shared}MB
effective_cache_size = {cache}MB
work_mem = 16MB
maintenance_work_mem = {maintenance}MB
min_wal_size = 256MB
max_wal_size = 2GB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9
random_page_cost = 1.1
jit = off

# Statements, their values and the rows they fail on are personal data, and a log is not the place for it.
log_statement = 'none'
log_min_error_statement = 'panic'
log_min_duration_statement = -1
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
log_error_verbosity = 'terse'
log_destination = 'stderr'
logging_collector = off
log_checkpoints = off
log_line_prefix = '%m [%p] '

timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
default_text_search_config = 'pg_catalog.simple'
include_if_exists = 'local.conf'
",
        socket = socket.display().to_string().replace('\'', "''"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_survives_odd_folders() {
        let socket = Path::new("/tmp/a b/ü%/run");
        let address = url(socket, "x");
        assert_eq!(address, "postgresql://anamnesis@%2Ftmp%2Fa%20b%2F%C3%BC%25%2Frun/x");
        let parsed: Config = address.parse().unwrap();
        assert_eq!(parsed.get_hosts(), [tokio_postgres::config::Host::Unix(socket.to_owned())]);
    }

    #[test]
    fn small_and_large_machines_get_sensible_buffers() {
        assert!(settings(Path::new("/s"), 512 << 20).contains("shared_buffers = 64MB"));
        assert!(settings(Path::new("/s"), 4 << 30).contains("shared_buffers = 512MB"));
        assert!(settings(Path::new("/s"), 1 << 40).contains("shared_buffers = 1024MB"));
    }
}
