//! The server's own code as a library, so that the command, the tests and the benchmarks share it.
//!
//! The crates below it (`anamnesis-fhir`, `anamnesis-events`, `anamnesis-projections`, `anamnesis-engines`)
//! know nothing of HTTP. Everything that does lives here, one part a module.

pub mod access;
pub mod actors;
pub mod api;
pub mod app;
pub mod audit;
mod bundle;
pub mod cli;
pub mod clock;
pub mod config;
pub mod decide;
pub mod encryption;
pub mod error;
pub mod exports;
pub mod feed;
mod follow;
pub mod group;
pub mod load;
pub mod packages;
pub mod profiles;
pub mod purges;
pub mod reads;
pub mod search_parameters;
pub mod smart;
pub mod subscriptions;
pub mod synth;
pub mod telemetry;
pub mod tls;
