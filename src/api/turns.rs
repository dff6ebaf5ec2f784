//! Turns: clients that match and write under the same criteria do so one after the other, over all servers.
//!
//! Within this server they wait for a lock by hash of the criteria. Who has it claims the same slot in the log's
//! database, where those of the other servers wait: so a server needs one connection for each slot that is in use,
//! however many clients wait. The claim ends with the write, with the process, or with the connection.
//!
//! The same criteria are those with one normal form ([`super::criteria::Normal`]). Criteria that differ in it and match the
//! same resources have turns of their own: a create under one and a create under the other may both find nothing.
//!
//! Writes of SearchParameters take turns alike: what is right by itself may be wrong beside one that is just being written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anamnesis_events::{Claim, Log, ResourceKey};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use super::criteria::Normal;
use crate::decide::placement::fnv1a;
use crate::error::Failure;

/// How long a turn may be waited for within this server: as long as clients do. Each takes some milliseconds.
const TURN_WAIT: Duration = Duration::from_secs(60);

/// Criteria that fall on the same lock by chance wait for each other needlessly; with 256 that is rare, and a
/// transaction with a thousand conditions holds no more than these. Servers of one log must agree on it.
const LOCKS: u16 = 256;

/// The slot of those who write SearchParameters, behind those of criteria.
const PARAMETERS: u16 = LOCKS;

/// Who may match and write under which criteria, and who changes which resource: a fixed number of locks each, by hash.
///
/// The turn of SearchParameters is taken first, then those of criteria, then those of resources, and none while one of a
/// later kind is held: so nobody who waits keeps waiting for himself.
#[derive(Debug, Clone)]
pub struct Turns {
    parameters: Locks,
    criteria: Locks,
    resources: Locks,
}

type Locks = Arc<[Arc<Mutex<()>>]>;

impl Default for Turns {
    fn default() -> Self {
        let locks = |count| (0..count).map(|_| Arc::default()).collect();
        Self { parameters: locks(1), criteria: locks(LOCKS), resources: locks(LOCKS) }
    }
}

/// Keeps others with the same criteria waiting until it is dropped.
#[derive(Debug)]
pub struct Held {
    // Dropped first, so that who is next in this server finds the claim on its way back.
    claim: Option<Claim>,
    turns: Vec<OwnedMutexGuard<()>>,
    /// What was taken before.
    first: Option<Arc<Held>>,
    /// Whether turns of resources are among them.
    of_resources: bool,
}

impl Held {
    /// Whether it is the turn of a resource as well: who has one must not wait for another.
    pub(crate) fn is_of_resources(&self) -> bool {
        self.of_resources
    }

    /// Both together.
    pub(crate) fn and(mut self, other: Self) -> Self {
        debug_assert!(other.claim.is_none(), "turns of resources are claimed by nobody");
        self.turns.extend(other.turns);
        self.of_resources |= other.of_resources;
        self
    }

    /// The same, which keeps what was taken before as well.
    pub(crate) fn after(mut self, first: Option<&Arc<Self>>) -> Self {
        self.first = first.cloned();
        self
    }

    /// Whether the database has ended the claim: clients of other servers may have their turn already.
    pub(crate) fn is_lost(&self) -> bool {
        self.claim.as_ref().is_some_and(Claim::is_lost)
            || self.first.as_ref().is_some_and(|first| first.is_lost())
    }
}

impl Turns {
    /// Takes the turn of those who write SearchParameters: each is checked against all others, which have to be there to be
    /// seen.
    ///
    /// # Errors
    /// As [`Turns::wait_for_all`].
    pub(crate) async fn wait_for_parameters(&self, log: &Log) -> Result<Held, Failure> {
        let turns = take(&self.parameters, &[0].into()).await?;
        let claim = Some(log.claim(&[PARAMETERS].into()).await?);
        Ok(Held { claim, turns, first: None, of_resources: false })
    }

    /// Takes the turns of all these criteria, in the order of the locks and each lock once, so that two writers with
    /// several criteria cannot wait for each other. Criteria that are one identifier need no turn: the log holds them
    /// to it.
    ///
    /// # Errors
    /// 503 where it takes too long or the database gives no claim.
    pub(crate) async fn wait_for_all<'q>(
        &self,
        log: &Log,
        all: impl Iterator<Item = &'q Normal>,
    ) -> Result<Held, Failure> {
        let wanted: BTreeSet<u16> = all
            .filter(|criteria| !criteria.is_identifier())
            .map(|criteria| slot(criteria.resource_type(), criteria.criteria()))
            .collect();
        let turns = take(&self.criteria, &wanted).await?;
        let claim = if wanted.is_empty() { None } else { Some(log.claim(&wanted).await?) };
        Ok(Held { claim, turns, first: None, of_resources: false })
    }

    /// Takes the turns of these resources within this server: who changes what is there waits instead of trying in vain.
    /// What other servers do is left to the log's compare-and-set.
    ///
    /// # Errors
    /// 503 where it takes too long.
    pub(crate) async fn wait_for(
        &self,
        keys: impl IntoIterator<Item = &ResourceKey>,
    ) -> Result<Held, Failure> {
        let wanted: BTreeSet<u16> = keys.into_iter().map(slot_of).collect();
        let turns = take(&self.resources, &wanted).await?;
        Ok(Held { claim: None, of_resources: !turns.is_empty(), first: None, turns })
    }

    /// Whether somebody has the turn of this resource now, so that who wants to change it had better wait for his own.
    pub(crate) fn is_taken(&self, key: &ResourceKey) -> bool {
        self.resources.get(usize::from(slot_of(key))).is_some_and(|lock| lock.try_lock().is_err())
    }
}

async fn take(locks: &Locks, wanted: &BTreeSet<u16>) -> Result<Vec<OwnedMutexGuard<()>>, Failure> {
    let take = async {
        let mut held = Vec::with_capacity(wanted.len());
        for lock in wanted.iter().filter_map(|slot| locks.get(usize::from(*slot))) {
            held.push(lock.clone().lock_owned().await);
        }
        held
    };
    let too_long = |_| Failure::unavailable("Too many clients wait for the same criteria; try again later.");
    timeout(TURN_WAIT, take).await.map_err(too_long)
}

fn slot_of(key: &ResourceKey) -> u16 {
    slot(&key.resource_type, &[("_id".to_owned(), key.id.clone())])
}

fn slot(resource_type: &str, criteria: &[(String, String)]) -> u16 {
    let mut text = resource_type.to_owned();
    for (name, value) in criteria {
        text.extend(["\0", name, "\0", value]);
    }
    u16::try_from(fnv1a(text.as_bytes()) % u64::from(LOCKS)).unwrap_or(0)
}
