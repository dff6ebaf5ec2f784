//! A FHIR service: its log, its actors and its settings, found by workspace and name.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anamnesis_events::Log;
use anamnesis_projections::Supervisor;
use anamnesis_projections::search::{DateEquals, SearchIndex};
use anamnesis_projections::terminology::TerminologyIndex;
use anamnesis_smart::SmartServer;
use tokio_util::sync::CancellationToken;

use super::body::Arriving;
use super::capabilities::Stated;
use super::complexity::Complexity;
use super::large::Large;
use super::turns::Turns;
use super::validation::ValidationOptions;
use crate::access::Gate;
use crate::access::token::discovery::Endpoints;
use crate::actors::Compartments;
use crate::audit::Audit;
use crate::error::Failure;
use crate::exports::Exports;
use crate::profiles::StoredProfiles;
use crate::purges::Purges;
use crate::search_parameters::{Keeper, StoredParameters};
use crate::subscriptions::Subscriptions;

/// Limits and settings of a service, with the reasons for their defaults.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Largest body after unpacking, in bytes. The largest Synthea bundles have some 20 MB.
    pub body_bytes_max: usize,
    /// The memory for bodies that are arriving or worked on, shared by all services.
    pub arriving: Arriving,
    /// The places for requests with large bodies, shared by all services.
    pub large: Large,
    /// How long a whole body may take to arrive. The largest takes ten minutes at half a megabit a second.
    pub body_wait: Duration,
    /// Bodies larger than this are parsed and validated off the HTTP worker, so that they do not hold up others.
    pub inline_bytes_max: usize,
    /// Entries on a page where the client does not say (AHDS: 10).
    pub page_size: usize,
    /// Entries on a page at most (AHDS: 1000).
    pub page_size_max: usize,
    /// Entries of a batch or transaction (AHDS: 500).
    pub bundle_entries_max: usize,
    /// How long a search waits for the index to reach the log's head. The index follows within milliseconds; beyond
    /// this the client is better served with a warning.
    pub search_wait: Duration,
    /// The same for criteria of conditional interactions, which must not be matched against an old index.
    pub criteria_wait: Duration,
    /// When a date is equal to the one that a search asks for.
    pub date_equals: DateEquals,
    /// Whether parameters that are not known are refused, where the client does not say.
    pub refuse_unknown: bool,
    /// Whether operators may ask how a search is done.
    pub explain: bool,
    /// What is checked when resources are written.
    pub validation: ValidationOptions,
    /// How much one search may ask for.
    pub complexity: Complexity,
    /// The address that clients know the service by, without a last slash; from the request's `Host` where not set.
    pub public_url: Option<String>,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            body_bytes_max: 32 << 20,
            arriving: Arriving::new(256 << 20),
            large: Large::default(),
            body_wait: Duration::from_secs(600),
            inline_bytes_max: 256 << 10,
            page_size: 10,
            page_size_max: 1000,
            bundle_entries_max: 500,
            search_wait: Duration::from_millis(500),
            criteria_wait: Duration::from_secs(5),
            date_equals: DateEquals::default(),
            refuse_unknown: false,
            explain: true,
            validation: ValidationOptions::default(),
            complexity: Complexity::default(),
            public_url: None,
        }
    }
}

/// One FHIR service of a workspace.
#[derive(Clone)]
pub struct Service {
    /// The workspace's name.
    pub workspace: String,
    /// The service's name within it.
    pub name: String,
    /// The workspace's log.
    pub log: Log,
    /// The actors that write into it.
    pub compartments: Compartments,
    /// Limits and settings.
    pub options: ApiOptions,
    /// Who is let in.
    pub(crate) gate: Arc<Gate>,
    /// Where apps get tokens, where this is not for the gate's authority to say.
    pub(crate) endpoints: Option<Arc<Endpoints>>,
    /// Whether pages of other origins may use it.
    pub(crate) is_shared: Arc<AtomicBool>,
    /// The index that searches are answered from.
    pub(crate) search: Option<SearchIndex>,
    /// The projections behind it, for operators.
    pub(crate) projections: Vec<Arc<Supervisor>>,
    /// Stored terminology; R4's own alone where there is no projection of it.
    pub(crate) terminology: TerminologyIndex,
    /// The profiles that resources are checked against.
    pub(crate) profiles: Arc<StoredProfiles>,
    /// The search parameters that clients have stored.
    pub(crate) parameters: Arc<StoredParameters>,
    /// Keeps them in step with the index.
    pub(crate) keeper: Option<Arc<Keeper>>,
    /// Who does exports, if anybody does.
    pub(crate) exports: Option<Exports>,
    /// Who purges patients, if anybody does.
    pub(crate) purges: Option<Arc<Purges>>,
    /// Who notifies subscribers, if anybody does.
    pub(crate) subscriptions: Option<Subscriptions>,
    /// Keeps clients with the same criteria apart.
    pub(crate) turns: Turns,
    /// The CapabilityStatement, made when it is first asked for with the search parameters of now.
    pub(crate) capabilities: Arc<Stated>,
}

impl Service {
    /// A service of a workspace.
    #[must_use]
    pub fn new(
        workspace: impl Into<String>,
        name: impl Into<String>,
        log: Log,
        compartments: Compartments,
        options: ApiOptions,
    ) -> Self {
        let profiles = Arc::new(StoredProfiles::new(log.clone()));
        let parameters = Arc::new(StoredParameters::new(log.clone()));
        Self {
            profiles,
            parameters,
            keeper: None,
            purges: None,
            workspace: workspace.into(),
            name: name.into(),
            log,
            compartments,
            options,
            gate: Gate::open(),
            endpoints: None,
            is_shared: Arc::default(),
            search: None,
            projections: Vec::new(),
            terminology: TerminologyIndex::default(),
            exports: None,
            subscriptions: None,
            turns: Turns::default(),
            capabilities: Arc::default(),
        }
    }

    /// The same with a gate: only those are let in who have a token.
    #[must_use]
    pub fn with_gate(mut self, gate: Arc<Gate>) -> Self {
        self.gate = gate;
        self
    }

    /// The same where apps get their tokens from these addresses: `/metadata` tells them. Without it they are those that the
    /// authority of the gate names.
    #[must_use]
    pub fn with_security(mut self, endpoints: Endpoints) -> Self {
        self.endpoints = Some(Arc::new(endpoints));
        self
    }

    /// Says whether pages of other origins may use it: `/metadata` tells it. Who may, the guard decides.
    pub fn share(&self, is_shared: bool) {
        self.is_shared.store(is_shared, Ordering::Relaxed);
    }

    /// The same with an index to search in; without one, searches are answered with 503.
    #[must_use]
    pub fn with_search(mut self, index: SearchIndex) -> Self {
        self.search = Some(index);
        self
    }

    /// The same with one more projection that operators look after.
    #[must_use]
    pub fn with_projection(mut self, projection: Arc<Supervisor>) -> Self {
        self.projections.push(projection);
        self
    }

    /// The same with terminology that is stored.
    #[must_use]
    pub fn with_terminology(mut self, terminology: TerminologyIndex) -> Self {
        self.terminology = terminology;
        self
    }

    /// The same with these search parameters, whose check is among the rules of the actors.
    #[must_use]
    pub fn with_parameters(mut self, parameters: Arc<StoredParameters>) -> Self {
        self.parameters = parameters;
        self
    }

    /// The same with somebody who keeps search parameters and index in step.
    #[must_use]
    pub fn with_keeper(mut self, keeper: Arc<Keeper>) -> Self {
        self.keeper = Some(keeper);
        self
    }

    /// The same with somebody who purges patients.
    #[must_use]
    pub fn with_purges(mut self, purges: Arc<Purges>) -> Self {
        self.purges = Some(purges);
        self
    }

    /// Who purges patients.
    ///
    /// # Errors
    /// 503 where there is nobody.
    pub(crate) fn purges(&self) -> Result<&Purges, Failure> {
        self.purges.as_deref().ok_or_else(|| Failure::unavailable("This service purges nothing now."))
    }

    /// The same with subscriptions.
    #[must_use]
    pub fn with_subscriptions(mut self, subscriptions: Subscriptions) -> Self {
        self.subscriptions = Some(subscriptions);
        self
    }

    /// The same with exports.
    #[must_use]
    pub fn with_exports(mut self, exports: Exports) -> Self {
        self.exports = Some(exports);
        self
    }

    /// Who keeps search parameters and index in step.
    ///
    /// # Errors
    /// 503 where there is nobody.
    pub(crate) fn keeper(&self) -> Result<&Keeper, Failure> {
        let keeper = self.keeper.as_deref();
        keeper.ok_or_else(|| Failure::unavailable("This service has no search index now."))
    }

    /// Has searches follow what was just written to SearchParameters. Where that fails they do within about a second.
    pub(crate) async fn follow_parameters(&self) {
        if let Some(keeper) = &self.keeper
            && let Err(error) = keeper.apply().await
        {
            tracing::warn!(%error, "Searches cannot follow the search parameters now.");
        }
    }

    /// The index to search in.
    ///
    /// # Errors
    /// 503 where there is none.
    pub(crate) fn index(&self) -> Result<&SearchIndex, Failure> {
        self.search.as_ref().ok_or_else(|| Failure::unavailable("This service has no search index now."))
    }
}

/// All services of this server, by workspace and name. Cheap to clone.
#[derive(Clone, Default)]
pub struct Services {
    named: Arc<HashMap<(String, String), Arc<Service>>>,
    /// Of workspaces that have an authority of their own.
    gates: Arc<HashMap<String, Arc<Gate>>>,
    stopping: CancellationToken,
    audits: Arc<HashMap<String, Audit>>,
    /// Authorization servers, by workspace and service.
    smarts: Arc<Vec<((String, String), SmartServer)>>,
}

impl Services {
    /// The services to mount.
    #[must_use]
    pub fn new(services: Vec<Service>) -> Self {
        let named = services
            .into_iter()
            .map(|service| ((service.workspace.clone(), service.name.clone()), Arc::new(service)))
            .collect();
        Self { named: Arc::new(named), ..Self::default() }
    }

    /// The same with gates for what workspaces have beside their services.
    #[must_use]
    pub fn with_gates(mut self, gates: HashMap<String, Arc<Gate>>) -> Self {
        self.gates = Arc::new(gates);
        self
    }

    /// The gate of what a workspace has beside its services: its own, else that of the first service which has one. It is
    /// open only where all of its services are.
    #[must_use]
    pub fn gate_of(&self, workspace: &str) -> Arc<Gate> {
        let mut services: Vec<&Arc<Service>> = self.of_workspace(workspace).collect();
        services.sort_by(|a, b| a.name.cmp(&b.name));
        let of_service = || services.iter().map(|service| &service.gate).find(|gate| !gate.is_open());
        self.gates.get(workspace).or_else(of_service).cloned().unwrap_or_else(Gate::open)
    }

    /// The same with audit logs, by workspace.
    #[must_use]
    pub fn with_audits(mut self, audits: HashMap<String, Audit>) -> Self {
        self.audits = Arc::new(audits);
        self
    }

    /// The same with authorization servers, by workspace and service.
    #[must_use]
    pub fn with_smarts(mut self, smarts: Vec<((String, String), SmartServer)>) -> Self {
        self.smarts = Arc::new(smarts);
        self
    }

    /// The authorization servers, by workspace and service.
    pub(crate) fn smarts(&self) -> &[((String, String), SmartServer)] {
        &self.smarts
    }

    /// The audit log of a workspace, where it has one.
    #[must_use]
    pub fn audit(&self, workspace: &str) -> Option<&Audit> {
        self.audits.get(workspace)
    }

    /// Finds a service.
    #[must_use]
    pub fn find(&self, workspace: &str, name: &str) -> Option<&Arc<Service>> {
        // A hash map cannot be asked by two borrowed parts; there are few services.
        self.named.values().find(|service| service.name == name && service.workspace == workspace)
    }

    /// Ends the answers that would go on for ever: those that follow the change feed.
    pub fn stop_following(&self) {
        self.stopping.cancel();
    }

    /// Fires when the server stops.
    pub(crate) fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// The services of a workspace.
    pub fn of_workspace<'a>(&'a self, workspace: &'a str) -> impl Iterator<Item = &'a Arc<Service>> {
        self.named.values().filter(move |service| service.workspace == workspace)
    }
}
