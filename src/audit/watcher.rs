//! The watcher: applies the rules to what is recorded, drops what is old enough, and tells the head to the outside.
//!
//! One server of a workspace watches at a time, and where it has come to is kept in the database. An alert is told before the
//! watcher goes on, so a broker that is away delays alerts and loses none; after a change of servers one may come twice,
//! under the same id.

use std::time::Duration;

use anamnesis_audit::rules::{Alert, RuleOptions, Rules};
use anamnesis_audit::{AuditError, AuditLog, Number, Recorded, Watch};
use anamnesis_events::message::{hex, subject_token};
use async_nats::HeaderMap;
use async_nats::jetstream::stream::{Config, DiscardPolicy, StorageType};
use async_nats::jetstream::{self, Context};
use chrono::{DateTime, SecondsFormat, Utc};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock;

/// Records that are looked at again by whoever takes the watch over, so that what began before is seen whole.
const LOOKED_BACK: u64 = 20_000;
/// Records of one read.
const PAGE: usize = 1000;
/// What is recorded meanwhile is looked at together: each look reads, and writes the row that every record moves, so that one
/// for each commit would cost as much as the records themselves.
const GATHER: Duration = Duration::from_millis(250);
/// How often what other servers wrote is looked for, and the watch, where another one has it.
const POLL: Duration = Duration::from_secs(1);
/// The wait after something has failed.
const BACK_OFF: Duration = Duration::from_secs(2);
/// How long the broker may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often old months are looked for.
const SWEEP: Duration = Duration::from_secs(3600);
/// How often the head is told.
const HEAD_EVERY: Duration = Duration::from_secs(300);
/// How long the broker keeps alerts and heads: somebody has to see them, and a year's audit looks back as far.
const KEPT: Duration = Duration::from_secs(366 * 86_400);

/// What is watched for.
#[derive(Debug, Clone)]
pub struct WatcherOptions {
    /// The rules that it begins with; see [`Watcher::follow`].
    pub rules: RuleOptions,
    /// Months whose last record is older are dropped.
    pub retention: Duration,
    /// Copies of the stream of alerts in a cluster of NATS servers.
    pub replicas: usize,
    /// Tells the time.
    pub clock: fn() -> DateTime<Utc>,
}

/// The running watcher of a workspace.
#[derive(Debug)]
pub struct Watcher {
    stop: CancellationToken,
    rules: watch::Sender<RuleOptions>,
    task: JoinHandle<()>,
}

impl Watcher {
    /// Starts watching, or waiting for the watch, on the current runtime.
    #[must_use]
    pub fn start(log: AuditLog, client: async_nats::Client, options: WatcherOptions) -> Self {
        let stop = CancellationToken::new();
        let (rules, followed) = watch::channel(options.rules.clone());
        let context = jetstream::new(client);
        let watching = Watching { log, context, options, rules: followed, has_stream: false };
        Self { task: tokio::spawn(watching.run(stop.clone())), rules, stop }
    }

    /// Applies other rules from the next record on. What is remembered of principals stays.
    pub fn follow(&self, rules: RuleOptions) {
        self.rules.send_replace(rules);
    }

    /// Ends it. The next one goes on where it was.
    pub async fn stop(self) {
        self.stop.cancel();
        // One that panicked has been logged by its runtime.
        let _ended = self.task.await;
    }
}

struct Watching {
    log: AuditLog,
    context: Context,
    options: WatcherOptions,
    rules: watch::Receiver<RuleOptions>,
    has_stream: bool,
}

/// Why it does not go on.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error(transparent)]
    Log(#[from] AuditError),
    #[error("NATS: {0}")]
    Nats(String),
}

impl Watching {
    async fn run(mut self, stop: CancellationToken) {
        loop {
            let pause = match self.watch(&stop).await {
                Ok(()) => POLL,
                Err(error) => {
                    tracing::warn!(%error, "The audit log cannot be watched now.");
                    BACK_OFF
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
            }
        }
    }

    /// Watches until something fails or it is told to stop; nothing where another server does.
    async fn watch(&mut self, stop: &CancellationToken) -> Result<(), WatchError> {
        let Some(mut watch) = self.log.watch().await? else { return Ok(()) };
        let mut rules = Rules::new(self.rules.borrow_and_update().clone());
        let watched = watch.watched();
        let mut reached = Number::new(watched.get().saturating_sub(LOOKED_BACK));
        let mut written = self.log.written();
        let (mut swept, mut told): (Option<Duration>, Option<Duration>) = (None, None);
        loop {
            written.mark_unchanged();
            let records = watch.read(reached, PAGE).await?;
            if self.rules.has_changed().unwrap_or(false) {
                rules.follow(self.rules.borrow_and_update().clone());
            }
            if let Some(last) = records.last() {
                reached = last.number;
                self.see(&mut rules, watched, &records).await?;
                if reached > watched {
                    watch.advance(reached).await?;
                }
                if !stop.is_cancelled() {
                    if records.len() < PAGE {
                        tokio::select! {
                            () = stop.cancelled() => {}
                            () = sleep(GATHER) => {}
                        }
                    }
                    continue;
                }
            }
            if swept.is_none_or(|swept| clock::elapsed() > swept + SWEEP) {
                self.sweep().await?;
                swept = Some(clock::elapsed());
            }
            if told.is_none_or(|told| clock::elapsed() > told + HEAD_EVERY) {
                self.tell_head().await?;
                told = Some(clock::elapsed());
            }
            tokio::select! {
                () = stop.cancelled() => {
                    self.give_back(watch).await;
                    return Ok(());
                }
                _ = timeout(POLL, written.changed()) => {}
            }
        }
    }

    async fn give_back(&self, watch: Watch) {
        watch.close().await;
    }

    /// Applies the rules; what was watched before is not told again.
    async fn see(
        &mut self,
        rules: &mut Rules,
        watched: Number,
        records: &[Recorded],
    ) -> Result<(), WatchError> {
        for recorded in records {
            for alert in rules.see(recorded) {
                if recorded.number > watched {
                    self.tell(&alert).await?;
                }
            }
        }
        Ok(())
    }

    async fn sweep(&self) -> Result<(), WatchError> {
        let age = chrono::Duration::from_std(self.options.retention).unwrap_or(chrono::Duration::MAX);
        let Some(time) = (self.options.clock)().checked_sub_signed(age) else { return Ok(()) };
        let kept = self.log.drop_before(time).await?;
        if kept.months > 0 {
            tracing::info!(months = kept.months, after = %kept.after, "Months of the audit log were old enough and are dropped.");
        }
        Ok(())
    }

    /// Tells an alert: a CloudEvent, durable before this returns. Its subject names nobody.
    async fn tell(&mut self, alert: &Alert) -> Result<(), WatchError> {
        let workspace = self.log.workspace().to_owned();
        let rule = alert.rule.name();
        let body = serde_json::json!({
            "rule": rule,
            "record": alert.number.get(),
            "subject": alert.subject,
            "issuer": alert.issuer,
            "client": alert.client,
            "count": alert.count,
        });
        let id = format!("{workspace}-audit-{}-{rule}", alert.number);
        let kind = format!("org.anamnesis.alert.{rule}.v1");
        let subject = format!("anamnesis.{}.alerts.{rule}", subject_token(&workspace));
        let about = format!("AuditEvent/{}", alert.number);
        self.publish(subject, (&id, &kind, &about), alert.recorded_at, body.to_string()).await?;
        // Once for each, however often it was tried.
        tracing::warn!(rule, record = %alert.number, "Accesses are unusual; the record of the audit log says whose.");
        metrics::counter!("anamnesis_audit_alerts_total", "workspace" => workspace, "rule" => rule)
            .increment(1);
        Ok(())
    }

    /// Tells the head of the chain, which nobody who changes the database can take back.
    async fn tell_head(&mut self) -> Result<(), WatchError> {
        let head = self.log.head().await?;
        let Some(recorded_at) = head.recorded_at else { return Ok(()) };
        let (workspace, hash) = (self.log.workspace().to_owned(), hex(&head.hash));
        tracing::info!(workspace, number = %head.number, %hash, "The audit log of a workspace stands here.");
        let body = serde_json::json!({ "number": head.number.get(), "hash": hash });
        let id = format!("{workspace}-audit-{}-head", head.number);
        let subject = format!("anamnesis.{}.audit.head", subject_token(&workspace));
        let about = format!("AuditEvent/{}", head.number);
        let told = self.publish(
            subject,
            (&id, "org.anamnesis.audit.head.v1", &about),
            recorded_at,
            body.to_string(),
        );
        // The next one tells more; alerts do not wait for it.
        if let Err(error) = told.await {
            tracing::warn!(%error, "The head of the audit log could not be told.");
        }
        Ok(())
    }

    async fn publish(
        &mut self,
        subject: String,
        (id, kind, about): (&str, &str, &str),
        time: DateTime<Utc>,
        body: String,
    ) -> Result<(), WatchError> {
        self.ensure_stream().await?;
        let mut headers = HeaderMap::new();
        let source = format!("/{}/audit", self.log.workspace());
        let time = time.to_rfc3339_opts(SecondsFormat::Micros, true);
        for (name, value) in [
            ("ce-specversion", "1.0"),
            ("ce-id", id),
            ("ce-source", &source),
            ("ce-type", kind),
            ("ce-subject", about),
            ("ce-time", &time),
            ("content-type", "application/json"),
            ("Nats-Msg-Id", id),
        ] {
            headers.insert(name, value);
        }
        let published = async {
            let acknowledged = self.context.publish_with_headers(subject, headers, body.into()).await?;
            acknowledged.await
        };
        match timeout(PATIENCE, published).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                self.has_stream = false;
                Err(WatchError::Nats(error.to_string()))
            }
            Err(_) => Err(WatchError::Nats("no answer".to_owned())),
        }
    }

    async fn ensure_stream(&mut self) -> Result<(), WatchError> {
        if self.has_stream {
            return Ok(());
        }
        let token = subject_token(self.log.workspace());
        let config = Config {
            name: format!("ANAMNESIS_{token}_ALERTS"),
            description: Some("Unusual accesses, and where the audit log stands".to_owned()),
            // One token behind `alerts`: with more there would be subjects that the feed's stream takes as well, and two
            // streams may not overlap.
            subjects: vec![format!("anamnesis.{token}.alerts.*"), format!("anamnesis.{token}.audit.head")],
            storage: StorageType::File,
            discard: DiscardPolicy::Old,
            max_age: KEPT,
            num_replicas: self.options.replicas,
            duplicate_window: Duration::from_secs(120),
            ..Config::default()
        };
        let made = timeout(PATIENCE, self.context.get_or_create_stream(config)).await;
        match made {
            Ok(Ok(_)) => {
                self.has_stream = true;
                Ok(())
            }
            Ok(Err(error)) => Err(WatchError::Nats(error.to_string())),
            Err(_) => Err(WatchError::Nats("no answer".to_owned())),
        }
    }
}
