//! One Postgres for all tests of a test program, with a fresh database for each.

use std::path::Path;

use tokio::sync::OnceCell;
use tokio_postgres::{Config, SimpleQueryMessage};

use crate::EngineError;
use crate::account::engine_account;
use crate::lock::{self, DataLock};
use crate::place::Places;
use crate::postgres::{Postgres, execute};
use crate::supervisor::Supervised;

/// How many test programs may run at once on one machine, each with a Postgres of its own.
const SLOTS: u32 = 64;

/// The Postgres of this test program.
#[derive(Debug)]
pub struct TestPostgres {
    server: Supervised,
    _slot: DataLock,
}

/// The Postgres of this test program, started by the first test that asks for it.
///
/// It is durable as the real one is (`fsync` on). It ends with the test program, however that ends: the
/// kernel tells it. Its folder is kept for the next test program, because making one takes a second.
///
/// # Panics
/// When it cannot be started.
#[expect(clippy::expect_used, reason = "for tests, which should fail here")]
pub async fn postgres() -> &'static TestPostgres {
    static SHARED: OnceCell<TestPostgres> = OnceCell::const_new();
    SHARED
        .get_or_try_init(TestPostgres::start)
        .await
        .expect("a Postgres for this test program (run `make setup` first)")
}

impl TestPostgres {
    async fn start() -> Result<TestPostgres, EngineError> {
        let account = engine_account()?;
        let search = super::search_path();
        let found = search.postgres(Path::new(""))?;
        let base = super::base();
        for slot in 0..SLOTS {
            let data = base.join(format!("postgres{}-{slot}", found.major));
            let places = Places::prepare(&data, &base, account.clone())?;
            let lock = match lock::take(&places.data) {
                Ok(lock) => lock,
                Err(EngineError::InUse { .. }) => continue,
                Err(error) => return Err(error),
            };
            let bin = places.reachable(&found.root, &found.bin)?;
            let server = Supervised::start(Postgres::new(&places, bin, None)?).await?;
            let postgres = TestPostgres { server, _slot: lock };
            postgres.drop_old_databases().await?;
            return Ok(postgres);
        }
        Err(EngineError::InUse { folder: base, pid: format!("{SLOTS} test programs") })
    }

    /// Makes an empty database and returns its address.
    ///
    /// # Panics
    /// When it cannot be made.
    #[expect(clippy::expect_used, reason = "for tests, which should fail here")]
    pub async fn fresh_database(&self) -> String {
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        let statement = format!("CREATE DATABASE {name} TEMPLATE template0");
        execute(&self.config(), &statement).await.expect("a fresh database");
        self.url(&name)
    }

    /// The address of the server's maintenance database.
    pub fn server_url(&self) -> &str {
        self.server.url()
    }

    fn url(&self, database: &str) -> String {
        let server = self.server.url();
        let base = server.rsplit_once('/').map_or(server, |(base, _)| base);
        format!("{base}/{database}")
    }

    #[expect(clippy::expect_used, reason = "for tests, which should fail here")]
    fn config(&self) -> Config {
        self.server.url().parse().expect("our own address")
    }

    /// The databases that earlier test programs left behind.
    async fn drop_old_databases(&self) -> Result<(), EngineError> {
        let setup = |error| EngineError::Setup { program: "postgres", message: format!("{error}") };
        let names = "SELECT datname FROM pg_database WHERE datname LIKE 'test\\_%'";
        for message in execute(&self.config(), names).await.map_err(setup)? {
            if let SimpleQueryMessage::Row(row) = message
                && let Some(name) = row.get(0)
            {
                let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                execute(&self.config(), &statement).await.map_err(setup)?;
            }
        }
        Ok(())
    }
}
