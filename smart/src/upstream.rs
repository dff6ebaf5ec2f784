//! Sign-in elsewhere: at an OpenID provider that the operator trusts (OpenID Connect Core 1.0, code flow with PKCE).

use std::fmt;
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use url::Url;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

pub(crate) mod back;
mod id_token;
pub(crate) mod leave;

use crate::client::rules::is_safe;
use crate::error::SmartError;

/// How long an answer of the provider may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of an answer at most.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long what the provider says of itself is taken without asking again.
const FRESH_FOR: Duration = Duration::from_secs(3_600);
/// How often it is asked at most while it does not answer.
const ASKED_EVERY: Duration = Duration::from_secs(5);

/// An OpenID provider at which users may sign in.
#[derive(Clone)]
pub struct Upstream {
    /// What the button says: "Sign in with …".
    pub name: String,
    /// The issuer, exactly as its tokens name it.
    pub issuer: String,
    /// As what this server is registered there. Its redirect URI is `{base}/auth/upstream/callback`.
    pub client_id: String,
    /// Its secret there, sent in the header `Authorization`; none for a public client.
    pub client_secret: Option<Zeroizing<String>>,
    /// Scopes to ask for; `openid` has to be among them.
    pub scope: String,
    /// The claim of the id token that has the user's name here, with which users that were made for this provider are found at
    /// their first sign-in.
    pub name_claim: String,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Upstream").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Upstream {
    /// A provider with the usual scopes, whose users are known by `preferred_username`.
    #[must_use]
    pub fn new(name: impl Into<String>, issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            issuer: issuer.into(),
            client_id: client_id.into(),
            client_secret: None,
            scope: "openid profile".to_owned(),
            name_claim: "preferred_username".to_owned(),
        }
    }

    /// Checks that it can be what it says.
    pub(crate) fn check(&self) -> Result<(), SmartError> {
        let invalid = |words: &str| Err(SmartError::Invalid(format!("the provider of sign-in: {words}")));
        if !Url::parse(&self.issuer).is_ok_and(|issuer| is_safe(&issuer)) {
            return invalid("its issuer is neither https nor of this machine");
        }
        if !self.scope.split(' ').any(|scope| scope == "openid") {
            return invalid("openid is not among its scopes");
        }
        if self.client_id.is_empty() || self.name_claim.is_empty() || self.name.trim().is_empty() {
            return invalid("its name, the client's id or the claim with the user's name is empty");
        }
        Ok(())
    }
}

/// What a provider says of itself (OpenID Connect Discovery 1.0 section 3).
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Discovered {
    issuer: String,
    pub(crate) authorization_endpoint: Url,
    token_endpoint: Url,
    pub(crate) jwks_uri: Url,
}

/// What is known of the provider. Whoever asks it holds the lock, so that it is asked once for all who wait.
#[derive(Debug, Default)]
struct Known {
    discovered: Option<(Instant, Discovered)>,
    asked_at: Option<Instant>,
}

/// Asks the provider.
#[derive(Debug)]
pub(crate) struct Provider {
    http: reqwest::Client,
    known: Mutex<Known>,
}

/// What is not there when a provider does not do its part; told to nobody but the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed(pub(crate) &'static str);

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

impl Provider {
    /// Nothing is known yet.
    pub(crate) fn new() -> Result<Self, SmartError> {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(ANSWERED_WITHIN)
            .timeout(ANSWERED_WITHIN)
            .user_agent(concat!("anamnesis/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| SmartError::Invalid("the machine's certificates cannot be read".to_owned()))?;
        Ok(Self { http, known: Mutex::default() })
    }

    /// Where the provider's addresses are.
    pub(crate) async fn discovered(&self, upstream: &Upstream) -> Result<Discovered, Failed> {
        let mut known = self.known.lock().await;
        if let Some((at, discovered)) = &known.discovered
            && at.elapsed() < FRESH_FOR
        {
            return Ok(discovered.clone());
        }
        if known.asked_at.is_some_and(|at| at.elapsed() < ASKED_EVERY) {
            return Err(Failed("the provider has just not answered"));
        }
        known.asked_at = Some(Instant::now());
        let address = format!("{}/.well-known/openid-configuration", upstream.issuer.trim_end_matches('/'));
        let discovered: Discovered = self.ask(self.http.get(address)).await?;
        // OpenID Connect Discovery section 4.3: else somebody else could speak for the issuer.
        if discovered.issuer != upstream.issuer {
            return Err(Failed("the provider says that it is another issuer"));
        }
        let addresses =
            [&discovered.authorization_endpoint, &discovered.token_endpoint, &discovered.jwks_uri];
        if !addresses.into_iter().all(is_safe) {
            return Err(Failed("an address of the provider is neither https nor of this machine"));
        }
        known.discovered = Some((Instant::now(), discovered.clone()));
        Ok(discovered)
    }

    /// Redeems a code; returns the id token, which is not checked yet.
    pub(crate) async fn redeem(
        &self,
        upstream: &Upstream,
        discovered: &Discovered,
        form: &[(&str, &str)],
    ) -> Result<String, Failed> {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs([("grant_type", "authorization_code")]).extend_pairs(form);
        if upstream.client_secret.is_none() {
            body.append_pair("client_id", &upstream.client_id);
        }
        let request = self.http.post(discovered.token_endpoint.clone()).body(body.finish());
        let mut request = request.header("content-type", "application/x-www-form-urlencoded");
        if let Some(secret) = &upstream.client_secret {
            // Both are encoded as in a form before they are joined (RFC 6749 section 2.3.1).
            let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            request = request.basic_auth(encoded(&upstream.client_id), Some(encoded(secret)));
        }
        Ok(self.ask::<Tokens>(request).await?.id_token)
    }

    /// Asks for JSON, within its bounds.
    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failed> {
        let request = request.header("accept", "application/json");
        let mut answer = request.send().await.map_err(|_| Failed("the provider does not answer"))?;
        if !answer.status().is_success() {
            return Err(Failed("the provider answers with an error"));
        }
        let mut bytes = Zeroizing::new(Vec::new());
        while let Some(chunk) = answer.chunk().await.map_err(|_| Failed("the provider breaks off"))? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Failed("the provider answers with too much"));
            }
            bytes.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&bytes).map_err(|_| Failed("the provider answers with something else"))
    }
}
