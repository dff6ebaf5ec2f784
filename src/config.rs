//! The settings of a server: one TOML file, then the environment, then the command line. Nothing else reads them.
//!
//! Every key can be given in the file (`[database] url = …`), as an environment variable
//! (`ANAMNESIS_DATABASE_URL`), and the common ones as flags. A later source wins. What is not a setting is
//! refused with its place, so that a slip of the pen does not silently run a server with the defaults.

mod settings;
mod sources;
mod subscriptions;

use std::net::IpAddr;
use std::path::PathBuf;

use anamnesis_fhir::definitions::r4;

pub use settings::{
    ActorSettings, DatabaseSettings, DateEqualsSetting, EngineSettings, FeedBody, FeedSettings, FhirSettings,
    HttpSettings, LogFormat, LogSettings, NatsSettings, SearchSettings, ServiceKind, ServiceSettings,
    Settings, SubscriptionSettings, TopicSettings, TopicWrite, UnknownParameter, UnknownProfile,
    ValidationSetting, VersioningPolicy, VersioningSettings, WorkspaceSettings,
};
pub use sources::{Overrides, Sources};

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file has a mistake.
    #[error("{}:{line}: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// An environment variable or a flag has a mistake.
    #[error("{origin}: {message}")]
    Value {
        /// The variable or flag.
        origin: String,
        /// What is wrong with it.
        message: String,
    },
    /// Settings that are fine one by one do not go together.
    #[error("{0}")]
    Contradiction(String),
}

impl Settings {
    /// Reads the settings from their sources, later ones winning, and checks that they go together.
    ///
    /// # Errors
    /// See [`ConfigError`]; the message names file and line, variable, or flag.
    pub fn load(sources: &Sources) -> Result<Settings, ConfigError> {
        let settings = sources.read()?;
        settings.check()?;
        Ok(settings)
    }

    /// Whether requests are authenticated. No kind of authentication can be configured yet.
    #[must_use]
    pub fn authenticates(&self) -> bool {
        false
    }

    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |message: String| Err(ConfigError::Contradiction(message));
        if !is_loopback(self.listen.ip()) && !self.authenticates() && !self.allow_anonymous_network_access {
            return refuse(format!(
                "refusing to listen on {}: no authentication is configured, so everybody who can reach that \
                 address could read and change every record. Listen on a loopback address such as \
                 127.0.0.1:{port} (and put an authenticating proxy in front), or, if something else keeps \
                 strangers out, set allow_anonymous_network_access = true",
                self.listen,
                port = self.listen.port()
            ));
        }
        if self.workspaces.is_empty() {
            return refuse("at least one workspace is needed".to_owned());
        }
        for (name, workspace) in &self.workspaces {
            // The names stand in addresses and in NATS subjects, where dots, spaces and wildcards mean something.
            for (what, name) in std::iter::once(("workspace", name))
                .chain(workspace.services.keys().map(|service| ("service", service)))
            {
                if !is_plain_name(name) {
                    return refuse(format!(
                        "the {what} name `{name}` must be 1 to 63 lower-case letters, digits or dashes, \
                         beginning with a letter"
                    ));
                }
            }
            if workspace.services.is_empty() {
                return refuse(format!("the workspace `{name}` has no service"));
            }
        }
        let limits = [
            ("http.body_bytes_max", self.http.body_bytes_max),
            ("http.workers", self.http.workers),
            ("http.connections_max", self.http.connections_max),
            // None of these would ever let anything through.
            ("http.bodies_bytes_max", self.http.bodies_bytes_max),
            ("actors.queue_max", self.actors.queue_max),
            ("actors.resident_max", self.actors.resident_max),
            ("actors.memory_bytes_max", self.actors.memory_bytes_max),
            ("feed.replicas", self.feed.replicas),
            ("fhir.bundle_entries_max", self.fhir.bundle_entries_max),
            ("fhir.page_size", self.fhir.page_size),
            ("database.connections_max", self.database.connections_max),
            ("actors.threads", self.actors.threads),
        ];
        if let Some((key, _)) = limits.iter().find(|(_, value)| *value == 0) {
            return refuse(format!("{key} must be at least 1"));
        }
        if self.http.body_bytes_max > self.http.bodies_bytes_max {
            return refuse("http.body_bytes_max must not be larger than http.bodies_bytes_max".to_owned());
        }
        if self.feed.age_max_days == 0 {
            return refuse("feed.age_max_days must be at least 1".to_owned());
        }
        if self.feed.bytes_max == Some(0) {
            return refuse("feed.bytes_max must be at least 1".to_owned());
        }
        if self.fhir.page_size > self.fhir.page_size_max {
            return refuse("fhir.page_size must not be larger than fhir.page_size_max".to_owned());
        }
        let types = self.fhir.versioning.types.keys();
        if let Some(unknown) = types.into_iter().find(|name| r4().resource(name).is_none()) {
            return refuse(format!(
                "fhir.versioning.types names `{unknown}`, which is no resource type of R4"
            ));
        }
        Ok(())
    }
}

/// Whether only this machine can reach an address. `::ffff:127.0.0.1` is loopback too.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn is_plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= 63 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(plain)
}

#[cfg(test)]
mod tests;
