//! The server as a process: the real program, started, told to stop, killed, and started again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "these are tests")]

mod accounts;
mod crashes;
mod refusals;
mod stopping;
mod support;
