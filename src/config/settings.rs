//! What can be set, with the defaults and their reasons.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use super::subscriptions::{SubscriptionSettings, TopicSettings, TopicWrite};

/// All settings of a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Limits of the FHIR services.
    pub fhir: FhirSettings,
    /// Limits of searches.
    pub search: SearchSettings,
    /// What the change feed carries and keeps.
    pub feed: FeedSettings,
    /// Who is notified of writes, and how.
    pub subscriptions: SubscriptionSettings,
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
            fhir: FhirSettings::default(),
            search: SearchSettings::default(),
            feed: FeedSettings::default(),
            subscriptions: SubscriptionSettings::default(),
            log: LogSettings::default(),
            workspaces: BTreeMap::from([("default".to_owned(), WorkspaceSettings::default())]),
        }
    }
}

/// The private engines that run where no address is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineSettings {
    /// A folder with unpacked programs of Postgres and nats-server. Without it: `.engines` in the working
    /// directory or beside the program, then `PATH`, then the folders of distributions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub programs: Option<PathBuf>,
}

/// The database.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseSettings {
    /// `postgresql://user:password@host/database`; a private Postgres runs when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Connections for reading. The appender and the projections have their own.
    pub connections_max: usize,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        // More readers than that only compete for the cores of one machine.
        DatabaseSettings { url: None, connections_max: 8 }
    }
}

impl std::fmt::Debug for DatabaseSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let url = self.url.as_ref().map(|_| "(set)");
        formatter
            .debug_struct("DatabaseSettings")
            .field("url", &url)
            .field("connections_max", &self.connections_max)
            .finish()
    }
}

/// The message broker.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatsSettings {
    /// `nats://host:4222`; a private nats-server runs when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl std::fmt::Debug for NatsSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NatsSettings").field("url", &self.url.as_ref().map(|_| "(set)")).finish()
    }
}

/// Limits of HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSettings {
    /// Threads that answer requests.
    pub workers: usize,
    /// The largest body of a request, in bytes, after decompression.
    pub body_bytes_max: usize,
    /// The bytes of all bodies that are arriving or worked on at the same time; beyond it the answer is 503.
    pub bodies_bytes_max: usize,
    /// Connections of all workers together; the next one waits.
    pub connections_max: usize,
    /// How long a connection on which nothing is asked stays open, in seconds; 0: until the client closes it.
    pub keep_alive_s: u64,
    /// How long requests under way may go on when the server stops, in seconds.
    pub shutdown_grace_s: u64,
}

impl Default for HttpSettings {
    fn default() -> Self {
        HttpSettings {
            workers: std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(2, 16)),
            // A transaction of 500 sizeable resources, with room; far from what hurts a small machine.
            body_bytes_max: 32 << 20,
            // Eight of the largest at a time.
            bodies_bytes_max: 256 << 20,
            connections_max: 4096,
            // Longer than clients and proxies keep one that they may use again, most of them up to a minute: who closes
            // first must be the one who asks, or a request gets lost on its way to a connection that has just been closed.
            keep_alive_s: 75,
            shutdown_grace_s: 20,
        }
    }
}

/// Limits of the compartment actors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActorSettings {
    /// Threads that actors live on. Decisions are short; two keep a slow one from holding up everybody.
    pub threads: usize,
    /// Commands that may wait in one compartment; beyond it the answer is 429.
    pub queue_max: usize,
    /// Resident actors of a service beyond which idle ones are put to rest early.
    pub resident_max: usize,
    /// Bytes of everything that the actors of all services take: themselves, the resources that they keep at hand, and
    /// the writes that wait or run. Writes beyond it are answered with 503.
    pub memory_bytes_max: usize,
    /// Bytes of resources that all actors together keep at hand, within `memory_bytes_max`.
    pub cache_bytes_max: usize,
    /// An actor without work for so long is put to rest, in seconds.
    pub idle_timeout_s: u64,
}

impl Default for ActorSettings {
    fn default() -> Self {
        ActorSettings {
            threads: 2,
            queue_max: 256,
            resident_max: 20_000,
            // Eight bodies of the largest size with what parsing adds, beside a full cache.
            memory_bytes_max: 256 << 20,
            cache_bytes_max: 128 << 20,
            idle_timeout_s: 60,
        }
    }
}

/// Limits of the FHIR services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FhirSettings {
    /// Entries of one batch or transaction; more is refused with 400.
    pub bundle_entries_max: usize,
    /// Results on one page when the client does not say (`_count`).
    pub page_size: usize,
    /// Results on one page at most, whatever the client says.
    pub page_size_max: usize,
    /// Whether a `PUT` may create a resource under the id that the client chose; else it is refused with 405.
    pub update_creates: bool,
    /// How versions are treated.
    pub versioning: VersioningSettings,
    /// What of a resource is checked when it is written.
    pub validation: ValidationSetting,
    /// What a declared profile is that nobody knows, where profiles are checked.
    pub unknown_profile: UnknownProfile,
    /// FHIR packages (`.tgz`) that are installed when the server starts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<PathBuf>,
}

/// How versions are treated (AHDS: `resourceVersionPolicyConfiguration`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VersioningSettings {
    /// For every type that `types` does not name.
    pub default: VersioningPolicy,
    /// By resource type.
    pub types: BTreeMap<String, VersioningPolicy>,
}

/// A versioning policy, by the name that AHDS gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VersioningPolicy {
    /// Every version is kept; `If-Match` is looked at where it is sent.
    #[default]
    Versioned,
    /// The same, and an update or patch without `If-Match` is refused.
    VersionedUpdate,
    /// Versions are counted, but only the current one is kept.
    NoVersion,
}

/// What of a resource is checked when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValidationSetting {
    /// That it is JSON and a resource which the log can hold.
    Off,
    /// The rules of R4.
    #[default]
    Base,
    /// Also the profiles that it declares, and the definitions of its extensions.
    Profiles,
}

/// What a declared profile is that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownProfile {
    /// The resource is taken.
    #[default]
    Warning,
    /// The resource is refused.
    Error,
}

impl Default for FhirSettings {
    fn default() -> Self {
        // The defaults and the most that Azure Health Data Services gives.
        FhirSettings {
            bundle_entries_max: 500,
            page_size: 10,
            page_size_max: 1000,
            update_creates: true,
            versioning: VersioningSettings::default(),
            validation: ValidationSetting::default(),
            unknown_profile: UnknownProfile::default(),
            packages: Vec::new(),
        }
    }
}

/// Limits of searches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchSettings {
    /// How long a search waits for the index to reach what had been written when it came in, in milliseconds.
    pub wait_ms: u64,
    /// When a date is equal to the one that a search asks for.
    pub date_equals: DateEqualsSetting,
    /// What happens to a parameter that this server does not know, where the client does not say
    /// (`Prefer: handling=`).
    pub unknown_parameter: UnknownParameter,
    /// Links of a chain (`subject.organization.name` has two), reverse ones included. Each may be a search of its own.
    pub chain_depth_max: usize,
    /// Whether `_explain` tells operators how a search is done.
    pub explain: bool,
    /// Whether the words of texts are indexed, for `_text` and `_content`: some 13 bytes for each different word of a resource.
    /// True: an index that lacks them is built again with them. False: the next `$reindex` leaves them out. Not set: the index
    /// stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_text: Option<bool>,
}

impl Default for SearchSettings {
    fn default() -> Self {
        let date_equals = DateEqualsSetting::Contains;
        let unknown_parameter = UnknownParameter::Ignore;
        SearchSettings {
            wait_ms: 500,
            date_equals,
            unknown_parameter,
            chain_depth_max: 4,
            explain: true,
            full_text: None,
        }
    }
}

/// When a date is equal to the one that a search asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DateEqualsSetting {
    /// The date that is asked for covers the whole of the resource's, as R4 has it.
    Contains,
    /// The two have some time in common, as Azure Health Data Services has it.
    Overlaps,
}

/// What happens to a parameter that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnknownParameter {
    /// It is left out, and a warning says so, as Azure Health Data Services has it.
    Ignore,
    /// The request is refused.
    Refuse,
}

/// What the change feed carries and how long the broker keeps it. Postgres keeps everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeedSettings {
    /// Whether messages carry the resource, or only say what changed.
    pub body: FeedBody,
    /// Bodies longer than this are left out of messages, in bytes. NATS refuses messages over 1 MiB by default.
    pub body_bytes_max: usize,
    /// Messages leave the stream after so many days.
    pub age_max_days: u64,
    /// The oldest messages leave when the stream is larger than this, in bytes. NATS sets the space aside at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
    /// Copies of the stream in a cluster of NATS servers.
    pub replicas: usize,
}

impl Default for FeedSettings {
    fn default() -> Self {
        FeedSettings {
            body: FeedBody::Resource,
            body_bytes_max: 256 << 10,
            age_max_days: 30,
            bytes_max: None,
            replicas: 1,
        }
    }
}

/// What messages of the feed carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedBody {
    /// The resource.
    Resource,
    /// Nothing but the headers.
    Notification,
}

/// What is logged, and how. Never personal data, at any level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// Lines for people, or JSON for machines.
    pub format: LogFormat,
    /// Levels, as `info` or `info,anamnesis_events=debug`.
    pub filter: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        // The libraries tell of each of their threads and connections, which helps nobody.
        let filter = "info,actix_server=warn,async_nats=warn".to_owned();
        LogSettings { format: LogFormat::Plain, filter }
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Plain,
    /// One JSON object a line.
    Json,
}

/// A workspace: services that share a log of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkspaceSettings {
    /// The services by the name that stands in their address.
    pub services: BTreeMap<String, ServiceSettings>,
}

impl Default for WorkspaceSettings {
    fn default() -> Self {
        let fhir = ServiceSettings { kind: ServiceKind::Fhir, public_url: None };
        WorkspaceSettings { services: BTreeMap::from([("fhir".to_owned(), fhir)]) }
    }
}

/// One service of a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSettings {
    /// What it speaks.
    pub kind: ServiceKind,
    /// The address that clients know it by, for a server behind a proxy; what the request names where not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
}

/// What a service speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ServiceKind {
    /// FHIR R4.
    Fhir,
}
