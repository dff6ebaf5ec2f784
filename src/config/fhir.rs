//! Settings of FHIR services.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits of the FHIR services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FhirSettings {
    /// Entries of one batch or transaction; more is refused with 400.
    #[schemars(range(min = 1))]
    pub bundle_entries_max: usize,
    /// Results on one page when the client does not say (`_count`).
    #[schemars(range(min = 1))]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VersioningSettings {
    /// For every type that `types` does not name.
    pub default: VersioningPolicy,
    /// By resource type.
    pub types: BTreeMap<String, VersioningPolicy>,
}

/// A versioning policy, by the name that AHDS gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
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
