//! Figures for Prometheus. Labels are routes, methods, kinds and names of parts, never ids.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of durations in seconds: from a cached read to a time-out.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Upper bounds of batch sizes and queue lengths.
const COUNTS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Why figures cannot be collected.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be collected: {0}")]
pub struct MetricsError(#[from] BuildError);

/// The figures of this process.
#[derive(Clone)]
pub struct Metrics {
    prometheus: PrometheusHandle,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Starts collecting what all parts record through the `metrics` crate, once per process.
    ///
    /// # Errors
    /// Another part of this process collects already.
    pub fn start() -> Result<Metrics, MetricsError> {
        let prometheus = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
            .set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), &COUNTS)?
            .install_recorder()?;
        describe();
        metrics::gauge!("anamnesis_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Metrics { prometheus })
    }

    /// The figures in Prometheus's text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.prometheus.render()
    }

    /// Folds what was recorded since the last time; called every few seconds, so that memory stays bounded
    /// when nobody asks for the figures.
    pub fn fold(&self) {
        self.prometheus.run_upkeep();
    }
}

fn describe() {
    metrics::describe_gauge!("anamnesis_build_info", "The version of the server; always 1.");
    metrics::describe_gauge!("anamnesis_engine_up", "Whether a private engine is ready (1) or not (0).");
    metrics::describe_counter!("anamnesis_http_requests_total", "Requests answered.");
    metrics::describe_gauge!("anamnesis_http_requests_in_flight", "Requests being answered.");
    metrics::describe_histogram!(
        "anamnesis_http_request_duration_seconds",
        metrics::Unit::Seconds,
        "From the head of a request to the head of its response."
    );
}
