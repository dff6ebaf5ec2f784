//! Read models: everything that is searched is derived here from events, and can be dropped and derived again.
//!
//! A [`Projection`] is a pure function of events to rows. A [`Runner`] reads a log's feed, has the rows written
//! together with the position that they reach in one transaction, and tells everybody who waits ([`Progress`]).
//! It stops only at the end of transaction bundles, so that no reader ever sees half a bundle, and an event that
//! a projection cannot take parks its resource and nothing else.
//!
//! Several [`Versions`] of a projection may be there at once: one that readers use, and one that is built beside it.
//!
//! A [`recording`] is a log in a folder, from which projections are replayed without one.
//!
//! [`search`] is the projection that FHIR searches are answered from, [`terminology`] that of stored code systems, value
//! sets and concept maps.

mod auditing;
mod checkpoint;
mod database;
mod error;
mod inputs;
mod lag;
mod of_types;
mod parked;
pub mod processor;
mod progress;
mod projection;
pub mod recording;
mod runner;
pub mod search;
mod supervisor;
mod tables;
pub mod terminology;
mod versions;

pub use database::{Database, DatabaseOptions};
pub use error::ProjectionError;
pub use inputs::Inputs;
pub use of_types::{OfTypes, TypedFeed};
pub use parked::Parked;
pub use parked::marks::{NAMED_MAX, ParkedMarks, ParkedOfType};
pub use progress::{Active, Late, Progress};
pub use projection::{Change, Erasing, Passed, Poison, Projection};
pub use runner::{Runner, RunnerOptions, Source};
pub use supervisor::{Supervisor, SupervisorOptions, Unparked, VersionStatus};
pub use versions::{State, Switch, Version, Versions};
