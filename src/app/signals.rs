//! The wish to stop: the first signal asks for it, the second insists.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code after a second signal: what shells give for an interrupted program.
const FORCED: i32 = 130;

/// Ctrl-C (SIGINT) and SIGTERM.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn listen() -> anyhow::Result<Signals> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal and returns its name.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }

    /// Waits for one more signal and ends the process at once. The kernel tells the private engines, which
    /// then stop by themselves; what was answered as written is on disk.
    pub(super) async fn force(&mut self) {
        let signal = self.next().await;
        tracing::warn!(signal, "told again; stopping at once");
        std::process::exit(FORCED);
    }
}
