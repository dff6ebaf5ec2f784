//! Unwrapped data keys in memory: bounded in number, and in the time after which each is asked for again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::seal::DataKey;

pub(super) struct Cache {
    keys_max: usize,
    kept_for: Duration,
    by_number: HashMap<u32, Kept>,
    of_compartment: HashMap<Uuid, u32>,
    /// Oldest first. What was forgotten or kept anew meanwhile is known by its time.
    order: VecDeque<(Instant, u32)>,
}

struct Kept {
    key: Arc<DataKey>,
    compartment: Uuid,
    since: Instant,
}

impl Cache {
    pub(super) fn new(keys_max: usize, kept_for: Duration) -> Cache {
        let (by_number, of_compartment, order) = Default::default();
        Cache { keys_max, kept_for, by_number, of_compartment, order }
    }

    pub(super) fn of_compartments(&mut self, asked: &[Uuid], now: Instant) -> Vec<(Uuid, Arc<DataKey>)> {
        self.expire(now);
        let find = |one: &Uuid| Some((*one, self.by_number.get(self.of_compartment.get(one)?)?.key.clone()));
        asked.iter().filter_map(find).collect()
    }

    pub(super) fn of_numbers(&mut self, asked: &[u32], now: Instant) -> Vec<(u32, Arc<DataKey>)> {
        self.expire(now);
        asked.iter().filter_map(|one| Some((*one, self.by_number.get(one)?.key.clone()))).collect()
    }

    pub(super) fn keep(&mut self, compartment: Uuid, key: Arc<DataKey>, now: Instant) {
        let number = key.number();
        self.of_compartment.insert(compartment, number);
        self.by_number.insert(number, Kept { key, compartment, since: now });
        self.order.push_back((now, number));
        while self.order.len() > self.keys_max {
            self.drop_oldest();
        }
    }

    pub(super) fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(since, _)| now.duration_since(*since) >= self.kept_for) {
            self.drop_oldest();
        }
    }

    pub(super) fn forget(&mut self, numbers: &[u32]) {
        for number in numbers {
            if let Some(gone) = self.by_number.remove(number) {
                self.of_compartment.remove(&gone.compartment);
            }
        }
    }

    fn drop_oldest(&mut self) {
        let Some((since, number)) = self.order.pop_front() else { return };
        if self.by_number.get(&number).is_some_and(|kept| kept.since == since) {
            self.forget(&[number]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> (Uuid, Arc<DataKey>) {
        (Uuid::from_u128(number.into()), Arc::new(DataKey::new(number, &[1; 32]).unwrap()))
    }

    fn known(cache: &mut Cache, now: Instant) -> Vec<u32> {
        let compartments: Vec<Uuid> = (0..9_u128).map(Uuid::from_u128).collect();
        let by_compartment: Vec<u32> =
            cache.of_compartments(&compartments, now).iter().map(|(_, key)| key.number()).collect();
        let numbers: Vec<u32> = (0..9).collect();
        let by_number: Vec<u32> = cache.of_numbers(&numbers, now).iter().map(|(number, _)| *number).collect();
        assert_eq!(by_compartment, by_number);
        by_number
    }

    #[test]
    fn keys_go_by_number_by_time_and_when_they_are_destroyed() {
        let begin = Instant::now();
        let second = |number: u64| begin + Duration::from_secs(number);
        let mut cache = Cache::new(3, Duration::from_secs(10));
        for number in 0..4 {
            let (compartment, key) = key(number);
            cache.keep(compartment, key, second(number.into()));
        }
        assert_eq!(known(&mut cache, second(4)), [1, 2, 3]);
        cache.forget(&[2]);
        assert_eq!(known(&mut cache, second(4)), [1, 3]);
        assert_eq!(known(&mut cache, second(11)), [3]);
        assert_eq!(known(&mut cache, second(13)), Vec::<u32>::new());
        assert!(cache.order.is_empty());
    }

    #[test]
    fn a_key_that_is_kept_anew_stays_its_full_time() {
        let begin = Instant::now();
        let mut cache = Cache::new(3, Duration::from_secs(10));
        for at in [0, 6] {
            let (compartment, key) = key(1);
            cache.keep(compartment, key, begin + Duration::from_secs(at));
        }
        assert_eq!(known(&mut cache, begin + Duration::from_secs(12)), [1]);
        assert_eq!(known(&mut cache, begin + Duration::from_secs(16)), Vec::<u32>::new());
    }
}
