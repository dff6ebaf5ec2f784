//! The server as a process: the real program, started, told to stop, killed, and started again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "these are tests")]

mod accounts;
mod audit;
#[expect(dead_code, reason = "the tests of the service use more of it")]
#[path = "../it/support/authority.rs"]
mod authority;
mod config;
mod crashes;
mod encryption;
mod erasure;
mod export;
mod health;
mod keep_alive;
mod limits;
mod output;
mod purge;
mod rebuild;
mod record;
mod refusals;
mod reindex;
mod reload;
mod replay;
mod stopping;
mod subscriptions;
#[expect(dead_code, reason = "the tests that kill at random use more of it")]
mod support;
mod terminology;
mod tls;
mod verify;
mod workspaces;
