//! Measures the search index: writing it, its size, and searching it.
fn main() {}
