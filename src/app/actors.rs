//! Figures of the actors for Prometheus.

use crate::api::Service;

/// Brings the figures of a service's actors up to date.
pub(super) fn measure(service: &Service) {
    let actors = service.compartments.residents(0);
    let labels = || vec![("workspace", service.workspace.clone()), ("service", service.name.clone())];
    metrics::gauge!("anamnesis_actors_resident", &labels()).set(actors.total as f64);
    metrics::gauge!("anamnesis_actors_queued_commands", &labels()).set(actors.queued as f64);
    for (reason, count) in [("idle", actors.rested.idle), ("room", actors.rested.for_room)] {
        let labels = [labels(), vec![("reason", reason.to_owned())]].concat();
        metrics::counter!("anamnesis_actors_rested_total", &labels).absolute(count);
    }
    for (reason, count) in [("queue", actors.refused.queue_full), ("memory", actors.refused.memory_full)] {
        let labels = [labels(), vec![("reason", reason.to_owned())]].concat();
        metrics::counter!("anamnesis_actors_refused_total", &labels).absolute(count);
    }
    // Of the whole process: every service sets the same.
    let memory = actors.memory;
    for (part, bytes) in
        [("actors", memory.actor_bytes), ("cached", memory.cached_bytes), ("commands", memory.command_bytes)]
    {
        metrics::gauge!("anamnesis_actors_memory_bytes", "part" => part).set(bytes as f64);
    }
    metrics::gauge!("anamnesis_actors_memory_bytes_peak").set(memory.bytes_peak as f64);
    metrics::gauge!("anamnesis_actors_memory_bytes_max").set(memory.bytes_max as f64);
}
