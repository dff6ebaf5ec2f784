//! Options of the authorization server of one service.

mod check;

use std::time::Duration;

use crate::client::Client;
use crate::upstream::Upstream;

/// How the authorization server of a service is set up.
#[derive(Debug, Clone)]
pub struct SmartOptions {
    /// The workspace, whose users, registered clients and keys it has.
    pub workspace: String,
    /// The name of the service.
    pub service: String,
    /// The service's base without a last slash: the issuer, and the audience of its tokens. All its addresses begin with it.
    pub base: String,
    /// Further audiences that apps may name (`aud` of authorization requests), without a last slash.
    pub other_bases: Vec<String>,
    /// Clients of the configuration. They come before registered ones of the same id.
    pub clients: Vec<Client>,
    /// Whether anybody may register a client (RFC 7591) without being an operator. Such clients are never trusted, and have
    /// no scopes of `system`.
    pub open_registration: bool,
    /// Origins that apps may ask from, for CORS of the endpoints that take no cookie; `*` for all.
    pub origins: Vec<String>,
    /// How long access tokens last.
    pub access_for: Duration,
    /// How long access tokens of emergencies last.
    pub emergency_for: Duration,
    /// How long access tokens of backend services last; SMART says five minutes at most.
    pub backend_for: Duration,
    /// How long a refresh token may lie unused.
    pub refresh_for: Duration,
    /// How long a family of tokens lasts, however often it is refreshed.
    pub family_for: Duration,
    /// How long somebody stays signed in.
    pub session_for: Duration,
    /// How long a request for authorization may take from page to page.
    pub request_for: Duration,
    /// How long an authorization code is good.
    pub code_for: Duration,
    /// Wrong passwords for one user within a quarter of an hour before nobody gets in there.
    pub attempts_max: u32,
    /// Wrong passwords from one address within a quarter of an hour before nobody gets in from there. More than for a user: a
    /// whole hospital may stand behind one address.
    pub attempts_per_address_max: u32,
    /// Where users may sign in instead of here.
    pub upstream: Option<Upstream>,
    /// Connections to the database.
    pub pool_size: usize,
}

impl SmartOptions {
    /// The usual ones for a service.
    #[must_use]
    pub fn new(workspace: impl Into<String>, service: impl Into<String>, base: impl Into<String>) -> Self {
        Self {
            workspace: workspace.into(),
            service: service.into(),
            base: base.into(),
            other_bases: Vec::new(),
            clients: Vec::new(),
            open_registration: false,
            origins: vec!["*".to_owned()],
            access_for: Duration::from_secs(3600),
            emergency_for: Duration::from_secs(900),
            backend_for: Duration::from_secs(300),
            refresh_for: Duration::from_secs(30 * 86_400),
            family_for: Duration::from_secs(90 * 86_400),
            session_for: Duration::from_secs(8 * 3600),
            request_for: Duration::from_secs(900),
            code_for: Duration::from_secs(60),
            attempts_max: 10,
            attempts_per_address_max: 100,
            upstream: None,
            pool_size: 4,
        }
    }
}

impl SmartOptions {
    /// The path of the base, without a last slash; empty at the root of a host.
    pub(crate) fn path(&self) -> &str {
        let after_scheme = self.base.split_once("://").map_or(self.base.as_str(), |(_, rest)| rest);
        after_scheme.find('/').and_then(|at| after_scheme.get(at..)).unwrap_or_default().trim_end_matches('/')
    }

    /// Whether cookies go over TLS only: everywhere but at a base that never leaves the machine.
    pub(crate) fn is_secure(&self) -> bool {
        let is_loopback = url::Url::parse(&self.base).is_ok_and(|base| {
            base.scheme() == "http"
                && match base.host() {
                    Some(url::Host::Domain(name)) => name == "localhost",
                    Some(url::Host::Ipv4(address)) => address.is_loopback(),
                    Some(url::Host::Ipv6(address)) => address.is_loopback(),
                    None => false,
                }
        });
        !is_loopback
    }

    /// Whether an app may name this as the audience of its tokens.
    pub(crate) fn is_audience(&self, aud: &str) -> bool {
        let aud = aud.strip_suffix('/').unwrap_or(aud);
        aud == self.base || self.other_bases.iter().any(|base| base == aud)
    }
}
