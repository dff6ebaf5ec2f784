//! What stands in the tokens of this server: access tokens (RFC 9068) and ID tokens (OpenID Connect Core section 2).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The type of access tokens (RFC 9068 section 2.1), in their header.
pub(crate) const ACCESS_TYPE: &str = "at+jwt";
/// The type of ID tokens.
pub(crate) const ID_TYPE: &str = "JWT";

/// The claims of an access token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AccessClaims {
    /// The service's base.
    pub(crate) iss: String,
    /// The same: a token is for the service that has issued it.
    pub(crate) aud: String,
    /// The user's id, or the client's where it acts for itself.
    pub(crate) sub: String,
    pub(crate) client_id: String,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    pub(crate) jti: Uuid,
    pub(crate) scope: String,
    /// The family of tokens that it ends with.
    pub(crate) fam: Uuid,
    /// Logical id of the patient in context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) patient: Option<String>,
    /// Logical id of the encounter in context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) encounter: Option<String>,
    /// The user as a resource: an absolute address.
    #[serde(default, rename = "fhirUser", skip_serializing_if = "Option::is_none")]
    pub(crate) fhir_user: Option<String>,
    /// Why the glass was broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) break_glass: Option<String>,
}

/// The claims of an ID token.
#[derive(Debug, Serialize)]
pub(crate) struct IdClaims<'a> {
    pub(crate) iss: &'a str,
    pub(crate) sub: String,
    pub(crate) aud: &'a str,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    pub(crate) auth_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<&'a str>,
    #[serde(rename = "fhirUser", skip_serializing_if = "Option::is_none")]
    pub(crate) fhir_user: Option<&'a str>,
    /// SMART App Launch 1.0 has the user's resource here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) profile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<&'a str>,
}
