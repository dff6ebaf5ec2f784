//! Parsing of queries.
