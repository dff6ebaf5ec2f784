//! Each resource as a register (I7): what begins after an answer sees what was answered, or something later.

use std::collections::HashMap;
use std::time::Instant;

use anamnesis_events::ResourceKey;

use super::Story;
use crate::records::{Outcome, Record, Verb};

/// One use of a register. Versions are the register's values, in the order of the log.
struct Use {
    started: Instant,
    /// When its answer was there; `None` where there was none, which then orders nothing after it.
    ended: Option<Instant>,
    version: u32,
    /// Whether it made the version, and did not only see it.
    is_write: bool,
    token: String,
}

/// Checks the order in which versions were made and seen against the clock of those who asked.
pub(crate) fn check(story: &Story, records: &[Record]) -> Vec<String> {
    let mut registers: HashMap<ResourceKey, Vec<Use>> = HashMap::new();
    for record in records {
        for (asked, outcome) in &record.entries {
            let (id, version, ended) = match outcome {
                Outcome::Done(told) => {
                    let Some(id) = told.id.clone() else { continue };
                    (id, told.version.unwrap_or(0), Some(record.ended))
                }
                Outcome::Unknown => match story.with_token(&asked.token).first() {
                    Some(event) => (event.key.id.clone(), event.version.get(), None),
                    None => continue,
                },
                Outcome::Refused => continue,
            };
            // A delete of what was gone already saw a version and made none; the log cannot tell the two apart.
            let is_write = match asked.verb {
                Verb::Read | Verb::Delete => false,
                Verb::ConditionalCreate => !story.with_token(&asked.token).is_empty(),
                Verb::Create | Verb::Update => true,
            };
            let (started, token) = (record.started, asked.token.clone());
            let key = ResourceKey::new(asked.resource_type, id);
            registers.entry(key).or_default().push(Use { started, ended, version, is_write, token });
        }
    }
    registers.into_iter().flat_map(|(key, uses)| register(&key, uses)).collect()
}

fn register(key: &ResourceKey, mut uses: Vec<Use>) -> Vec<String> {
    uses.sort_by_key(|one| one.started);
    let mut answered: Vec<(Instant, u32, &str)> =
        uses.iter().filter_map(|one| Some((one.ended?, one.version, one.token.as_str()))).collect();
    answered.sort_unstable();
    let mut answered = answered.into_iter().peekable();
    let mut newest = (0, "nobody");
    let mut violations = Vec::new();
    for one in &uses {
        while let Some((_, version, token)) = answered.next_if(|(ended, ..)| *ended < one.started) {
            newest = newest.max((version, token));
        }
        let (least, by) = newest;
        let (what, is_late) = match one.is_write {
            true => ("made", one.version <= least),
            false => ("saw", one.version < least),
        };
        if is_late {
            violations.push(format!(
                "I7: {} {what} version {} of {key}, but before it began {by} had been told of version {least}",
                one.token, one.version
            ));
        }
    }
    violations
}
