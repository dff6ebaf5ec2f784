//! What can be seen of a resident actor from outside: its queue, its cache and when it last had work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::memory::MemoryUse;
use crate::clock;

/// Counts of one actor, shared between it and the registry.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    queued: AtomicUsize,
    heads: AtomicUsize,
    bytes: AtomicUsize,
    active_ms: AtomicU64,
}

impl Gauge {
    pub(super) fn new() -> Arc<Self> {
        let gauge = Self::default();
        gauge.touch();
        Arc::new(gauge)
    }

    /// Takes a place in the queue, or none where `max` are taken.
    pub(super) fn enter(self: &Arc<Self>, max: usize) -> Option<UnderWay> {
        self.touch();
        if self.queued.fetch_add(1, Ordering::AcqRel) >= max {
            self.queued.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        Some(UnderWay(self.clone()))
    }

    pub(super) fn cached(&self, heads: usize, bytes: usize) {
        self.heads.store(heads, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn queued(&self) -> usize {
        self.queued.load(Ordering::Acquire)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Milliseconds since it last had work.
    pub(super) fn idle_ms(&self) -> u64 {
        now_ms().saturating_sub(self.active_ms.load(Ordering::Relaxed))
    }

    fn touch(&self) {
        self.active_ms.store(now_ms(), Ordering::Relaxed);
    }

    pub(super) fn describe(&self, compartment: &str) -> Resident {
        Resident {
            compartment: compartment.to_owned(),
            queued: self.queued(),
            cached_heads: self.heads.load(Ordering::Relaxed),
            cached_bytes: self.bytes.load(Ordering::Relaxed),
            idle_ms: self.idle_ms(),
        }
    }
}

/// A place in an actor's queue; given back when dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Gauge>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.queued.fetch_sub(1, Ordering::AcqRel);
        self.0.touch();
    }
}

/// What happened since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    rested_idle: AtomicU64,
    rested_for_room: AtomicU64,
    refused_queue: AtomicU64,
    refused_memory: AtomicU64,
}

impl Counts {
    pub(super) fn rested_idle(&self, actors: u64) {
        self.rested_idle.fetch_add(actors, Ordering::Relaxed);
    }

    pub(super) fn rested_for_room(&self, actors: u64) {
        self.rested_for_room.fetch_add(actors, Ordering::Relaxed);
    }

    pub(super) fn refused_for_queue(&self) {
        self.refused_queue.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused_for_memory(&self) {
        self.refused_memory.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn rested(&self) -> Rested {
        let [idle, for_room] = [&self.rested_idle, &self.rested_for_room];
        Rested { idle: idle.load(Ordering::Relaxed), for_room: for_room.load(Ordering::Relaxed) }
    }

    pub(super) fn refused(&self) -> Refused {
        let [queue_full, memory_full] = [&self.refused_queue, &self.refused_memory];
        Refused {
            queue_full: queue_full.load(Ordering::Relaxed),
            memory_full: memory_full.load(Ordering::Relaxed),
        }
    }
}

/// Actors that were put to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rested {
    /// Because they had no work for long.
    pub idle: u64,
    /// Because room was needed.
    pub for_room: u64,
}

/// Writes that were refused, and of which nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Because a compartment's queue was full (429).
    pub queue_full: u64,
    /// Because the memory was full, or too many actors were resident (503).
    pub memory_full: u64,
}

fn now_ms() -> u64 {
    u64::try_from(clock::elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// One resident actor.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resident {
    /// The compartment, such as `Patient/1`.
    pub compartment: String,
    /// Commands that wait or run.
    pub queued: usize,
    /// Resources whose newest version it remembers.
    pub cached_heads: usize,
    /// Bytes of these.
    pub cached_bytes: usize,
    /// Milliseconds since it last had work.
    pub idle_ms: u64,
}

/// The resident actors: a bounded list, and totals over all.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Residents {
    /// How many actors are resident.
    pub total: usize,
    /// Commands that wait or run in all of them.
    pub queued: usize,
    /// Bytes that their caches hold.
    pub cached_bytes: usize,
    /// The memory of all actors, also those of other services that share it.
    pub memory: MemoryUse,
    /// Actors that were put to rest since the start.
    pub rested: Rested,
    /// Writes that were refused since the start.
    pub refused: Refused,
    /// The most recently active ones.
    pub actors: Vec<Resident>,
}
