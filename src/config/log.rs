//! Settings of the log lines.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is logged, and how. Never personal data, at any level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// Lines for people, or JSON for machines.
    pub format: LogFormat,
    /// Levels, as `info` or `info,anamnesis_events=debug`.
    pub filter: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        // The libraries tell of each of their threads and connections, which helps nobody.
        let filter = "info,actix_server=warn,async_nats=warn".to_owned();
        LogSettings { format: LogFormat::Plain, filter }
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Plain,
    /// One JSON object a line.
    Json,
}
