//! Assertions of clients (RFC 7523; SMART App Launch "Authenticating to the token endpoint"): JWTs signed with their private keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;

use crate::client::Client;
use crate::error::OAuthErrorCode::InvalidClient;
use crate::key_set::{ALGORITHMS, Checked, KeySet};
use crate::refusal::Refusal;
use crate::secret;
use crate::server::SmartServer;
use crate::store::assertions;

/// How far ahead an assertion may end (SMART: five minutes).
const LASTS_MAX: TimeDelta = TimeDelta::minutes(5);
/// How far the client's clock may be from ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(30);
/// The longest `jti`, in bytes.
const JTI_BYTES_MAX: usize = 255;

/// An assertion whose signature has not been checked.
pub(crate) struct Assertion<'a> {
    message: &'a str,
    signature: &'a str,
    algorithm: Algorithm,
    header: Header,
    claims: Claims,
}

/// The header, as far as it matters (RFC 7515 section 4.1). `jwk`, `x5u` and `x5c` would have the assertion bring the key that it
/// is checked with; they are not looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    jku: Option<String>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Value,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    jti: String,
}

const MALFORMED: Refusal = refused("the assertion is no signed JWT with iss, sub, aud, exp and jti");

impl<'a> Assertion<'a> {
    /// Takes an assertion apart.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Refusal> {
        let (message, signature) = text.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, payload) = message.split_once('.').ok_or(MALFORMED)?;
        if payload.contains('.') || signature.is_empty() {
            return Err(MALFORMED);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| MALFORMED);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| MALFORMED)?;
        let claims: Claims = serde_json::from_slice(&decode(payload)?).map_err(|_| MALFORMED)?;
        if header.crit.is_some() {
            // RFC 7515 section 4.1.11: what is critical and not understood makes it invalid.
            return Err(refused("the assertion has critical headers that are not understood"));
        }
        // What is signed with the same key for another end, such as an access token, says so in `typ`.
        let is_assertion = |typ: &str| ["jwt", "client-authentication+jwt"].contains(&typ);
        if !header.typ.as_ref().is_none_or(|typ| is_assertion(&typ.to_ascii_lowercase())) {
            return Err(refused("the assertion is of another type"));
        }
        let algorithm = ALGORITHMS.iter().find(|(name, _)| *name == header.alg).map(|(_, it)| *it);
        let algorithm = algorithm.ok_or(refused("the assertion is signed in a way that is not accepted"))?;
        Ok(Self { message, signature, algorithm, header, claims })
    }

    /// Which client it says to be of. Not to be believed: it tells whose keys to check it with.
    pub(crate) fn client(&self) -> &str {
        &self.claims.iss
    }

    /// Checks all of it, and that it comes for the first time.
    pub(crate) async fn check(
        &self,
        server: &SmartServer,
        client: &Client,
        path: &str,
    ) -> Result<(), Refusal> {
        let now = server.host.now();
        let ends_at = self.check_claims(client, (&server.options.base, path), now)?;
        self.check_signature(server, client).await?;
        let digest = secret::digest_of(&format!("{}\n{}", client.id, self.claims.jti));
        match assertions::insert(&server.store, &digest, ends_at + CLOCK_SKEW).await? {
            true => Ok(()),
            false => Err(refused("the assertion was used before")),
        }
    }

    /// Checks what it says; gives when it ends.
    fn check_claims(
        &self,
        client: &Client,
        (base, path): (&str, &str),
        now: DateTime<Utc>,
    ) -> Result<DateTime<Utc>, Refusal> {
        let claims = &self.claims;
        if claims.iss != client.id || claims.sub != client.id {
            return Err(refused("`iss` and `sub` of the assertion are not both the client"));
        }
        if !is_for(&claims.aud, base, path) {
            return Err(refused("the assertion is for another server: `aud` has to be the token endpoint"));
        }
        if claims.jti.is_empty() || claims.jti.len() > JTI_BYTES_MAX {
            return Err(refused("`jti` of the assertion is empty or too long"));
        }
        let ends_at = time(claims.exp)?;
        if ends_at + CLOCK_SKEW <= now {
            return Err(refused("the assertion has ended"));
        }
        if ends_at > now + LASTS_MAX + CLOCK_SKEW {
            return Err(refused("the assertion lasts longer than five minutes"));
        }
        for begins in [claims.nbf, claims.iat].into_iter().flatten() {
            if time(begins)? > now + CLOCK_SKEW {
                return Err(refused("the assertion is not valid yet"));
            }
        }
        Ok(ends_at)
    }

    async fn check_signature(&self, server: &SmartServer, client: &Client) -> Result<(), Refusal> {
        let with = (self.algorithm, self.header.kid.as_deref());
        let check = |keys: &KeySet| keys.check(with, self.message, self.signature);
        // SMART: an assertion may say where its key is, if that is where the client has registered it to be.
        let registered = client.jwks_uri.as_ref().map(url::Url::as_str);
        if self.header.jku.as_deref().is_some_and(|jku| registered != Some(jku)) {
            return Err(refused("`jku` of the assertion is not the client's `jwks_uri`"));
        }
        let checked = match (&client.jwks, &client.jwks_uri) {
            (Some(jwks), _) => check(&KeySet::parse(jwks).unwrap_or_default()),
            (None, Some(uri)) => server.fetched.check(uri, check).await?,
            (None, None) => Checked::Unknown,
        };
        match checked {
            Checked::Good => Ok(()),
            Checked::Bad => Err(refused("the signature of the assertion is wrong")),
            Checked::Unknown => {
                Err(refused("the assertion is signed with a key that the client does not have"))
            }
        }
    }
}

/// Whether `aud` is this server: its token endpoint (RFC 7523 section 3), the endpoint that is asked, or the issuer. More than one
/// audience is refused: another of them could use the assertion here.
fn is_for(audience: &Value, base: &str, path: &str) -> bool {
    let one = match audience {
        Value::String(one) => Some(one.as_str()),
        Value::Array(all) => match all.as_slice() {
            [Value::String(one)] => Some(one.as_str()),
            _ => None,
        },
        _ => None,
    };
    let below = one.and_then(|one| one.strip_prefix(base));
    below.is_some_and(|rest| ["", "/", "/auth/token", "/AadSmartOnFhirProxy/token", path].contains(&rest))
}

/// A NumericDate (RFC 7519 section 2).
fn time(seconds: f64) -> Result<DateTime<Utc>, Refusal> {
    const NO_TIME: Refusal = refused("a time in the assertion is none");
    if !(0.0..=1e11).contains(&seconds) {
        return Err(NO_TIME);
    }
    DateTime::from_timestamp(seconds as i64, 0).ok_or(NO_TIME)
}

const fn refused(why: &'static str) -> Refusal {
    Refusal::new(InvalidClient, why).challenging("Basic")
}
