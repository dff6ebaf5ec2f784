//! What the server tells about itself: log lines, request spans and metrics; never about a person.

mod metrics;
mod requests;

use std::io::IsTerminal;
use std::sync::OnceLock;

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

/// Changes what is logged.
type SetFilter = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

/// What [`start`] leaves for [`set_filter`].
static FILTER: OnceLock<SetFilter> = OnceLock::new();

/// Starts logging to standard error, once per process.
///
/// # Errors
/// The filter cannot be understood, or logging has been started before.
pub fn start(settings: &LogSettings) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder().parse(&settings.filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let (set, started): (SetFilter, _) = match settings.format {
        LogFormat::Plain => {
            let lines = lines.with_ansi(std::io::stderr().is_terminal()).with_target(false);
            let lines = lines.with_filter_reloading();
            let handle = lines.reload_handle();
            (Box::new(move |filter| handle.reload(filter).is_ok()), lines.try_init())
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(true).with_filter_reloading();
            let handle = lines.reload_handle();
            (Box::new(move |filter| handle.reload(filter).is_ok()), lines.try_init())
        }
    };
    started.map_err(|_| TelemetryError::StartedBefore)?;
    FILTER.set(set).map_err(|_| TelemetryError::StartedBefore)
}

/// Logs something else from now on, where logging was started.
///
/// # Errors
/// The filter cannot be understood.
pub fn set_filter(filter: &str) -> Result<(), TelemetryError> {
    let filter = EnvFilter::builder().parse(filter)?;
    match FILTER.get() {
        Some(set) if !set(filter) => Err(TelemetryError::StartedBefore),
        _ => Ok(()),
    }
}
