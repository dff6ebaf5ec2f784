//! Tests of the projections over a real Postgres and a real log.

mod date;
mod number;
mod paging;
mod query;
mod reference;
mod runner;
mod string;
mod token;
mod uri;
mod world;
