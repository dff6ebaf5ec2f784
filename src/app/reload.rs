//! Takes over changed settings and certificates while the server runs. What cannot change is named, and what is wrong changes nothing.

use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Parts;
use super::guard;
use crate::api::Guard;
use crate::config::{Settings, Sources};
use crate::telemetry;
use crate::tls::Tls;

/// Hears of the wish to reload (SIGHUP) and carries it out.
#[derive(Debug)]
pub(super) struct Reloading {
    hangup: Signal,
    sources: Sources,
    guard: Guard,
    tls: Option<Arc<Tls>>,
}

impl Reloading {
    pub(super) fn listen(sources: Sources, guard: Guard, tls: Option<Arc<Tls>>) -> anyhow::Result<Self> {
        let hangup = signal(SignalKind::hangup()).context("cannot listen for signals")?;
        Ok(Self { hangup, sources, guard, tls })
    }

    /// Waits for the next wish.
    pub(super) async fn asked(&mut self) {
        let _number = self.hangup.recv().await;
    }

    /// Reads the settings again and takes over what can change.
    pub(super) async fn reload(&self, parts: &Parts) {
        let sources = self.sources.clone();
        match tokio::task::spawn_blocking(move || Settings::read(&sources)).await {
            Ok(Ok(loaded)) => {
                for warning in &loaded.warnings {
                    tracing::warn!(%warning, "a setting should be looked at");
                }
                self.take_over(&loaded.settings, parts).await;
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the configuration is wrong; everything stays as it was");
            }
            Err(error) => tracing::error!(%error, "the configuration could not be read"),
        }
        self.certificates().await;
    }

    async fn take_over(&self, settings: &Settings, parts: &Parts) {
        let reloaded = parts.live().reload(settings);
        let now = parts.live().now();
        self.guard.set(guard::options(&now));
        parts.take_over(&now).await;
        if let Err(error) = telemetry::set_filter(&now.log.filter) {
            tracing::error!(%error, "what is logged stays as it was");
        }
        let (taken, waiting) = (reloaded.taken.join(", "), reloaded.waiting.join(", "));
        match waiting.is_empty() {
            true => tracing::info!(taken, "the configuration was read again"),
            false => {
                tracing::warn!(taken, waiting, "the configuration was read again; some of it needs a restart")
            }
        }
    }

    /// Takes over certificates that were changed.
    pub(super) async fn certificates(&self) {
        let Some(tls) = self.tls.clone() else { return };
        match tokio::task::spawn_blocking(move || tls.reload()).await {
            Ok(Ok(true)) => tracing::info!("the certificates were read again"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::error!(%error, "the certificates stay as they were"),
            Err(error) => tracing::error!(%error, "the certificates could not be read"),
        }
    }
}
