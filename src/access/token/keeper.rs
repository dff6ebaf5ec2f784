//! Keeps what an authority tells fresh: one task for each authority, whoever asks and however often.
//!
//! It asks every few minutes, so that a key that was withdrawn is not taken for longer; and at once where a token names a key
//! that is not known, though not again and again: a client cannot have the authority asked more often than a bound. While the
//! authority is away its last keys are taken, up to a bound.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use url::Url;

use super::discovery::{Told, client, discover};
use super::issuer::Issuers;
use crate::clock;

/// How an authority is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperOptions {
    /// How often it is asked without a reason. Withdrawn keys are taken for as long.
    pub every: Duration,
    /// How long it is not asked again for a key that is not known. New keys are published some time before they sign.
    pub unknown_key_every: Duration,
    /// How long its keys are taken while it cannot be asked.
    pub stale_max: Duration,
    /// How long it may take to answer.
    pub within: Duration,
}

impl Default for KeeperOptions {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(300),
            unknown_key_every: Duration::from_secs(10),
            stale_max: Duration::from_secs(3600),
            within: Duration::from_secs(5),
        }
    }
}

/// Waits between attempts that fail grow from this, up to [`KeeperOptions::every`].
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// What is known of an authority.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// What it told last, and when, as [`clock::elapsed`] has it.
    pub told: Option<(Arc<Told>, Duration)>,
    /// Counts the changes of its keys: what was checked with older ones is checked again.
    pub generation: u64,
    /// Counts the attempts to ask it.
    attempts: u64,
    /// When the last attempt ended.
    attempted: Option<Duration>,
    /// Whether that one failed.
    pub failed: bool,
}

/// An authority that is asked from time to time.
#[derive(Debug)]
pub struct Keeper {
    state: watch::Receiver<State>,
    wanted: Arc<Notify>,
    options: KeeperOptions,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Begins to ask an authority; ends with the keeper. Where `named` are given, its tokens have those issuers.
    ///
    /// # Errors
    /// The machine's certificates cannot be read.
    pub fn start(
        authority: Url,
        (issuers, are_named): (Issuers, bool),
        options: KeeperOptions,
    ) -> reqwest::Result<Self> {
        let client = client(options.within)?;
        let (sender, state) = watch::channel(State::default());
        let wanted = Arc::new(Notify::new());
        let asking = Asking { client, authority, issuers, are_named, options: options.clone() };
        let task = tokio::spawn(asking.run(sender, wanted.clone()));
        Ok(Self { state, wanted, options, task })
    }

    /// What is known now.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// How an authority is asked.
    #[must_use]
    pub fn options(&self) -> &KeeperOptions {
        &self.options
    }

    /// What is known after the authority has been asked once more, unless that was only just done.
    pub async fn asked_again(&self) -> State {
        let mut state = self.state.clone();
        let (attempts, attempted) = {
            let now = state.borrow();
            (now.attempts, now.attempted)
        };
        if is_too_soon(attempted, self.options.unknown_key_every) {
            return self.state();
        }
        self.wanted.notify_one();
        let done = state.wait_for(|state| state.attempts > attempts);
        // Metadata and keys: two answers. What comes too late is there for the next request.
        drop(tokio::time::timeout(self.options.within * 2, done).await);
        self.state()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn is_too_soon(attempted: Option<Duration>, every: Duration) -> bool {
    attempted.is_some_and(|at| clock::elapsed().saturating_sub(at) < every)
}

struct Asking {
    client: reqwest::Client,
    authority: Url,
    issuers: Issuers,
    are_named: bool,
    options: KeeperOptions,
}

impl Asking {
    async fn run(self, sender: watch::Sender<State>, wanted: Arc<Notify>) {
        let mut retry = FIRST_RETRY;
        loop {
            let outcome = discover(&self.client, &self.authority, &self.issuers, self.are_named).await;
            let wait = match outcome {
                Ok(told) => {
                    retry = FIRST_RETRY;
                    sender.send_modify(|state| learn(state, told));
                    self.options.every
                }
                Err(error) => {
                    tracing::warn!(
                        authority = %self.authority,
                        %error,
                        "an authority cannot be asked for its keys"
                    );
                    sender.send_modify(|state| {
                        state.attempts += 1;
                        state.failed = true;
                        state.attempted = Some(clock::elapsed());
                    });
                    let wait = retry.min(self.options.every);
                    retry = retry.saturating_mul(2);
                    wait
                }
            };
            let rested = tokio::time::timeout(wait, self.asked(&sender, &wanted)).await;
            drop(rested);
        }
    }

    /// Comes back when somebody wants the authority asked and it was not only just asked.
    async fn asked(&self, sender: &watch::Sender<State>, wanted: &Notify) {
        loop {
            wanted.notified().await;
            if !is_too_soon(sender.borrow().attempted, self.options.unknown_key_every) {
                return;
            }
        }
    }
}

fn learn(state: &mut State, told: Told) {
    let is_same = state
        .told
        .as_ref()
        .is_some_and(|(before, _)| before.keys.is_same(&told.keys) && before.issuers == told.issuers);
    if !is_same {
        tracing::info!(keys = told.keys.len(), "an authority has told its keys");
        state.generation += 1;
    }
    let now = clock::elapsed();
    state.told = Some((Arc::new(told), now));
    state.attempts += 1;
    state.attempted = Some(now);
    state.failed = false;
}
