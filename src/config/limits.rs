//! Limits of a workspace: how many requests it takes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::Findings;

/// How many requests a workspace takes; beyond it the answer is 429. Nothing is bounded by default: how much is too much depends on
/// the machine and on who asks, and `http.connections_max` bounds all in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Requests to the workspace in a second, of all clients together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub requests_per_second: Option<u32>,
    /// Requests to the workspace that may come at once, after a pause; as many as in a second where not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub requests_burst: Option<u32>,
    /// Requests of one client in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub client_requests_per_second: Option<u32>,
    /// Requests of one client that may come at once, after a pause; as many as in a second where not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub client_requests_burst: Option<u32>,
    /// Requests of one client that may be under way at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub client_concurrent_max: Option<u32>,
    /// Requests of one principal (a subject of an authority, by one application) in a second, from whatever addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub principal_requests_per_second: Option<u32>,
    /// Requests of one principal that may come at once, after a pause; as many as in a second where not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub principal_requests_burst: Option<u32>,
}

impl LimitSettings {
    pub(super) fn check(&self, path: &str, findings: &mut Findings) {
        let at_least = |limit: Option<u32>| limit.map_or(1, |limit| limit as usize);
        findings.at_least_one(
            path,
            &[
                ("requests_per_second", at_least(self.requests_per_second)),
                ("requests_burst", at_least(self.requests_burst)),
                ("client_requests_per_second", at_least(self.client_requests_per_second)),
                ("client_requests_burst", at_least(self.client_requests_burst)),
                ("client_concurrent_max", at_least(self.client_concurrent_max)),
                ("principal_requests_per_second", at_least(self.principal_requests_per_second)),
                ("principal_requests_burst", at_least(self.principal_requests_burst)),
            ],
        );
        for (burst, is_set, rate, is_rate_set) in [
            ("requests_burst", self.requests_burst, "requests_per_second", self.requests_per_second),
            (
                "client_requests_burst",
                self.client_requests_burst,
                "client_requests_per_second",
                self.client_requests_per_second,
            ),
            (
                "principal_requests_burst",
                self.principal_requests_burst,
                "principal_requests_per_second",
                self.principal_requests_per_second,
            ),
        ] {
            if is_set.is_some() && is_rate_set.is_none() {
                findings.add(format!("{path}.{burst}"), format!("means nothing without {rate}"));
            }
        }
    }
}
