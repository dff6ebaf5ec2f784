//! `anamnesis verify`: checks a store, for auditors.

mod report;

use anamnesis_events::Position;
use anamnesis_events::audit::{self, Part, Range};
use anamnesis_fhir::search::SearchRegistry;
use anamnesis_projections::search::audit as audit_search;
use anyhow::Context as _;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::progress::Progress;
use super::store::{Need, Store, StoreArguments};
use crate::clock;
use report::{Report, Row};

/// Check that nothing in a store has been changed, lost or added
///
/// Walks the whole log: no position missing, every hash following from the event and the hash before it, times,
/// transactions, versions. Then compares what is derived from the log with it: where each resource stands (heads), the
/// messages that the stream still has, the search index. Works beside a running server, which may go on writing, and
/// without one. Writes nothing.
///
/// The hash at the end stands for everything before it: note it down, elsewhere, and a later run with --to and --hash of
/// that day, or --from behind it, shows that the past is still the same.
///
/// Ends with 0 when all is well, with 1 when there are faults or the check could not be finished (the last line says
/// which), with 2 when the command line is wrong.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    store: StoreArguments,

    /// Begin at this position; heads and search index are only checked with the whole log
    #[arg(long, value_name = "POSITION", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    from: u64,

    /// End at this position
    #[arg(long, value_name = "POSITION", value_parser = clap::value_parser!(u64).range(1..))]
    to: Option<u64>,

    /// The hash that is known of the position before --from, 64 hexadecimal digits
    #[arg(long, value_name = "HASH", requires = "from", value_parser = parse_hash)]
    from_hash: Option<Hash>,

    /// The hash that is known of the last position, 64 hexadecimal digits
    #[arg(long, value_name = "HASH", value_parser = parse_hash)]
    hash: Option<Hash>,

    /// Check only these, comma separated
    #[arg(long, value_name = "PARTS", value_enum, value_delimiter = ',')]
    only: Vec<Wanted>,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// A hash as the log has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hash([u8; 32]);

fn parse_hash(text: &str) -> Result<Hash, String> {
    let digits = |at: usize| text.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let bytes: Option<Vec<u8>> = (0..32).map(|byte| digits(byte * 2)).collect();
    match (text.len(), bytes.and_then(|bytes| bytes.try_into().ok())) {
        (64, Some(bytes)) => Ok(Hash(bytes)),
        _ => Err("a hash has 64 hexadecimal digits".to_owned()),
    }
}

/// What can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Wanted {
    /// The log by itself
    Log,
    /// Where each resource stands (walks the log as well)
    Heads,
    /// The messages of the stream
    Stream,
    /// The search index
    Search,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    if arguments.to.is_some_and(|to| to < arguments.from) {
        anyhow::bail!("--to {} is before --from {}", arguments.to.unwrap_or_default(), arguments.from);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = runtime.block_on(verify(&arguments))?;
    // Nobody may be reading any more; that is no failure of the check.
    let _ = report.print(arguments.json);
    match report.faults() {
        0 => Ok(()),
        1 => anyhow::bail!("the store is not as it must be: 1 fault"),
        faults => anyhow::bail!("the store is not as it must be: {faults} faults"),
    }
}

/// Checks, until it is done or somebody stops it; closes the store in either case.
async fn verify(arguments: &Arguments) -> anyhow::Result<Report> {
    let (mut interrupts, mut terminations) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let need = if arguments.wants(Wanted::Stream) { Need::DatabaseAndStream } else { Need::Database };
    let store = tokio::select! {
        store = arguments.store.open(need) => store?,
        _ = interrupts.recv() => anyhow::bail!("stopped before anything was checked"),
        _ = terminations.recv() => anyhow::bail!("stopped before anything was checked"),
    };
    let mut progress = Progress::new();
    let outcome = tokio::select! {
        outcome = check(arguments, &store, &mut progress) => outcome,
        _ = interrupts.recv() => Err(anyhow::anyhow!("stopped before everything was checked")),
        _ = terminations.recv() => Err(anyhow::anyhow!("stopped before everything was checked")),
    };
    progress.finish();
    store.close().await;
    outcome
}

impl Arguments {
    fn wants(&self, part: Wanted) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// Whether everything is checked, not only some positions.
    fn is_whole(&self) -> bool {
        self.from == 1 && self.to.is_none()
    }
}

async fn check(arguments: &Arguments, store: &Store, progress: &mut Progress) -> anyhow::Result<Report> {
    let started = clock::elapsed();
    let head = store.log.head().await.context("the log cannot be read")?;
    if let Some(wanted) = arguments.to.filter(|to| *to > head.get()) {
        anyhow::bail!("--to {wanted}: the log ends at position {head}");
    }
    if arguments.from > head.next().get() {
        anyhow::bail!("--from {}: the log ends at position {head}", arguments.from);
    }
    let after = Position::new(arguments.from - 1);
    let until = arguments.to.map_or(head, Position::new);
    let mut report = Report::new(&store.log, after, until);
    if arguments.wants(Wanted::Log) || arguments.wants(Wanted::Heads) {
        let may_cut = arguments.to.is_some();
        let known = arguments.from_hash.map(|hash| hash.0);
        log_and_heads(arguments, store, Range { after, until, hash: known, may_cut }, &mut report, progress)
            .await?;
    }
    if arguments.wants(Wanted::Stream) {
        report.add(stream(store, (after, until), progress).await?);
    }
    if arguments.wants(Wanted::Search) {
        match arguments.is_whole() {
            true => report.add(search(store, progress).await?),
            false => report.left_out(Part::Search, "needs the whole log"),
        }
    }
    report.took(clock::elapsed().saturating_sub(started));
    Ok(report)
}

async fn log_and_heads(
    arguments: &Arguments,
    store: &Store,
    range: Range,
    report: &mut Report,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    progress.begin("log", range.until.get() - range.after.get());
    let mut told = |at: Position| progress.at(at.get().saturating_sub(range.after.get()));
    let mut walked =
        audit::log(&store.log, range, &mut told).await.context("the log cannot be read to its end")?;
    if let Some(known) = arguments.hash
        && walked.hash != Some(known.0)
    {
        walked.faults.add(range.until, "the hash there is another than the one that is known");
    }
    let mut row = Row::new(Part::Log, walked.events, "events", walked.hash);
    row.note(format!("{} bytes of resources, {} links to other compartments", walked.bytes, walked.links));
    row.faults = walked.faults.clone();
    report.add(row);
    if !arguments.wants(Wanted::Heads) {
        return Ok(());
    }
    if !arguments.is_whole() {
        report.left_out(Part::Heads, "needs the whole log");
        return Ok(());
    }
    // Never more than there are events.
    progress.begin("heads", walked.events);
    let heads = audit::heads(&store.log, &walked, &mut |at| progress.at(at)).await;
    let heads = heads.context("the heads cannot be read to their end")?;
    let mut row = Row::new(Part::Heads, heads.resources, "resources", Some(heads.digest));
    row.note(format!("{} deleted, {} identifiers", heads.deleted, heads.identifiers));
    row.faults = heads.faults;
    report.add(row);
    Ok(())
}

async fn stream(
    store: &Store,
    (after, until): (Position, Position),
    progress: &mut Progress,
) -> anyhow::Result<Row> {
    let context = async_nats::jetstream::new(store.nats().await?);
    progress.begin("stream", until.get() - after.get());
    let mut told = |at: Position| progress.at(at.get().saturating_sub(after.get()));
    let streamed = audit::stream(&store.log, &context, (after, until), &mut told).await;
    let streamed = streamed.context("the stream cannot be read to its end")?;
    let mut row = Row::new(Part::Stream, streamed.messages, "messages", None);
    row.note(format!(
        "sequences {} to {}, {} with their resource",
        streamed.first, streamed.last, streamed.bodies
    ));
    if streamed.behind() > 0 {
        row.note(format!("{} behind the log", streamed.behind()));
    }
    row.faults = streamed.faults;
    Ok(row)
}

async fn search(store: &Store, progress: &mut Progress) -> anyhow::Result<Row> {
    let database = store.database()?;
    let head = store.log.head().await.context("the log cannot be read")?;
    // Rows and heads: at most one of each for an event.
    progress.begin("search", head.get().saturating_mul(2));
    let registry = SearchRegistry::r4().clone();
    let audited = audit_search(&database, &store.log, registry, &mut |at| progress.at(at)).await;
    let audited = audited.context("the search index cannot be read to its end")?;
    let is_sound = audited.faults.count() == 0;
    let digest = is_sound.then_some(audited.digest);
    let mut row = Row::new(Part::Search, audited.resources, "resources", digest);
    row.note(format!(
        "version {} up to position {}, {} rows",
        audited.version, audited.reached, audited.rows
    ));
    let head = store.log.head().await.context("the log cannot be read")?;
    let behind = head.get().saturating_sub(audited.reached.get());
    if behind > 0 {
        row.note(format!("{behind} behind the log"));
    }
    if !audited.parked.is_empty() {
        row.note(format!("{} events are parked: the index could not take them", audited.parked.len()));
    }
    row.faults = audited.faults;
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_hexadecimal_digits() {
        let text = "00ff".repeat(16);
        let hash = parse_hash(&text).unwrap();
        assert_eq!(hash.0[..2], [0, 255]);
        for wrong in [&text[1..], &text.replace('f', "g"), "", &"é".repeat(32)] {
            assert!(parse_hash(wrong).is_err(), "{wrong}");
        }
    }
}
