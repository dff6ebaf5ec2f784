//! The registry: finds the actor of a compartment, wakes it when there is work and puts it to rest when there is none.

use std::sync::{Arc, Weak};

use actix::dev::channel::channel;
use actix::prelude::*;
use anamnesis_events::{Group, Idempotency, Log, Recorded, ResourceKey};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::arbiters::Arbiters;
use super::cache::Budget;
use super::compartment::{Compartment, Forget, Reply, Submit, SubmitGroup};
use super::resident::Gauge;
use super::{ActorOptions, Commit, Outcome, Resident, Residents, Surroundings, Work, WriteError};
use crate::decide::placement::fnv1a;
use crate::decide::{Command, Current, Provenance, Rules};
use crate::reads::Reads;

/// How often an actor that has just ended is replaced before the command is given up.
const WAKE_TRIES_MAX: usize = 4;

/// The compartments of one service: a handle, free to clone.
#[derive(Clone)]
pub struct Compartments(Arc<Inner>);

struct Inner {
    surroundings: Arc<Surroundings>,
    arbiters: Arbiters,
    actors: DashMap<Arc<str>, Slot>,
    /// Rung when there are too many actors.
    crowded: Notify,
    stopping: Notify,
}

#[derive(Clone)]
struct Slot {
    address: Addr<Compartment>,
    gauge: Arc<Gauge>,
}

impl Compartments {
    /// Starts the threads of the actors; actors themselves are woken by work.
    ///
    /// # Errors
    /// The operating system gives no threads, or there is no runtime to read on.
    pub fn start(log: Log, rules: Rules, options: ActorOptions) -> std::io::Result<Self> {
        let arbiters = Arbiters::start(options.arbiters)?;
        let cached = Budget::new(options.cache_bytes_max);
        let runtime = options.runtime.clone().map_or_else(Handle::try_current, Ok);
        let reads = Reads::start(&log, &runtime.map_err(std::io::Error::other)?);
        let surroundings = Arc::new(Surroundings { log, reads, rules, options, cached });
        let inner = Arc::new(Inner {
            surroundings,
            arbiters,
            actors: DashMap::new(),
            crowded: Notify::new(),
            stopping: Notify::new(),
        });
        if let Some(arbiter) = inner.arbiters.of(0) {
            // Ends with the last handle, or by `stop`.
            arbiter.spawn(sweep(Arc::downgrade(&inner)));
        }
        Ok(Self(inner))
    }

    /// Carries out one command in its compartment.
    ///
    /// # Errors
    /// [`WriteError`]; nothing was recorded but where it says that this is not known.
    pub async fn submit(&self, command: Command, provenance: Provenance) -> Result<Outcome, WriteError> {
        self.submit_once(command, provenance, None).await
    }

    /// [`Compartments::submit`] of a request that is recorded once under its idempotency key, if it has one.
    ///
    /// # Errors
    /// [`WriteError::AlreadyRecorded`] where it was recorded before.
    pub async fn submit_once(
        &self,
        command: Command,
        provenance: Provenance,
        idempotency: Option<Idempotency>,
    ) -> Result<Outcome, WriteError> {
        let home = match &command {
            Command::Create { candidate, .. } | Command::Update { candidate, .. } => {
                candidate.placement.home.clone()
            }
            Command::Delete { key, .. } => match self.home(key).await? {
                Some(home) => home,
                None => crate::decide::placement::shared(key),
            },
        };
        let mut work = Work { command, provenance, idempotency };
        for _ in 0..WAKE_TRIES_MAX {
            let slot = self.wake(&home)?;
            let under_way = slot.gauge.enter(self.options().queue_max).ok_or(WriteError::Busy)?;
            let (sender, answer) = oneshot::channel();
            match slot.address.try_send(Submit { work, reply: Reply { sender, under_way } }) {
                Ok(()) => return answer.await.unwrap_or(Err(WriteError::Interrupted)),
                Err(SendError::Full(_)) => return Err(WriteError::Busy),
                Err(SendError::Closed(submit)) => work = submit.work,
            }
            self.remove_dead(&home, &slot);
        }
        Err(WriteError::Interrupted)
    }

    /// Records drafts together or not at all, through the queue of the compartment `home`.
    ///
    /// # Errors
    /// [`WriteError::Log`] where the log refuses; conflicts name the draft.
    pub async fn commit(&self, home: &str, group: Group) -> Result<Vec<Recorded>, WriteError> {
        let stale: Vec<(String, ResourceKey)> =
            group.drafts.iter().map(|draft| (draft.home.clone(), draft.key.clone())).collect();
        let mut commit = Commit { group };
        for _ in 0..WAKE_TRIES_MAX {
            let slot = self.wake(home)?;
            let under_way = slot.gauge.enter(self.options().queue_max).ok_or(WriteError::Busy)?;
            let (sender, answer) = oneshot::channel();
            match slot.address.try_send(SubmitGroup { commit, reply: Reply { sender, under_way } }) {
                Ok(()) => {
                    let recorded = answer.await.unwrap_or(Err(WriteError::Interrupted));
                    self.forget(home, stale);
                    return recorded;
                }
                Err(SendError::Full(_)) => return Err(WriteError::Busy),
                Err(SendError::Closed(submit)) => commit = submit.commit,
            }
            self.remove_dead(home, &slot);
        }
        Err(WriteError::Interrupted)
    }

    /// The newest version of each resource, fresh from the log; `None` where it never existed.
    ///
    /// # Errors
    /// [`WriteError::Read`].
    pub async fn current(&self, keys: &[ResourceKey]) -> Result<Vec<Option<Arc<Current>>>, WriteError> {
        let events = self.0.surroundings.log.current_of_all(keys).await?;
        Ok(events.into_iter().map(|event| event.map(|event| Arc::new(Current::from(&event)))).collect())
    }

    /// Reads by id of the log.
    #[must_use]
    pub fn reads(&self) -> &Reads {
        &self.0.surroundings.reads
    }

    /// The rules that decisions follow.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.0.surroundings.rules
    }

    /// The resident actors, the most recently active first; at most `count_max` of them.
    #[must_use]
    pub fn residents(&self, count_max: usize) -> Residents {
        let mut actors: Vec<Resident> =
            self.0.actors.iter().map(|slot| slot.gauge.describe(slot.key())).collect();
        let total = actors.len();
        let queued = actors.iter().map(|actor| actor.queued).sum();
        actors.sort_by(|a, b| (a.idle_ms, &a.compartment).cmp(&(b.idle_ms, &b.compartment)));
        actors.truncate(count_max);
        Residents { total, queued, cached_bytes: self.0.surroundings.cached.bytes(), actors }
    }

    /// Ends the actors. Appends that were handed to the log go on; the log is closed by its owner.
    pub fn stop(&self) {
        self.0.stopping.notify_waiters();
        self.0.actors.clear();
        self.0.arbiters.stop();
        self.0.surroundings.reads.stop();
    }

    fn options(&self) -> &ActorOptions {
        &self.0.surroundings.options
    }

    async fn home(&self, key: &ResourceKey) -> Result<Option<String>, WriteError> {
        let heads = self.0.surroundings.log.heads(std::slice::from_ref(key)).await?;
        Ok(heads.into_iter().flatten().next().map(|head| head.home))
    }

    /// The actor of a compartment, started where it is not resident. No guard of the map outlives this call.
    fn wake(&self, home: &str) -> Result<Slot, WriteError> {
        if let Some(slot) = self.0.actors.get(home) {
            return Ok(slot.clone());
        }
        let resident_max = self.options().resident_max;
        let resident = self.0.actors.len();
        if resident >= resident_max {
            self.0.crowded.notify_one();
            if resident >= resident_max.saturating_mul(2) {
                return Err(WriteError::Busy);
            }
        }
        let arbiter = self.0.arbiters.of(fnv1a(home.as_bytes())).ok_or(WriteError::Interrupted)?;
        match self.0.actors.entry(Arc::from(home)) {
            Entry::Occupied(slot) => Ok(slot.get().clone()),
            Entry::Vacant(place) => {
                let gauge = Gauge::new();
                // The queue is bounded by the gauge; the mailbox holds all of it, and notes to forget.
                let (sender, receiver) = channel(self.options().queue_max.saturating_add(16));
                let (surroundings, shared) = (self.0.surroundings.clone(), gauge.clone());
                arbiter.spawn_fn(move || {
                    let context = Context::with_receiver(receiver);
                    context.run(Compartment::new(surroundings, shared));
                });
                let slot = Slot { address: Addr::new(sender), gauge };
                place.insert(slot.clone());
                Ok(slot)
            }
        }
    }

    /// Takes an actor that has ended out of the registry, unless it was replaced already.
    fn remove_dead(&self, home: &str, dead: &Slot) {
        self.0.actors.remove_if(home, |_, slot| Arc::ptr_eq(&slot.gauge, &dead.gauge));
    }

    /// Tells resident actors, but the one that wrote, to forget replaced versions. Best effort: a stale cache is safe.
    fn forget(&self, writer: &str, stale: Vec<(String, ResourceKey)>) {
        let mut by_home: std::collections::HashMap<String, Vec<ResourceKey>> = Default::default();
        for (home, key) in stale {
            by_home.entry(home).or_default().push(key);
        }
        for (home, keys) in by_home {
            if home != writer
                && let Some(address) = self.0.actors.get(home.as_str()).map(|slot| slot.address.clone())
            {
                let _full_or_gone = address.try_send(Forget(keys.into()));
            }
        }
    }
}

/// Puts idle actors to rest until the registry goes away: takes them out of the registry; with its last address an
/// actor does what is queued and ends. Who is quick enough to wake a second one can only lose a compare-and-set.
async fn sweep(inner: Weak<Inner>) {
    loop {
        let Some(strong) = inner.upgrade() else { return };
        let options = &strong.surroundings.options;
        let idle_ms = u64::try_from(options.idle_timeout.as_millis()).unwrap_or(u64::MAX);
        rest(&strong, idle_ms);
        if strong.actors.len() > options.resident_max || strong.surroundings.cached.is_exceeded() {
            thin_out(&strong);
        }
        let interval = options.sweep_interval;
        tokio::select! {
            () = strong.stopping.notified() => return,
            () = strong.crowded.notified() => {}
            () = tokio::time::sleep(interval) => {}
        }
    }
}

fn rest(inner: &Inner, idle_ms: u64) {
    inner.actors.retain(|_, slot| slot.gauge.queued() > 0 || slot.gauge.idle_ms() < idle_ms);
}

/// Too many actors or too much in their caches: the tenth that has been idle longest goes.
fn thin_out(inner: &Inner) {
    let mut idle: Vec<u64> = inner.actors.iter().map(|slot| slot.gauge.idle_ms()).collect();
    idle.sort_unstable_by(|a, b| b.cmp(a));
    let tenth = idle.len() / 10;
    if let Some(limit) = idle.get(tenth) {
        rest(inner, *limit);
    }
}
