//! What a projection tells about itself: position, lag, parked events, batches.

use std::time::Duration;

use anamnesis_events::{Clock, Event, Position};
use chrono::{DateTime, Utc};
use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};
use tokio::sync::watch;

use crate::checkpoint::Name;

/// The metrics of one projection, labelled with its name, version and log. The lag is measured against the log's
/// own end, not against what the projection has been told of.
pub(crate) struct Lag {
    clock: Clock,
    head: watch::Receiver<Position>,
    stands_at: Position,
    last_recorded: Option<DateTime<Utc>>,
    position: Gauge,
    lag_events: Gauge,
    lag_seconds: Gauge,
    last_progress: Gauge,
    parked: Gauge,
    parked_resources: Gauge,
    batch_events: Histogram,
    batch_seconds: Histogram,
    retries: Counter,
}

impl Lag {
    pub(crate) fn new(name: &Name, clock: Clock, head: watch::Receiver<Position>) -> Self {
        let labels = vec![
            Label::from_static_parts("projection", name.name),
            Label::new("version", name.version.to_string()),
            Label::new("log", name.log.to_string()),
        ];
        Self {
            clock,
            head,
            stands_at: Position::ZERO,
            last_recorded: None,
            position: gauge!("anamnesis_projection_position", labels.clone()),
            lag_events: gauge!("anamnesis_projection_lag_events", labels.clone()),
            lag_seconds: gauge!("anamnesis_projection_lag_seconds", labels.clone()),
            last_progress: gauge!("anamnesis_projection_last_progress_timestamp_seconds", labels.clone()),
            parked: gauge!("anamnesis_projection_parked_events", labels.clone()),
            parked_resources: gauge!("anamnesis_projection_parked_resources", labels.clone()),
            batch_events: histogram!("anamnesis_projection_batch_events", labels.clone()),
            batch_seconds: histogram!("anamnesis_projection_batch_seconds", labels.clone()),
            retries: counter!("anamnesis_projection_retries_total", labels),
        }
    }

    /// A batch was written.
    #[expect(clippy::cast_precision_loss, reason = "metrics are floating point; no count comes near 2^52")]
    pub(crate) fn batch(&mut self, events: &[Event], elapsed: Duration) {
        let Some(last) = events.last() else { return };
        self.batch_events.record(events.len() as f64);
        self.batch_seconds.record(elapsed.as_secs_f64());
        self.last_progress.set((self.clock)().timestamp_millis() as f64 / 1000.0);
        self.last_recorded = Some(last.recorded_at);
        self.stands_at(last.position);
    }

    /// The projection stands here.
    pub(crate) fn stands_at(&mut self, position: Position) {
        self.stands_at = position;
        self.measure();
    }

    /// Measures the lag: how many events, and how old the newest event is that the projection has.
    #[expect(clippy::cast_precision_loss, reason = "metrics are floating point; no position comes near 2^52")]
    pub(crate) fn measure(&self) {
        let behind = self.head.borrow().get().saturating_sub(self.stands_at.get());
        let age =
            self.last_recorded.map_or(0, |recorded| ((self.clock)() - recorded).num_milliseconds().max(0));
        self.position.set(self.stands_at.get() as f64);
        self.lag_events.set(behind as f64);
        self.lag_seconds.set(if behind == 0 { 0.0 } else { age as f64 / 1000.0 });
    }

    /// So many events of so many resources are parked.
    #[expect(clippy::cast_precision_loss, reason = "metrics are floating point; no count comes near 2^52")]
    pub(crate) fn parked(&self, events: usize, resources: usize) {
        self.parked.set(events as f64);
        self.parked_resources.set(resources as f64);
    }

    /// The version is not run any more; its figures would stand for ever.
    pub(crate) fn end(&self) {
        for gauge in [&self.lag_events, &self.lag_seconds, &self.parked, &self.parked_resources] {
            gauge.set(0.0);
        }
    }

    /// A batch is tried again.
    pub(crate) fn retry(&self) {
        self.retries.increment(1);
    }
}
