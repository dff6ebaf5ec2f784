//! The `anamnesis` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    anamnesis::cli::run()
}
