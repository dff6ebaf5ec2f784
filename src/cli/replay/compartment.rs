//! The history of a compartment, and which of its events the versions lead to that are not there.

use std::collections::HashMap;

use anamnesis_events::{Event, HistoryRange, HistoryScope, Position, ResourceKey, Stand, Stored};
use anamnesis_fhir::definitions::r4;
use anyhow::Context as _;

use super::{PAGE, Printer, first};
use crate::cli::store::Store;

/// Reads the name of a compartment: a patient, or a shared one such as `Organization/~17`, where resources live that
/// belong to no patient.
pub(super) fn parse(text: &str) -> Result<String, String> {
    let (name, id) = text.split_once('/').unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let is_known = match id.strip_prefix('~') {
        Some(number) => {
            let is_type = r4().resource_types().contains(&name);
            is_type && !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
        }
        None => name == "Patient" && !id.is_empty() && id.chars().all(is_plain),
    };
    match is_known {
        true => Ok(text.to_owned()),
        false => {
            Err("a compartment is a patient, such as Patient/123, or a shared one, such as Organization/~17"
                .to_owned())
        }
    }
}

/// Prints what touches the compartment behind one position and up to another; `head` is where the log ended before.
pub(super) async fn print(
    store: &Store,
    name: &str,
    (after, until, head): (Position, Option<Position>, Position),
    mut printer: Printer<'_>,
) -> anyhow::Result<()> {
    let mut seen = Seen { begin: after, newest: HashMap::new() };
    let mut at = after;
    loop {
        let range = HistoryRange {
            after_position: Some(at),
            before_position: Some(until.unwrap_or(head).next()),
            limit: PAGE,
            ascending: true,
            ..HistoryRange::default()
        };
        let positions = positions(store, name, range).await?;
        let positions = first(store, &positions).await?;
        let Some(last) = positions.last().copied() else { break };
        let events = store.log.stored(positions).await.context("the log cannot be read")?;
        if !printer.page(positions, &events)? {
            return Ok(());
        }
        let missed = seen.take(&events);
        complain(store, name, missed, &mut printer).await?;
        at = last;
    }
    if seen.newest.is_empty() && *printer.faults == 0 {
        let anywhere = HistoryRange { limit: 1, ascending: true, ..HistoryRange::default() };
        if positions(store, name, anywhere).await?.is_empty() {
            anyhow::bail!("nothing in the workspace {} touches {name}", store.log.workspace());
        }
    }
    // With an end given, resources may well have gone on behind it.
    if until.is_none() {
        compare_heads(store, name, (&seen, head), &mut printer).await?;
    }
    Ok(())
}

async fn positions(store: &Store, name: &str, range: HistoryRange) -> anyhow::Result<Vec<Position>> {
    let scope = HistoryScope::Compartment(name.to_owned());
    store.log.history_positions(scope, range).await.context("the history cannot be read")
}

/// The newest event of each resource that came by: some hundred bytes for each resource of the compartment.
struct Seen {
    begin: Position,
    newest: HashMap<ResourceKey, Position>,
}

impl Seen {
    /// Where these events lead back to, into the range, without that it came by; with the event that leads there.
    fn take(&mut self, events: &[Stored]) -> Vec<(Position, Position)> {
        let mut missed = Vec::new();
        for event in events.iter().filter_map(|stored| stored.event.as_ref().ok()) {
            // What makes no version stands at no head, and no version follows it.
            let before = match event.operation.makes_version() {
                true => self.newest.insert(event.key.clone(), event.position),
                false => self.newest.get(&event.key).copied(),
            };
            let previous = event.previous.filter(|previous| *previous > self.begin);
            if let Some(previous) = previous.filter(|previous| before != Some(*previous)) {
                missed.push((previous, event.position));
            }
        }
        missed
    }
}

/// Complains of events that are not there at all, or that touch the compartment and were not found in it. Others were
/// in another compartment then.
async fn complain(
    store: &Store,
    name: &str,
    missed: Vec<(Position, Position)>,
    printer: &mut Printer<'_>,
) -> anyhow::Result<()> {
    let wanted: Vec<Position> = missed.iter().map(|(position, _)| *position).collect();
    let mut rest = wanted.as_slice();
    let mut missed = missed.into_iter();
    while !rest.is_empty() {
        let now = first(store, rest).await?;
        rest = rest.get(now.len()..).unwrap_or_default();
        let found = store.log.stored(now).await.context("the log cannot be read")?;
        for (position, from) in missed.by_ref().take(now.len()) {
            let found = found.iter().find(|stored| stored.position == position);
            complain_of(name, (position, from), found, printer);
        }
    }
    Ok(())
}

fn complain_of(
    name: &str,
    (position, from): (Position, Position),
    found: Option<&Stored>,
    printer: &mut Printer<'_>,
) {
    let touches = |event: &Event| event.touches.iter().any(|one| one == name);
    match found {
        None => {
            let reason = match position < from {
                true => format!("the event is missing, which the one at position {from} follows"),
                false => "the event is missing, at which the head of its resource stands".to_owned(),
            };
            printer.complain(position, &reason);
        }
        Some(Stored { event: Ok(event), .. }) if touches(event) => {
            printer.complain(position, "the event touches the compartment, but is not found in it");
        }
        // One that cannot be read may be of another compartment.
        Some(_) => {}
    }
}

/// Complains where a resource stands at an event that is not there.
async fn compare_heads(
    store: &Store,
    name: &str,
    (seen, head): (&Seen, Position),
    printer: &mut Printer<'_>,
) -> anyhow::Result<()> {
    let keys: Vec<&ResourceKey> = seen.newest.keys().collect();
    for keys in keys.chunks(PAGE) {
        let keys: Vec<ResourceKey> = keys.iter().copied().cloned().collect();
        let stands = store.log.stands(&keys).await.context("the heads cannot be read")?;
        let (mut missed, mut unprinted) = (Vec::new(), Vec::new());
        for (key, stand) in keys.iter().zip(stands) {
            let newest = seen.newest.get(key).copied().unwrap_or(Position::ZERO);
            match stand {
                None => printer.complain(newest, "its resource has no head"),
                Some(Stand { position, .. }) if position < newest => {
                    let reason = format!("the head of its resource stands at {position}, a version before");
                    printer.complain(newest, &reason);
                }
                // One behind the end may have been written since; the event is there with its head.
                Some(Stand { position, .. }) if position > head => unprinted.push(position),
                Some(Stand { position, .. }) if position > newest => missed.push((position, newest)),
                Some(_) => {}
            }
        }
        complain(store, name, missed, printer).await?;
        let found = store.log.stored(&unprinted).await.context("the log cannot be read")?;
        for position in unprinted {
            if !found.iter().any(|stored| stored.position == position) {
                printer.complain(position, "the event is missing, at which the head of its resource stands");
            }
        }
    }
    Ok(())
}
