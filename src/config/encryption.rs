//! Settings of encryption at rest: where the master key of a workspace comes from.

use anamnesis_events::keys::parse_master_keys;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::Findings;
use super::secret::Secret;

/// Whether bodies are sealed before they are stored, and by whose key. They are stored in clear where no key is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EncryptionSettings {
    /// Master keys, one a line: `id:base64 of 32 bytes`. The first one wraps, the others only unwrap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_key: Option<Secret>,
    /// A service that wraps and unwraps with a master key of its own.
    pub key_service: KeyServiceSettings,
    /// Data keys kept in memory; each takes some 600 bytes.
    #[schemars(range(min = 1))]
    pub cached_keys_max: usize,
    /// How long a data key stays in memory, in seconds: so long a server may know a key that another one has destroyed.
    #[schemars(range(min = 1))]
    pub cached_for_s: u64,
}

impl Default for EncryptionSettings {
    fn default() -> Self {
        // Of as many patients as are asked for in a minute on one server.
        let (master_key, key_service) = (None, KeyServiceSettings::default());
        EncryptionSettings { master_key, key_service, cached_keys_max: 50_000, cached_for_s: 60 }
    }
}

/// A service that holds the master key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeyServiceSettings {
    /// Its address: https, or on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The secret that it asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// How long it may take to answer, in seconds.
    #[schemars(range(min = 1))]
    pub timeout_s: u64,
}

impl Default for KeyServiceSettings {
    fn default() -> Self {
        KeyServiceSettings { url: None, secret: None, timeout_s: 5 }
    }
}

impl EncryptionSettings {
    /// Adds what does not go together.
    pub(super) fn check(&self, path: &str, findings: &mut Findings) {
        let seconds = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let limits = [
            ("cached_keys_max", self.cached_keys_max),
            ("cached_for_s", seconds(self.cached_for_s)),
            ("key_service.timeout_s", seconds(self.key_service.timeout_s)),
        ];
        findings.at_least_one(path, &limits);
        if let Some(Err(error)) = self.master_key.as_ref().map(|keys| parse_master_keys(keys.expose())) {
            // Says the line, never what is in it.
            findings.add(format!("{path}.master_key"), error.to_string());
        }
        let KeyServiceSettings { url, secret, .. } = &self.key_service;
        if self.master_key.is_some() && url.is_some() {
            findings.add(
                format!("{path}.key_service.url"),
                "there is a `master_key` too: only one of them can wrap",
            );
        }
        match (url, secret) {
            (Some(_), None) => {
                findings.add(format!("{path}.key_service.url"), "the service needs a `secret`");
            }
            (None, Some(_)) => {
                findings.add(
                    format!("{path}.key_service.secret"),
                    "there is no `url` of a service to send it to",
                );
            }
            _ => {}
        }
    }
}
