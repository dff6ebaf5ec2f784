//! The threads that actors live on: fixed in number, apart from the HTTP workers, replaced when one has died.

use std::sync::{Mutex, PoisonError};

use actix_rt::{ArbiterHandle, System};

/// A fixed set of arbiters, each in a thread and an actix system of its own.
#[derive(Debug)]
pub(super) struct Arbiters {
    slots: Vec<Mutex<Option<Slot>>>,
}

#[derive(Debug)]
struct Slot {
    arbiter: ArbiterHandle,
    system: System,
}

impl Arbiters {
    /// Starts `count` threads, at least one.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub(super) fn start(count: usize) -> std::io::Result<Self> {
        let slots = (0..count.max(1))
            .map(|index| Ok(Mutex::new(Some(spawn(index)?))))
            .collect::<std::io::Result<_>>()?;
        Ok(Self { slots })
    }

    /// The arbiter for a hash; a dead one is replaced. `None` after [`Arbiters::stop`], or where no thread can be had.
    pub(super) fn of(&self, hash: u64) -> Option<ArbiterHandle> {
        let count = u64::try_from(self.slots.len()).unwrap_or(1);
        let index = usize::try_from(hash % count).unwrap_or(0);
        let mut slot = self.slots.get(index)?.lock().unwrap_or_else(PoisonError::into_inner);
        let held = slot.as_ref()?;
        if held.arbiter.alive() {
            return Some(held.arbiter.clone());
        }
        tracing::error!(arbiter = index, "An actor thread has died; starting another one.");
        match spawn(index) {
            Ok(new) => {
                let arbiter = new.arbiter.clone();
                *slot = Some(new);
                Some(arbiter)
            }
            Err(error) => {
                tracing::error!(arbiter = index, %error, "No actor thread can be started.");
                None
            }
        }
    }

    /// Ends the threads. Actors that still work are cut off; the appends they have handed over are not.
    pub(super) fn stop(&self) {
        for slot in &self.slots {
            if let Some(slot) = slot.lock().unwrap_or_else(PoisonError::into_inner).take() {
                slot.system.stop();
            }
        }
    }
}

#[cfg(test)]
impl Arbiters {
    /// Lets all threads die, as a mistake would.
    pub(super) fn kill(&self) {
        for slot in &self.slots {
            let slot = slot.lock().unwrap();
            let Slot { arbiter, system } = slot.as_ref().unwrap();
            system.stop();
            while arbiter.alive() {
                std::thread::yield_now();
            }
        }
    }
}

fn spawn(index: usize) -> std::io::Result<Slot> {
    let (ready, started) = std::sync::mpsc::channel();
    // The thread ends with its system, which `Arbiters::stop` ends.
    std::thread::Builder::new().name(format!("compartments-{index}")).spawn(move || {
        let runner = System::new();
        let system = System::current();
        if ready.send(Slot { arbiter: system.arbiter().clone(), system }).is_ok()
            && let Err(error) = runner.run()
        {
            tracing::error!(arbiter = index, %error, "An actor thread ended with an error.");
        }
    })?;
    started.recv().map_err(|_closed| std::io::Error::other("an actor thread ended while it started"))
}
