//! The memory of the actors: one bound in bytes for all of them, asked before anything is kept.
//!
//! Three parts share it: the actors themselves, the resources that they remember, and the commands that wait or run.
//! Resources may fill three quarters at most and are forgotten for anything else, so they never stand in a write's
//! way. What does not fit is not begun: an actor is not woken and a command not queued, and the writer is told to come
//! again. One exception keeps everything going however small the bound is: where nothing of its part is there, one
//! actor and one command are let in. So the sum never exceeds the bound by more than one command and its actor.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// What a resident actor costs without anything cached: its task, mailbox, maps and place in the registry. Measured:
/// see `docs/decisions/0009`; with a margin.
pub(super) const ACTOR_BYTES: usize = 2560;

/// The memory that the actors of one or more services share: a handle, free to clone.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bytes_max: usize,
    cached_max: usize,
    parts: Mutex<Parts>,
    /// Rung when it gets narrow, for those who put actors to rest.
    crowded: Notify,
}

#[derive(Debug, Default)]
struct Parts {
    actors: usize,
    cached: usize,
    commands: usize,
    peak: usize,
    /// A resource was not kept for want of room since actors were last put to rest.
    cache_is_full: bool,
}

impl Parts {
    fn sum(&self) -> usize {
        self.actors.saturating_add(self.cached).saturating_add(self.commands)
    }

    fn of(&mut self, part: Part) -> &mut usize {
        match part {
            Part::Actor => &mut self.actors,
            Part::Command => &mut self.commands,
        }
    }
}

/// What memory is taken for, other than caching.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    /// An actor.
    Actor,
    /// A command or group that waits or runs.
    Command,
}

/// How the memory is used, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryUse {
    /// The bound.
    pub bytes_max: usize,
    /// All parts together.
    pub bytes: usize,
    /// The most that it ever was.
    pub bytes_peak: usize,
    /// Of the actors themselves.
    pub actor_bytes: usize,
    /// Of the resources that they remember.
    pub cached_bytes: usize,
    /// Of the commands that wait or run.
    pub command_bytes: usize,
}

impl Memory {
    /// Memory of `bytes_max`, of which resources that are remembered take `cached_max` and three quarters at most.
    #[must_use]
    pub fn new(bytes_max: usize, cached_max: usize) -> Self {
        let cached_max = cached_max.min(bytes_max - bytes_max / 4);
        let parts = Mutex::default();
        Self(Arc::new(Inner { bytes_max, cached_max, parts, crowded: Notify::new() }))
    }

    /// How it is used now.
    #[must_use]
    pub fn usage(&self) -> MemoryUse {
        let parts = self.parts();
        MemoryUse {
            bytes_max: self.0.bytes_max,
            bytes: parts.sum(),
            bytes_peak: parts.peak,
            actor_bytes: parts.actors,
            cached_bytes: parts.cached,
            command_bytes: parts.commands,
        }
    }

    /// Takes memory, or none where it does not fit.
    pub(super) fn take(&self, part: Part, bytes: usize) -> Option<Share> {
        let mut share = Share { memory: self.clone(), part, bytes: 0 };
        share.grow(bytes).then_some(share)
    }

    /// Takes memory for the actor that a command needs. One that was let in although it is larger than the bound, because
    /// it is the only one, gets its actor too: it would be refused for ever otherwise, whatever else is put to rest.
    pub(super) fn take_actor(&self, bytes: usize, command: &Share) -> Option<Share> {
        let mut share = Share { memory: self.clone(), part: Part::Actor, bytes: 0 };
        if share.grow(bytes) {
            return Some(share);
        }
        let mut parts = self.parts();
        let without = parts.actors.saturating_add(parts.cached).saturating_add(bytes);
        if parts.commands != command.bytes || without > self.0.bytes_max {
            return None;
        }
        parts.actors = parts.actors.saturating_add(bytes);
        share.bytes = bytes;
        parts.peak = parts.peak.max(parts.sum());
        drop(parts);
        Some(share)
    }

    /// Whether a resource of that cost could be remembered if no other one were.
    pub(super) fn is_cacheable(&self, bytes: usize) -> bool {
        bytes <= self.0.cached_max
    }

    /// Takes memory for a resource to remember; false where it does not fit.
    pub(super) fn cache(&self, bytes: usize) -> bool {
        let mut parts = self.parts();
        let cached = parts.cached.saturating_add(bytes);
        let fits = cached <= self.0.cached_max
            && parts.sum().saturating_add(bytes) <= self.0.bytes_max - self.0.bytes_max / 4;
        if fits {
            parts.cached = cached;
            parts.peak = parts.peak.max(parts.sum());
        } else {
            parts.cache_is_full = true;
            drop(parts);
            self.ring();
        }
        fits
    }

    /// Gives back what [`Memory::cache`] took.
    pub(super) fn uncache(&self, bytes: usize) {
        let mut parts = self.parts();
        parts.cached = parts.cached.saturating_sub(bytes);
    }

    /// How many bytes should be given up now so that what comes finds room: down to half when three quarters are in
    /// use, and a quarter of the cache when it was full. Asking begins a new round.
    pub(super) fn excess(&self) -> usize {
        let mut parts = self.parts();
        let (sum, max) = (parts.sum(), self.0.bytes_max);
        let of_all = if sum > max - max / 4 { sum.saturating_sub(max / 2) } else { 0 };
        let cached_low = self.0.cached_max - self.0.cached_max / 4;
        let of_cache = if std::mem::take(&mut parts.cache_is_full) {
            parts.cached.saturating_sub(cached_low)
        } else {
            0
        };
        of_all.max(of_cache)
    }

    /// Tells those who put actors to rest that there is too little room.
    pub(super) fn ring(&self) {
        self.0.crowded.notify_waiters();
    }

    /// Ends when it is rung after this call.
    pub(super) fn crowded(&self) -> Notified<'_> {
        self.0.crowded.notified()
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.0.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory that an actor or a command holds; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    memory: Memory,
    part: Part,
    bytes: usize,
}

impl Share {
    /// Takes more for the same holder; false, and nothing is taken, where it does not fit.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let Memory(inner) = &self.memory;
        let mut parts = self.memory.parts();
        let is_alone = *parts.of(self.part) == self.bytes;
        let sum = parts.sum().saturating_add(bytes);
        let fits = sum <= inner.bytes_max || is_alone;
        if fits {
            let part = parts.of(self.part);
            *part = part.saturating_add(bytes);
            self.bytes = self.bytes.saturating_add(bytes);
            parts.peak = parts.peak.max(sum);
        }
        drop(parts);
        if sum > inner.bytes_max - inner.bytes_max / 4 {
            self.memory.ring();
        }
        fits
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut parts = self.memory.parts();
        let part = parts.of(self.part);
        *part = part.saturating_sub(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_not_taken_and_comes_back_when_dropped() {
        let memory = Memory::new(1000, 1000);
        let first = memory.take(Part::Command, 600).unwrap();
        assert!(memory.take(Part::Command, 401).is_none());
        let mut second = memory.take(Part::Command, 300).unwrap();
        assert!(!second.grow(101) && second.grow(100));
        assert_eq!(memory.usage().bytes, 1000);
        drop((first, second));
        let usage = memory.usage();
        assert_eq!((usage.bytes, usage.command_bytes, usage.bytes_peak), (0, 0, 1000));
    }

    #[test]
    fn one_command_and_one_actor_are_let_in_however_small_the_bound_is() {
        let memory = Memory::new(100, 100);
        let actor = memory.take(Part::Actor, 500).unwrap();
        let command = memory.take(Part::Command, 5000).unwrap();
        assert!(memory.take(Part::Actor, 1).is_none() && memory.take(Part::Command, 1).is_none());
        drop(command);
        assert!(memory.take(Part::Command, 7000).is_some());
        drop(actor);
        assert!(memory.take(Part::Actor, 500).is_some());
    }

    #[test]
    fn a_command_that_is_larger_than_the_bound_gets_its_actor_beside_others() {
        let memory = Memory::new(1000, 1000);
        let idle = memory.take(Part::Actor, 300).unwrap();
        let command = memory.take(Part::Command, 5000).unwrap();
        assert!(memory.take(Part::Actor, 300).is_none());
        let own = memory.take_actor(300, &command).unwrap();
        assert!(memory.take_actor(500, &command).is_none(), "actors alone stay within the bound");
        assert_eq!(memory.usage().bytes, 5600);
        drop((idle, own, command));
        let (one, other) =
            (memory.take(Part::Command, 600).unwrap(), memory.take(Part::Command, 400).unwrap());
        let actor = memory.take_actor(300, &one).unwrap();
        assert!(memory.take_actor(300, &one).is_none(), "it is not the only command");
        drop((actor, one, other));
        assert_eq!(memory.usage().bytes, 0);
    }

    #[test]
    fn resources_leave_a_quarter_to_writes_and_make_room_when_asked() {
        let memory = Memory::new(1000, 1000);
        assert!(memory.cache(750) && !memory.cache(1));
        assert_eq!(memory.excess(), 750 / 4, "a quarter of the cache");
        assert_eq!(memory.excess(), 0, "asked once");
        let command = memory.take(Part::Command, 250).unwrap();
        assert_eq!(memory.excess(), 500, "down to half");
        memory.uncache(750);
        drop(command);
        assert_eq!((memory.excess(), memory.usage().bytes), (0, 0));
    }
}
