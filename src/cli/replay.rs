//! `anamnesis replay`: prints the history of a store, straight from its log.

mod compartment;

use std::io::Write;

use anamnesis_events::audit::{self, Faults, TrailRange};
use anamnesis_events::message::MessageOptions;
use anamnesis_events::{Event, Position, ResourceKey, Stored};
use anyhow::Context as _;
use chrono::SecondsFormat;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::output;
use super::positions::Positions;
use super::store::{Need, Store, StoreArguments};
use crate::api::event_line;

/// Events that are read at once.
const PAGE: usize = 500;

/// Bytes of bodies, as they are stored and unpacked, that are read at once, but for a single larger one.
const PAGE_BYTES_MAX: usize = 32 << 20;

/// Print the history of a store, straight from its log
///
/// One line an event: position, time, operation, version, who, transaction, the beginning of the hash. With --json each
/// line is the event with its resource, in the form of the change feed. Every hash is computed again: where one does not
/// follow from the event and the hash before it, a line on standard error says so, and the command ends with 1.
///
/// Works beside a running server and without one, and writes nothing.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    store: StoreArguments,

    #[command(flatten)]
    positions: Positions,

    /// Only the history of this resource, such as Patient/123
    #[arg(long, value_name = "TYPE/ID", value_parser = parse_key, conflicts_with = "compartment")]
    resource: Option<ResourceKey>,

    /// Only events that touch this compartment, such as Patient/123
    #[arg(long, value_name = "TYPE/ID", value_parser = compartment::parse)]
    compartment: Option<String>,

    /// Print events as JSON, with their resources
    #[arg(long)]
    json: bool,
}

fn parse_key(text: &str) -> Result<ResourceKey, String> {
    match text.split_once('/') {
        Some((resource_type, id)) if !resource_type.is_empty() && !id.is_empty() && !id.contains('/') => {
            Ok(ResourceKey::new(resource_type, id))
        }
        _ => Err("it has the form Type/id, such as Patient/123".to_owned()),
    }
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    arguments.positions.check()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match runtime.block_on(replay(&arguments))? {
        0 => Ok(()),
        1 => anyhow::bail!("1 event is not as it was recorded"),
        faults => anyhow::bail!("{faults} events are not as they were recorded"),
    }
}

async fn replay(arguments: &Arguments) -> anyhow::Result<u64> {
    let (mut interrupts, mut terminations) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let store = arguments.store.open(Need::Database).await?;
    // Outside of what may be dropped: whoever stops it is told all the same that there were faults.
    let mut faults = 0;
    let outcome = tokio::select! {
        outcome = print(arguments, &store, &mut faults) => outcome,
        _ = interrupts.recv() => Ok(()),
        _ = terminations.recv() => Ok(()),
    };
    store.close().await;
    outcome.map(|()| faults)
}

/// Prints what is wanted, and counts the events that are not as they must be.
async fn print(arguments: &Arguments, store: &Store, faults: &mut u64) -> anyhow::Result<()> {
    let head = store.log.head().await.context("the log cannot be read")?;
    for (flag, asked) in [("--from", Some(arguments.positions.from)), ("--to", arguments.positions.to)] {
        // An empty log has nothing to print, which needs no error.
        if let Some(asked) = asked.filter(|asked| *asked > head.get().max(1)) {
            anyhow::bail!("{flag} {asked}: the log ends at position {head}");
        }
    }
    let printer = Printer {
        json: arguments.json,
        messages: MessageOptions {
            body_bytes_max: usize::MAX,
            ..MessageOptions::new(store.log.workspace(), &store.service)
        },
        faults,
    };
    let after = Position::new(arguments.positions.from - 1);
    match (&arguments.resource, &arguments.compartment) {
        (Some(resource), _) => {
            let range = TrailRange { after, until: arguments.positions.to.map(Position::new), end: head };
            of_resource(store, resource, range, printer).await
        }
        (None, Some(name)) => {
            let until = arguments.positions.to.map(Position::new);
            compartment::print(store, name, (after, until, head), printer).await
        }
        (None, None) => {
            all(store, (after, arguments.positions.to.map_or(head, Position::new)), printer).await
        }
    }
}

async fn all(
    store: &Store,
    (mut after, until): (Position, Position),
    mut printer: Printer<'_>,
) -> anyhow::Result<()> {
    while after < until {
        let last = until.min(after.plus(PAGE as u64));
        let positions: Vec<Position> = (after.next().get()..=last.get()).map(Position::new).collect();
        let positions = first(store, &positions).await?;
        let events = store.log.stored(positions).await.context("the log cannot be read")?;
        if !printer.page(positions, &events)? {
            break;
        }
        after = positions.last().copied().unwrap_or(last);
    }
    Ok(())
}

/// As many of the first positions as have bodies that fit into a page together; never none of some.
async fn first<'a>(store: &Store, positions: &'a [Position]) -> anyhow::Result<&'a [Position]> {
    let count = store.log.count_within(positions, PAGE_BYTES_MAX).await.context("the log cannot be read")?;
    Ok(positions.get(..count).unwrap_or(positions))
}

async fn of_resource(
    store: &Store,
    resource: &ResourceKey,
    range: TrailRange,
    mut printer: Printer<'_>,
) -> anyhow::Result<()> {
    let trail = audit::trail(&store.log, resource, range).await.context("the history cannot be read")?;
    if !trail.exists {
        anyhow::bail!("{resource} has never existed in the workspace {}", store.log.workspace());
    }
    let mut rest = trail.positions.as_slice();
    while !rest.is_empty() {
        let positions = first(store, rest.get(..PAGE).unwrap_or(rest)).await?;
        rest = rest.get(positions.len()..).unwrap_or_default();
        let events = store.log.stored(positions).await.context("the log cannot be read")?;
        if !printer.page(positions, &events)? {
            break;
        }
    }
    printer.complain_of(&trail.faults);
    Ok(())
}

struct Printer<'a> {
    json: bool,
    messages: MessageOptions,
    faults: &'a mut u64,
}

impl Printer<'_> {
    /// Prints the events, and what is wrong with them. False when nobody reads any more.
    fn page(&mut self, wanted: &[Position], events: &[Stored]) -> anyhow::Result<bool> {
        let mut out = std::io::stdout().lock();
        let mut events = events.iter().peekable();
        for position in wanted {
            let Some(stored) = events.next_if(|stored| stored.position == *position) else {
                self.complain(*position, "the event is missing");
                continue;
            };
            let event = match &stored.event {
                Ok(event) => event,
                Err(reason) => {
                    self.complain(*position, reason);
                    continue;
                }
            };
            if !stored.follows() {
                self.complain(*position, "its hash does not follow from the event and the hash before it");
            }
            let written = match self.json {
                true => out.write_all(&event_line(event, &self.messages)),
                false => writeln!(out, "{}", describe(event)),
            };
            if !output::goes_on(written)? {
                return Ok(false);
            }
        }
        output::goes_on(out.flush())
    }

    fn complain(&mut self, position: Position, reason: &str) {
        *self.faults += 1;
        eprintln!("FAULT at position {position}: {reason}");
    }

    fn complain_of(&mut self, faults: &Faults) {
        for fault in faults.kept() {
            self.complain(fault.position, &fault.reason);
        }
        let more = faults.count().saturating_sub(faults.kept().len() as u64);
        if more > 0 {
            *self.faults += more;
            eprintln!("FAULT: {more} more");
        }
    }
}

/// One line for people. Control characters cannot come through: none of the texts has any.
fn describe(event: &Event) -> String {
    let hash: String = event.hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let mut line = format!(
        "{:>8}  {}  {:<6}  {}/_history/{}  by {}",
        event.position,
        event.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        event.operation,
        event.key,
        event.version,
        if event.agent.is_empty() { "-" } else { &event.agent },
    );
    if let Some(transaction) = &event.transaction {
        let number = transaction.index.saturating_add(1);
        line.push_str(&format!("  {number} of {} in {}", transaction.size, transaction.id));
    }
    line.push_str(&format!("  {hash}"));
    line
}
