//! The running server over published resources and test suites, which are not part of the repository.
//!
//! Everything here starts the program that users start and speaks to it as they do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "these are tests")]

mod compare;
mod corpus;
mod examples;
mod found_by_value;
mod json;
#[expect(dead_code, reason = "conformance tests neither kill the server nor run it under other accounts")]
#[path = "../process/support.rs"]
mod process;
mod questions;
mod real_input;
mod searches;
mod server;
mod terminology;
mod testscript;
mod testscripts;
