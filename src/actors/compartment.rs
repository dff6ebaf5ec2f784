//! The actor of one compartment: hands its work to the log in the order of arrival.
//!
//! Commands about one resource run one after the other. Commands about different resources of the compartment are
//! decided in order and appended in order, but do not wait for each other's commit: otherwise a patient would get
//! one write per disk flush.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use actix::prelude::*;
use anamnesis_events::{Recorded, ResourceKey};
use tokio::sync::oneshot;

use super::cache::Cache;
use super::execute::{self, Done};
use super::memory::Share;
use super::resident::Gauge;
use super::{Commit, Outcome, Surroundings, Work, WriteError};

/// Places for resources with work under way that an idle actor keeps.
const BUSY_KEPT: usize = 4;

/// Does a command and answers.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Submit {
    pub(super) work: Work,
    pub(super) reply: Reply<Outcome>,
}

/// Appends drafts that belong together and answers.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct SubmitGroup {
    pub(super) commit: Commit,
    pub(super) reply: Reply<Vec<Recorded>>,
}

/// Forgets cached versions that somebody else has replaced.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Forget {
    pub(super) keys: Vec<ResourceKey>,
    /// Memory of this note.
    pub(super) share: Share,
}

/// Forgets everything that is cached: it was erased.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct ForgetAll;

/// Where an answer goes; counts the work as under way until it is dropped.
pub(super) struct Reply<T> {
    pub(super) sender: oneshot::Sender<Result<T, WriteError>>,
    pub(super) under_way: super::resident::UnderWay,
}

impl<T> Reply<T> {
    fn answer(self, answer: Result<T, WriteError>) {
        // The count falls before the answer is seen, so that who has it can submit again at once.
        drop(self.under_way);
        // A client that has gone away hears nothing; what was recorded stays recorded.
        let _gone = self.sender.send(answer);
    }
}

/// One compartment.
pub(super) struct Compartment {
    surroundings: Arc<Surroundings>,
    gauge: Arc<Gauge>,
    cache: Cache,
    /// What the actor itself takes of the memory, until it has ended.
    _share: Share,
    /// Resources with a command under way, and the commands that wait for it. Bounded by the compartment's queue.
    busy: HashMap<ResourceKey, VecDeque<Submit>>,
}

impl Compartment {
    pub(super) fn new(surroundings: Arc<Surroundings>, gauge: Arc<Gauge>, share: Share) -> Self {
        Self { surroundings, gauge, cache: Cache::new(), _share: share, busy: HashMap::new() }
    }

    fn run(&mut self, submit: Submit, context: &mut Context<Self>) {
        let Submit { work, reply } = submit;
        let key = work.command.key().clone();
        let cached = if work.command.needs_current() { self.cache.get(&key) } else { None };
        let done = execute::execute(self.surroundings.clone(), work, cached);
        let done = done.into_actor(self).map(move |done, actor, context| {
            actor.settle(&key, &done);
            reply.answer(done.answer);
            actor.next(&key, context);
        });
        context.spawn(done);
    }

    /// Keeps the newest version for the next command.
    fn settle(&mut self, key: &ResourceKey, done: &Done) {
        let memory = &self.surroundings.memory;
        match &done.newest {
            Some(newest) => self.cache.put(key.clone(), newest.clone(), memory),
            None => self.cache.forget(key, memory),
        }
        self.report();
    }

    /// Starts the next command that waits for this resource.
    fn next(&mut self, key: &ResourceKey, context: &mut Context<Self>) {
        let waiting = self.busy.get_mut(key).and_then(|waiting| {
            // Whoever has gone away before the work began gets none done.
            std::iter::from_fn(|| waiting.pop_front()).find(|submit| !submit.reply.sender.is_closed())
        });
        match waiting {
            Some(submit) => self.run(submit, context),
            None => {
                self.busy.remove(key);
                if self.busy.is_empty() {
                    // An actor that once had much to do does not keep the room for it.
                    self.busy.shrink_to(BUSY_KEPT);
                }
            }
        }
    }

    fn report(&self) {
        self.gauge.cached(self.cache.len(), self.cache.bytes());
    }
}

impl Actor for Compartment {
    type Context = Context<Self>;

    fn stopped(&mut self, _context: &mut Context<Self>) {
        self.cache.clear(&self.surroundings.memory);
        self.report();
    }
}

impl Drop for Compartment {
    fn drop(&mut self) {
        // Also where the actor's thread was ended without `stopped`.
        self.cache.clear(&self.surroundings.memory);
    }
}

impl Handler<Submit> for Compartment {
    type Result = ();

    fn handle(&mut self, submit: Submit, context: &mut Context<Self>) {
        if submit.reply.sender.is_closed() {
            return;
        }
        let key = submit.work.command.key();
        match self.busy.get_mut(key) {
            Some(waiting) => waiting.push_back(submit),
            None => {
                self.busy.insert(key.clone(), VecDeque::new());
                self.run(submit, context);
            }
        }
    }
}

impl Handler<SubmitGroup> for Compartment {
    type Result = ();

    fn handle(&mut self, submit: SubmitGroup, context: &mut Context<Self>) {
        let SubmitGroup { commit, reply } = submit;
        if reply.sender.is_closed() {
            return;
        }
        let keys = execute::keys(&commit.group.drafts);
        let surroundings = self.surroundings.clone();
        let done = async move {
            // Held until the log has answered.
            let Commit { group, kept: _kept, share: _share } = commit;
            surroundings.log.append(group).await.map_err(WriteError::Log)
        };
        let done = done.into_actor(self).map(move |done, actor, _context| {
            for key in &keys {
                actor.cache.forget(key, &actor.surroundings.memory);
            }
            actor.report();
            reply.answer(done);
        });
        context.spawn(done);
    }
}

impl Handler<Forget> for Compartment {
    type Result = ();

    fn handle(&mut self, forget: Forget, _context: &mut Context<Self>) {
        for key in &forget.keys {
            self.cache.forget(key, &self.surroundings.memory);
        }
        drop(forget.share);
        self.report();
    }
}

impl Handler<ForgetAll> for Compartment {
    type Result = ();

    fn handle(&mut self, _all: ForgetAll, _context: &mut Context<Self>) {
        self.cache.clear(&self.surroundings.memory);
        self.report();
    }
}
