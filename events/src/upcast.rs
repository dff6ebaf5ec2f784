//! Brings events of older schema versions up to date when they are read; what is stored never changes.
//!
//! A kind's schema changes by a new version, one pure function from the version before to it in
//! [`UPCASTERS`], and a frozen fixture. The chain is verified on events as they are stored, before this.

use crate::{Event, Kind};

/// One step: turns an event of `kind` from schema version `from` into version `from + 1`. It must not
/// touch the body: that is a record of what was said at the time.
#[derive(Debug, Clone, Copy)]
pub struct Upcaster {
    /// The kind.
    pub kind: Kind,
    /// The version that the step starts from.
    pub from: u16,
    /// The step.
    pub apply: fn(Event) -> Event,
}

/// All steps of this program. Every kind is still at its first version.
pub const UPCASTERS: &[Upcaster] = &[];

/// The event in the newest schema version of its kind, by these steps; `None` when steps are missing or the event is
/// newer than `newest`. The log reads its events with [`UPCASTERS`] and [`Kind::current_version`]; tests have others.
#[must_use]
pub fn upcast(event: Event, newest: u16, steps: &[Upcaster]) -> Option<Event> {
    let mut event = event;
    while event.kind_version < newest {
        let step = steps.iter().find(|step| step.kind == event.kind && step.from == event.kind_version)?;
        let reached = step.from.saturating_add(1);
        event = (step.apply)(event);
        event.kind_version = reached;
    }
    (event.kind_version == newest).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::tests::sample;

    const STEPS: &[Upcaster] = &[
        Upcaster { kind: Kind::ResourceUpdated, from: 1, apply: |event| Event { source: None, ..event } },
        Upcaster { kind: Kind::ResourceUpdated, from: 2, apply: |event| Event { home: "x".into(), ..event } },
    ];

    #[test]
    fn an_old_event_takes_every_step() {
        let event = upcast(sample(), 3, STEPS).unwrap();
        assert_eq!((event.kind_version, event.source, event.home.as_str()), (3, None, "x"));
    }

    #[test]
    fn a_current_event_is_left_alone() {
        assert_eq!(upcast(sample(), 1, STEPS), Some(sample()));
    }

    #[test]
    fn a_missing_step_and_a_newer_event_are_refused() {
        assert_eq!(upcast(sample(), 4, STEPS), None);
        assert_eq!(upcast(sample(), 0, STEPS), None);
    }
}
