//! The `anamnesis` command.

fn main() {}
