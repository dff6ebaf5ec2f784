//! Subscriptions: who asked to be told of writes is told, in order, and as often as it takes.
//!
//! A consumer of the log with a position of its own. Events are matched once, in order, with the subscriptions as they
//! stood at each event's position; what concerns a subscription is recorded under its next number, together with the
//! position. So nothing depends on a queue in memory: a server that dies between a write and its notification, or between
//! a notification and its receipt, leaves behind exactly what the next one has to send.
//!
//! One server does this for a log, the one that holds a lock in the database. Where it goes away another one takes
//! over; what was sent and not recorded as taken is sent again, and nothing is left out.

mod allow;
mod audited;
mod definition;
mod deliver;
mod following;
mod leader;
mod matching;
pub(crate) mod notification;
mod reading;
mod standing;
pub(crate) mod store;
mod topic;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anamnesis_events::Log;
use anamnesis_fhir::json::Value;
use anamnesis_projections::search::{Catalogue, DateEquals};
use chrono::{DateTime, TimeDelta};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::actors::Compartments;
use crate::audit::Audit;
use crate::clock;
use crate::decide::placement::fnv1a;
use crate::decide::{Check, Refusal};
use crate::search_parameters::Keeper;

pub use allow::Allow;
use audited::OnRecord;
pub(crate) use definition::{Content, Status, content_of, is_canonical};
use definition::{Reader, Unusable};
pub(crate) use store::Register;
pub use topic::TopicRule;
use topic::Topics;

/// How often a server that does not hold the lock tries to take it.
const TAKE_OVER: Duration = Duration::from_secs(2);

/// How subscriptions are served.
#[derive(Debug, Clone)]
pub struct SubscriptionOptions {
    /// Where notifications may go.
    pub allow: Allow,
    /// The topics by canonical address.
    pub topics: BTreeMap<String, TopicRule>,
    /// When a date is equal to another, as in searches.
    pub date_equals: DateEquals,
    /// How long a request to a receiver may take.
    pub timeout: Duration,
    /// The wait after the first failure; it doubles with each further one.
    pub retry_min: Duration,
    /// The longest wait between two tries.
    pub retry_max: Duration,
    /// After failing for so long a subscription's status becomes `error`, and nothing is tried until a client asks for it.
    pub give_up_after: Duration,
}

impl Default for SubscriptionOptions {
    fn default() -> Self {
        Self {
            allow: Allow::default(),
            topics: BTreeMap::new(),
            date_equals: DateEquals::default(),
            // A receiver acknowledges; what it does with a notification it does afterwards.
            timeout: Duration::from_secs(10),
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_mins(10),
            // A receiver that breaks on Friday evening is looked at on Monday.
            give_up_after: Duration::from_hours(72),
        }
    }
}

impl SubscriptionOptions {
    /// The wait before the next try: doubled with each failure, and a quarter more or less, so that receivers that failed
    /// together are not tried together. Which way follows from the subscription and the count.
    fn back_off(&self, attempts: i32, id: &str) -> TimeDelta {
        let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(0).min(20);
        let wait = self.retry_min.saturating_mul(1 << doublings).min(self.retry_max);
        let share = fnv1a(format!("{id}/{attempts}").as_bytes()) % 51;
        let percent = 75 + i32::try_from(share).unwrap_or(0);
        TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX) / 100 * percent
    }
}

/// What all parts share.
struct Context {
    log: Log,
    database: String,
    compartments: Compartments,
    reader: Reader,
    sender: deliver::Sender,
    register: Register,
    options: SubscriptionOptions,
    /// The address of the service, as it stands in notifications.
    base: String,
    on_record: OnRecord,
}

/// How Subscriptions are read and checked: before there are actors, whose rules hold the check.
#[derive(Debug, Clone)]
pub struct Subscribing {
    reader: Reader,
    /// What there is beside R4's search parameters.
    parameters: Option<Arc<Keeper>>,
    options: SubscriptionOptions,
    base: String,
    on_record: OnRecord,
}

impl Subscribing {
    /// For a log and the service with this address (without a last slash).
    ///
    /// # Errors
    /// A topic that cannot be used.
    pub fn new(log: i16, base: &str, options: SubscriptionOptions) -> anyhow::Result<Self> {
        let mut reader = Reader {
            catalogue: Catalogue::r4(),
            log,
            base: Some(base.to_owned()),
            date_equals: options.date_equals,
            topics: Topics::default(),
            allow: Some(options.allow.clone()),
        };
        reader.topics = Topics::read(&reader, &options.topics, clock::now()).map_err(anyhow::Error::msg)?;
        let (base, on_record) = (base.to_owned(), OnRecord::default());
        Ok(Self { reader, parameters: None, options, base, on_record })
    }

    /// The same with the search parameters of clients: those that are enabled when a Subscription is written may stand in
    /// its criteria.
    #[must_use]
    pub fn with_parameters(self, keeper: Arc<Keeper>) -> Self {
        Self { parameters: Some(keeper), ..self }
    }

    /// The same with an audit log, in which each notification is put on record before it is sent, as of the service with this
    /// name.
    #[must_use]
    pub fn with_audit(self, audit: Option<Audit>, service: &str) -> Self {
        Self { on_record: OnRecord::new(audit, service), ..self }
    }

    /// Refuses what cannot be served, whichever way it is written.
    #[must_use]
    pub fn check(&self) -> Check {
        let (reader, keeper) = (self.reader.clone(), self.parameters.clone());
        Check::new(matching::TYPE, move |_, resource: Value<'_>| {
            let is_on = resource.get("status").and_then(Value::as_str);
            // Those that are off or in error are kept as they are: nothing is sent for them.
            if !is_on.is_some_and(|status| matches!(&*status, "requested" | "active")) {
                return Ok(());
            }
            // What is relative to the present is as good at any time.
            let read = |reader: &Reader| reader.read(resource, DateTime::UNIX_EPOCH).map(|_| ());
            let mut read_so_far = read(&reader);
            if read_so_far.as_ref().is_err_and(Unusable::is_of_criteria)
                && let Some(enabled) = keeper.as_ref().map(|keeper| keeper.enabled())
                && !enabled.is_empty()
            {
                read_so_far = read(&reader.with(&enabled));
            }
            read_so_far
                .map_err(|unusable| Refusal::NotServed { element: unusable.element, reason: unusable.reason })
        })
    }
}

/// The subscriptions of a log, served by this process as long as no other one does. Cheap to clone.
#[derive(Clone)]
pub struct Subscriptions {
    context: Arc<Context>,
    stop: CancellationToken,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl std::fmt::Debug for Subscriptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Subscriptions").field("log", &self.context.log).finish_non_exhaustive()
    }
}

impl Subscriptions {
    /// Starts to serve.
    ///
    /// # Errors
    /// The address of the database cannot be used, or no HTTP client can be made.
    pub fn start(
        database: &str,
        log: &Log,
        compartments: &Compartments,
        subscribing: Subscribing,
    ) -> anyhow::Result<Self> {
        let Subscribing { reader, options, base, on_record, .. } = subscribing;
        let context = Arc::new(Context {
            log: log.clone(),
            database: database.to_owned(),
            compartments: compartments.clone(),
            sender: deliver::Sender::new(options.allow.clone(), options.timeout)?,
            register: Register::new(database, log.number())?,
            // What may not be sent for the time being is owed all the same.
            reader: Reader { allow: None, ..reader },
            options,
            base,
            on_record,
        });
        let stop = CancellationToken::new();
        let task = Handle::current().spawn(serve(Arc::clone(&context), stop.clone()));
        Ok(Self { context, stop, task: Arc::new(Mutex::new(Some(task))) })
    }

    /// What is recorded of subscriptions.
    pub(crate) fn register(&self) -> &Register {
        &self.context.register
    }

    /// The address of the service in notifications.
    pub(crate) fn base(&self) -> &str {
        &self.context.base
    }

    /// Stops: nothing is begun any more. What is on its way is sent again by whoever comes next.
    pub async fn stop(&self) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // One that has panicked has been logged by its runtime.
            let _ended = task.await;
        }
    }
}

/// Takes the lock whenever it is free, and works as long as it is held.
async fn serve(context: Arc<Context>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = serve_once(&context, &stop).await {
            tracing::warn!(%error, workspace = context.log.workspace(), "Subscriptions are not served for a moment.");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(TAKE_OVER) => {}
        }
    }
}

async fn serve_once(context: &Arc<Context>, stop: &CancellationToken) -> anyhow::Result<()> {
    let session = store::Session::open(&context.database, context.log.number()).await?;
    let Some(session) = session else { return Ok(()) };
    let leader = leader::Leader::resume(Arc::clone(context), session).await?;
    tracing::info!(workspace = context.log.workspace(), "This server notifies subscribers.");
    leader.run(stop).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let options = SubscriptionOptions::default();
        let waits: Vec<i64> =
            (1..40).map(|attempts| options.back_off(attempts, "a").num_milliseconds()).collect();
        let most = i64::try_from(options.retry_max.as_millis()).unwrap();
        assert!((750..=1260).contains(&waits[0]), "{waits:?}");
        assert!((1500..=2520).contains(&waits[1]), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= most / 4 * 5 + 1), "{waits:?}");
        assert!(waits[39 - 1] >= most / 4 * 3, "{waits:?}");
        assert_ne!(options.back_off(12, "a"), options.back_off(12, "b"));
    }
}
