//! The private Postgres and NATS that Anamnesis runs when none is configured.
//!
//! `anamnesis serve` with an empty configuration needs a database and a message broker. This crate finds the
//! programs, runs them as child processes under the server's data folder, restarts them when they die, and
//! stops them in order. Both listen to this machine only: Postgres on a Unix socket in a folder that only its
//! owner may enter, NATS on a loopback port that nobody else uses.
//!
//! The server writes down where they are, so that [`running`] can tell programs that look at its store.
//!
//! Neither is ever run as root. A server that is started as root runs them as the user `postgres`, or else
//! `nobody`, and puts their files where that user can reach them.
//!
//! ```no_run
//! use anamnesis_engines::{EngineOptions, Engines};
//!
//! # async fn example() -> Result<(), anamnesis_engines::EngineError> {
//! let engines = Engines::start(EngineOptions::new("data")).await?;
//! println!("{:?} {:?}", engines.database_url(), engines.nats_url());
//! engines.stop().await;
//! # Ok(())
//! # }
//! ```

mod account;
mod binaries;
mod engines;
mod error;
mod leftovers;
mod lock;
mod nats;
mod place;
mod postgres;
mod process;
mod running;
mod supervisor;
#[cfg(feature = "testing")]
pub mod testing;

pub use engines::{EngineOptions, Engines};
pub use error::EngineError;
pub use running::{Addresses, running};
pub use supervisor::EngineState;
