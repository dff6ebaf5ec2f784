//! Real engines for tests: a Postgres that a test program shares, and NATS servers that can be killed.

mod database;
mod nats;

pub use database::{TestPostgres, postgres};
pub use nats::Nats;

use std::path::PathBuf;

use crate::binaries::SearchPath;

/// The programs that `make setup` unpacked into this repository, else those of the machine.
fn search_path() -> SearchPath {
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.engines");
    SearchPath { folders: vec![repository], path: Some("/usr/local/bin:/usr/bin:/bin".into()) }
}

/// Where the test programs of this user keep databases, and copies of programs that another user has to run.
fn base() -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    std::env::temp_dir().join(format!("anamnesis-tests-{user}"))
}
