//! `anamnesis record`: copies a log into a folder, as a replay fixture.

use std::path::PathBuf;

use anamnesis_events::{Event, Position};
use anamnesis_projections::recording::{Expected, Recording};
use anyhow::Context as _;
use clap::{Args, ValueHint};

use super::output;
use super::progress::Progress;
use super::store::{Need, Store, StoreArguments};

/// Events that are read at once.
const PAGE: u64 = 500;
/// Bytes of bodies, as they are stored and unpacked, that are read at once, but for a single larger one.
const PAGE_BYTES_MAX: usize = 32 << 20;
/// Bytes of bodies beyond which nothing is recorded: a recording is read into memory.
const BYTES_MAX: usize = 256 << 20;

/// Copy a log into a folder, with digests of what projections make of it
///
/// The folder gets every event from the first one on as it is stored, in text, and `expected.json`: the hash at the end,
/// and the digest of the search index that follows from the events. Tests replay such recordings with every later
/// version of the program.
///
/// A recording holds the resources with everything that is in them. It is no backup, and it must not be made of real
/// patients if anybody else is to see it. Works beside a running server and without one, and writes nothing to the store.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder to make
    #[arg(value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    out: PathBuf,

    #[command(flatten)]
    store: StoreArguments,

    /// The last position to record; where the log ends if it is not given
    #[arg(long, value_name = "POSITION", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    if arguments.out.exists() {
        anyhow::bail!("{} is there already; name a folder that is not", arguments.out.display());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let store = arguments.store.open(Need::Database).await?;
        let mut progress = Progress::new();
        let outcome = record(&arguments, &store, &mut progress).await;
        progress.finish();
        store.close().await;
        outcome
    })
}

async fn record(arguments: &Arguments, store: &Store, progress: &mut Progress) -> anyhow::Result<()> {
    let head = store.log.head().await.context("the log cannot be read")?;
    let until = arguments.to.unwrap_or(head.get());
    if until > head.get() || until == 0 {
        anyhow::bail!("there is no position {until} to record: the log ends at position {head}");
    }
    let events = read(store, until, progress).await?;
    if let Some((before, after)) = events.last().and_then(around_transaction) {
        anyhow::bail!(
            "--to {until} is in the middle of a transaction, which projections never see half of; {}--to {after} is its end",
            if before > 0 { format!("--to {before} is the event before it, ") } else { String::new() }
        );
    }
    let recording = Recording::new(store.log.workspace(), events);
    let expected = Expected::of(&recording)?;
    recording.write(&arguments.out, &expected)?;
    eprintln!(
        "WARNING: the recording holds every resource in full. If real patients are among them, it must be kept as the \
         store is, and belongs into no repository."
    );
    output::line(&format!("{} events recorded in {}", expected.count, arguments.out.display()))
}

/// Where the event is in the middle of a transaction: the position before the transaction, and its last one.
fn around_transaction(event: &Event) -> Option<(u64, u64)> {
    let transaction = event.transaction.filter(|transaction| !transaction.is_last())?;
    let first = event.position.get().saturating_sub(transaction.index.into());
    let last = first.saturating_add(transaction.size.into()).saturating_sub(1);
    Some((first.saturating_sub(1), last))
}

async fn read(store: &Store, until: u64, progress: &mut Progress) -> anyhow::Result<Vec<Event>> {
    progress.begin("record", until);
    let mut events: Vec<Event> = Vec::new();
    let mut bytes = 0;
    while (events.len() as u64) < until {
        let first = events.len() as u64 + 1;
        let mut positions: Vec<Position> = (first..=until.min(first + PAGE - 1)).map(Position::new).collect();
        let count =
            store.log.count_within(&positions, PAGE_BYTES_MAX).await.context("the log cannot be read")?;
        positions.truncate(count);
        let page = store.log.stored(&positions).await.context("the log cannot be read")?;
        if page.len() < positions.len() {
            anyhow::bail!("events are missing from position {first} on; `anamnesis verify` tells more");
        }
        for stored in page {
            let position = stored.position;
            let event = stored.event.map_err(|reason| anyhow::anyhow!("position {position}: {reason}"))?;
            bytes += event.payload.len();
            events.push(event);
        }
        if bytes > BYTES_MAX {
            anyhow::bail!("the resources up to position {first} are too large to be recorded; use --to");
        }
        progress.at(events.len() as u64);
    }
    Ok(events)
}
