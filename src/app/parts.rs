//! The parts of a running server, opened in the order of the data's way and closed in the same order.

use std::collections::HashMap;

use crate::actors::Memory;
use crate::api::{Arriving, Large};
use crate::config::{Live, Settings};
use crate::telemetry::Metrics;

use super::access::{self, Assignments, Authorities};
use super::health::{self, Health};
use super::smart::Smart;
use super::workspace::Workspace;
use crate::api::Services;

/// Where Postgres and NATS are.
#[derive(Clone)]
pub struct Addresses {
    /// The database.
    pub database: String,
    /// The message broker.
    pub nats: String,
}

impl std::fmt::Debug for Addresses {
    // Addresses may hold passwords.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Addresses").finish_non_exhaustive()
    }
}

/// Everything that requests need, shared by all HTTP workers.
pub struct Parts {
    settings: Settings,
    live: Live,
    addresses: Addresses,
    metrics: Metrics,
    health: Health,
    workspaces: Vec<Workspace>,
    services: Services,
    assignments: Assignments,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Parts").field("workspaces", &self.workspaces).finish_non_exhaustive()
    }
}

/// Memory that all services share, so that their number does not multiply it.
pub(super) struct Shared {
    /// For actors, what they remember and what they are asked to write.
    pub(super) memory: Memory,
    /// For bodies that are arriving or worked on.
    pub(super) arriving: Arriving,
    /// For requests with large bodies.
    pub(super) large: Large,
}

impl Parts {
    /// Opens the parts: the logs, the relays, the projections, the actors.
    ///
    /// # Errors
    /// A part cannot be opened.
    pub async fn open(settings: Settings, addresses: Addresses, metrics: Metrics) -> anyhow::Result<Parts> {
        let mut checks = vec![
            health::database(addresses.database.clone()),
            health::nats(addresses.nats.clone()).optional(),
        ];
        // One bound for the whole process, whatever it serves.
        let shared = Shared {
            memory: Memory::new(settings.actors.memory_bytes_max, settings.actors.cache_bytes_max),
            arriving: Arriving::new(settings.http.bodies_bytes_max),
            large: Large::default(),
        };
        let mut workspaces = Vec::new();
        let (mut authorities, mut gates) = (Authorities::default(), HashMap::new());
        for (name, own) in &settings.workspaces {
            let mut workspace = Workspace::open(name, own, &settings, &addresses, &shared).await?;
            if let Some(gate) =
                access::guard(&mut workspace.services, (name, own), &mut authorities, &workspace.smarts)?
            {
                gates.insert(name.clone(), gate);
            }
            checks.extend(workspace.checks());
            workspaces.push(workspace);
        }
        let services =
            Services::new(workspaces.iter().flat_map(|workspace| workspace.services.clone()).collect());
        let services =
            services.with_gates(gates).with_audits(workspaces.iter().filter_map(Workspace::audit).collect());
        let smarts = workspaces.iter().flat_map(|workspace| &workspace.smarts);
        let services = services.with_smarts(smarts.map(Smart::mounted).collect());
        for smart in workspaces.iter().flat_map(|workspace| &workspace.smarts) {
            smart.begin(&services);
        }
        let health = Health::new(checks);
        let live = Live::new(settings.clone());
        let assignments = authorities.assignments();
        Ok(Parts { settings, live, addresses, metrics, health, workspaces, services, assignments })
    }

    /// Closes the parts when no request comes in any more: actors, log, relay, projections.
    pub async fn close(&self) {
        for workspace in &self.workspaces {
            workspace.close().await;
        }
    }

    /// Takes over what changes in the settings while the server runs, as far as the parts go by it.
    pub async fn take_over(&self, settings: &Settings) {
        self.assignments.take_over(settings);
        for workspace in &self.workspaces {
            workspace.take_over(settings).await;
        }
    }

    /// Brings the figures up to date that nothing else would.
    pub fn measure(&self) {
        self.workspaces.iter().for_each(Workspace::measure);
    }

    /// The services that are mounted.
    #[must_use]
    pub fn services(&self) -> &Services {
        &self.services
    }

    /// The settings that hold now, some of which change while the server runs.
    #[must_use]
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The settings that the server was started with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where Postgres and NATS are.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The figures of the server.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether the parts can work.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }
}
