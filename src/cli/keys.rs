//! `anamnesis keys`: the keys of a store that is encrypted.

use anamnesis_events::{KeyStatus, SealedStep};
use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::output;
use super::progress::Progress;
use super::store::{Store, StoreArguments};

/// Keys that are wrapped anew in one step.
const KEYS_AT_ONCE: usize = 500;
/// Events that are looked at in one step of sealing.
const EVENTS_AT_ONCE: u64 = 500;

/// Show and change the keys with which a store is encrypted
///
/// All work beside running servers and without one, take the master keys from the same configuration, and can be stopped
/// anywhere: the next time they go on. None of them appends an event or changes a hash.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show which master keys are in use, and how far bodies in clear have been sealed
    Status(StoreArguments),
    /// Wrap all data keys with the current master key
    ///
    /// The current one is the first of the configured ones. When it is done, the others are needed no more, but for
    /// backups from before.
    Rotate(StoreArguments),
    /// Seal bodies that were stored before the store was encrypted
    ///
    /// Restart all servers with the master key first, so that nothing new is stored in clear behind it.
    Seal(StoreArguments),
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (Command::Status(store) | Command::Rotate(store) | Command::Seal(store)) = &arguments.command;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let store = store.open_for_upkeep().await?;
        let mut progress = Progress::new();
        let outcome = match arguments.command {
            Command::Status(_) => status(&store).await,
            Command::Rotate(_) => rotate(&store, &mut progress).await,
            Command::Seal(_) => seal(&store, &mut progress).await,
        };
        progress.finish();
        store.close().await;
        outcome
    })
}

async fn status(store: &Store) -> anyhow::Result<()> {
    let status = store.log.key_status().await?;
    let head = store.log.head().await?;
    let KeyStatus { current, wrapped, destroyed, sealed_until } = status;
    let Some(current) = current else {
        return output::line("bodies are stored in clear: no master key is configured");
    };
    output::line(&format!("current master key  {current}"))?;
    for (master_key, count) in wrapped {
        let mark = if master_key == current { "" } else { "  `anamnesis keys rotate` wraps them anew" };
        // One is no data key, but what the master key is tried with.
        output::line(&format!("{count:>12} keys wrapped with {master_key}{mark}"))?;
    }
    output::line(&format!("{destroyed:>12} keys destroyed"))?;
    let sealed = format!("{sealed_until:>12} of {head} positions looked through by `anamnesis keys seal`");
    output::line(&sealed)
}

async fn rotate(store: &Store, progress: &mut Progress) -> anyhow::Result<()> {
    let status = store.log.key_status().await?;
    let current = status.current.context("no master key is configured")?;
    let others = status.wrapped.iter().filter(|(master_key, _)| *master_key != current);
    progress.begin("rotate", others.map(|(_, count)| count).sum());
    let mut done = 0;
    loop {
        let wrapped = store.log.rewrap(KEYS_AT_ONCE).await?;
        if wrapped == 0 {
            break;
        }
        done += wrapped;
        progress.at(done);
    }
    output::line(&format!("{done} keys wrapped anew with {current}"))
}

async fn seal(store: &Store, progress: &mut Progress) -> anyhow::Result<()> {
    progress.begin("seal", store.log.head().await?.get());
    let mut bodies = 0;
    loop {
        let SealedStep { until, sealed, is_done } = store.log.seal_step(EVENTS_AT_ONCE).await?;
        bodies += sealed;
        progress.at(until.get());
        if is_done {
            return output::line(&format!("{bodies} bodies sealed, up to position {until}"));
        }
    }
}
