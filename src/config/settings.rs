//! What can be set, with the defaults and their reasons.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::actors::ActorSettings;
use super::http::HttpSettings;
use super::log::LogSettings;
use super::secret::Secret;
use super::workspace::WorkspaceSettings;

/// All settings of a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Everything that the server keeps on disk itself. One server at a time owns it.
    pub data: PathBuf,
    /// Where to answer HTTP.
    pub listen: SocketAddr,
    /// Accept requests from the network although nobody is asked who they are. For servers behind something
    /// that does ask: an authenticating proxy, or a container whose port is published on loopback only.
    pub allow_anonymous_network_access: bool,
    /// The private engines.
    pub engines: EngineSettings,
    /// The database to use instead of a private one.
    pub database: DatabaseSettings,
    /// The NATS to use instead of a private one.
    pub nats: NatsSettings,
    /// Limits of HTTP.
    pub http: HttpSettings,
    /// Limits of the compartment actors.
    pub actors: ActorSettings,
    /// What is logged, and how.
    pub log: LogSettings,
    /// The workspaces by name. Naming one replaces the default one.
    pub workspaces: BTreeMap<String, WorkspaceSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            data: PathBuf::from("data"),
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            allow_anonymous_network_access: false,
            engines: EngineSettings::default(),
            database: DatabaseSettings::default(),
            nats: NatsSettings::default(),
            http: HttpSettings::default(),
            actors: ActorSettings::default(),
            log: LogSettings::default(),
            workspaces: BTreeMap::from([("default".to_owned(), WorkspaceSettings::default())]),
        }
    }
}

/// The private engines that run where no address is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EngineSettings {
    /// A folder with unpacked programs of Postgres and nats-server. Without it: `.engines` in the working
    /// directory or beside the program, then `PATH`, then the folders of distributions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub programs: Option<PathBuf>,
}

/// The database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseSettings {
    /// `postgresql://user:password@host/database`; a private Postgres runs when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
    /// Connections for reading. The appender and the projections have their own.
    #[schemars(range(min = 1))]
    pub connections_max: usize,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        // More readers than that only compete for the cores of one machine.
        DatabaseSettings { url: None, connections_max: 8 }
    }
}

/// The message broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NatsSettings {
    /// `nats://host:4222`; a private nats-server runs when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<Secret>,
}
