//! Settings of the audit log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is put on record of accesses, how long it is kept, and what is unusual.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSettings {
    /// Whether accesses are put on record. Where it is not said: where clients have to say who they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// What becomes of an access that cannot be put on record.
    pub mode: AuditMode,
    /// Whole months of records are dropped when they are older than so many days.
    pub retention_days: u32,
    /// Proxies that are believed in `X-Forwarded-For`: addresses or networks, `10.0.0.0/8`.
    pub trusted_proxies: Vec<String>,
    /// What is unusual.
    pub alerts: AlertSettings,
}

impl Default for AuditSettings {
    fn default() -> Self {
        // Six years with their leap days, as HIPAA has documents of this kind kept (45 CFR 164.316(b)(2)).
        Self {
            enabled: None,
            mode: AuditMode::default(),
            retention_days: 2192,
            trusted_proxies: Vec::new(),
            alerts: AlertSettings::default(),
        }
    }
}

/// What becomes of an access that cannot be put on record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuditMode {
    /// It is answered with 503.
    #[default]
    Required,
    /// It is answered; the loss is counted and logged.
    BestEffort,
}

/// When accesses are unusual enough to be told in `anamnesis.<workspace>.alerts.>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSettings {
    /// So many patients of one principal within `patients_window_s` are many.
    pub patients_max: usize,
    /// See `patients_max`; in seconds.
    pub patients_window_s: u64,
    /// So many refusals of one principal or address within `refused_window_s` are a burst.
    pub refused_max: usize,
    /// See `refused_max`; in seconds.
    pub refused_window_s: u64,
    /// The hour at which work begins, from Monday to Friday. Exports before are told.
    pub work_from_h: u32,
    /// The hour at which it ends.
    pub work_until_h: u32,
    /// The time zone of these hours: `Europe/Berlin`.
    pub time_zone: String,
    /// The same about the same principal is not told again for so long, in seconds.
    pub quiet_s: u64,
}

impl Default for AlertSettings {
    fn default() -> Self {
        // A ward round reads some dozens of records in ten minutes, a script hundreds.
        Self {
            patients_max: 100,
            patients_window_s: 600,
            refused_max: 20,
            refused_window_s: 300,
            work_from_h: 7,
            work_until_h: 20,
            time_zone: "UTC".to_owned(),
            quiet_s: 900,
        }
    }
}
