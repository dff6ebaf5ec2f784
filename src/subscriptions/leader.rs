//! The one server that matches and delivers for a log, as long as it holds the lock.

use std::sync::Arc;
use std::time::Duration;

use anamnesis_events::{Event, HistoryRange, HistoryScope, Position, Version};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio_util::sync::CancellationToken;

use super::Context;
use super::definition::{Definition, Status};
use super::deliver::{Delivery, Failed};
use super::following::Following;
use super::matching::{Matching, TYPE};
use super::notification::Kind;
use super::reading::Reading;
use super::standing::{self, Change};
use super::store::{Session, Standing};
use crate::clock;

/// Versions of subscriptions on one page at the start.
const PAGE: usize = 1000;
/// Receivers that are talked to at the same time; more wait for their turn.
const IN_FLIGHT_MAX: usize = 32;
/// How long a written status is waited for before it is written again.
const STATUS_WITHIN: TimeDelta = TimeDelta::seconds(5);
/// The longest sleep: heartbeats and ends are looked at that often.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// What came of something that was on its way.
struct Done {
    id: String,
    /// Of which version, and since when it has been counted: it may be another one by now.
    version: Version,
    since: i64,
    what: Outcome,
}

enum Outcome {
    /// Events up to this number were taken.
    Delivered(i64, Option<Failed>),
    Shaken(Result<(), Failed>),
    Beaten(Result<(), Failed>),
    /// A status was written, or not.
    Written,
}

/// What is to be done next about a subscription.
enum Next {
    Send(What),
    Write(Change),
}

/// What a receiver is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Events,
    Handshake,
    Heartbeat,
}

pub(super) struct Leader {
    context: Arc<Context>,
    session: Session,
    log: Following,
    matching: Matching,
    in_flight: FuturesUnordered<BoxFuture<'static, Done>>,
}

impl Leader {
    /// Takes up where the last one stood.
    pub(super) async fn resume(context: Arc<Context>, session: Session) -> anyhow::Result<Self> {
        let matched = session.matched(before_the_first(&context).await?).await?;
        let mut standing = session.standing().await?;
        let mut matching = Matching::new(Reading::new(context.reader.clone()));
        let newest = newest(&context, matched).await?.into_iter();
        let newest = newest.filter_map(|event| {
            let standing = standing.remove(&event.key.id)?;
            Some((event, standing))
        });
        matching.resume(&context.log, newest.collect()).await?;
        let log = Following::new(&context.log, matched);
        Ok(Self { context, session, log, matching, in_flight: FuturesUnordered::new() })
    }

    /// Works until it is stopped or something fails; whoever comes next repeats what was not recorded.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> anyhow::Result<()> {
        loop {
            let sleep = self.start_what_is_due();
            let nobody = self.matching.entries.is_empty();
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                events = self.log.next(nobody) => self.take(&events?).await?,
                Some(done) = self.in_flight.next(), if !self.in_flight.is_empty() => self.done(done).await?,
                () = tokio::time::sleep(sleep) => {
                    anyhow::ensure!(!self.session.is_closed(), "the lock is lost");
                    self.measure(self.log.position());
                }
            }
        }
    }

    async fn take(&mut self, events: &[Event]) -> anyhow::Result<()> {
        let Some(last) = events.last() else { return Ok(()) };
        let matched = self.matching.take(&self.context.log, events).await?;
        self.session.record(last.position, &matched).await?;
        self.measure(last.position);
        Ok(())
    }

    /// Starts what is due, those first that have waited longest, and says how long there is nothing to do.
    fn start_what_is_due(&mut self) -> Duration {
        let now = clock::now();
        let mut due: Vec<(DateTime<Utc>, String, Next)> = Vec::new();
        let mut wake = now + LOOK_AGAIN;
        for (id, entry) in &self.matching.entries {
            let next = match &entry.served {
                _ if entry.is_busy => continue,
                Ok(served) => next(&served.definition, &entry.standing, entry.sent_at, now),
                Err(reason) => unserved(entry.status, reason).map(|next| (now, next)),
            };
            let Some((at, next)) = next else { continue };
            let at = entry.quiet_until.map_or(at, |quiet| at.max(quiet));
            if at <= now {
                due.push((entry.sent_at, id.clone(), next));
            } else {
                wake = wake.min(at);
            }
        }
        due.sort_by_key(|(since, ..)| *since);
        let places = IN_FLIGHT_MAX.saturating_sub(self.in_flight.len());
        for (_, id, next) in due.into_iter().take(places) {
            self.start(id, next, now);
        }
        (wake - now).to_std().unwrap_or_default().max(Duration::from_millis(10))
    }

    fn start(&mut self, id: String, next: Next, now: DateTime<Utc>) {
        let Some(entry) = self.matching.entries.get_mut(&id) else { return };
        let context = Arc::clone(&self.context);
        let (version, since) = (entry.event.version, entry.standing.since);
        let working: BoxFuture<'static, Outcome> = match (next, &entry.served) {
            (Next::Write(change), _) => {
                let (id, payload) = (id.clone(), entry.event.payload.clone());
                Box::pin(async move {
                    standing::write(&context, &id, version, &payload, &change).await;
                    Outcome::Written
                })
            }
            (Next::Send(what), Ok(served)) => {
                let delivery = Delivery {
                    sender: context.sender.clone(),
                    register: context.register.clone(),
                    log: context.log.clone(),
                    base: context.base.clone(),
                    id: id.clone(),
                    version,
                    on_record: context.on_record.clone(),
                    definition: Arc::clone(&served.definition),
                    standing: entry.standing.clone(),
                };
                Box::pin(send(delivery, what))
            }
            (Next::Send(_), Err(_)) => return,
        };
        entry.is_busy = true;
        entry.sent_at = now;
        self.in_flight.push(Box::pin(async move { Done { id, version, since, what: working.await } }));
    }

    async fn done(&mut self, done: Done) -> anyhow::Result<()> {
        let now = clock::now();
        let Some(entry) = self.matching.entries.get_mut(&done.id) else { return Ok(()) };
        // Another one of the same id by now, which may be busy itself.
        if entry.standing.since != done.since {
            return Ok(());
        }
        entry.is_busy = false;
        let is_current = entry.event.version == done.version;
        let standing = &mut entry.standing;
        let failed = match done.what {
            Outcome::Delivered(delivered, failed) => {
                let taken = delivered - standing.delivered;
                if taken > 0 {
                    standing.delivered = delivered;
                    count("delivered", taken.unsigned_abs());
                    (standing.attempts, standing.failing_since) = (0, None);
                }
                failed
            }
            // What was sent on behalf of an earlier version says nothing of the receiver of this one.
            Outcome::Shaken(_) | Outcome::Beaten(_) if !is_current => return Ok(()),
            Outcome::Shaken(result) => {
                standing.shaken = result.is_ok();
                result.err()
            }
            Outcome::Beaten(result) => result.err(),
            Outcome::Written => {
                // The status comes back through the log; until then nothing is written again.
                entry.quiet_until = is_current.then_some(now + STATUS_WITHIN);
                return Ok(());
            }
        };
        match failed {
            // Nor does a failure then.
            Some(_) if !is_current => {}
            None => {
                (standing.attempts, standing.failing_since, standing.try_at, standing.reason) =
                    (0, None, None, None)
            }
            Some(Failed(reason)) => {
                count("failed", 1);
                standing.attempts = standing.attempts.saturating_add(1);
                standing.failing_since.get_or_insert(now);
                standing.try_at = Some(now + self.context.options.back_off(standing.attempts, &done.id));
                tracing::warn!(subscription = %done.id, attempts = standing.attempts, %reason, "A notification was not taken.");
                standing.reason = Some(reason);
                let give_up =
                    TimeDelta::from_std(self.context.options.give_up_after).unwrap_or(TimeDelta::MAX);
                if standing.failing_since.is_some_and(|since| now - since >= give_up) {
                    standing.try_at = None;
                }
            }
        }
        let standing = standing.clone();
        self.session.stand(&done.id, &standing).await?;
        self.measure(self.log.position());
        Ok(())
    }

    /// Figures. Those of single subscriptions are in `$status`: ids are no labels.
    fn measure(&self, matched: Position) {
        let workspace = self.context.log.workspace().to_owned();
        let waiting =
            self.matching.entries.values().map(|entry| entry.standing.events - entry.standing.delivered);
        let (all, most) = waiting.fold((0, 0), |(all, most), one| (all + one, one.max(most)));
        let head = self.context.log.watch().borrow().get();
        let gauge = |name: &'static str, value: f64| {
            metrics::gauge!(name, "workspace" => workspace.clone()).set(value);
        };
        gauge("anamnesis_subscriptions", self.matching.entries.len() as f64);
        gauge("anamnesis_subscription_undelivered", all as f64);
        gauge("anamnesis_subscription_undelivered_most", most as f64);
        gauge("anamnesis_subscription_lag_events", head.saturating_sub(matched.get()) as f64);
    }
}

async fn send(delivery: Delivery, what: What) -> Outcome {
    match what {
        What::Events => {
            let (delivered, failed) = delivery.events().await;
            Outcome::Delivered(delivered, failed)
        }
        What::Handshake => Outcome::Shaken(delivery.bare(Kind::Handshake).await),
        What::Heartbeat => Outcome::Beaten(delivery.bare(Kind::Heartbeat).await),
    }
}

/// What is done about a subscription that cannot be served: whoever relies on it has to hear that.
fn unserved(status: Status, reason: &str) -> Option<Next> {
    let is_on = matches!(status, Status::Requested | Status::Active);
    is_on.then(|| Next::Write(Change { status: Status::Error, error: Some(reason.to_owned()) }))
}

fn count(outcome: &'static str, number: u64) {
    metrics::counter!("anamnesis_subscription_notifications_total", "outcome" => outcome).increment(number);
}

/// What is next about a subscription, and when.
fn next(
    definition: &Definition,
    standing: &Standing,
    sent_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<(DateTime<Utc>, Next)> {
    let try_at = standing.try_at.unwrap_or(now);
    if definition.end.is_some_and(|end| end <= now) {
        return Some((try_at, Next::Write(Change { status: Status::Off, error: None })));
    }
    let on = matches!(definition.status, Status::Requested | Status::Active);
    // Failing, and no further try is to be made.
    if on && standing.failing_since.is_some() && standing.try_at.is_none() {
        let change = Change { status: Status::Error, error: standing.reason.clone() };
        return Some((now, Next::Write(change)));
    }
    match definition.status {
        Status::Requested if definition.topic().is_some() && !standing.shaken => {
            Some((try_at, Next::Send(What::Handshake)))
        }
        Status::Requested => Some((try_at, Next::Write(Change { status: Status::Active, error: None }))),
        Status::Active if standing.events > standing.delivered => Some((try_at, Next::Send(What::Events))),
        Status::Active => {
            let period = TimeDelta::from_std(definition.heartbeat?).ok()?;
            Some((try_at.max(sent_at + period), Next::Send(What::Heartbeat)))
        }
        Status::Error | Status::Off => None,
    }
}

/// The position before the first subscription that was ever written; the log's end where there is none. What came before
/// concerns nobody.
async fn before_the_first(context: &Context) -> anyhow::Result<Position> {
    let head = context.log.head().await?;
    let range = HistoryRange { limit: 1, ascending: true, ..HistoryRange::default() };
    let first = context.log.history(HistoryScope::Type(TYPE.to_owned()), range).await?;
    let first = first.events.first().map(|event| Position::new(event.position.get().saturating_sub(1)));
    Ok(first.unwrap_or(head))
}

/// The newest version up to a position of each subscription that is not deleted.
async fn newest(context: &Context, position: Position) -> anyhow::Result<Vec<Event>> {
    let mut newest = std::collections::BTreeMap::new();
    let mut before = position.next();
    loop {
        let range = HistoryRange { before_position: Some(before), limit: PAGE, ..HistoryRange::default() };
        let page = context.log.history(HistoryScope::Type(TYPE.to_owned()), range).await?;
        let Some(last) = page.events.last().map(|event| event.position) else { break };
        let is_last = page.events.len() < PAGE && !page.is_cut;
        for event in page.events {
            newest.entry(event.key.id.clone()).or_insert(event);
        }
        if is_last {
            break;
        }
        before = last;
    }
    Ok(newest.into_values().filter(|event| !event.payload.is_empty()).collect())
}

#[cfg(test)]
mod tests;
