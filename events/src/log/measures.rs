//! What the appender tells about itself: latency, batch sizes, queue, conflicts and the head.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};

use super::batch::Pending;
use crate::Position;

/// The metrics of one log, labelled with its workspace.
pub(crate) struct Measures {
    append_seconds: Histogram,
    batch_events: Histogram,
    batch_bytes: Histogram,
    queue_groups: Gauge,
    conflicts: Counter,
    repeated: Counter,
    head_position: Gauge,
}

impl Measures {
    pub(crate) fn new(workspace: &str) -> Measures {
        let labels = vec![Label::new("workspace", workspace.to_owned())];
        Measures {
            append_seconds: histogram!("anamnesis_log_append_seconds", labels.clone()),
            batch_events: histogram!("anamnesis_log_batch_events", labels.clone()),
            batch_bytes: histogram!("anamnesis_log_batch_bytes", labels.clone()),
            queue_groups: gauge!("anamnesis_log_queue_groups", labels.clone()),
            conflicts: counter!("anamnesis_log_conflicts_total", labels.clone()),
            repeated: counter!("anamnesis_log_repeated_requests_total", labels.clone()),
            head_position: gauge!("anamnesis_log_head_position", labels),
        }
    }

    /// A batch was taken; `queued` groups are left behind it.
    #[expect(clippy::cast_precision_loss, reason = "metrics are floating point; no count comes near 2^52")]
    pub(crate) fn batch(&self, batch: &[Pending], queued: usize) {
        let events: usize = batch.iter().map(|pending| pending.group.drafts.len()).sum();
        let bytes: usize = batch.iter().map(|pending| pending.bytes).sum();
        self.batch_events.record(events as f64);
        self.batch_bytes.record(bytes as f64);
        self.queue_groups.set(queued as f64);
    }

    /// The batch was answered.
    pub(crate) fn appended(&self, elapsed: Duration) {
        self.append_seconds.record(elapsed.as_secs_f64());
    }

    /// A group lost.
    pub(crate) fn conflict(&self) {
        self.conflicts.increment(1);
    }

    /// A group was recorded before, under its idempotency key.
    pub(crate) fn repeated(&self) {
        self.repeated.increment(1);
    }

    /// The log reaches to here.
    #[expect(clippy::cast_precision_loss, reason = "metrics are floating point; no position comes near 2^52")]
    pub(crate) fn head(&self, position: Position) {
        self.head_position.set(position.get() as f64);
    }
}
