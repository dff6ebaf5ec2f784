//! Settings of a workspace's own authorization server for SMART apps.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::authentication::address;
use super::checks::Findings;
use super::secret::Secret;
use super::workspace::ServiceSettings;

/// The shortest secret of a client, in characters: nobody has to remember it.
const SECRET_LENGTH_MIN: usize = 32;
/// Access tokens cannot be taken back everywhere at once, so that they do not last for days.
const ACCESS_TOKEN_S_MAX: u64 = 86_400;

/// The authorization server that services with `smartProxyEnabled` have: its apps, and how long what it gives lasts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SmartSettings {
    /// Apps. Others are registered over the API.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<SmartClient>,
    /// Whether anybody may register an app (RFC 7591), not operators alone.
    pub open_registration: bool,
    /// How long access tokens last, in seconds.
    #[schemars(range(min = 1))]
    pub access_token_s: u64,
    /// How long access tokens last that were given in an emergency, in seconds.
    #[schemars(range(min = 1))]
    pub emergency_token_s: u64,
    /// How long a refresh token may lie unused, in days.
    #[schemars(range(min = 1))]
    pub refresh_token_days: u64,
    /// How long an app may go on without its user, in days.
    #[schemars(range(min = 1))]
    pub authorization_days: u64,
    /// How long somebody stays signed in, in seconds.
    #[schemars(range(min = 1))]
    pub session_s: u64,
    /// Wrong passwords for one user, and from one address, within a quarter of an hour, before nobody gets in there.
    #[schemars(range(min = 1))]
    pub attempts_max: u32,
    /// An OpenID provider at which users may sign in instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<SmartUpstream>,
}

/// An OpenID provider at which users sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmartUpstream {
    /// What the button says: "Sign in with …".
    pub name: String,
    /// The issuer, exactly as its tokens name it.
    pub issuer: String,
    /// As what this server is registered there.
    pub client_id: String,
    /// Its secret there; none for a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
    /// The scopes that are asked for, `openid` among them; `openid profile` where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The claim with the user's name here; `preferred_username` where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_claim: Option<String>,
}

impl Default for SmartSettings {
    fn default() -> Self {
        Self {
            clients: Vec::new(),
            open_registration: false,
            // SMART App Launch advises an hour at most.
            access_token_s: 3600,
            emergency_token_s: 900,
            refresh_token_days: 30,
            authorization_days: 90,
            // A shift.
            session_s: 8 * 3600,
            attempts_max: 10,
            upstream: None,
        }
    }
}

/// An app, in the names of RFC 7591.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmartClient {
    /// How it names itself.
    pub client_id: String,
    /// What users read.
    pub client_name: String,
    /// How it shows who it is: `none`, `client_secret_basic`, `client_secret_post` or `private_key_jwt`.
    #[serde(default)]
    pub token_endpoint_auth_method: SmartAuthMethod,
    /// What it may ask for; where nothing is said: `client_credentials` of apps without `redirect_uris`, else `authorization_code` and
    /// `refresh_token`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grant_types: Vec<SmartGrant>,
    /// Where its users are sent back to: https, or on this machine, or a scheme of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// The scopes that it may have, with blanks between them.
    pub scope: String,
    /// Its secret, of 32 characters at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
    /// Its public keys, a JSON Web Key Set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// Where its public keys are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Where health records launch it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiate_login_uri: Option<String>,
    /// Whether its users are not asked for consent: it belongs to whoever runs this server.
    #[serde(default)]
    pub is_trusted: bool,
    /// Whether it may ask about tokens of others (RFC 7662).
    #[serde(default)]
    pub may_introspect: bool,
}

/// How an app shows who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SmartAuthMethod {
    /// Not at all.
    #[default]
    None,
    /// A secret in a header.
    ClientSecretBasic,
    /// A secret in the form.
    ClientSecretPost,
    /// An assertion that it has signed.
    PrivateKeyJwt,
}

/// What an app may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SmartGrant {
    /// For a user who has let it in.
    AuthorizationCode,
    /// Again, without the user.
    RefreshToken,
    /// For itself.
    ClientCredentials,
}

impl SmartSettings {
    /// Adds what makes no sense.
    pub(super) fn check(&self, path: &str, findings: &mut Findings) {
        let seconds = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        findings.at_least_one(
            path,
            &[
                ("access_token_s", seconds(self.access_token_s)),
                ("emergency_token_s", seconds(self.emergency_token_s)),
                ("refresh_token_days", seconds(self.refresh_token_days)),
                ("authorization_days", seconds(self.authorization_days)),
                ("session_s", seconds(self.session_s)),
                ("attempts_max", self.attempts_max as usize),
            ],
        );
        for (name, value) in
            [("access_token_s", self.access_token_s), ("emergency_token_s", self.emergency_token_s)]
        {
            if value > ACCESS_TOKEN_S_MAX {
                findings
                    .add(format!("{path}.{name}"), format!("must be at most {ACCESS_TOKEN_S_MAX}, a day"));
            }
        }
        if let Some(upstream) = &self.upstream
            && let Err(message) = address(&upstream.issuer)
        {
            findings.add(format!("{path}.upstream.issuer"), message);
        }
        for (index, client) in self.clients.iter().enumerate() {
            client.check(&format!("{path}.clients.{index}"), findings);
            if self.clients.iter().take(index).any(|other| other.client_id == client.client_id) {
                findings.add(
                    format!("{path}.clients.{index}.client_id"),
                    "there is another client of this id".to_owned(),
                );
            }
        }
    }
}

impl SmartClient {
    /// What it may ask for, also where that is not said.
    #[must_use]
    pub fn grants(&self) -> Vec<SmartGrant> {
        match (self.grant_types.is_empty(), self.redirect_uris.is_empty()) {
            (false, _) => self.grant_types.clone(),
            (true, true) => vec![SmartGrant::ClientCredentials],
            (true, false) => vec![SmartGrant::AuthorizationCode, SmartGrant::RefreshToken],
        }
    }

    fn check(&self, path: &str, findings: &mut Findings) {
        let mut wrong = |name: &str, message: String| findings.add(format!("{path}.{name}"), message);
        if self.client_id.is_empty() || !self.client_id.chars().all(|c| c.is_ascii_graphic()) {
            wrong("client_id", "has to be of printable ASCII characters without blanks".to_owned());
        }
        if let Some(scope) = crate::access::scope::unknown(&self.scope) {
            wrong("scope", format!("the {scope}. of them is no scope of SMART App Launch"));
        }
        let is_secret = matches!(
            self.token_endpoint_auth_method,
            SmartAuthMethod::ClientSecretBasic | SmartAuthMethod::ClientSecretPost
        );
        match (&self.client_secret, is_secret) {
            (None, true) => wrong("client_secret", "`client_secret` is missing".to_owned()),
            (Some(_), false) => {
                wrong("client_secret", "is of no use with this way to show who it is".to_owned())
            }
            (Some(secret), true) if secret.expose().trim().chars().count() < SECRET_LENGTH_MIN => {
                wrong("client_secret", format!("has fewer than {SECRET_LENGTH_MIN} characters"));
            }
            _ => {}
        }
        let has_keys = self.jwks.is_some() || self.jwks_uri.is_some();
        let is_signing = self.token_endpoint_auth_method == SmartAuthMethod::PrivateKeyJwt;
        if is_signing != has_keys {
            wrong("jwks", "`jwks` or `jwks_uri` is needed with private_key_jwt, and only there".to_owned());
        }
        let grants = self.grants();
        if grants.contains(&SmartGrant::AuthorizationCode) && self.redirect_uris.is_empty() {
            wrong("redirect_uris", "`redirect_uris` is missing: its users would not get back".to_owned());
        }
        if grants.contains(&SmartGrant::ClientCredentials)
            && self.token_endpoint_auth_method == SmartAuthMethod::None
        {
            wrong(
                "token_endpoint_auth_method",
                "`token_endpoint_auth_method` is missing: an app that acts for itself says who it is"
                    .to_owned(),
            );
        }
        for (name, uri) in [("jwks_uri", &self.jwks_uri), ("initiate_login_uri", &self.initiate_login_uri)] {
            if let Some(Err(message)) = uri.as_deref().map(address) {
                wrong(name, message.to_owned());
            }
        }
        for uri in &self.redirect_uris {
            if let Err(message) = redirect(uri) {
                wrong("redirect_uris", message.to_owned());
            }
        }
    }
}

/// Checks where users are sent back to (RFC 8252 section 7; RFC 9700 section 2.6).
fn redirect(text: &str) -> Result<(), &'static str> {
    let url: Url = text.parse().map_err(|_| "is no address")?;
    match url.scheme() {
        _ if url.fragment().is_some() => Err("has no fragment"),
        "https" | "http" if url.query().is_some() => address(&text.replace(['?'], "/")),
        "https" | "http" => address(text),
        // Schemes of apps are named after a domain; others belong to the browser.
        scheme if scheme.contains('.') => Ok(()),
        _ => Err("must be https, http on this machine, or a scheme of the app's own with a dot in it"),
    }
}

/// Checks that a service with an authorization server can be known by an address of its own, which its tokens name.
pub(super) fn of_service(path: &str, service: &ServiceSettings, is_loopback: bool, findings: &mut Findings) {
    if !service.authentication.smart_proxy_enabled {
        return;
    }
    match &service.public_url {
        None if is_loopback => {}
        None => findings.add(
            format!("{path}.authenticationConfiguration.smartProxyEnabled"),
            "needs the `public_url` of the service: tokens and pages name it",
        ),
        Some(url) => {
            if let Err(message) = address(url) {
                findings.add(format!("{path}.public_url"), format!("{message}: people sign in there"));
            }
        }
    }
}
