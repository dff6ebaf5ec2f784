//! `anamnesis serve`: runs the server until it is told to stop.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::app::{self, Surroundings};
use crate::config::{Loaded, LogFormat, Overrides, Settings, Sources};
use crate::telemetry;

/// Run the server: FHIR over HTTP, with a Postgres and a NATS of its own unless others are configured
///
/// Every setting can also stand in the configuration file or in the environment, as ANAMNESIS_ and its name
/// (ANAMNESIS_DATABASE_URL, ANAMNESIS_HTTP_WORKERS …). Flags win over the environment, which wins over the file.
///
/// SIGHUP reads the configuration again and takes over what can change while the server runs.
///
/// Ctrl-C or SIGTERM stops the server in order; a second one stops it at once, which loses nothing either.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Where to keep everything; one server at a time [env: ANAMNESIS_DATA] [default: ./data]
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    data: Option<PathBuf>,

    /// The address and port to answer on [env: ANAMNESIS_LISTEN] [default: 127.0.0.1:8080]
    ///
    /// Other than loopback addresses are refused as long as no authentication is configured.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// A configuration file in TOML, or in YAML (.yaml, .yml) [env: ANAMNESIS_CONFIG]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,

    /// How log lines look [env: ANAMNESIS_LOG_FORMAT] [default: plain]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<LogFormat>,

    /// What is logged: a level, or levels by part, as in `info,anamnesis_events=debug`
    /// [env: ANAMNESIS_LOG_FILTER] [default: info]
    #[arg(long, value_name = "LEVELS")]
    log_filter: Option<String>,
}

pub(super) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let sources = Sources::of_process(arguments.config.clone(), arguments.overrides()?);
    let Loaded { settings, warnings } = Settings::read(&sources)?;
    telemetry::start(&settings.log)?;
    for warning in warnings {
        tracing::warn!(%warning, "a setting should be looked at");
    }
    let surroundings = Surroundings {
        path: sources.variable("PATH"),
        runtime: sources.variable("XDG_RUNTIME_DIR").map(Into::into),
    };
    app::run(settings, sources, surroundings)
}

impl Arguments {
    fn overrides(&self) -> anyhow::Result<Overrides> {
        let text = |path: &PathBuf| match path.to_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(anyhow::anyhow!("--data: {} is not valid UTF-8", path.display())),
        };
        let format = self.log_format.map(|format| match format {
            LogFormat::Plain => "plain".to_owned(),
            LogFormat::Json => "json".to_owned(),
        });
        let given = [
            ("data", "--data", self.data.as_ref().map(text).transpose()?),
            ("listen", "--listen", self.listen.map(|address| address.to_string())),
            ("log.format", "--log-format", format),
            ("log.filter", "--log-filter", self.log_filter.clone()),
        ];
        Ok(given.into_iter().filter_map(|(key, flag, value)| Some((key, flag, value?))).collect())
    }
}
