//! Tests of the projections over a real Postgres and a real log.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod audit;
mod audit_scale;
mod chain;
mod complaints;
mod composite;
mod contained;
mod custom;
mod date;
mod erasure;
mod evaluate;
mod filter;
mod forms;
mod full_text;
mod model;
mod near;
mod number;
mod of_types;
mod paging;
mod parked;
mod plans;
mod query;
mod reference;
mod restricted;
mod rows_read;
mod runner;
mod sort;
mod string;
mod supervisor;
mod terminology;
mod terminology_audit;
mod terminology_pages;
mod text;
mod token;
mod uri;
mod versions;
mod world;
