//! Keys that clients publish at an address of theirs (`jwks_uri`): fetched when they are needed, and kept for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::sync::Cache;
use reqwest::redirect::Policy;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use crate::client::rules::is_safe;
use crate::error::OAuthErrorCode::InvalidClient;
use crate::error::SmartError;
use crate::key_set::{Checked, KeySet};
use crate::refusal::Refusal;

/// How long keys are taken without asking again. SMART lets them be kept for a day; this is how long a withdrawn key is good.
const FRESH_FOR: Duration = Duration::from_secs(300);
/// How long keys are taken while their address does not answer.
const STALE_FOR: Duration = Duration::from_secs(3_600);
/// How often an address is asked at most, whoever sends whatever.
const ASKED_EVERY: Duration = Duration::from_secs(10);
/// How long an address may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// The longest key set, in bytes.
const KEYS_BYTES_MAX: usize = 256 << 10;
/// Addresses whose keys are kept at most.
const ADDRESSES_MAX: u64 = 1_000;

/// Keys by their addresses.
#[derive(Debug)]
pub(crate) struct Fetched {
    http: reqwest::Client,
    slots: Cache<String, Arc<Mutex<Slot>>>,
}

/// What is known of one address. Whoever asks it holds the lock, so that it is asked once for all who wait.
#[derive(Debug, Default)]
struct Slot {
    keys: KeySet,
    fetched_at: Option<Instant>,
    asked_at: Option<Instant>,
}

impl Fetched {
    /// Nothing yet.
    pub(crate) fn new() -> Result<Self, SmartError> {
        let http = reqwest::Client::builder()
            // Whose keys they are is who answers at the address that is registered.
            .redirect(Policy::none())
            .connect_timeout(ANSWERED_WITHIN)
            .timeout(ANSWERED_WITHIN)
            .user_agent(concat!("anamnesis/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| SmartError::Invalid("the machine's certificates cannot be read".to_owned()))?;
        let slots = Cache::builder().max_capacity(ADDRESSES_MAX).time_to_idle(STALE_FOR).build();
        Ok(Self { http, slots })
    }

    /// Checks something with the keys of an address. Where there is no key that fits, they are fetched again.
    ///
    /// # Errors
    /// There are no keys: the address does not answer.
    pub(crate) async fn check(
        &self,
        uri: &Url,
        check: impl Fn(&KeySet) -> Checked,
    ) -> Result<Checked, Refusal> {
        let slot = self.slots.get_with(uri.as_str().to_owned(), Arc::default);
        let mut slot = slot.lock().await;
        if !is_within(slot.fetched_at, FRESH_FOR) {
            self.fetch(uri, &mut slot).await;
        }
        if !is_within(slot.fetched_at, STALE_FOR) {
            return Err(Refusal::new(
                InvalidClient,
                "the keys of the client cannot be fetched from its jwks_uri",
            ));
        }
        match check(&slot.keys) {
            Checked::Unknown => {
                self.fetch(uri, &mut slot).await;
                Ok(check(&slot.keys))
            }
            known => Ok(known),
        }
    }

    /// Asks an address, unless that was just done. What it has told before stays where it fails.
    async fn fetch(&self, uri: &Url, slot: &mut Slot) {
        if is_within(slot.asked_at, ASKED_EVERY) {
            return;
        }
        slot.asked_at = Some(Instant::now());
        match self.read(uri).await {
            Ok(keys) => {
                slot.keys = keys;
                slot.fetched_at = Some(Instant::now());
            }
            Err(why) => tracing::warn!(why, "the keys of a client cannot be fetched"),
        }
    }

    async fn read(&self, uri: &Url) -> Result<KeySet, &'static str> {
        if !is_safe(uri) {
            return Err("the address is neither https nor of this machine");
        }
        let request = self.http.get(uri.clone()).header(reqwest::header::ACCEPT, "application/json");
        let mut answer = request.send().await.map_err(|_| "it does not answer")?;
        if !answer.status().is_success() {
            return Err("it answers with an error");
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|_| "it breaks off")? {
            if bytes.len() + chunk.len() > KEYS_BYTES_MAX {
                return Err("it answers with too much");
            }
            bytes.extend_from_slice(&chunk);
        }
        let json: Value = serde_json::from_slice(&bytes).map_err(|_| "it answers with no JSON")?;
        KeySet::parse(&json)
    }
}

fn is_within(at: Option<Instant>, time: Duration) -> bool {
    at.is_some_and(|at| at.elapsed() < time)
}
