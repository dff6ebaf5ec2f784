//! The audit log as the server uses it: what is noted while a request is served, and what becomes of it.
//!
//! An [`Access`] goes with each request and collects what it leads to; at its end a record is made of it and written before
//! the answer leaves. Where it cannot be written, the answer is 503 (`required`), or the loss is counted (`best-effort`).

mod access;
mod address;
mod bursts;
mod watcher;

use std::sync::Arc;

use anamnesis_audit::{AppendError, AuditLog, Number, Record};

use crate::clock;
use crate::error::Failure;
use bursts::Bursts;

pub use access::{Access, Surroundings};
pub use address::{Networks, Path, network};
pub use watcher::{Watcher, WatcherOptions};

/// The subtype of what is sent to a subscriber. It has no status: it is put on record before it is sent.
pub const NOTIFICATION: &str = "notification";

/// What becomes of a request whose record cannot be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is answered with 503, whatever it has done.
    #[default]
    Required,
    /// It is answered, and the loss is counted and logged.
    BestEffort,
}

/// The audit log of a workspace. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Audit {
    log: AuditLog,
    mode: Mode,
    proxies: Arc<Networks>,
    bursts: Arc<Bursts>,
}

impl Audit {
    /// Records into a log. `proxies` are believed what they say about the addresses of clients.
    #[must_use]
    pub fn new(log: AuditLog, mode: Mode, proxies: Networks) -> Self {
        Self { log, mode, proxies: Arc::new(proxies), bursts: Arc::default() }
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &AuditLog {
        &self.log
    }

    /// Who is believed about addresses.
    #[must_use]
    pub fn proxies(&self) -> &Networks {
        &self.proxies
    }

    /// Writes the records of an access, before it is answered.
    ///
    /// # Errors
    /// 503 where they cannot be written and have to be.
    pub async fn record(&self, records: Vec<Record>) -> Result<(), Failure> {
        let count = records.len();
        let Err(error) = self.log.append(records).await else { return Ok(()) };
        self.lost(&error, count);
        match self.mode {
            Mode::BestEffort => Ok(()),
            Mode::Required => {
                let text = "The access could not be put on record in the audit log, and so it is not answered. \
                            What it has written, it has written.";
                Err(Failure::unavailable(text).retry_after(1))
            }
        }
    }

    /// Writes records of what nobody waits for any more: they are handed over before this returns.
    pub fn leave(&self, records: Vec<Record>) {
        let count = records.len();
        if let Err(error) = self.log.hand_over(records) {
            self.lost(&error, count);
        }
    }

    /// Puts a refusal of which there may be many on record: the first of its kind at once, those that follow within a minute as one
    /// record together ([`Record::repeated`]). Nothing was shown, so that nobody waits for it.
    pub fn refused(&self, record: Record) {
        let records = self.bursts.see(record, clock::elapsed());
        if !records.is_empty() {
            self.leave(records);
        }
    }

    /// Puts on record what [`Audit::refused`] has gathered for long enough. To be called every few seconds.
    pub fn settle(&self) {
        self.settled(Some(clock::elapsed()));
    }

    /// Puts all on record that [`Audit::refused`] has gathered, and closes the log.
    pub async fn close(&self) {
        self.settled(None);
        self.log.close().await;
    }

    fn settled(&self, now: Option<std::time::Duration>) {
        let records = self.bursts.settle(now);
        if !records.is_empty() {
            self.leave(records);
        }
    }

    fn lost(&self, error: &AppendError, count: usize) {
        // Rare: each is worth a line, and an alarm.
        metrics::counter!("anamnesis_audit_records_lost_total", "workspace" => self.log.workspace().to_owned())
            .increment(count as u64);
        tracing::error!(%error, count, "An access could not be recorded in the audit log.");
    }
}

/// A number of the audit log and the hash of the chain up to it.
pub type Anchor = (Number, [u8; 32]);

/// Reads an anchor as it is written: `12:ab…`, with 64 hexadecimal digits.
#[must_use]
pub fn anchor(text: &str) -> Option<Anchor> {
    let (number, digits) = text.split_once(':')?;
    let byte = |at: usize| digits.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let bytes: Vec<u8> = (0..32).map(|place| byte(place * 2)).collect::<Option<_>>()?;
    let hash = bytes.try_into().ok().filter(|_| digits.len() == 64)?;
    Some((Number::new(number.parse().ok()?), hash))
}
