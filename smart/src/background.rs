//! What goes on beside requests: the tables are followed and tidied. Ends with the server.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::error::SmartError;
use crate::host::Host;
use crate::keys::Keys;
use crate::revocation::{ASKED_EVERY, Revocations};
use crate::store::{Store, ended};

/// How often keys are looked for and ended rows removed.
const MAINTAINED_EVERY: Duration = Duration::from_secs(30);

/// The parts that tasks work with; not the server itself, which owns the tasks.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) revocations: Arc<Revocations>,
}

/// The tasks of a server.
#[derive(Debug)]
pub(crate) struct Background {
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Background {
    /// Starts them.
    pub(crate) fn start(parts: &Parts) -> Self {
        let stop = watch::Sender::new(false);
        let following = tokio::spawn(follow(parts.clone(), stop.subscribe()));
        let maintaining = tokio::spawn(maintain(parts.clone(), stop.subscribe()));
        Self { stop, tasks: Mutex::new(vec![following, maintaining]) }
    }

    /// Ends them, and waits until they have.
    pub(crate) async fn close(&self) {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if task.await.is_err() {
                tracing::error!("a task of the authorization server has failed");
            }
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        for task in self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}

/// Follows what is revoked.
async fn follow(parts: Parts, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(ASKED_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        let followed = parts.revocations.follow(&parts.store, parts.host.now()).await;
        match followed {
            Ok(()) => is_failing = false,
            // Once for each time that it begins: it is tried every second.
            Err(error) if !is_failing => {
                is_failing = true;
                tracing::error!(%error, "revoked tokens cannot be followed; soon none will be taken");
            }
            Err(_) => {}
        }
    }
}

async fn maintain(parts: Parts, mut stop: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(MAINTAINED_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = parts.maintain().await {
            tracing::error!(%error, "the tables of the authorization server cannot be maintained");
        }
    }
}

impl Parts {
    /// Follows the keys, makes a new one when it is time, and removes what has ended.
    pub(crate) async fn maintain(&self) -> Result<(), SmartError> {
        self.keys.follow(&self.store, &*self.host).await?;
        ended::remove(&self.store, self.host.now()).await?;
        Ok(())
    }
}
