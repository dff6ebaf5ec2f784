//! Fuzzing of what comes from outside before anybody is trusted: tokens, scopes, and configurations.
//!
//! `make fuzz SECONDS=60` runs each target for so long; as a test each runs for two seconds. See docs/security.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a target fails by panicking"
)]

mod configuration;
mod dice;
mod driver;
mod mutation;
mod scopes;
mod tokens;

use driver::{Target, fuzz};

#[test]
fn tokens() {
    fuzz(&Target { name: "tokens", words: tokens::WORDS, run: tokens::run });
}

#[test]
fn scopes() {
    fuzz(&Target { name: "scopes", words: scopes::WORDS, run: scopes::run });
}

#[test]
fn configuration() {
    fuzz(&Target { name: "configuration", words: configuration::WORDS, run: configuration::run });
}

/// A target that fails is told with the input that made it fail, and the input is kept.
#[test]
fn a_failure_is_told_with_its_input() {
    fn fails(input: &[u8]) -> String {
        assert!(input.len() < 3, "longer than two");
        String::new()
    }
    let target = Target { name: "scopes", words: &["x"], run: fails };
    let told = std::panic::catch_unwind(|| fuzz(&target)).unwrap_err();
    let told = told.downcast_ref::<String>().unwrap();
    let path = told.split("kept in ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    assert!(std::fs::read(path).unwrap().len() >= 3, "{told}");
    std::fs::remove_file(path).unwrap();
}
