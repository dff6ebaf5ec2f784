//! Master keys that never come here: a service wraps and unwraps, over a small protocol of three requests.
//!
//! All are POST with `Authorization: Bearer …` and JSON; bytes are base64. See `docs/encryption.md`.

use std::net::IpAddr;
use std::time::Duration;

use anamnesis_events::keys::{MasterKeyError, MasterKeys, Wrapped};
use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use reqwest::redirect::Policy;
use reqwest::{StatusCode, header};
use serde::{Deserialize, Serialize};
use url::{Host, Url};
use zeroize::Zeroizing;

/// Bytes of an answer: a key and its name.
const ANSWER_BYTES_MAX: usize = 16 << 10;
/// Bytes of the name of a master key.
const NAME_BYTES_MAX: usize = 200;

/// A service that holds the master keys.
pub struct KeyService {
    client: reqwest::Client,
    wrap: Url,
    unwrap: Url,
    current: Url,
}

#[derive(Serialize)]
struct WrapRequest<'a> {
    context: &'a str,
    plaintext: &'a str,
}

#[derive(Serialize)]
struct UnwrapRequest<'a> {
    key: &'a str,
    context: &'a str,
    wrapped: &'a str,
}

#[derive(Serialize)]
struct CurrentRequest {}

#[derive(Deserialize)]
struct WrapAnswer {
    key: String,
    wrapped: String,
}

#[derive(Deserialize)]
struct UnwrapAnswer {
    plaintext: String,
}

#[derive(Deserialize)]
struct CurrentAnswer {
    key: String,
}

impl KeyService {
    /// The service at this address, which asks for this secret. Beyond this machine it must be reached by HTTPS.
    ///
    /// # Errors
    /// When the address or the secret cannot be used.
    pub fn new(url: &str, secret: &str, timeout: Duration) -> anyhow::Result<KeyService> {
        let mut base = Url::parse(url).context("key_service.url is no address")?;
        if base.scheme() != "https" && !(base.scheme() == "http" && is_this_machine(&base)) {
            bail!("key_service.url must begin with https: keys are sent there");
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let mut bearer = header::HeaderValue::from_str(&format!("Bearer {secret}"))
            .context("the secret of the master key's service has characters that no header can have")?;
        bearer.set_sensitive(true);
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(timeout)
            .default_headers([(header::AUTHORIZATION, bearer)].into_iter().collect())
            .user_agent(concat!("anamnesis/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let (wrap, unwrap, current) = (base.join("wrap")?, base.join("unwrap")?, base.join("current")?);
        Ok(KeyService { client, wrap, unwrap, current })
    }

    /// The answer to one request. `of` is the master key that is asked for by its name, if one is.
    async fn ask<A: for<'de> Deserialize<'de>>(
        &self,
        url: &Url,
        of: Option<&str>,
        request: &impl Serialize,
    ) -> Result<A, MasterKeyError> {
        let unavailable = |reason: String| MasterKeyError::Unavailable(reason);
        let sent = self.client.post(url.clone()).json(request).send().await;
        // Without its address, which may hold a secret.
        let mut answer = sent.map_err(|error| unavailable(error.without_url().to_string()))?;
        match (answer.status(), of) {
            (StatusCode::OK, _) => {}
            (StatusCode::NOT_FOUND, Some(of)) => return Err(MasterKeyError::Unknown(of.to_owned())),
            (StatusCode::UNPROCESSABLE_ENTITY, Some(of)) => return Err(MasterKeyError::Wrong(of.to_owned())),
            (status, _) => return Err(unavailable(format!("it answered with status {}", status.as_u16()))),
        }
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) =
            answer.chunk().await.map_err(|error| unavailable(error.without_url().to_string()))?
        {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(unavailable("its answer is too long".to_owned()));
            }
        }
        serde_json::from_slice(&body).map_err(|_| unavailable("its answer is not understood".to_owned()))
    }

    async fn wrap_there(&self, context: &[u8], key: &[u8]) -> Result<Wrapped, MasterKeyError> {
        let plaintext = Zeroizing::new(STANDARD.encode(key));
        let request = WrapRequest { context: &STANDARD.encode(context), plaintext: &plaintext };
        let answer: WrapAnswer = self.ask(&self.wrap, None, &request).await?;
        Ok(Wrapped { master_key: named(answer.key)?, bytes: decoded(&answer.wrapped)?.to_vec() })
    }

    async fn unwrap_there(
        &self,
        context: &[u8],
        wrapped: &Wrapped,
    ) -> Result<Zeroizing<Vec<u8>>, MasterKeyError> {
        let request = UnwrapRequest {
            key: &wrapped.master_key,
            context: &STANDARD.encode(context),
            wrapped: &STANDARD.encode(&wrapped.bytes),
        };
        let answer: UnwrapAnswer = self.ask(&self.unwrap, Some(&wrapped.master_key), &request).await?;
        decoded(&Zeroizing::new(answer.plaintext))
    }

    async fn current_there(&self) -> Result<String, MasterKeyError> {
        let answer: CurrentAnswer = self.ask(&self.current, None, &CurrentRequest {}).await?;
        named(answer.key)
    }
}

impl MasterKeys for KeyService {
    fn current(&self) -> BoxFuture<'_, Result<String, MasterKeyError>> {
        self.current_there().boxed()
    }

    fn wrap<'a>(
        &'a self,
        context: &'a [u8],
        key: &'a [u8],
    ) -> BoxFuture<'a, Result<Wrapped, MasterKeyError>> {
        self.wrap_there(context, key).boxed()
    }

    fn unwrap<'a>(
        &'a self,
        context: &'a [u8],
        wrapped: &'a Wrapped,
    ) -> BoxFuture<'a, Result<Zeroizing<Vec<u8>>, MasterKeyError>> {
        self.unwrap_there(context, wrapped).boxed()
    }
}

fn named(key: String) -> Result<String, MasterKeyError> {
    match (1..=NAME_BYTES_MAX).contains(&key.len()) && key.chars().all(|c| c.is_ascii_graphic()) {
        true => Ok(key),
        false => Err(MasterKeyError::Unavailable("it names a key that cannot be named".to_owned())),
    }
}

fn decoded(text: &str) -> Result<Zeroizing<Vec<u8>>, MasterKeyError> {
    let bytes = STANDARD.decode(text).map(Zeroizing::new);
    bytes.map_err(|_| MasterKeyError::Unavailable("its answer is not base64".to_owned()))
}

/// Whether only this machine can be meant.
fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).to_canonical().is_loopback(),
        None => false,
    }
}
