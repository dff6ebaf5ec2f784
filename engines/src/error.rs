//! The one error of this crate: what could not be found, started or stopped, and what to do about it.

use std::path::PathBuf;

/// Why an engine could not be found, started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No usable program was found in any of the places that were searched.
    #[error(
        "no {program} (version {oldest} or later) was found; looked in: {searched}. \
         Run `make setup`, or install it, or configure the address of a running one"
    )]
    NotFound {
        /// The program, as it is called on the command line.
        program: &'static str,
        /// The oldest version that will do.
        oldest: &'static str,
        /// Every folder that was searched, and why what was there did not do.
        searched: String,
    },
    /// The data folder was written by a version of Postgres that is not here.
    #[error(
        "{} was made by PostgreSQL {found}, but the PostgreSQL that was found is {here}; \
         install PostgreSQL {found}, or move the folder away and start anew", folder.display()
    )]
    OtherVersion {
        /// The folder of the database.
        folder: PathBuf,
        /// The major version that made it.
        found: String,
        /// The major version of the program.
        here: String,
    },
    /// Another process has the data folder: a server, or a command that runs engines of its own.
    #[error(
        "the data folder {} is in use by another anamnesis process, {pid}: a server, or a command \
         that looks at the store; end that first, or name another folder with --data", folder.display()
    )]
    InUse {
        /// The data folder.
        folder: PathBuf,
        /// The process that has it, as it wrote it down; `unknown` while it starts.
        pid: String,
    },
    /// A server has the data folder, but has not said where its engines are.
    #[error(
        "the anamnesis process {pid} on the data folder {} is starting or stopping; \
         try again when it is done", folder.display()
    )]
    Unsettled {
        /// The data folder.
        folder: PathBuf,
        /// The process that has it, as it wrote it down.
        pid: String,
    },
    /// Root asked for engines, but there is no other user to run them as.
    #[error(
        "the private Postgres and NATS are never run as root, and neither the user `postgres` nor `nobody` exists"
    )]
    NoAccount,
    /// A folder belongs to a user that this process is not.
    #[error(
        "{} belongs to the user id {owner}; start the server as that user, or choose another folder with --data",
        folder.display()
    )]
    NotOurs {
        /// The folder.
        folder: PathBuf,
        /// The user id that owns it.
        owner: u32,
    },
    /// A file operation failed.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a phrase that the path completes.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// An engine ended before it was ready.
    #[error("{engine} ended while it started ({status}); its log {} ends with:\n{tail}", log.display())]
    Exited {
        /// Which engine.
        engine: &'static str,
        /// How it ended.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// An engine runs but was not ready in time.
    #[error("{engine} was not ready within {seconds} s; its log is {}", log.display())]
    NotReady {
        /// Which engine.
        engine: &'static str,
        /// How long was waited.
        seconds: u64,
        /// Its log file.
        log: PathBuf,
    },
    /// A program that sets an engine up failed.
    #[error("{program} failed: {message}")]
    Setup {
        /// The program.
        program: &'static str,
        /// The end of what it printed.
        message: String,
    },
    /// Processes that a killed server left behind do not end.
    #[error("{engine} processes left behind by an earlier server do not end: {pids}")]
    Leftovers {
        /// Which engine.
        engine: &'static str,
        /// The process ids.
        pids: String,
    },
    /// The thread that looks after an engine has ended.
    #[error("{engine} has been stopped")]
    Stopped {
        /// Which engine.
        engine: &'static str,
    },
}

impl EngineError {
    /// Wraps an I/O error with what was being done to which path.
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> EngineError {
        let path = path.into();
        move |source| EngineError::Io { doing, path, source }
    }
}
