//! A nats-server of a test's own, which can be killed and started again on the same files.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::EngineError;
use crate::account::engine_account;
use crate::engines::nats_program;
use crate::place::Places;
use crate::supervisor::Supervised;

/// A private nats-server with JetStream in a temporary folder. Dropping it stops it and removes its files.
#[derive(Debug)]
pub struct Nats {
    // Dropped before the folder in which it runs.
    server: Supervised,
    store: PathBuf,
    folder: TemporaryFolder,
}

impl Nats {
    /// Starts a server on a free loopback port.
    ///
    /// # Panics
    /// When it cannot be started: a test without its engine has nothing to say.
    #[expect(clippy::expect_used, reason = "for tests, which should fail here")]
    pub async fn start() -> Nats {
        Nats::try_start().await.expect("a nats-server for this test (run `make setup` first)")
    }

    async fn try_start() -> Result<Nats, EngineError> {
        let folder = TemporaryFolder::new()?;
        let places = Places::prepare(&folder.path, &super::base(), engine_account()?)?;
        let program = nats_program(&super::search_path(), &places)?;
        let nats = crate::nats::Nats::new(&places, program, first_port())?;
        let store = nats.store();
        Ok(Nats { server: Supervised::start(nats).await?, store, folder })
    }

    /// The address for clients; the same after a restart.
    pub fn url(&self) -> &str {
        self.server.url()
    }

    /// Kills the server with SIGKILL and waits until it is gone. It stays dead until `restart`.
    ///
    /// # Panics
    /// When the server is beyond control.
    #[expect(clippy::expect_used, reason = "for tests, which should fail here")]
    pub async fn kill9(&self) {
        self.server.kill().await.expect("the server can be killed");
    }

    /// Stops the server in order and waits until it is gone. It stays down until `restart`.
    ///
    /// # Panics
    /// When the server is beyond control.
    #[expect(clippy::expect_used, reason = "for tests, which should fail here")]
    pub async fn stop(&self) {
        self.server.stop().await.expect("the server can be stopped");
    }

    /// Starts the server again on the same port and the same files, and waits until it answers.
    ///
    /// # Panics
    /// When it does not start.
    #[expect(clippy::expect_used, reason = "for tests, which should fail here")]
    pub async fn restart(&self) {
        self.server.stop().await.expect("the server can be stopped");
        self.server.start_again().await.expect("the server starts again");
    }

    /// The folder of JetStream's files.
    pub fn store_dir(&self) -> &Path {
        &self.store
    }

    /// Stops the server and removes every stream, as if the disk had been lost. `restart` begins anew.
    ///
    /// # Panics
    /// When the files cannot be removed.
    #[expect(clippy::expect_used, reason = "for tests, which should fail here")]
    pub async fn wipe(&self) {
        self.stop().await;
        if self.store.exists() {
            std::fs::remove_dir_all(&self.store).expect("the streams can be removed");
        }
    }

    /// The folder that holds the server's log (`logs/nats.log`).
    pub fn data_dir(&self) -> &Path {
        &self.folder.path
    }
}

/// Servers of tests that run side by side begin their search at different ports.
fn first_port() -> u16 {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() % 500).unwrap_or(0);
    15_000 + process * 16 + COUNT.fetch_add(1, Ordering::Relaxed) % 16
}

/// A folder in the system's temporary folder that goes with its owner.
#[derive(Debug)]
struct TemporaryFolder {
    path: PathBuf,
}

impl TemporaryFolder {
    fn new() -> Result<Self, EngineError> {
        let path = std::env::temp_dir().join(format!("anamnesis-test-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path).map_err(EngineError::io("could not create", &path))?;
        Ok(TemporaryFolder { path })
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What is left behind in the temporary folder does no harm.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
