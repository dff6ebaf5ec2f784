//! Limits of bulk exports.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::checks::Findings;

/// How long bulk exports are kept, and how many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExportLimits {
    /// How long the files of an export are there when it is done, in hours.
    #[schemars(range(min = 1))]
    pub kept_for_h: u64,
    /// Exports that are kept at the same time.
    #[schemars(range(min = 1))]
    pub jobs_max: usize,
    /// Resources in all exports that are kept together.
    #[schemars(range(min = 1))]
    pub resources_max: usize,
    /// Resources in one file.
    #[schemars(range(min = 1))]
    pub file_resources_max: usize,
}

impl Default for ExportLimits {
    fn default() -> Self {
        Self { kept_for_h: 24, jobs_max: 100, resources_max: 500_000_000, file_resources_max: 100_000 }
    }
}

impl ExportLimits {
    pub(super) fn check(&self, path: &str, findings: &mut Findings) {
        findings.at_least_one(
            path,
            &[
                ("kept_for_h", usize::try_from(self.kept_for_h).unwrap_or(usize::MAX)),
                ("jobs_max", self.jobs_max),
                ("resources_max", self.resources_max),
                ("file_resources_max", self.file_resources_max),
            ],
        );
    }
}
