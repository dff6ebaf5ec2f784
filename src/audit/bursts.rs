//! Refusals that come in bursts: the first of each kind is a record at once, those that follow within a minute are one more
//! together, with their number.
//!
//! Whoever is refused because it asks too much, or in a way that nobody looks at further, could otherwise fill the log with it,
//! and hold up those whose accesses matter.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anamnesis_audit::{Agent, Record};

use super::address::network;

/// How long refusals are gathered into one record.
const GATHERED_FOR: Duration = Duration::from_secs(60);
/// Who and what is told apart in that time. Beyond it refusals are gathered by their status alone: so many records within
/// a minute are the most that a crowd of addresses leads to, twice.
const TOLD_APART_MAX: usize = 1000;

/// Refusals that are being gathered.
#[derive(Debug, Default)]
pub(super) struct Bursts(Mutex<HashMap<Key, Burst>>);

/// Whose refusals are gathered, and of what status.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    /// Issuer, subject and application; or the network, of who is not known.
    who: Option<String>,
    service: String,
    status: u16,
}

#[derive(Debug)]
struct Burst {
    since: Duration,
    /// What is put on record of those that followed, without what differs between them.
    record: Record,
    followed: u32,
}

impl Bursts {
    /// What is to be put on record now, given a refusal.
    pub(super) fn see(&self, record: Record, now: Duration) -> Vec<Record> {
        let mut gathered = self.lock();
        let mut key = Key::of(&record);
        if !gathered.contains_key(&key) && gathered.len() >= TOLD_APART_MAX {
            key = Key { who: None, service: String::new(), ..key };
        }
        let mut told = Vec::new();
        if let Some(burst) = gathered.get_mut(&key) {
            if now.saturating_sub(burst.since) < GATHERED_FOR {
                burst.followed = burst.followed.saturating_add(1);
                return told;
            }
            told.extend(gathered.remove(&key).and_then(Burst::told));
        }
        let mut common = common(&record);
        if key.who.is_none() {
            (common.agent, common.service) = (Agent::default(), String::new());
        }
        gathered.insert(key, Burst { since: now, record: common, followed: 0 });
        told.push(record);
        told
    }

    /// What is to be put on record of those that are gathered for long enough; with `None`, of all.
    pub(super) fn settle(&self, now: Option<Duration>) -> Vec<Record> {
        let mut gathered = self.lock();
        let is_over = |burst: &Burst| now.is_none_or(|now| now.saturating_sub(burst.since) >= GATHERED_FOR);
        let over = gathered.extract_if(|_, burst| is_over(burst));
        over.filter_map(|(_, burst)| burst.told()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Burst>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    fn of(record: &Record) -> Self {
        let Agent { subject, issuer, client, address, .. } = &record.agent;
        let of_address = || {
            let address = address.as_deref().unwrap_or_default();
            address.parse::<IpAddr>().map_or_else(|_| address.to_owned(), |ip| network(ip).to_string())
        };
        let who = match subject.is_empty() {
            true => of_address(),
            false => {
                let text =
                    |part: &Option<std::sync::Arc<str>>| part.as_deref().unwrap_or_default().to_owned();
                format!("{}\n{subject}\n{}", text(issuer), text(client))
            }
        };
        Self { who: Some(who), service: record.service.clone(), status: record.status }
    }
}

impl Burst {
    fn told(self) -> Option<Record> {
        (self.followed > 0).then_some(Record { repeated: self.followed, ..self.record })
    }
}

/// What refusals that are gathered have in common.
fn common(record: &Record) -> Record {
    let mut common = record.clone();
    common.subtype.clear();
    common.entities.clear();
    common.patients.clear();
    common.custom.clear();
    common.correlation.clear();
    (common.entities_more, common.patients_more) = (0, 0);
    (common.query, common.position, common.purpose, common.reason) = (None, None, None, None);
    common
}

#[cfg(test)]
mod tests {
    use anamnesis_audit::{Action, Kind, Outcome};

    use super::*;

    fn refused(address: &str, subject: &str, status: u16) -> Record {
        let agent = Agent { subject: subject.into(), address: Some(address.to_owned()), ..Agent::default() };
        Record {
            kind: Kind::Rest,
            subtype: "read".to_owned(),
            action: Action::E,
            outcome: Outcome::Minor,
            status,
            agent,
            service: "fhir".to_owned(),
            entities: Vec::new(),
            entities_more: 0,
            patients: vec!["Patient/1".to_owned()],
            patients_more: 0,
            query: None,
            position: None,
            correlation: "x".to_owned(),
            entry: None,
            custom: Vec::new(),
            purpose: None,
            reason: None,
            repeated: 0,
        }
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_is_told_at_once_and_those_that_follow_together() {
        let bursts = Bursts::default();
        let one = || refused("192.0.2.1", "", 429);
        assert_eq!(bursts.see(one(), at(10)), [one()]);
        for _ in 0..1000 {
            assert_eq!(bursts.see(one(), at(30)), []);
        }
        assert_eq!(bursts.settle(Some(at(69))), [], "the minute is not over");
        let told = bursts.settle(Some(at(70)));
        let [together] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!((together.repeated, together.status, &together.agent), (1000, 429, &one().agent));
        // Whose data one of them named says nothing of the others.
        assert!(together.patients.is_empty() && together.subtype.is_empty());
        assert_eq!(bursts.settle(None), []);
        assert_eq!(bursts.see(one(), at(71)), [one()], "a new burst begins");
        assert_eq!(bursts.settle(None), [], "one alone is not repeated");
    }

    #[test]
    fn a_burst_that_nobody_has_settled_is_told_with_the_next() {
        let bursts = Bursts::default();
        let one = || refused("192.0.2.1", "", 429);
        for seconds in [0, 1, 2] {
            bursts.see(one(), at(seconds));
        }
        let told = bursts.see(one(), at(60));
        assert_eq!(told.iter().map(|record| record.repeated).collect::<Vec<_>>(), [2, 0]);
    }

    #[test]
    fn who_and_what_is_told_apart_and_a_network_is_one() {
        let bursts = Bursts::default();
        for record in [
            refused("2001:db8::1", "", 429),
            refused("2001:db8::1", "", 431),
            refused("2001:db8::1", "ann", 429),
            refused("2001:db8:0:1::1", "", 429),
        ] {
            assert_eq!(bursts.see(record, at(0)).len(), 1);
        }
        assert_eq!(bursts.see(refused("2001:db8::2", "", 429), at(0)), []);
        assert_eq!(
            bursts.see(refused("192.0.2.1", "ann", 429), at(0)),
            [],
            "wherever somebody known asks from"
        );
    }

    #[test]
    fn a_crowd_is_gathered_by_its_status() {
        let bursts = Bursts::default();
        let crowd = (0..10_000_u32).map(|n| refused(&std::net::Ipv4Addr::from_bits(n).to_string(), "", 429));
        let told: usize = crowd.map(|record| bursts.see(record, at(0)).len()).sum();
        assert_eq!(told, TOLD_APART_MAX + 1);
        let settled = bursts.settle(None);
        let [together] = settled.as_slice() else { panic!("{}", settled.len()) };
        assert_eq!((together.repeated as usize, together.agent.address.as_deref()), (8999, None));
    }
}
