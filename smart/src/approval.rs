//! What a user has let an app do: made by the page of consent, redeemed at the token endpoint.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What stands behind an authorization code, and later behind refresh tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The name of the service whose base the token is for.
    pub service: String,
    /// The client's id.
    pub client: String,
    /// Who has approved.
    pub user: Uuid,
    /// `Patient/1`, `Practitioner/2` …
    pub fhir_user: Option<String>,
    /// The user's name, for `profile`.
    pub display: String,
    /// What was granted, with blanks between.
    pub scope: String,
    /// What was opened.
    pub context: LaunchContext,
    /// Where the code goes to; has to be said again when it is redeemed (RFC 6749 section 4.1.3).
    pub redirect_uri: String,
    /// Of PKCE (RFC 7636), always S256.
    pub code_challenge: String,
    /// For the `id_token`.
    pub nonce: Option<String>,
    /// When the user signed in (OpenID Connect `auth_time`).
    pub signed_in_at: DateTime<Utc>,
    /// The SHA-256 of the session's cookie in hex, as the tables know it. With the scope `online_access`, refresh tokens end with
    /// that session; where none is named, when a session that began at [`Approval::signed_in_at`] would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_digest: Option<String>,
    /// Why the glass was broken; with it the token lasts for minutes, and cannot be refreshed.
    pub emergency_reason: Option<String>,
}

/// Launch context (SMART App Launch section "Launch context arrives with your access_token").
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchContext {
    /// Logical id of the patient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<String>,
    /// Logical id of the encounter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encounter: Option<String>,
    /// Logical id of the practitioner (Azure's proxy has it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub practitioner: Option<String>,
    /// Whether the app has to show whose record it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub need_patient_banner: Option<bool>,
    /// What the app is launched for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// How the record around the app looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smart_style_url: Option<String>,
    /// The organization that launches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Further resources, as `{"reference": "ImagingStudy/1"}` each.
    #[serde(default, rename = "fhirContext", skip_serializing_if = "Vec::is_empty")]
    pub fhir_context: Vec<serde_json::Value>,
}
