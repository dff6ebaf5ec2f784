//! The keys that this server signs its tokens with: kept in the tables, shared by all processes, changed every quarter.
//!
//! A key is published an hour before it signs, so that every process and every app knows it by then, and stays published
//! after it has stopped for as long as what it has signed may be good. OpenID Connect Core section 3.1.3.7 has `RS256` as what
//! every app can check.

use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::error::SmartError;
use crate::host::Host;
use crate::store::Store;
use crate::store::keys::{self, KeyRow};

/// How long a key signs.
const SIGNS_FOR: TimeDelta = TimeDelta::days(90);
/// How long a key is published before it signs. Processes look for new ones every half minute, apps when they do not know one.
const PUBLISHED_BEFORE: TimeDelta = TimeDelta::hours(1);
/// How long a key is published after it has stopped signing. No token that is signed lasts longer than a day.
const KEPT_FOR: TimeDelta = TimeDelta::days(2);

/// The keys of a workspace.
pub(crate) struct Keys {
    ring: RwLock<Arc<Vec<Arc<OwnKey>>>>,
    published: watch::Sender<Arc<Value>>,
    workspace: String,
}

/// One key.
struct OwnKey {
    kid: String,
    public: Value,
    pair: KeyPair,
    checks: DecodingKey,
    signs_from: DateTime<Utc>,
}

impl Keys {
    /// Reads the keys; makes the first one where there is none.
    pub(crate) async fn open(workspace: &str, store: &Store, host: &dyn Host) -> Result<Self, SmartError> {
        let published = watch::Sender::new(Arc::new(json!({"keys": []})));
        let keys = Self { ring: RwLock::default(), published, workspace: workspace.to_owned() };
        keys.follow(store, host).await?;
        Ok(keys)
    }

    /// Reads the keys again, and makes a new one when it is time.
    pub(crate) async fn follow(&self, store: &Store, host: &dyn Host) -> Result<(), SmartError> {
        let now = host.now();
        let mut rows = keys::all(store, now).await?;
        if is_due(&rows, now) {
            self.make(store, host, now).await?;
            rows = keys::all(store, now).await?;
        }
        let known = self.ring();
        let mut ring = Vec::with_capacity(rows.len());
        for row in rows {
            let own = known.iter().find(|own| own.kid == row.kid && own.signs_from == row.signs_from);
            ring.push(match own {
                Some(own) => own.clone(),
                None => Arc::new(self.opened(row, host).await?),
            });
        }
        let public: Vec<&Value> = ring.iter().map(|own| &own.public).collect();
        let public = Arc::new(json!({ "keys": public }));
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        self.published.send_if_modified(|last| {
            let is_other = **last != *public;
            *last = public;
            is_other
        });
        Ok(())
    }

    /// The public keys as a JSON Web Key Set (RFC 7517 section 5), now and whenever they change.
    pub(crate) fn published(&self) -> watch::Receiver<Arc<Value>> {
        self.published.subscribe()
    }

    /// Signs claims: a JWT in its compact form, of this type.
    pub(crate) fn sign(
        &self,
        typ: &str,
        claims: &impl Serialize,
        now: DateTime<Utc>,
    ) -> Result<String, SmartError> {
        const FAILED: SmartError = SmartError::Cryptography("signing");
        let ring = self.ring();
        let own = ring.iter().rev().find(|own| own.signs_from <= now).or_else(|| ring.first());
        let own = own.ok_or(FAILED)?;
        let header = json!({"typ": typ, "alg": "RS256", "kid": own.kid}).to_string();
        let claims = serde_json::to_vec(claims).map_err(|_| FAILED)?;
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let mut signature = vec![0; own.pair.public_modulus_len()];
        own.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .map_err(|_| FAILED)?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// Whether this server has signed a message with the key of this name.
    pub(crate) fn has_signed(&self, kid: &str, message: &str, signature: &str) -> bool {
        self.ring().iter().filter(|own| own.kid == kid).any(|own| {
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &own.checks, Algorithm::RS256)
                .unwrap_or(false)
        })
    }

    fn ring(&self) -> Arc<Vec<Arc<OwnKey>>> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a key, unless another process has done so meanwhile.
    async fn make(&self, store: &Store, host: &dyn Host, now: DateTime<Utc>) -> Result<(), SmartError> {
        const FAILED: SmartError = SmartError::Cryptography("making a key");
        // It takes up to a second, which nobody should have to wait for who is served here.
        let made = tokio::task::spawn_blocking(|| KeyPair::generate(KeySize::Rsa3072)).await;
        let pair = made.map_err(|_| FAILED)?.map_err(|_| FAILED)?;
        let private: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| FAILED)?;
        let private = Zeroizing::new(private.as_ref().to_vec());
        let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(pair.public_key().as_ref()));
        let sealed = host.seal(&self.context(&kid), &private).await?;
        let mut client = store.get().await?;
        let transaction = client.transaction().await?;
        let there = keys::locked(&transaction, store.realm, now).await?;
        if !is_due(&there, now) {
            return Ok(());
        }
        let signs_from = if there.is_empty() { now } else { now + PUBLISHED_BEFORE };
        let public = public_of(&pair, &kid);
        let row = KeyRow { kid, public, private: sealed, made_at: now, signs_from, retired_at: None };
        keys::insert(&transaction, store.realm, &row, KEPT_FOR).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn opened(&self, row: KeyRow, host: &dyn Host) -> Result<OwnKey, SmartError> {
        const UNREADABLE: SmartError = SmartError::Stored("a key");
        let private = Zeroizing::new(host.open(&self.context(&row.kid), &row.private).await?);
        let pair = KeyPair::from_pkcs8(&private).map_err(|_| UNREADABLE)?;
        // What is published is what belongs to the private half, not what stands in the table beside it.
        let public = public_of(&pair, &row.kid);
        if public != row.public {
            return Err(UNREADABLE);
        }
        let text = |name: &str| public.get(name).and_then(Value::as_str).unwrap_or_default();
        let checks = DecodingKey::from_rsa_components(text("n"), text("e")).map_err(|_| UNREADABLE)?;
        Ok(OwnKey { kid: row.kid, public, pair, checks, signs_from: row.signs_from })
    }

    /// What the seal of a private key is bound to.
    fn context(&self, kid: &str) -> String {
        format!("smart-key/{}/{kid}", self.workspace)
    }
}

/// Whether a new key is to be made.
fn is_due(rows: &[KeyRow], now: DateTime<Utc>) -> bool {
    let last = rows.iter().filter(|row| row.retired_at.is_none()).map(|row| row.made_at).max();
    last.is_none_or(|made_at| made_at + SIGNS_FOR <= now)
}

/// The public half as a JSON Web Key (RFC 7518 section 6.3.1).
fn public_of(pair: &KeyPair, kid: &str) -> Value {
    let public = pair.public_key();
    json!({
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": kid,
        "n": URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
        "e": URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
    })
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<_> = self.ring().iter().map(|own| own.kid.clone()).collect();
        formatter.debug_struct("Keys").field("ids", &ids).finish_non_exhaustive()
    }
}
