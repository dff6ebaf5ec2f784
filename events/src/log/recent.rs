//! The newest events that this process appended itself: whoever follows the log at its end, such as the relay, gets them
//! from here and need not have them read back, unpacked and put together again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Log;
use crate::{Event, LogError, Position};

/// Events that are kept: some ten batches of many writers.
const EVENTS_MAX: usize = 1024;
/// Bytes of bodies that are kept.
const BYTES_MAX: usize = 4 << 20;

/// Consecutive events up to the last one that this process appended. Clones are handles of the same ones.
#[derive(Clone, Default)]
pub(crate) struct Recent(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    events: VecDeque<Event>,
    bytes: usize,
}

impl Recent {
    /// Takes in what was committed. Where it does not follow what is here, or took away bodies, nothing else stays: no body
    /// is given that is gone.
    pub(crate) fn take(&self, events: Vec<Event>, erases: bool) {
        let Some(first) = events.first().map(|event| event.position) else { return };
        let mut kept = self.kept();
        let follows = kept.events.back().is_some_and(|last| last.position.next() == first);
        if erases || !follows {
            *kept = Kept::default();
        }
        kept.bytes += events.iter().map(|event| event.payload.len()).sum::<usize>();
        kept.events.extend(events);
        while kept.events.len() > EVENTS_MAX || kept.bytes > BYTES_MAX {
            let Some(oldest) = kept.events.pop_front() else { break };
            kept.bytes -= oldest.payload.len();
        }
    }

    /// Up to `limit` events after a position, so none only where that is 0; `None` if the next one is not here, or if there
    /// are others behind those that are here: they were written elsewhere, and may have taken away bodies.
    fn after(&self, position: Position, head: Position, limit: usize) -> Option<Vec<Event>> {
        let kept = self.kept();
        let first = kept.events.front()?.position;
        if kept.events.back()?.position != head || position.next() < first || position >= head {
            return None;
        }
        let known = usize::try_from(position.next().get() - first.get()).ok()?;
        Some(kept.events.iter().skip(known).take(limit).cloned().collect())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// The same as [`Log::read`], for those who follow the log at its end.
    pub(crate) async fn read_on(&self, after: Position, limit: usize) -> Result<Vec<Event>, LogError> {
        let head = *self.inner.head.borrow();
        match self.inner.recent.after(after, head, limit) {
            Some(events) => Ok(events),
            None => self.read(after, limit).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use chrono::DateTime;

    use super::*;
    use crate::{Kind, ResourceKey, Version};

    fn event(position: u64, payload: Bytes) -> Event {
        Event {
            position: Position::new(position),
            kind: Kind::ResourceCreated,
            kind_version: 1,
            operation: Kind::ResourceCreated.operation(),
            key: ResourceKey::new("Patient", position.to_string()),
            version: Version::new(1),
            home: String::new(),
            touches: Vec::new(),
            transaction: None,
            recorded_at: DateTime::UNIX_EPOCH,
            agent: "test".into(),
            source: None,
            previous: None,
            payload,
            erased: None,
            hash: [0; 32],
        }
    }

    fn events(positions: std::ops::RangeInclusive<u64>) -> Vec<Event> {
        positions.map(|position| event(position, Bytes::from_static(b"0123456789"))).collect()
    }

    fn after(recent: &Recent, position: u64, head: u64, limit: usize) -> Option<Vec<u64>> {
        let found = recent.after(Position::new(position), Position::new(head), limit)?;
        Some(found.iter().map(|event| event.position.get()).collect())
    }

    #[test]
    fn what_follows_is_given_where_it_is_whole() {
        let recent = Recent::default();
        assert_eq!(after(&recent, 0, 0, 9), None);
        recent.take(events(5..=7), false);
        recent.take(Vec::new(), false);
        recent.take(events(8..=9), false);
        assert_eq!(after(&recent, 3, 9, 9), None, "4 is not here");
        assert_eq!(after(&recent, 4, 9, 9), Some(vec![5, 6, 7, 8, 9]));
        assert_eq!(after(&recent, 6, 9, 2), Some(vec![7, 8]));
        assert_eq!(after(&recent, 9, 9, 9), None, "the end");
        assert_eq!(after(&recent, 6, 10, 9), None, "another process has written 10");
        recent.take(events(11..=11), false);
        assert_eq!(after(&recent, 8, 11, 9), None, "10 is not here");
        assert_eq!(after(&recent, 10, 11, 9), Some(vec![11]));
    }

    #[test]
    fn what_was_there_before_bodies_were_taken_away_is_forgotten() {
        let recent = Recent::default();
        recent.take(events(1..=3), false);
        recent.take(events(4..=4), true);
        assert_eq!(after(&recent, 2, 4, 9), None);
        assert_eq!(after(&recent, 3, 4, 9), Some(vec![4]));
    }

    #[test]
    fn neither_number_nor_bytes_grow() {
        let recent = Recent::default();
        let last = EVENTS_MAX as u64 + 10;
        recent.take(events(1..=last), false);
        assert_eq!(after(&recent, 9, last, 9), None);
        assert_eq!(after(&recent, 10, last, 1), Some(vec![11]));
        let large = Bytes::from(vec![b' '; BYTES_MAX / 2]);
        for position in last + 1..=last + 3 {
            recent.take(vec![event(position, large.clone())], false);
        }
        assert_eq!(after(&recent, last, last + 3, 9), None);
        assert_eq!(after(&recent, last + 1, last + 3, 9), Some(vec![last + 2, last + 3]));
        recent.take(vec![event(last + 4, Bytes::from(vec![b' '; BYTES_MAX + 1]))], false);
        assert_eq!(after(&recent, last + 3, last + 4, 9), None);
        assert_eq!(recent.kept().bytes, 0);
    }
}
