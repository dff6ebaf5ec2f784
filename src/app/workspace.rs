//! A workspace that runs: its log, the relay to NATS, the search projection, and the actors of its services.

use std::sync::Arc;
use std::time::Duration;

use anamnesis_events::message::BodyMode;
use anamnesis_events::relay::{Relay, RelayOptions, RelayState, RelayStatus};
use anamnesis_events::{Log, LogOptions};
use anamnesis_projections::search::{DateEquals, SearchIndex, SearchProjection};
use anamnesis_projections::terminology::TerminologyIndex;
use anamnesis_projections::{Database, DatabaseOptions, RunnerOptions, Supervisor, SupervisorOptions};
use anyhow::Context;
use tokio::sync::{Mutex, watch};

use super::actors;
use super::audit::Auditing;
use super::health::Check;
use super::live::Live;
use super::parts::{Addresses, Shared};
use super::smart::Smart;
use super::subscriptions;
use crate::actors::{ActorOptions, Compartments};
use crate::api::{ApiOptions, Checked, Complexity, Service, ValidationOptions};
use crate::audit::Audit;
use crate::clock;
use crate::config::{
    DateEqualsSetting, FeedBody, FeedSettings, FhirSettings, SearchSettings, ServiceSettings, Settings,
    UnknownParameter, UnknownProfile, ValidationSetting, VersioningPolicy, WorkspaceSettings,
};
use crate::decide::{Rules, Versioning};
use crate::encryption;
use crate::exports::{ExportOptions, Exports};
use crate::purges::Purges;
use crate::search_parameters::{FullText, Keeper, StoredParameters};
use crate::subscriptions::Subscriptions;

/// How long the relay may still publish when the server stops. What it does not publish then, the next one does.
const RELAY_DRAIN: Duration = Duration::from_secs(2);

/// The running parts of a workspace.
pub(super) struct Workspace {
    /// Its services, ready to be mounted.
    pub(super) services: Vec<Service>,
    log: Log,
    relay: Mutex<Option<Relay>>,
    relay_status: watch::Receiver<RelayStatus>,
    search: Arc<Supervisor>,
    terminology: Arc<Supervisor>,
    subscriptions: Option<Subscriptions>,
    keeper: Arc<Keeper>,
    purges: Arc<Purges>,
    auditing: Option<Auditing>,
    /// The authorization servers of its services.
    pub(super) smarts: Vec<Smart>,
}

impl Workspace {
    /// Opens the log, starts the relay and the actors.
    pub(super) async fn open(
        name: &str,
        workspace: &WorkspaceSettings,
        settings: &Settings,
        addresses: &Addresses,
        shared: &Shared,
    ) -> anyhow::Result<Self> {
        let log = open_log(name, (settings, workspace), &addresses.database).await?;
        let client = connect(&addresses.nats).await?;
        let (search, index) = search(&log, &client, (settings, &workspace.search), addresses)
            .await
            .with_context(|| format!("cannot start the search of the workspace `{name}`"))?;
        let (terminology, definitions) = terminology(&log, settings, addresses)
            .await
            .with_context(|| format!("cannot start the terminology of the workspace `{name}`"))?;
        let auditing = match workspace.is_audited() {
            true => Some(Auditing::start(name, workspace, &addresses.database, client.clone()).await?),
            false => None,
        };
        let parameters = Arc::new(StoredParameters::new(log.clone()));
        let beside = (index.clone(), search.clone());
        let full_text = workspace.search.full_text.into();
        let keeper = Keeper::start(&addresses.database, &log, parameters.clone(), beside, full_text)
            .await
            .with_context(|| format!("cannot read the search parameters of the workspace `{name}`"))?;
        let mut services: Vec<Service> = Vec::new();
        let mut subscriptions: Option<Subscriptions> = None;
        for (service, own) in &workspace.services {
            let public_url = own.public_url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
            let subscribing = subscriptions::read(
                (name, service),
                log.number(),
                (settings, workspace),
                public_url.as_deref(),
            )?
            .with_parameters(keeper.clone())
            .with_audit(auditing.as_ref().map(|auditing| auditing.audit.clone()), service);
            let mut rules = rules((name, service), (settings, own), public_url.as_deref());
            rules.checks = vec![subscribing.check(), parameters.check()];
            let service = self::service((name, service), &log, (settings, own), shared, (public_url, rules))?;
            let service = service.with_parameters(parameters.clone()).with_keeper(keeper.clone());
            // The services of a workspace share its log; subscribers know it under the address of the first one.
            let serving = match subscriptions.clone() {
                Some(serving) => serving,
                None => Subscriptions::start(&addresses.database, &log, &service.compartments, subscribing)?,
            };
            subscriptions = Some(serving.clone());
            let service = service.with_search(index.clone()).with_projection(search.clone());
            let service = service.with_terminology(definitions.clone()).with_projection(terminology.clone());
            let exports = exports((&service, &index), (workspace, own), addresses).await?;
            let service = service.with_exports(exports);
            services.push(service.with_subscriptions(serving));
        }
        let (purges, services) = purging(&log, services);
        let smarts = Smart::of_workspace(name, (settings, workspace), &addresses.database).await?;
        let relay = relay(&log, client, workspace);
        let relay_status = relay.status();
        Ok(Self {
            services,
            log,
            relay: Mutex::new(Some(relay)),
            relay_status,
            search,
            terminology,
            subscriptions,
            keeper,
            purges,
            auditing,
            smarts,
        })
    }

    /// Its name, and its audit log, where it keeps one.
    pub(super) fn audit(&self) -> Option<(String, Audit)> {
        let auditing = self.auditing.as_ref()?;
        Some((self.log.workspace().to_owned(), auditing.audit.clone()))
    }

    /// Whether the log takes writes and the relay carries them.
    pub(super) fn checks(&self) -> Vec<Check> {
        let log = self.log.clone();
        let status = self.relay_status.clone();
        vec![
            Check::new("log", move || {
                let broken = log.broken();
                async move {
                    match broken {
                        None => Ok(()),
                        Some((position, reason)) => Err(format!("broken at {position}: {reason}")),
                    }
                }
            }),
            Check::new("relay", move || {
                let state = status.borrow().state.clone();
                async move {
                    match state {
                        RelayState::Halted(reason) => Err(reason),
                        // A broker that is away delays subscribers; requests are answered all the same.
                        _ => Ok(()),
                    }
                }
            })
            // Requests are answered all the same; another server would have the same broker.
            .optional(),
        ]
    }

    /// Takes over what changes in its settings while it runs.
    pub(super) async fn take_over(&self, settings: &Settings) {
        let Some(own) = settings.workspaces.get(self.log.workspace()) else { return };
        for service in &self.services {
            let shared = own.services.get(&service.name).map(|own| !own.cors.allowed_origins.is_empty());
            service.share(shared.unwrap_or_default());
        }
        if let Some(auditing) = &self.auditing {
            auditing.take_over(&own.audit).await;
        }
    }

    /// Tells how far the relay is behind, which tells it itself when it gets on; this is for when it does not. And how
    /// the actors fare. Refusals that were gathered for long enough are put on record.
    pub(super) fn measure(&self) {
        for service in &self.services {
            actors::measure(service);
        }
        if let Some(auditing) = &self.auditing {
            auditing.audit.settle();
        }
        let head = self.log.watch().borrow().get();
        let published = self.relay_status.borrow().published.get();
        metrics::gauge!("anamnesis_relay_lag_events", "workspace" => self.log.workspace().to_owned())
            .set(head.saturating_sub(published) as f64);
    }

    /// Stops in the order of the data's way: actors, log, relay, projection.
    pub(super) async fn close(&self) {
        if let Some(subscriptions) = &self.subscriptions {
            subscriptions.stop().await;
        }
        self.purges.stop().await;
        for smart in &self.smarts {
            smart.close().await;
        }
        for service in &self.services {
            if let Some(exports) = &service.exports {
                exports.stop().await;
            }
            service.compartments.stop();
        }
        self.log.close().await;
        let head = *self.log.watch().borrow();
        let mut status = self.relay_status.clone();
        // Not waited for longer: the next relay continues from where the stream stands.
        let _drained =
            tokio::time::timeout(RELAY_DRAIN, status.wait_for(|status| status.published >= head)).await;
        if let Some(relay) = self.relay.lock().await.take() {
            relay.stop().await;
        }
        if let Some(auditing) = &self.auditing {
            auditing.close().await;
        }
        self.keeper.stop().await;
        self.search.stop().await;
        self.terminology.stop().await;
    }
}

impl std::fmt::Debug for Workspace {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Workspace").field("name", &self.log.workspace()).finish_non_exhaustive()
    }
}

/// The same services with somebody who purges patients.
fn purging(log: &Log, services: Vec<Service>) -> (Arc<Purges>, Vec<Service>) {
    let compartments = services.iter().map(|service| service.compartments.clone());
    let exports = services.iter().find_map(|service| service.exports.clone());
    let purges = Purges::start(log, compartments.collect(), exports);
    let services = services.into_iter().map(|service| service.with_purges(purges.clone())).collect();
    (purges, services)
}

async fn open_log(
    name: &str,
    (settings, workspace): (&Settings, &WorkspaceSettings),
    database: &str,
) -> anyhow::Result<Log> {
    let options = LogOptions {
        pool_size: settings.database.connections_max,
        runtime: Some(tokio::runtime::Handle::current()),
        clock: Arc::new(clock::now),
        encryption: encryption::of(&workspace.encryption)
            .with_context(|| format!("the master key of the workspace `{name}`"))?,
        ..LogOptions::default()
    };
    Log::open(database, name, options)
        .await
        .with_context(|| format!("cannot open the log of the workspace `{name}`"))
}

/// Carries what is recorded to the stream.
fn relay(log: &Log, client: async_nats::Client, workspace: &WorkspaceSettings) -> Relay {
    let first = workspace.services.keys().next().map_or("fhir", String::as_str);
    Relay::start(log.clone(), client, relay_options(log.workspace(), first, &workspace.feed))
}

fn relay_options(workspace: &str, service: &str, feed: &FeedSettings) -> RelayOptions {
    let mut options = RelayOptions::new(workspace, service);
    options.messages.body = match feed.body {
        FeedBody::Resource => BodyMode::Resource,
        FeedBody::Notification => BodyMode::Notification,
    };
    options.messages.body_bytes_max = feed.body_bytes_max;
    options.stream.age_max = Duration::from_secs(feed.age_max_days.saturating_mul(86_400));
    options.stream.bytes_max = feed.bytes_max.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    options.stream.replicas = feed.replicas;
    options
}

/// Connects to NATS, for ever: a broker that is away at the start comes later.
async fn connect(address: &str) -> anyhow::Result<async_nats::Client> {
    async_nats::ConnectOptions::new()
        .name("anamnesis")
        .retry_on_initial_connect()
        .connect(address)
        .await
        .context("the address of NATS cannot be used")
}

/// Starts the search projection and opens its index.
async fn search(
    log: &Log,
    client: &async_nats::Client,
    (settings, own): (&Settings, &SearchSettings),
    addresses: &Addresses,
) -> anyhow::Result<(Arc<Supervisor>, SearchIndex)> {
    let options =
        DatabaseOptions { pool_size: settings.database.connections_max, ..DatabaseOptions::default() };
    let database = Database::new(&addresses.database, &options)?;
    let number = log.number();
    let runner = RunnerOptions { clock: Arc::new(clock::now), ..RunnerOptions::default() };
    let first = FullText::from(own.full_text).first()?;
    let options = SupervisorOptions { runner, first, ..SupervisorOptions::default() };
    let of_version = SearchProjection::maker(number);
    let source = Live::new(log, client);
    let supervisor = Supervisor::start(&database, of_version, source, number, options).await?;
    let index = SearchIndex::new(database, number, supervisor.active())
        .with_building(supervisor.building())
        .with_chain_depth(own.chain_depth_max);
    Ok((Arc::new(supervisor), index))
}

/// Starts the projection of stored terminology.
async fn terminology(
    log: &Log,
    settings: &Settings,
    addresses: &Addresses,
) -> anyhow::Result<(Arc<Supervisor>, TerminologyIndex)> {
    let options =
        DatabaseOptions { pool_size: settings.database.connections_max, ..DatabaseOptions::default() };
    let database = Database::new(&addresses.database, &options)?;
    let runner = RunnerOptions { clock: Arc::new(clock::now), ..RunnerOptions::default() };
    let (supervisor, index) = TerminologyIndex::start(&database, log, runner).await?;
    Ok((Arc::new(supervisor), index))
}

/// Starts the exports of a service.
async fn exports(
    (service, index): (&Service, &SearchIndex),
    (workspace, own): (&WorkspaceSettings, &ServiceSettings),
    addresses: &Addresses,
) -> anyhow::Result<Exports> {
    let limits = &workspace.export;
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let options = ExportOptions {
        kept_for: Duration::from_secs(limits.kept_for_h.saturating_mul(3600)),
        jobs_max: limits.jobs_max,
        resources_max: count(limits.resources_max),
        file_resources_max: count(limits.file_resources_max),
        date_equals: date_equals(&own.search),
        ..ExportOptions::default()
    };
    let bases = service.compartments.rules().bases.clone();
    let of = (&service.log, service.name.as_str());
    let exports = Exports::start(&addresses.database, of, index, bases, options).await;
    exports.with_context(|| format!("cannot start the exports of the workspace `{}`", service.workspace))
}

/// When dates are equal, as it is configured.
pub(super) fn date_equals(settings: &SearchSettings) -> DateEquals {
    match settings.date_equals {
        DateEqualsSetting::Contains => DateEquals::Contains,
        DateEqualsSetting::Overlaps => DateEquals::Overlaps,
    }
}

/// The address of a service where no other one is configured.
pub(super) fn local_address(workspace: &str, name: &str, settings: &Settings) -> String {
    format!("{}://{}/{workspace}/{name}", settings.scheme(), settings.listen)
}

/// The settings of a service that decide about writes, without checks.
fn rules(
    (workspace, name): (&str, &str),
    (settings, own): (&Settings, &ServiceSettings),
    public_url: Option<&str>,
) -> Rules {
    // Absolute references behind these lead to our own resources.
    let local = local_address(workspace, name, settings);
    let bases = public_url.map(str::to_owned).into_iter().chain([local]).collect();
    let versioning = &own.fhir.versioning;
    let of_types = versioning.types.iter().map(|(name, policy)| (name.clone(), policy_of(*policy)));
    Rules {
        bases,
        update_creates: own.fhir.update_creates,
        versioning: policy_of(versioning.default),
        versioning_of: of_types.collect(),
        checks: Vec::new(),
    }
}

fn service(
    (workspace, name): (&str, &str),
    log: &Log,
    (settings, own): (&Settings, &ServiceSettings),
    shared: &Shared,
    (public_url, rules): (Option<String>, Rules),
) -> anyhow::Result<Service> {
    let actors = ActorOptions {
        arbiters: settings.actors.threads,
        queue_max: settings.actors.queue_max,
        resident_max: settings.actors.resident_max,
        memory: Some(shared.memory.clone()),
        idle_timeout: Duration::from_secs(settings.actors.idle_timeout_s),
        ..ActorOptions::default()
    };
    let compartments =
        Compartments::start(log.clone(), rules, actors).context("cannot start the threads of the actors")?;
    let options = ApiOptions {
        body_bytes_max: settings.http.body_bytes_max,
        arriving: shared.arriving.clone(),
        large: shared.large.clone(),
        page_size: own.fhir.page_size,
        page_size_max: own.fhir.page_size_max,
        bundle_entries_max: own.fhir.bundle_entries_max,
        validation: validation(&own.fhir),
        search_wait: Duration::from_millis(own.search.wait_ms),
        date_equals: date_equals(&own.search),
        refuse_unknown: own.search.unknown_parameter == UnknownParameter::Refuse,
        explain: own.search.explain,
        complexity: Complexity {
            criteria_max: own.search.criteria_max,
            values_max: own.search.values_max,
            links_max: own.search.links_max,
            includes_max: own.search.includes_max,
        },
        public_url,
        ..ApiOptions::default()
    };
    Ok(Service::new(workspace, name, log.clone(), compartments, options))
}

fn policy_of(policy: VersioningPolicy) -> Versioning {
    match policy {
        VersioningPolicy::Versioned => Versioning::Versioned,
        VersioningPolicy::VersionedUpdate => Versioning::VersionedUpdate,
        VersioningPolicy::NoVersion => Versioning::NoVersion,
    }
}

fn validation(settings: &FhirSettings) -> ValidationOptions {
    ValidationOptions {
        checked: match settings.validation {
            ValidationSetting::Off => Checked::Off,
            ValidationSetting::Base => Checked::Base,
            ValidationSetting::Profiles => Checked::Profiles,
        },
        unknown_profile_is_error: settings.unknown_profile == UnknownProfile::Error,
    }
}
