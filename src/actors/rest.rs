//! Putting actors to rest: those without work for long, and the longest idle ones when room is needed.
//!
//! An actor is taken out of the registry only while it has no work, and work enters it only while it is in the
//! registry, both under the lock of its place there. With its last address it ends and gives its memory back. So no
//! work is lost on the way, and no compartment has two actors with work.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::memory::{ACTOR_BYTES, Memory};
use super::registry::Inner;

/// Pause after actors were put to rest for room: they need a moment to end and give it back.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks after a registry until it goes away or its owner ends this.
pub(super) async fn sweep(registry: Weak<Inner>, memory: Memory, interval: Duration) {
    loop {
        // Asked for before looking, so that a ring in between is heard.
        let crowded = memory.crowded();
        let Some(strong) = registry.upgrade() else { return };
        rest_idle(&strong);
        let made_room = rest_for_room(&strong);
        drop(strong);
        if made_room {
            tokio::time::sleep(PAUSE).await;
        }
        tokio::select! {
            () = crowded => tokio::time::sleep(PAUSE.min(interval)).await,
            () = tokio::time::sleep(interval) => {}
        }
    }
}

/// Puts those to rest that have had no work for long.
fn rest_idle(registry: &Inner) {
    let idle_ms = u64::try_from(registry.options().idle_timeout.as_millis()).unwrap_or(u64::MAX);
    let mut rested = 0;
    registry.actors.retain(|_, slot| {
        let stays = slot.gauge.queued() > 0 || slot.gauge.idle_ms() < idle_ms;
        rested += u64::from(!stays);
        stays
    });
    registry.surroundings.counts.rested_idle(rested);
}

/// Where there are too many actors or too little memory, puts the longest idle ones to rest; whether there were any.
fn rest_for_room(registry: &Inner) -> bool {
    let excess_bytes = registry.surroundings.memory.excess();
    let (resident, resident_max) = (registry.actors.len(), registry.options().resident_max);
    let excess_actors =
        if resident > resident_max { resident.saturating_sub(resident_max - resident_max / 8) } else { 0 };
    if excess_bytes == 0 && excess_actors == 0 {
        return false;
    }
    let mut idle: Vec<(u64, Arc<str>)> = registry
        .actors
        .iter()
        .filter(|slot| slot.gauge.queued() == 0)
        .map(|slot| (slot.gauge.idle_ms(), slot.key().clone()))
        .collect();
    idle.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
    let (mut rested, mut bytes) = (0, 0);
    for (_, compartment) in idle {
        if bytes >= excess_bytes && rested >= excess_actors {
            break;
        }
        // It may have got work since.
        let removed = registry.actors.remove_if(&compartment, |_, slot| slot.gauge.queued() == 0);
        if let Some((_, slot)) = removed {
            bytes += slot.gauge.bytes() + ACTOR_BYTES;
            rested += 1;
        }
    }
    registry.surroundings.counts.rested_for_room(u64::try_from(rested).unwrap_or(u64::MAX));
    rested > 0
}
