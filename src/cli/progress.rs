//! How far a long command has come: a bar on a terminal, else a line now and then; on standard error.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::clock;

/// Without a terminal, progress is told once in this time.
const LINE_PAUSE: Duration = Duration::from_secs(10);

/// Shows one piece of work after the other.
pub(super) struct Progress {
    bar: ProgressBar,
    terminal: bool,
    what: &'static str,
    total: u64,
    last_line: Duration,
}

impl Progress {
    pub(super) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        // Nothing is shown before there is something to do.
        let bar = ProgressBar::hidden();
        let look = "{msg:>8} {bar:30} {percent:>3}% {human_pos}/{human_len} {rate} (still {eta})";
        if let Ok(style) = ProgressStyle::with_template(look) {
            bar.set_style(style.with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
                // A line on the terminal that cannot be put together is left out.
                let _ = write!(out, "{}/s", HumanCount(state.per_sec() as u64));
            }));
        }
        Self { bar, terminal, what: "", total: 0, last_line: clock::elapsed() }
    }

    /// Begins a piece of work with so many steps.
    pub(super) fn begin(&mut self, what: &'static str, total: u64) {
        (self.what, self.total) = (what, total);
        self.bar.finish_and_clear();
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
        self.bar.reset();
        self.bar.set_length(total);
        self.bar.set_message(what);
        // A bar of nothing would be full at once.
        if self.terminal && total > 0 {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// Begins a piece of work of which so many steps were done before.
    pub(super) fn begin_at(&mut self, what: &'static str, done: u64, total: u64) {
        self.begin(what, total);
        self.bar.set_position(done.min(total));
        self.bar.reset_eta();
    }

    /// There is more to do than was known.
    pub(super) fn grow(&mut self, total: u64) {
        self.total = total;
        self.bar.set_length(total);
    }

    /// Says something beside the bar.
    pub(super) fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// So many steps are done.
    pub(super) fn at(&mut self, done: u64) {
        if self.terminal {
            self.bar.set_position(done.min(self.total));
        } else if clock::elapsed().saturating_sub(self.last_line) >= LINE_PAUSE {
            self.last_line = clock::elapsed();
            eprintln!("{}: {done} of {}", self.what, self.total);
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
