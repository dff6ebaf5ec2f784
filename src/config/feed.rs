//! Settings of the change feed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the change feed carries and how long the broker keeps it. Postgres keeps everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FeedSettings {
    /// Whether messages carry the resource, or only say what changed.
    pub body: FeedBody,
    /// Bodies longer than this are left out of messages, in bytes. NATS refuses messages over 1 MiB by default.
    pub body_bytes_max: usize,
    /// Messages leave the stream after so many days.
    #[schemars(range(min = 1))]
    pub age_max_days: u64,
    /// The oldest messages leave when the stream is larger than this, in bytes. NATS sets the space aside at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub bytes_max: Option<u64>,
    /// Copies of the stream in a cluster of NATS servers.
    #[schemars(range(min = 1))]
    pub replicas: usize,
}

impl Default for FeedSettings {
    fn default() -> Self {
        FeedSettings {
            body: FeedBody::Resource,
            body_bytes_max: 256 << 10,
            age_max_days: 30,
            bytes_max: None,
            replicas: 1,
        }
    }
}

/// What messages of the feed carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FeedBody {
    /// The resource.
    Resource,
    /// Nothing but the headers.
    Notification,
}
