//! Settings of the compartment actors.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits of the compartment actors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ActorSettings {
    /// Threads that actors live on. Decisions are short; two keep a slow one from holding up everybody.
    #[schemars(range(min = 1))]
    pub threads: usize,
    /// Commands that may wait in one compartment; beyond it the answer is 429.
    #[schemars(range(min = 1))]
    pub queue_max: usize,
    /// Resident actors of a service beyond which idle ones are put to rest early.
    #[schemars(range(min = 1))]
    pub resident_max: usize,
    /// Bytes of everything that the actors of all services take: themselves, the resources that they keep at hand, and
    /// the writes that wait or run. Writes beyond it are answered with 503.
    #[schemars(range(min = 1))]
    pub memory_bytes_max: usize,
    /// Bytes of resources that all actors together keep at hand, within `memory_bytes_max`.
    pub cache_bytes_max: usize,
    /// An actor without work for so long is put to rest, in seconds.
    pub idle_timeout_s: u64,
}

impl Default for ActorSettings {
    fn default() -> Self {
        ActorSettings {
            threads: 2,
            queue_max: 256,
            resident_max: 20_000,
            // Eight bodies of the largest size with what parsing adds, beside a full cache.
            memory_bytes_max: 256 << 20,
            cache_bytes_max: 128 << 20,
            idle_timeout_s: 60,
        }
    }
}
