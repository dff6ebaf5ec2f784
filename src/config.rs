//! The settings of a server: one TOML file, then the environment, then the command line. Nothing else reads them.
//!
//! Every key can be given in the file (`[database] url = …`), as an environment variable
//! (`ANAMNESIS_DATABASE_URL`), and the common ones as flags. A later source wins. What is not a setting is
//! refused with its place, so that a slip of the pen does not silently run a server with the defaults.

mod actors;
mod audit;
mod authentication;
mod azure;
mod checks;
mod encryption;
mod export;
mod feed;
mod fhir;
mod http;
mod inherit;
mod limits;
mod live;
mod log;
mod names;
mod problem;
mod schema;
mod search;
mod secret;
mod settings;
mod smart;
mod sources;
mod subscriptions;
mod tls;
mod tree;
mod workspace;

use std::path::PathBuf;

pub use actors::ActorSettings;
pub use audit::{AlertSettings, AuditMode, AuditSettings};
pub use authentication::{AuthenticationSettings, PrincipalType, RoleAssignment};
pub use azure::{CorsSettings, ExportSettings, GuideSettings};
pub use encryption::{EncryptionSettings, KeyServiceSettings};
pub use export::ExportLimits;
pub use feed::{FeedBody, FeedSettings};
pub use fhir::{FhirSettings, UnknownProfile, ValidationSetting, VersioningPolicy, VersioningSettings};
pub use http::HttpSettings;
pub use limits::LimitSettings;
pub use live::{Live, Reloaded};
pub use log::{LogFormat, LogSettings};
pub use problem::Problem;
pub use schema::schema;
pub use search::{DateEqualsSetting, SearchSettings, UnknownParameter};
pub use secret::Secret;
pub use settings::{DatabaseSettings, EngineSettings, NatsSettings, Settings};
pub use smart::{SmartAuthMethod, SmartClient, SmartGrant, SmartSettings, SmartUpstream};
pub use sources::{Overrides, Sources};
pub use subscriptions::{SubscriptionSettings, TopicSettings, TopicWrite};
pub use tls::{ClientCertificate, TlsSettings};
pub use workspace::{ServiceKind, ServiceSettings, WorkspaceSettings};

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
    /// Something is wrong with them; everything that is.
    #[error("{}", listed(.0))]
    Wrong(Vec<Problem>),
}

impl Settings {
    /// Reads the settings from their sources, later ones winning, and checks that they go together.
    ///
    /// # Errors
    /// See [`ConfigError`]; the message names file, line and column, variable, or flag.
    pub fn load(sources: &Sources) -> Result<Settings, ConfigError> {
        Settings::read(sources).map(|loaded| loaded.settings)
    }

    /// The same, with what should be looked at.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn read(sources: &Sources) -> Result<Loaded, ConfigError> {
        let mut read = sources.read()?;
        checks::check(&mut read);
        if read.problems.is_empty() {
            Ok(Loaded { settings: read.settings, warnings: read.warnings })
        } else {
            Err(ConfigError::Wrong(read.problems))
        }
    }

    /// The scheme of the server's own addresses.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.http.tls.is_some() { "https" } else { "http" }
    }

    /// Whether every request for data is authenticated: every service has an authority.
    #[must_use]
    pub fn authenticates(&self) -> bool {
        self.workspaces.values().all(authentication::authenticates)
    }
}

/// Settings that a server can start with.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What does not stop the server and should be looked at all the same.
    pub warnings: Vec<Problem>,
}

/// One line for each problem.
fn listed(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
