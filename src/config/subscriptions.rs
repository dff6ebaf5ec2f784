//! Settings of subscriptions.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who is notified of writes, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SubscriptionSettings {
    /// What the addresses of receivers begin with: `https://his.example.org/hooks`. Nothing is allowed that is not here.
    pub allow: Vec<String>,
    /// How long a receiver may take to answer, in seconds.
    pub timeout_s: u64,
    /// The longest wait between two tries of a receiver that fails, in seconds.
    pub retry_max_s: u64,
    /// A receiver that has failed for so long is not tried any more, in hours; the status says so.
    pub give_up_after_h: u64,
    /// Topics by canonical address; declared in the file, as workspaces are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub topics: BTreeMap<String, TopicSettings>,
}

impl Default for SubscriptionSettings {
    fn default() -> Self {
        // Over a weekend somebody has to come and look.
        Self {
            allow: Vec::new(),
            timeout_s: 10,
            retry_max_s: 600,
            give_up_after_h: 72,
            topics: BTreeMap::new(),
        }
    }
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicSettings {
    /// The resource type.
    pub resource: String,
    /// Which writes are told of.
    #[serde(default = "created_and_updated")]
    pub on: Vec<TopicWrite>,
    /// Search criteria that the version before meets, without the type: `status:not=final`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// Search criteria that the version after meets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// Search parameters by which subscribers may narrow it.
    #[serde(default)]
    pub filters: Vec<String>,
}

/// A sort of write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TopicWrite {
    /// A resource comes to be.
    Create,
    /// A resource gets another version.
    Update,
    /// A resource is deleted.
    Delete,
}

fn created_and_updated() -> Vec<TopicWrite> {
    vec![TopicWrite::Create, TopicWrite::Update]
}
