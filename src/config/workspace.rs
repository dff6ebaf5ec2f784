//! Settings of a workspace and of its services.
//!
//! What stands here may also stand above: a section of a service in its workspace or at the top of the file, a section of
//! a workspace at the top of the file. There it is the default of everything below (see [`super::inherit`]). So a new
//! section is one field here, and nothing else.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::audit::AuditSettings;
use super::authentication::{AuthenticationSettings, RoleAssignment};
use super::azure::{CorsSettings, ExportSettings, GuideSettings};
use super::encryption::EncryptionSettings;
use super::export::ExportLimits;
use super::feed::FeedSettings;
use super::fhir::FhirSettings;
use super::limits::LimitSettings;
use super::search::SearchSettings;
use super::smart::SmartSettings;
use super::subscriptions::SubscriptionSettings;

/// What the name of a workspace and of a service is: they stand in addresses and in NATS subjects, where dots, spaces and
/// wildcards mean something.
pub(super) const NAME_PATTERN: &str = "^[a-z][a-z0-9-]{0,62}$";
/// Names that no workspace may have, because addresses of the server itself begin with them.
pub(super) const RESERVED_NAMES: [&str; 2] = ["health", "metrics"];
/// Where auditors find the audit log of a workspace, among its services: no service may be called so.
pub(super) const AUDIT: &str = "audit";

/// A workspace: services that share a log of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WorkspaceSettings {
    /// The services by the name that stands in their address.
    pub services: BTreeMap<String, ServiceSettings>,
    /// What the change feed carries and keeps.
    pub feed: FeedSettings,
    /// Whether what is recorded is sealed, and by whose key.
    pub encryption: EncryptionSettings,
    /// Limits of searches. Those of the index hold for all services, which share it; the others are the defaults of the
    /// services.
    pub search: SearchSettings,
    /// Who is notified of writes, and how.
    pub subscriptions: SubscriptionSettings,
    /// Whose tokens are taken at what the workspace has beside its services, and the default of its services.
    #[serde(rename = "authenticationConfiguration")]
    pub authentication: AuthenticationSettings,
    /// Who has which role, at all of its services.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub role_assignments: Vec<RoleAssignment>,
    /// How many requests it takes.
    pub limits: LimitSettings,
    /// How long bulk exports are kept, and how many.
    pub export: ExportLimits,
    /// The authorization server that services with `smartProxyEnabled` have.
    pub smart: SmartSettings,
    /// What is put on record of accesses.
    pub audit: AuditSettings,
}

impl WorkspaceSettings {
    /// Whether accesses are put on record: as it is said, else where clients of a service have to say who they are.
    #[must_use]
    pub fn is_audited(&self) -> bool {
        let authenticates = || self.services.values().any(|own| own.authentication.is_configured());
        self.audit.enabled.unwrap_or_else(authenticates)
    }
}

impl Default for WorkspaceSettings {
    fn default() -> Self {
        WorkspaceSettings {
            services: BTreeMap::from([("fhir".to_owned(), ServiceSettings::default())]),
            feed: FeedSettings::default(),
            encryption: EncryptionSettings::default(),
            search: SearchSettings::default(),
            subscriptions: SubscriptionSettings::default(),
            authentication: AuthenticationSettings::default(),
            role_assignments: Vec::new(),
            limits: LimitSettings::default(),
            export: ExportLimits::default(),
            smart: SmartSettings::default(),
            audit: AuditSettings::default(),
        }
    }
}

/// One service of a workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceSettings {
    /// What it speaks.
    pub kind: ServiceKind,
    /// The address that clients know it by, for a server behind a proxy; what the request names where not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// What the FHIR service does and its limits.
    #[serde(default)]
    pub fhir: FhirSettings,
    /// Limits of its searches.
    #[serde(default)]
    pub search: SearchSettings,
    /// Which web pages of other origins may use it (CORS).
    #[serde(default, rename = "corsConfiguration")]
    pub cors: CorsSettings,
    /// Where bulk exports go.
    #[serde(default, rename = "exportConfiguration")]
    pub export: ExportSettings,
    /// What national implementation guides ask for.
    #[serde(default, rename = "implementationGuidesConfiguration")]
    pub guides: GuideSettings,
    /// Whose tokens are taken.
    #[serde(default, rename = "authenticationConfiguration")]
    pub authentication: AuthenticationSettings,
    /// Who has which role at this service, beside those that have one in the workspace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub role_assignments: Vec<RoleAssignment>,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        ServiceSettings {
            kind: ServiceKind::Fhir,
            public_url: None,
            fhir: FhirSettings::default(),
            search: SearchSettings::default(),
            cors: CorsSettings::default(),
            export: ExportSettings::default(),
            guides: GuideSettings::default(),
            authentication: AuthenticationSettings::default(),
            role_assignments: Vec::new(),
        }
    }
}

/// What a service speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ServiceKind {
    /// FHIR R4.
    Fhir,
}
