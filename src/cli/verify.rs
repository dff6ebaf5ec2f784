//! `anamnesis verify`: checks a store, for auditors.

mod report;

use anamnesis_events::Position;
use anamnesis_events::audit::{self, Part, Range, Walked};
use anamnesis_projections::search::{AuditOptions, audit as audit_search};
use anamnesis_projections::terminology::audit as audit_terminology;
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use super::output;
use super::positions::Positions;
use super::progress::Progress;
use super::store::{Need, Store, StoreArguments};
use crate::clock;
use report::{Report, Row};

/// Check that nothing in a store has been changed, lost or added
///
/// Walks the whole log: no position missing, every hash following from the event and the hash before it, times,
/// transactions, versions. Then compares what is derived from the log with it: where each resource stands (heads), the
/// messages that the stream still has, the search index, the tables of terminology. Works beside a running server, which may go on writing, and
/// without one. Writes nothing.
///
/// Heads, search index and terminology are only checked with the whole log, not with --from or --to. The hash at the end stands for
/// everything before it: note it down, elsewhere, and a later run with --to and --hash of
/// that day, or --from behind it, shows that the past is still the same.
///
/// Ends with 0 when all is well, with 1 when there are faults or the check could not be finished (the last line says
/// which; what was found until then is printed), with 2 when the command line is wrong.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    store: StoreArguments,

    #[command(flatten)]
    positions: Positions,

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wanted {
    /// The log by itself
    Log,
    /// Where each resource stands (walks the log as well)
    Heads,
    /// The messages of the stream
    Stream,
    /// The search index
    Search,
    /// The tables of stored code systems, value sets and concept maps
    Terminology,
}

impl Wanted {
    fn part(self) -> Part {
        match self {
            Wanted::Log => Part::Log,
            Wanted::Heads => Part::Heads,
            Wanted::Stream => Part::Stream,
            Wanted::Search => Part::Search,
            Wanted::Terminology => Part::Terminology,
        }
    }
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    arguments.positions.check()?;
    arguments.refuse_parts_of_the_whole();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut report = None;
    let stopped = runtime.block_on(verify(&arguments, &mut report));
    let Some(report) = report else { return stopped };
    // Nobody may be reading any more; that is no failure of the check. Faults are told whatever became of the output.
    let printed = output::goes_on(report.print(arguments.json));
    report.outcome().and(printed.map(|_goes_on| ()))
}

/// Checks, until it is done or somebody stops it; closes the store in either case. What was found until then is in the
/// report, also when it ends with an error.
async fn verify(arguments: &Arguments, report: &mut Option<Report>) -> anyhow::Result<()> {
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
        outcome = check(arguments, &store, report, &mut progress) => outcome,
        _ = interrupts.recv() => Err(anyhow::anyhow!("stopped before anything was checked")),
        _ = terminations.recv() => Err(anyhow::anyhow!("stopped before anything was checked")),
    };
    progress.finish();
    store.close().await;
    if let Some(report) = report {
        report.end(clock::elapsed());
    }
    outcome
}

impl Arguments {
    fn wants(&self, part: Wanted) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    /// Ends the program where a part is asked for by its name that is only checked with the whole log.
    fn refuse_parts_of_the_whole(&self) {
        let asked = self
            .only
            .iter()
            .find(|part| matches!(part, Wanted::Heads | Wanted::Search | Wanted::Terminology));
        if let Some(part) = asked.filter(|_| !self.positions.are_all()) {
            let name = part.part().name();
            let message =
                format!("--only {name} needs the whole log, and cannot be used with --from or --to");
            clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, format!("{message}\n")).exit();
        }
    }
}

/// Checks part after part. One that cannot be finished does not stop those behind it.
async fn check(
    arguments: &Arguments,
    store: &Store,
    report: &mut Option<Report>,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let started = clock::elapsed();
    let head = store.log.head().await.context("the log cannot be read")?;
    let Positions { from, to } = arguments.positions;
    if let Some(wanted) = to.filter(|to| *to > head.get()) {
        anyhow::bail!("--to {wanted}: the log ends at position {head}");
    }
    if from > head.next().get() {
        anyhow::bail!("--from {from}: the log ends at position {head}");
    }
    let after = Position::new(from - 1);
    let until = to.map_or(head, Position::new);
    let parts = Wanted::value_variants().iter().filter(|part| arguments.wants(**part));
    let report =
        report.insert(Report::new(&store.log, (after, until), started, parts.map(|part| part.part())));
    if arguments.wants(Wanted::Log) || arguments.wants(Wanted::Heads) {
        let known = arguments.from_hash.map(|hash| hash.0);
        let range = Range { after, until, hash: known, may_cut: to.is_some() };
        log_and_heads(arguments, store, range, report, progress).await;
    }
    if arguments.wants(Wanted::Stream) {
        report.take(Part::Stream, stream(store, (after, until), progress).await);
    }
    if arguments.wants(Wanted::Search) {
        match arguments.positions.are_all() {
            true => report.take(Part::Search, search(store, progress).await),
            false => report.left_out(Part::Search, "needs the whole log"),
        }
    }
    if arguments.wants(Wanted::Terminology) {
        match arguments.positions.are_all() {
            true => report.take(Part::Terminology, terminology(store, progress).await),
            false => report.left_out(Part::Terminology, "needs the whole log"),
        }
    }
    Ok(())
}

async fn log_and_heads(
    arguments: &Arguments,
    store: &Store,
    range: Range,
    report: &mut Report,
    progress: &mut Progress,
) {
    progress.begin("log", range.until.get() - range.after.get());
    let mut told = |at: Position| progress.at(at.get().saturating_sub(range.after.get()));
    let walked = audit::log(&store.log, range, &mut told).await.context("the log cannot be read to its end");
    let mut walked = match walked {
        Ok(walked) => walked,
        Err(error) => {
            if arguments.wants(Wanted::Heads) {
                report.unfinished(Part::Heads, "it needs the walk over the log".to_owned());
            }
            return report.unfinished(Part::Log, format!("{error:#}"));
        }
    };
    if let Some(known) = arguments.hash
        && walked.hash != Some(known.0)
    {
        walked.faults.add(range.until, "the hash there is another than the one that is known");
    }
    let mut row = Row::new(Part::Log, walked.events, "events", walked.hash);
    let Walked { bytes, erased, links, .. } = &walked;
    row.note(format!(
        "{bytes} bytes of resources, {erased} bodies erased, {links} links to other compartments"
    ));
    row.faults = walked.faults.clone();
    report.add(row);
    match arguments.wants(Wanted::Heads) {
        false => {}
        true if arguments.positions.are_all() => {
            report.take(Part::Heads, heads(store, &walked, progress).await);
        }
        true => report.left_out(Part::Heads, "needs the whole log"),
    }
}

async fn heads(store: &Store, walked: &Walked, progress: &mut Progress) -> anyhow::Result<Row> {
    // Never more than there are events.
    progress.begin("heads", walked.events);
    let heads = audit::heads(&store.log, walked, &mut |at| progress.at(at)).await;
    let heads = heads.context("the heads cannot be read to their end")?;
    let mut row = Row::new(Part::Heads, heads.resources, "resources", Some(heads.digest));
    row.note(format!("{} deleted, {} identifiers", heads.deleted, heads.identifiers));
    row.faults = heads.faults;
    Ok(row)
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
    if streamed.is_early {
        row.note(format!(
            "messages before {} are gone although they are younger than the stream's age: was it lower once?",
            streamed.first
        ));
    }
    row.faults = streamed.faults;
    Ok(row)
}

async fn search(store: &Store, progress: &mut Progress) -> anyhow::Result<Row> {
    let database = store.database()?;
    let head = store.log.head().await.context("the log cannot be read")?;
    // Rows and heads: at most one of each for an event.
    progress.begin("search", head.get().saturating_mul(2));
    let options = AuditOptions::default();
    let audited = audit_search(&database, &store.log, options, &mut |at| progress.at(at)).await;
    let audited = audited.context("the search index cannot be read to its end")?;
    let is_sound = audited.faults.count() == 0;
    let digest = is_sound.then_some(audited.digest);
    let mut row = Row::new(Part::Search, audited.resources, "resources", digest);
    row.note(format!(
        "version {} up to position {}, {} rows",
        audited.version, audited.reached, audited.rows
    ));
    // What was found is worth more than this.
    match store.log.head().await.map(|head| head.get().saturating_sub(audited.reached.get())) {
        Ok(0) => {}
        Ok(behind) => row.note(format!("{behind} behind the log")),
        Err(_) => row.note("how far it is behind the log cannot be told".to_owned()),
    }
    if audited.is_shared {
        row.note(
            "other workspaces have spans in the same table: those of no key of this one are left out"
                .to_owned(),
        );
    }
    if !audited.parked.is_empty() {
        row.note(format!("{} events are parked: the index could not take them", audited.parked.len()));
    }
    row.faults = audited.faults;
    Ok(row)
}

async fn terminology(store: &Store, progress: &mut Progress) -> anyhow::Result<Row> {
    let database = store.database()?;
    let head = store.log.head().await.context("the log cannot be read")?;
    progress.begin("terminology", head.get());
    let audited = audit_terminology(&database, &store.log, &mut |at| progress.at(at)).await;
    let audited = audited.context("the tables of terminology cannot be read to their end")?;
    let is_sound = audited.faults.count() == 0;
    let digest = is_sound.then_some(audited.digest);
    let mut row = Row::new(Part::Terminology, audited.resources, "resources", digest);
    row.note(format!(
        "version {} up to position {}, {} concepts, {} edges",
        audited.version, audited.reached, audited.concepts, audited.edges
    ));
    if !audited.parked.is_empty() {
        row.note(format!("{} events are parked: the tables could not take them", audited.parked.len()));
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
