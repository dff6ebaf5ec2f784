//! The registry: finds the actor of a compartment, wakes it when there is work and puts it to rest when there is none.

use std::sync::{Arc, Mutex, PoisonError};

use actix::dev::channel::channel;
use actix::prelude::*;
use anamnesis_events::{Group, Log, Recorded, ResourceKey};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::arbiters::Arbiters;
use super::compartment::{Compartment, Forget, ForgetAll, Reply, Submit, SubmitGroup};
use super::memory::{ACTOR_BYTES, Memory, Part, Share};
use super::resident::{Counts, Gauge, UnderWay};
use super::rest::sweep;
use super::{
    ActorOptions, Commit, Kept, Outcome, Resident, Residents, Surroundings, Terms, Work, WriteError, weight,
};
use crate::decide::placement::fnv1a;
use crate::decide::{Command, Current, Provenance, Rules};
use crate::reads::Reads;

/// How often an actor that has just ended is replaced before the command is given up.
const WAKE_TRIES_MAX: usize = 4;

/// The compartments of one service: a handle, free to clone.
#[derive(Clone)]
pub struct Compartments(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) surroundings: Arc<Surroundings>,
    pub(super) arbiters: Arbiters,
    pub(super) actors: DashMap<Arc<str>, Slot>,
    /// Puts actors to rest. Ends with the registry, or by `stop`.
    sweeper: Mutex<Option<JoinHandle<()>>>,
}

impl Inner {
    pub(super) fn options(&self) -> &ActorOptions {
        &self.surroundings.options
    }

    fn end_sweeper(&self) {
        if let Some(sweeper) = self.sweeper.lock().unwrap_or_else(PoisonError::into_inner).take() {
            sweeper.abort();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end_sweeper();
    }
}

#[derive(Clone)]
pub(super) struct Slot {
    pub(super) address: Addr<Compartment>,
    pub(super) gauge: Arc<Gauge>,
}

impl Compartments {
    /// Starts the threads of the actors; actors themselves are woken by work.
    ///
    /// # Errors
    /// The operating system gives no threads, or there is no runtime to read on.
    pub fn start(log: Log, rules: Rules, options: ActorOptions) -> std::io::Result<Self> {
        let arbiters = Arbiters::start(options.arbiters)?;
        let memory = match &options.memory {
            Some(shared) => shared.clone(),
            None => Memory::new(options.memory_bytes_max, options.cache_bytes_max),
        };
        let runtime = options.runtime.clone().map_or_else(Handle::try_current, Ok);
        let runtime = runtime.map_err(std::io::Error::other)?;
        let reads = Reads::start(&log, &runtime);
        let interval = options.sweep_interval;
        let counts = Counts::default();
        let surroundings =
            Arc::new(Surroundings { log, reads, rules, options, memory: memory.clone(), counts });
        let actors = DashMap::new();
        let inner = Arc::new(Inner { surroundings, arbiters, actors, sweeper: Mutex::new(None) });
        // Not on an actor's thread: these may die, and then it is needed more than ever.
        let sweeper = runtime.spawn(sweep(Arc::downgrade(&inner), memory, interval));
        *inner.sweeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(sweeper);
        Ok(Self(inner))
    }

    /// Carries out one command in its compartment.
    ///
    /// # Errors
    /// [`WriteError`]; nothing was recorded but where it says that this is not known.
    pub async fn submit(&self, command: Command, provenance: Provenance) -> Result<Outcome, WriteError> {
        self.submit_on(command, provenance, Terms::default()).await
    }

    /// [`Compartments::submit`] with an idempotency key, or something to keep.
    ///
    /// # Errors
    /// [`WriteError::AlreadyRecorded`] where it was recorded before under its key.
    pub async fn submit_on(
        &self,
        command: Command,
        provenance: Provenance,
        terms: Terms,
    ) -> Result<Outcome, WriteError> {
        let home = match &command {
            Command::Create { candidate, .. } | Command::Update { candidate, .. } => {
                candidate.placement.home.clone()
            }
            Command::Delete { key, .. } | Command::Purge { key, .. } => match self.home(key).await? {
                Some(home) => home,
                None => crate::decide::placement::shared(key),
            },
        };
        let share = self.take(weight::of_command(&command))?;
        let mut work = Work { command, provenance, terms, share };
        for _ in 0..WAKE_TRIES_MAX {
            let (slot, under_way) = self.wake(&home, &work.share)?;
            let (sender, answer) = oneshot::channel();
            match slot.address.try_send(Submit { work, reply: Reply { sender, under_way } }) {
                Ok(()) => return answer.await.unwrap_or(Err(WriteError::Interrupted)),
                Err(SendError::Full(_)) => return Err(self.busy()),
                Err(SendError::Closed(submit)) => work = submit.work,
            }
            self.remove_dead(&home, &slot);
        }
        Err(WriteError::Interrupted)
    }

    /// Records drafts together or not at all, through the queue of the compartment `home`; `kept` is kept until that has been
    /// answered.
    ///
    /// # Errors
    /// [`WriteError::Log`] where the log refuses; conflicts name the draft.
    pub async fn commit(
        &self,
        home: &str,
        group: Group,
        kept: Option<Kept>,
    ) -> Result<Vec<Recorded>, WriteError> {
        let stale: Vec<(String, ResourceKey)> =
            group.drafts.iter().map(|draft| (draft.home.clone(), draft.key.clone())).collect();
        let share = self.take(weight::of_group(&group))?;
        let mut commit = Commit { group, kept, share };
        for _ in 0..WAKE_TRIES_MAX {
            let (slot, under_way) = self.wake(home, &commit.share)?;
            let (sender, answer) = oneshot::channel();
            match slot.address.try_send(SubmitGroup { commit, reply: Reply { sender, under_way } }) {
                Ok(()) => {
                    let recorded = answer.await.unwrap_or(Err(WriteError::Interrupted));
                    self.forget(home, stale);
                    return recorded;
                }
                Err(SendError::Full(_)) => return Err(self.busy()),
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
        let (mut total, mut queued, mut cached_bytes) = (0, 0, 0);
        let mut actors: Vec<Resident> = Vec::new();
        for slot in &self.0.actors {
            total += 1;
            queued += slot.gauge.queued();
            cached_bytes += slot.gauge.bytes();
            if count_max > 0 {
                actors.push(slot.gauge.describe(slot.key()));
            }
        }
        actors.sort_by(|a, b| (a.idle_ms, &a.compartment).cmp(&(b.idle_ms, &b.compartment)));
        actors.truncate(count_max);
        let (rested, refused) = (self.0.surroundings.counts.rested(), self.0.surroundings.counts.refused());
        Residents { total, queued, cached_bytes, memory: self.memory().usage(), rested, refused, actors }
    }

    /// The memory that the actors live in.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.0.surroundings.memory
    }

    /// Ends the actors. Appends that were handed to the log go on; the log is closed by its owner.
    pub fn stop(&self) {
        self.0.end_sweeper();
        self.0.actors.clear();
        self.0.arbiters.stop();
        self.0.surroundings.reads.stop();
    }

    fn options(&self) -> &ActorOptions {
        self.0.options()
    }

    /// Memory for work. It is taken before the work is queued and given back with its answer.
    fn take(&self, bytes: usize) -> Result<Share, WriteError> {
        self.memory().take(Part::Command, bytes).ok_or_else(|| self.crowded())
    }

    fn crowded(&self) -> WriteError {
        self.0.surroundings.counts.refused_for_memory();
        WriteError::Crowded
    }

    fn busy(&self) -> WriteError {
        self.0.surroundings.counts.refused_for_queue();
        WriteError::Busy
    }

    async fn home(&self, key: &ResourceKey) -> Result<Option<String>, WriteError> {
        let heads = self.0.surroundings.log.heads(std::slice::from_ref(key)).await?;
        Ok(heads.into_iter().flatten().next().map(|head| head.home))
    }

    /// The actor of a compartment, started where it is not resident, and a place in its queue. The place is taken under
    /// the lock of the actor's place in the registry, so that nobody puts it to rest in between. No guard of the map
    /// outlives this call.
    fn wake(&self, home: &str, command: &Share) -> Result<(Slot, UnderWay), WriteError> {
        let enter = |slot: &Slot| {
            let under_way = slot.gauge.enter(self.options().queue_max).ok_or_else(|| self.busy())?;
            Ok((slot.clone(), under_way))
        };
        if let Some(slot) = self.0.actors.get(home) {
            return enter(&slot);
        }
        let resident_max = self.options().resident_max;
        let resident = self.0.actors.len();
        if resident >= resident_max {
            self.memory().ring();
            if resident >= resident_max.saturating_mul(2) {
                return Err(self.crowded());
            }
        }
        let arbiter = self.0.arbiters.of(fnv1a(home.as_bytes())).ok_or(WriteError::Interrupted)?;
        match self.0.actors.entry(Arc::from(home)) {
            Entry::Occupied(slot) => enter(slot.get()),
            Entry::Vacant(place) => {
                let share = self.memory().take_actor(ACTOR_BYTES, command).ok_or_else(|| self.crowded())?;
                let gauge = Gauge::new();
                // The queue is bounded by the gauge; the mailbox holds all of it, and notes to forget.
                let (sender, receiver) = channel(self.options().queue_max.saturating_add(16));
                let (surroundings, shared) = (self.0.surroundings.clone(), gauge.clone());
                arbiter.spawn_fn(move || {
                    let context = Context::with_receiver(receiver);
                    context.run(Compartment::new(surroundings, shared, share));
                });
                let slot = Slot { address: Addr::new(sender), gauge };
                let entered = enter(&slot)?;
                place.insert(slot);
                Ok(entered)
            }
        }
    }

    /// Takes an actor that has ended out of the registry, unless it was replaced already.
    fn remove_dead(&self, home: &str, dead: &Slot) {
        self.0.actors.remove_if(home, |_, slot| Arc::ptr_eq(&slot.gauge, &dead.gauge));
    }

    /// Tells the actor of a compartment, where it is resident, to forget what it has in its cache: it was erased.
    pub fn forget_all(&self, home: &str) {
        if let Some(address) = self.0.actors.get(home).map(|slot| slot.address.clone()) {
            let _full_or_gone = address.try_send(ForgetAll);
        }
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
                && let Some(share) = self.memory().take(Part::Command, weight::of_keys(&keys))
            {
                let _full_or_gone = address.try_send(Forget { keys, share });
            }
        }
    }
}
