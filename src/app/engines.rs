//! The private engines of this server, or the addresses of configured ones.

use anamnesis_engines::{EngineOptions, EngineState, Engines};
use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Addresses, Surroundings};
use crate::config::{Secret, Settings};

/// What the parts reach Postgres and NATS by, and the engines behind it that are ours.
#[derive(Debug)]
pub(crate) struct PrivateEngines {
    /// Where both are, configured or ours.
    pub(crate) addresses: Addresses,
    engines: Option<Engines>,
    // Owns the tasks that report the engines' states; they end with it.
    _reports: JoinSet<()>,
}

impl PrivateEngines {
    /// Starts the engines that no address is configured for.
    pub(crate) async fn start(settings: &Settings, surroundings: &Surroundings) -> anyhow::Result<Self> {
        Self::start_some(settings, surroundings, true).await
    }

    /// The same, without NATS where it is not needed; its address is empty then.
    pub(crate) async fn start_some(
        settings: &Settings,
        surroundings: &Surroundings,
        needs_nats: bool,
    ) -> anyhow::Result<Self> {
        let mut options = EngineOptions::new(&settings.data);
        options.postgres = settings.database.url.is_none();
        options.nats = needs_nats && settings.nats.url.is_none();
        options.path = surroundings.path.clone();
        options.runtime = surroundings.runtime.clone();
        options.programs.extend(settings.engines.programs.clone());
        options.programs.extend(usual_folders());
        let mut reports = JoinSet::new();
        let engines = if options.postgres || options.nats {
            let engines = Engines::start(options).await?;
            for (name, state) in [("postgres", engines.database_state()), ("nats", engines.nats_state())] {
                reports.extend(state.map(|state| report(name, state)));
            }
            Some(engines)
        } else {
            None
        };
        let private = |url: fn(&Engines) -> Option<&str>| engines.as_ref().and_then(url).map(str::to_owned);
        let database = exposed(&settings.database.url).or_else(|| private(Engines::database_url));
        let nats = exposed(&settings.nats.url).or_else(|| private(Engines::nats_url));
        let nats = match needs_nats {
            true => nats.context("there is no NATS")?,
            false => nats.unwrap_or_default(),
        };
        let addresses = Addresses { database: database.context("there is no database")?, nats };
        Ok(Self { addresses, engines, _reports: reports })
    }

    /// Stops what is ours.
    pub(crate) async fn stop(self) {
        if let Some(engines) = self.engines {
            tracing::info!("stopping the private engines");
            engines.stop().await;
        }
    }
}

/// An address that is configured.
pub(crate) fn exposed(url: &Option<Secret>) -> Option<String> {
    url.as_ref().map(|url| url.expose().to_owned())
}

/// Where `make` unpacks programs: the working directory, beside this program, or above its build folder.
fn usual_folders() -> Vec<std::path::PathBuf> {
    let program = std::env::current_exe().ok();
    let beside = program.iter().flat_map(|program| program.ancestors().skip(1).take(3));
    std::env::current_dir()
        .ok()
        .iter()
        .map(std::path::PathBuf::as_path)
        .chain(beside)
        .map(|f| f.join(".engines"))
        .collect()
}

/// Shows whether an engine is up as a figure.
async fn report(name: &'static str, mut state: watch::Receiver<EngineState>) {
    loop {
        let up = matches!(*state.borrow_and_update(), EngineState::Running(_));
        metrics::gauge!("anamnesis_engine_up", "engine" => name).set(f64::from(u8::from(up)));
        if state.changed().await.is_err() {
            return;
        }
    }
}
