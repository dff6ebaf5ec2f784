//! What can be seen of a resident actor from outside: its queue, its cache and when it last had work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

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
    /// Bytes that all caches hold.
    pub cached_bytes: usize,
    /// The most recently active ones.
    pub actors: Vec<Resident>,
}
