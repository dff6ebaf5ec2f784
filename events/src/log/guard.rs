//! What may be written in a compartment: nothing but what takes away while it is purged, and nothing that takes away while
//! it is held. Judged under the log's lock.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::batch::Pending;
use super::decide::compartment_key;
use super::erase::Erasure;
use crate::{Draft, Erases, Kind, Position};

/// What guards a compartment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Guard {
    /// The event with which its purge began, while that has not ended.
    pub(crate) purge: Option<Position>,
    /// The event that placed a legal hold on it and when that was recorded, while it stands.
    pub(crate) hold: Option<(Position, DateTime<Utc>)>,
}

/// The guards of a batch's compartments, by the keys of these.
pub(crate) type Guards = HashMap<Uuid, Guard>;

/// Why a guard is against a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guarded {
    /// There is a hold since then.
    Held(DateTime<Utc>),
    /// It is being purged.
    Purging,
    /// There is no purge, or no hold, that could end.
    NotBegun,
}

/// A guard that changes with the event of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) compartment: Uuid,
    pub(crate) after: Guard,
    /// The data key of the compartment is destroyed.
    pub(crate) destroys_key: bool,
}

/// Whether the guards let a draft pass that takes these bodies away.
fn check(guards: &Guards, draft: &Draft, erasures: &[&Erasure]) -> Result<(), Guarded> {
    let guard = |compartment: &Uuid| guards.get(compartment).copied().unwrap_or_default();
    let home = guard(&compartment_key(&draft.home));
    let held = |guard: Guard| guard.hold.map_or(Ok(()), |(_, since)| Err(Guarded::Held(since)));
    let purging = |guard: Guard| if guard.purge.is_some() { Err(Guarded::Purging) } else { Ok(()) };
    match Kind::of(draft.operation, draft.erases) {
        Some(Kind::PurgeBegun | Kind::LegalHoldPlaced) => {
            purging(home)?;
            return held(home);
        }
        Some(Kind::CompartmentPurged) if home.purge.is_none() => return Err(Guarded::NotBegun),
        Some(Kind::LegalHoldReleased) if home.hold.is_none() => return Err(Guarded::NotBegun),
        Some(Kind::CompartmentPurged | Kind::LegalHoldReleased) => return Ok(()),
        _ => {}
    }
    if guards.is_empty() {
        return Ok(());
    }
    // What takes all away is what the purge does as well: it may come from whoever is quicker.
    if draft.erases != Erases::Earlier {
        purging(home)?;
        draft.touches.iter().try_for_each(|touched| purging(guard(&compartment_key(touched))))?;
    }
    if draft.erases != Erases::Nothing {
        held(home)?;
        erasures.iter().try_for_each(|erasure| held(guard(&erasure.home)))?;
    }
    Ok(())
}

/// The groups of a batch that guards are against, by their places: which draft, and why.
pub(crate) fn refused(batch: &[Pending], guards: &Guards) -> HashMap<usize, (usize, Guarded)> {
    if guards.is_empty() && !batch.iter().any(|pending| pending.group.drafts.iter().any(Draft::guards)) {
        return HashMap::new();
    }
    let judge = |pending: &Pending| {
        pending.group.drafts.iter().enumerate().find_map(|(index, draft)| {
            let of_draft = |erasure: &&Erasure| erasure.draft == index;
            let erasures: Vec<&Erasure> = pending.erasures.iter().filter(of_draft).collect();
            check(guards, draft, &erasures).err().map(|why| (index, why))
        })
    };
    let refused = batch.iter().enumerate().filter_map(|(place, pending)| Some((place, judge(pending)?)));
    refused.collect()
}

/// What becomes of the guard of the draft's home when its event is recorded; `None` where it stays.
pub(crate) fn change(guards: &Guards, draft: &Draft, (at, now): (Position, DateTime<Utc>)) -> Option<Change> {
    let compartment = compartment_key(&draft.home);
    let before = guards.get(&compartment).copied().unwrap_or_default();
    let (after, destroys_key) = match Kind::of(draft.operation, draft.erases)? {
        Kind::PurgeBegun => (Guard { purge: Some(at), ..before }, false),
        Kind::CompartmentPurged => (Guard { purge: None, ..before }, true),
        Kind::LegalHoldPlaced => (Guard { hold: Some((at, now)), ..before }, false),
        Kind::LegalHoldReleased => (Guard { hold: None, ..before }, false),
        _ => return None,
    };
    Some(Change { compartment, after, destroys_key })
}

/// Has drafts that would take the version before them away keep it where that is held: the write goes on, and nothing is lost.
pub(crate) fn keep_held(batch: &mut [Pending], guards: &Guards) {
    let is_held = |compartment: &Uuid| guards.get(compartment).is_some_and(|guard| guard.hold.is_some());
    if !guards.values().any(|guard| guard.hold.is_some()) {
        return;
    }
    for pending in batch {
        for (index, draft) in pending.group.drafts.iter_mut().enumerate() {
            let of_draft = |erasure: &&Erasure| erasure.draft == index;
            let is_kept = draft.erases == Erases::Previous
                && (is_held(&compartment_key(&draft.home))
                    || pending.erasures.iter().filter(of_draft).any(|erasure| is_held(&erasure.home)));
            if is_kept {
                draft.erases = Erases::Nothing;
                pending.erasures.retain(|erasure| erasure.draft != index);
            }
        }
    }
}

/// The compartments whose guards a batch has to know.
pub(crate) fn wanted(batch: &[Pending]) -> Vec<Uuid> {
    let of_draft = |draft: &Draft| -> Vec<Uuid> {
        std::iter::once(&draft.home).chain(&draft.touches).map(|name| compartment_key(name)).collect()
    };
    let mut wanted: Vec<Uuid> = Vec::new();
    for pending in batch {
        wanted.extend(pending.group.drafts.iter().flat_map(of_draft));
        wanted.extend(pending.erasures.iter().map(|erasure| erasure.home));
    }
    wanted.sort_unstable();
    wanted.dedup();
    wanted
}
