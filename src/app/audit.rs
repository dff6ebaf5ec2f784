//! The audit log of a workspace: opened where it is wanted, watched, and closed last.

use std::sync::Arc;
use std::time::Duration;

use anamnesis_audit::rules::RuleOptions;
use anamnesis_audit::{AuditLog, AuditOptions};
use anyhow::Context;
use tokio::sync::Mutex;

use crate::audit::{Audit, Mode, Networks, Watcher, WatcherOptions};
use crate::clock;
use crate::config::{AuditMode, AuditSettings, WorkspaceSettings};

/// The running audit log of a workspace.
pub(super) struct Auditing {
    pub(super) audit: Audit,
    watcher: Mutex<Option<Watcher>>,
}

impl Auditing {
    /// Opens the log and starts watching it.
    pub(super) async fn start(
        name: &str,
        workspace: &WorkspaceSettings,
        database: &str,
        client: async_nats::Client,
    ) -> anyhow::Result<Self> {
        let settings = &workspace.audit;
        let options = AuditOptions {
            runtime: Some(tokio::runtime::Handle::current()),
            clock: Arc::new(clock::now),
            ..AuditOptions::default()
        };
        let log = AuditLog::open(database, name, options)
            .await
            .with_context(|| format!("cannot open the audit log of the workspace `{name}`"))?;
        let proxies = Networks::parse(&settings.trusted_proxies)
            .map_err(|(place, error)| anyhow::anyhow!("audit.trusted_proxies[{place}]: {error}"))?;
        let mode = match settings.mode {
            AuditMode::Required => Mode::Required,
            AuditMode::BestEffort => Mode::BestEffort,
        };
        let options = WatcherOptions {
            rules: rules(settings)?,
            retention: Duration::from_secs(u64::from(settings.retention_days) * 86_400),
            replicas: workspace.feed.replicas,
            clock: clock::now,
        };
        let watcher = Watcher::start(log.clone(), client, options);
        Ok(Self { audit: Audit::new(log, mode, proxies), watcher: Mutex::new(Some(watcher)) })
    }

    /// Watches for what these settings find unusual from now on.
    pub(super) async fn take_over(&self, settings: &AuditSettings) {
        let rules = rules(settings);
        match (&*self.watcher.lock().await, rules) {
            (Some(watcher), Ok(rules)) => watcher.follow(rules),
            (None, _) => {}
            // It is checked when the settings are read.
            (_, Err(error)) => tracing::error!(%error, "the rules of alerts stay as they were"),
        }
    }

    /// Writes what is queued and ends. Nothing that is still to be recorded may come after.
    pub(super) async fn close(&self) {
        if let Some(watcher) = self.watcher.lock().await.take() {
            watcher.stop().await;
        }
        self.audit.close().await;
    }
}

fn rules(settings: &AuditSettings) -> anyhow::Result<RuleOptions> {
    let alerts = &settings.alerts;
    let zone = alerts.time_zone.parse();
    Ok(RuleOptions {
        patients_max: alerts.patients_max,
        patients_window: Duration::from_secs(alerts.patients_window_s),
        refused_max: alerts.refused_max,
        refused_window: Duration::from_secs(alerts.refused_window_s),
        work_hours: (alerts.work_from_h, alerts.work_until_h),
        zone: zone.map_err(|_| anyhow::anyhow!("audit.alerts.time_zone names no time zone"))?,
        quiet: Duration::from_secs(alerts.quiet_s),
        ..RuleOptions::default()
    })
}
