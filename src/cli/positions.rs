//! `--from` and `--to`: a part of the log, by positions, as several commands take it.

use clap::Args;

/// A part of the log.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Positions {
    /// The first position wanted
    #[arg(long, value_name = "POSITION", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) from: u64,

    /// The last position wanted
    #[arg(long, value_name = "POSITION", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) to: Option<u64>,
}

impl Positions {
    /// Refuses what ends before it begins.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        match self.to.filter(|to| *to < self.from) {
            Some(to) => anyhow::bail!("--to {to} is before --from {}", self.from),
            None => Ok(()),
        }
    }

    /// Whether it is the whole log.
    pub(super) fn are_all(&self) -> bool {
        self.from == 1 && self.to.is_none()
    }
}
