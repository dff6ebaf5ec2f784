//! What a log must look like whoever wrote it: dense, in order of time, versions without holes, whole transactions.

use std::collections::HashMap;

use anamnesis_events::{Event, Operation, Position, ResourceKey, Version};

use super::named;

/// Where a resource stands while the log is walked.
#[derive(Clone, Copy)]
struct Standing {
    version: Version,
    position: Position,
    is_deleted: bool,
}

/// I2, I3 and I6, as far as the log alone tells.
pub(crate) fn check(events: &[Event]) -> Vec<String> {
    let mut violations = Vec::new();
    let mut standing: HashMap<&ResourceKey, Standing> = HashMap::new();
    for (place, event) in events.iter().enumerate() {
        let before = place.checked_sub(1).map(|place| &events[place]);
        if event.position.get() != place as u64 + 1 {
            violations.push(format!("I2: place {} of the log is the {}", place + 1, named(event)));
        }
        if before.is_some_and(|before| before.recorded_at >= event.recorded_at) {
            violations.push(format!("I2: the time does not move on to the {}", named(event)));
        }
        let known = standing.get(&event.key).copied();
        violations.extend(versions(event, known));
        violations.extend(transactions(event, before, events.get(place + 1)));
        let is_deleted = event.operation == Operation::Delete;
        standing
            .insert(&event.key, Standing { version: event.version, position: event.position, is_deleted });
    }
    violations
}

/// The event follows the version of its resource that came before.
fn versions(event: &Event, known: Option<Standing>) -> Option<String> {
    let expected = known.map_or(Version::NONE, |known| known.version).next();
    let lives = known.is_some_and(|known| !known.is_deleted);
    let fits = match event.operation {
        Operation::Create => !lives,
        // The faults' load erases and holds nothing.
        _ => lives,
    };
    let previous = known.map(|known| known.position);
    let follows = event.version == expected && event.previous == previous && fits;
    (!follows).then(|| {
        let (previous, lives) = (event.previous, if lives { "living" } else { "absent" });
        format!(
            "I3: version {expected} of a {lives} resource was due, not the {} after {previous:?}",
            named(event)
        )
    })
}

/// A transaction's events follow each other from the first to the last.
fn transactions(event: &Event, before: Option<&Event>, next: Option<&Event>) -> Option<String> {
    let own = event.transaction?;
    let of = |other: Option<&Event>, index: u32| {
        other
            .and_then(|other| other.transaction)
            .is_some_and(|other| other.id == own.id && other.size == own.size && other.index == index)
    };
    let begins = own.index == 0 || of(before, own.index - 1);
    let goes_on = own.is_last() || of(next, own.index + 1);
    (!begins || !goes_on || own.index >= own.size).then(|| {
        format!("I6: place {} of {} of a transaction stands alone: the {}", own.index, own.size, named(event))
    })
}
