//! What the server tells about itself: log lines, request spans and metrics; never about a person.

mod metrics;
mod requests;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{LogFormat, LogSettings};

pub use metrics::{Metrics, MetricsError};
pub use requests::{RequestIds, RouteLabel, observe};

/// Why logging cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("log.filter: {0}")]
    Filter(#[from] ParseError),
    /// Another part of this process has started logging before.
    #[error("logging has been started before")]
    StartedBefore,
}

/// Starts logging to standard error, once per process.
///
/// # Errors
/// The filter cannot be understood, or logging has been started before.
pub fn start(settings: &LogSettings) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder().parse(&settings.filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match settings.format {
        LogFormat::Plain => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).try_init(),
    };
    started.map_err(|_| TelemetryError::StartedBefore)
}
