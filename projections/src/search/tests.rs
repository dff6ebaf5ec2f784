//! Searches over a real Postgres.
