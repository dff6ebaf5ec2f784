//! Compartment actors: one queue and cache per patient compartment, between the API and the log.
//!
//! **For whoever writes** (single interactions and bundles), everything is on [`Compartments`]:
//! - [`Compartments::submit`]: one command, decided and recorded in its compartment's order; tries again when
//!   another node was quicker.
//! - [`Compartments::current`]: the newest versions of many resources, for decisions that are made together.
//! - [`crate::decide::decide`]: command + current version → draft, nothing to do, or refusal. Pure.
//! - [`Compartments::commit`]: drafts that are recorded together or not at all, through the queue of one compartment.
//!   On [`WriteError::Log`] with a conflict: load [`Compartments::current`] again, decide again, commit again (bounded).
//!
//! An actor is **a queue and a cache, never the only copy**: the log's compare-and-set decides who wins. A decision
//! made on a cached version is only trusted where the log checks it again; a refusal or "nothing to do" from a cached
//! version is decided once more from a fresh one. So a stale cache can cost a retry, never a wrong answer.
//!
//! actix is used behind this facade only. Its rules here: no `do_send`; queues are bounded by our own count before
//! the mailbox; answers travel in oneshot channels, so a client that goes away takes no append with it; decisions
//! run under `catch_unwind`; actors live on their own arbiters, never on HTTP workers.

mod arbiters;
mod cache;
mod compartment;
mod execute;
mod memory;
mod registry;
mod resident;
mod rest;
mod weight;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use anamnesis_events::{AppendError, Group, Idempotency, Log, LogError, Operation, Recorded, ResourceKey};
use tokio::runtime::Handle;

use crate::decide::{Command, Current, Provenance, Refusal, Rules};
use crate::reads::{ReadError, Reads};

pub use memory::{Memory, MemoryUse};
pub use registry::Compartments;
pub use resident::{Refused, Resident, Residents, Rested};

/// Limits of the actors, with the reasons for their defaults.
#[derive(Debug, Clone)]
pub struct ActorOptions {
    /// Threads that actors live on. Decisions are short; two keep one slow decision from holding up everybody.
    pub arbiters: usize,
    /// Commands that may wait or run in one compartment; beyond it the answer is 429. At some milliseconds a commit
    /// more would wait longer than clients do.
    pub queue_max: usize,
    /// Resident actors beyond which idle ones are put to rest before their time; twice as many are never resident.
    pub resident_max: usize,
    /// Bytes of everything: the actors, what they remember, and the commands that wait or run. What does not fit is
    /// refused with 503, and nothing of it is written.
    pub memory_bytes_max: usize,
    /// Bytes of remembered resources, within `memory_bytes_max`.
    pub cache_bytes_max: usize,
    /// The memory to use together with other services, instead of one of `memory_bytes_max`.
    pub memory: Option<Memory>,
    /// An actor without work for so long is put to rest.
    pub idle_timeout: Duration,
    /// How often idle actors are looked for.
    pub sweep_interval: Duration,
    /// Where reading runs; the current runtime if none is given.
    pub runtime: Option<Handle>,
}

impl Default for ActorOptions {
    fn default() -> Self {
        Self {
            arbiters: 2,
            queue_max: 256,
            resident_max: 20_000,
            memory_bytes_max: 256 << 20,
            cache_bytes_max: 128 << 20,
            memory: None,
            idle_timeout: Duration::from_secs(60),
            sweep_interval: Duration::from_secs(1),
            runtime: None,
        }
    }
}

/// What became of a command.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Outcome {
    /// An event was recorded.
    Written {
        /// The resource.
        key: ResourceKey,
        /// What was done.
        operation: Operation,
        /// Where and when, and the bytes as they are served.
        recorded: Recorded,
        /// The compartments that it touches, its home among them.
        touches: Vec<String>,
    },
    /// Nothing to do: this version already says what the client sent.
    Unchanged(Arc<Current>),
    /// Nothing to delete: never there, or this delete was the last that happened.
    Absent(Option<Arc<Current>>),
    /// Nothing was written: another resource holds an identifier that had to be free.
    Held {
        /// Its id.
        id: String,
    },
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The decision is against it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The compartment has too much under way.
    #[error("the compartment's queue is full")]
    Busy,
    /// All compartments together have too much under way.
    #[error("the memory of the compartments is full")]
    Crowded,
    /// Others were quicker, as often as it was tried.
    #[error("others changed the resource at the same time, {tries} times in a row")]
    Contended {
        /// How often it was tried.
        tries: u32,
    },
    /// The log did not take it.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] LogError),
    /// A single resource could not be read.
    #[error(transparent)]
    ReadOne(#[from] ReadError),
    /// The same request was recorded before, under its idempotency key: see [`anamnesis_events::Log::remembered`].
    #[error("the request was recorded before, under its idempotency key")]
    AlreadyRecorded,
    /// The database has ended the claim under which the command was decided; nothing was recorded.
    #[error("the turn of these criteria was lost")]
    TurnLost,
    /// Others have had the turn of the resource for too long; nothing was recorded.
    #[error("too many clients change the resource at the same time")]
    TurnLate,
    /// The decision broke down: a mistake of this program.
    #[error("a decision panicked")]
    Panicked,
    /// The actor ended before it answered; whether something was recorded is not known.
    #[error("the compartment's actor ended before it answered")]
    Interrupted,
}

/// Something that is kept until a write has been answered, also where whoever asked for the write has gone away
/// meanwhile: what was decided under it must not be decided by somebody else before the write is there to be seen.
pub type Kept = Arc<dyn Any + Send + Sync>;

/// What comes with a command beside who writes.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The key under which it is recorded once.
    pub idempotency: Option<Idempotency>,
    /// What is kept until it has been answered.
    pub kept: Option<Kept>,
}

/// What all actors share: read-only but for memory and counts.
#[derive(Debug)]
struct Surroundings {
    log: Log,
    reads: Reads,
    rules: Rules,
    options: ActorOptions,
    memory: Memory,
    counts: resident::Counts,
}

/// One command with its writer, on its way to an actor.
#[derive(Debug)]
struct Work {
    command: Command,
    provenance: Provenance,
    terms: Terms,
    share: memory::Share,
}

/// Drafts that belong together, on their way to an actor.
#[derive(Debug)]
struct Commit {
    group: Group,
    kept: Option<Kept>,
    share: memory::Share,
}

#[cfg(test)]
mod tests;
