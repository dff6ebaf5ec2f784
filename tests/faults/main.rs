//! Kills the server, Postgres and nats-server at random under load, and checks that every promise holds.
//!
//! `ANAMNESIS_FAULT_ROUNDS` says how many rounds (7 by default), `ANAMNESIS_FAULT_SEED` with which seed (a fixed one
//! by default). One seed gives one schedule of requests and faults; where in the work of a process a fault strikes
//! is the machine's doing, so a failure may need several runs to come again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "these are tests")]

mod answers;
mod bodies;
mod check;
mod client;
mod dice;
mod http;
mod plan;
mod records;
mod rounds;
mod scene;
#[path = "../process/support.rs"]
#[expect(dead_code, reason = "the tests of single processes use more of it")]
mod support;

/// Rounds where nobody says how many: one of each kind and one that is drawn.
const ROUNDS: u32 = 7;
const SEED: u64 = 20_261;

#[test]
fn no_kill_at_any_moment_breaks_a_promise() {
    let count = setting("ANAMNESIS_FAULT_ROUNDS").map_or(ROUNDS, |rounds| u32::try_from(rounds).unwrap());
    let seed = setting("ANAMNESIS_FAULT_SEED").unwrap_or(SEED);
    rounds::run(seed, count);
}

#[expect(clippy::disallowed_methods, reason = "the settings of this test, not of the server")]
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}
