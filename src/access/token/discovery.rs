//! Asks an authority for its metadata and its keys (OpenID Connect Discovery 1.0 section 4).

use std::time::Duration;

use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::Value;
use url::{Host, Url};

use super::issuer::Issuers;
use super::keys::{KeySet, NoKeys};

/// Where the metadata stand, below the authority.
const WELL_KNOWN: &str = ".well-known/openid-configuration";
/// Metadata have a few kilobytes.
const METADATA_BYTES_MAX: usize = 128 << 10;
/// Keys with their certificates have some tens of kilobytes.
const KEYS_BYTES_MAX: usize = 512 << 10;

/// What an authority has told.
#[derive(Debug, Clone)]
pub struct Told {
    /// Whose tokens its keys are for.
    pub issuers: Issuers,
    /// Its keys.
    pub keys: KeySet,
    /// Where apps get tokens of it.
    pub endpoints: Endpoints,
}

/// Where apps get tokens: addresses of an authorization server (RFC 8414 section 2), as far as it names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Where somebody is sent to sign in and agree.
    pub authorize: Option<String>,
    /// Where a code or a secret is changed into tokens.
    pub token: Option<String>,
    /// Where apps make themselves known.
    pub register: Option<String>,
    /// Where it is told what a token is good for.
    pub introspect: Option<String>,
    /// Where tokens are taken back.
    pub revoke: Option<String>,
    /// Where somebody sees which apps they have let in.
    pub manage: Option<String>,
}

/// Why an authority could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// It cannot be reached, or breaks off.
    #[error("{0} cannot be read: {1}")]
    Unreachable(&'static str, String),
    /// It answers with an error.
    #[error("{0} are answered with status {1}")]
    Refused(&'static str, u16),
    /// It answers with something else than it should.
    #[error("{0}: {1}")]
    Wrong(&'static str, &'static str),
    /// Its keys are none.
    #[error(transparent)]
    Keys(#[from] NoKeys),
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
    // Whatever they are: an authority whose endpoints are of no use has keys all the same.
    authorization_endpoint: Option<Value>,
    token_endpoint: Option<Value>,
    registration_endpoint: Option<Value>,
    introspection_endpoint: Option<Value>,
    revocation_endpoint: Option<Value>,
}

/// The longest address of an endpoint that is told on.
const ENDPOINT_BYTES_MAX: usize = 2048;

impl Metadata {
    /// What it names. An address that is not safe to send anybody to is left out.
    fn endpoints(&self) -> Endpoints {
        let address = |told: &Option<Value>| {
            let text = told.as_ref()?.as_str()?;
            let is_good =
                text.len() <= ENDPOINT_BYTES_MAX && text.parse().is_ok_and(|url: Url| is_safe(&url));
            is_good.then(|| text.to_owned())
        };
        Endpoints {
            authorize: address(&self.authorization_endpoint),
            token: address(&self.token_endpoint),
            register: address(&self.registration_endpoint),
            introspect: address(&self.introspection_endpoint),
            revoke: address(&self.revocation_endpoint),
            // SMART has it in metadata of its own.
            manage: None,
        }
    }
}

/// A client that asks authorities. It follows no redirect: who is trusted is who answers.
///
/// # Errors
/// The machine's certificates cannot be read.
pub fn client(within: Duration) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .redirect(Policy::none())
        .connect_timeout(within)
        .timeout(within)
        .user_agent(concat!("anamnesis/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Whether an address can be trusted to be answered by whom it names: with TLS, or on this machine.
#[must_use]
pub fn is_safe(address: &Url) -> bool {
    let is_loopback = match address.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    address.scheme() == "https" || address.scheme() == "http" && is_loopback
}

/// Asks an authority. Where `issuers` are named, its metadata may name whichever it likes.
///
/// # Errors
/// See [`DiscoveryError`].
pub async fn discover(
    client: &reqwest::Client,
    authority: &Url,
    issuers: &Issuers,
    are_named: bool,
) -> Result<Told, DiscoveryError> {
    let what = "the metadata";
    let address = format!("{}/{WELL_KNOWN}", authority.as_str().trim_end_matches('/'));
    let metadata = read(client, what, &address, METADATA_BYTES_MAX).await?;
    let metadata: Metadata = serde_json::from_slice(&metadata)
        .map_err(|_| DiscoveryError::Wrong(what, "there is no `issuer` or no `jwks_uri` in them"))?;
    let issuers = match are_named {
        true => issuers.clone(),
        false => issuers
            .clone()
            .discovered(authority, &metadata.issuer)
            .map_err(|why| DiscoveryError::Wrong(what, why))?,
    };
    let of_keys: Url =
        metadata.jwks_uri.parse().map_err(|_| DiscoveryError::Wrong(what, "`jwks_uri` is no address"))?;
    if !is_safe(&of_keys) {
        return Err(DiscoveryError::Wrong(what, "`jwks_uri` is neither https nor of this machine"));
    }
    let keys = read(client, "the keys", of_keys.as_str(), KEYS_BYTES_MAX).await?;
    Ok(Told { issuers, keys: KeySet::parse(&keys)?, endpoints: metadata.endpoints() })
}

/// Reads an answer up to a bound.
async fn read(
    client: &reqwest::Client,
    what: &'static str,
    address: &str,
    bytes_max: usize,
) -> Result<Vec<u8>, DiscoveryError> {
    let unreachable =
        |error: reqwest::Error| DiscoveryError::Unreachable(what, error.without_url().to_string());
    let request = client.get(address).header(reqwest::header::ACCEPT, "application/json");
    let mut answer = request.send().await.map_err(unreachable)?;
    if !answer.status().is_success() {
        return Err(DiscoveryError::Refused(what, answer.status().as_u16()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
        if bytes.len() + chunk.len() > bytes_max {
            return Err(DiscoveryError::Wrong(what, "they are too long"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use super::*;

    #[test]
    fn endpoints_are_told_on_where_they_are_safe() {
        let metadata: Metadata = serde_json::from_value(serde_json::json!({
            "issuer": "https://id.example", "jwks_uri": "https://id.example/keys", "claims_supported": ["sub"],
            "authorization_endpoint": "https://id.example/authorize", "token_endpoint": "http://id.example/token",
            "revocation_endpoint": "javascript:alert(1)", "introspection_endpoint": 7,
            "registration_endpoint": format!("https://id.example/{}", "a".repeat(3000)),
        }))
        .unwrap();
        let authorize = Some("https://id.example/authorize".to_owned());
        assert_eq!(metadata.endpoints(), Endpoints { authorize, ..Endpoints::default() });
    }

    #[test]
    fn only_tls_and_this_machine_are_safe() {
        for safe in ["https://id.example", "http://localhost:9", "http://127.0.0.1/x", "http://[::1]:1"] {
            assert!(is_safe(&safe.parse().unwrap()), "{safe}");
        }
        for unsafe_ in ["http://id.example", "ftp://localhost", "http://localhost.example", "file:///etc"] {
            assert!(!is_safe(&unsafe_.parse().unwrap()), "{unsafe_}");
        }
    }
}
