//! Recorded logs through projections: the same digests, however the events are cut, delivered, interrupted and written.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod careless;
mod dice;
mod fixtures;
mod harness;
mod older;
mod ways;
