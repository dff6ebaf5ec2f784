//! Clients: the apps that may ask for tokens (RFC 7591, SMART App Launch "Client registration").

pub(crate) mod rules;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

/// An app. Written in the names of RFC 7591 where it has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// How it names itself.
    #[serde(rename = "client_id")]
    pub id: String,
    /// What users read.
    #[serde(rename = "client_name")]
    pub name: String,
    /// How it shows who it is.
    #[serde(rename = "token_endpoint_auth_method")]
    pub auth_method: AuthMethod,
    /// What it may ask for.
    pub grant_types: Vec<GrantType>,
    /// Where its users are sent back to; compared as text, but for the port of loopback addresses (RFC 8252 section 7.3).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// The scopes that it may have, with blanks between them.
    pub scope: String,
    /// The SHA-256 of its secret, in hex; secrets are made by this server or are 32 characters at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_digest: Option<String>,
    /// Its public keys (RFC 7517).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// Where its public keys are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<Url>,
    /// Its home page, for users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<Url>,
    /// Where electronic health records launch it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiate_login_uri: Option<Url>,
    /// Whether users are not asked for consent: it belongs to the operator of the server.
    #[serde(default)]
    pub is_trusted: bool,
    /// Whether it may ask about tokens that are not its own (RFC 7662).
    #[serde(default)]
    pub may_introspect: bool,
}

/// How a client shows who it is (SMART: `client-public`, `client-confidential-symmetric`, `client-confidential-asymmetric`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// Not at all.
    None,
    /// A secret in the header `Authorization`.
    ClientSecretBasic,
    /// A secret in the form.
    ClientSecretPost,
    /// An assertion that is signed with its private key (RFC 7523).
    PrivateKeyJwt,
}

/// What a client may ask for at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// For a user who has let it in.
    AuthorizationCode,
    /// Again, without the user.
    RefreshToken,
    /// For itself (SMART backend services).
    ClientCredentials,
}

impl Client {
    /// Whether it may ask for this.
    #[must_use]
    pub fn may(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }

    /// Whether it shows who it is.
    #[must_use]
    pub fn is_confidential(&self) -> bool {
        self.auth_method != AuthMethod::None
    }
}

/// The longest `client_id`, in bytes.
pub(crate) const ID_BYTES_MAX: usize = 255;
