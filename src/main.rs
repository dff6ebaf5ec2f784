//! The `anamnesis` command.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Bodies are made on one thread and dropped on another, all the time: the allocator of glibc spends a quarter of the server's
/// time on that (docs/performance.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    anamnesis::cli::run()
}
