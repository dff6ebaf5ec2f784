//! The parts of a running server, opened in the order of the data's way and closed in the same order.

use crate::config::Settings;
use crate::telemetry::Metrics;

use super::health::{self, Health};

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
#[derive(Debug)]
pub struct Parts {
    settings: Settings,
    addresses: Addresses,
    metrics: Metrics,
    health: Health,
}

impl Parts {
    /// Opens the parts: the logs, the relays, the projections, the actors.
    ///
    /// # Errors
    /// A part cannot be opened.
    pub async fn open(settings: Settings, addresses: Addresses, metrics: Metrics) -> anyhow::Result<Parts> {
        let health = Health::new(vec![
            health::database(addresses.database.clone()),
            health::nats(addresses.nats.clone()),
        ]);
        Ok(Parts { settings, addresses, metrics, health })
    }

    /// Closes the parts when no request comes in any more: actors, log, relay, projections.
    pub async fn close(&self) {}

    /// The settings of the server.
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
