//! A signed JWT in its compact form (RFC 7515 section 3.1), taken apart before anything in it is believed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::access::Denied;

/// A token whose signature has not been checked.
#[derive(Debug)]
pub struct Unverified<'a> {
    /// What the signature is over.
    message: &'a str,
    /// The signature.
    signature: &'a str,
    /// How it is signed.
    pub algorithm: Algorithm,
    /// Which key it is signed with, where it says so.
    pub key_id: Option<String>,
    claims: Map<String, Value>,
}

/// The header, as far as it matters (RFC 7515 section 4.1). `jku`, `jwk`, `x5u` and `x5c` would have the token bring the
/// key that it is checked with; they are not looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// Algorithms with public keys, by their names in RFC 7518 section 3.1 and RFC 8037. Those with shared secrets are not among
/// them: who can check such a token can make one. Nor is `none`.
pub const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// The types of token that may grant access (RFC 9068 section 2.1; before it, tokens said `JWT` or nothing). Others, such as
/// `logout+jwt`, are signed with the same keys for other ends.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// The longest name of a key, in bytes.
const KEY_ID_BYTES_MAX: usize = 512;

const MALFORMED: Denied = Denied::Token("the access token is no signed JWT");

impl<'a> Unverified<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// It is no JWT of a kind that could grant access.
    pub fn parse(token: &'a str) -> Result<Self, Denied> {
        let (message, signature) = token.rsplit_once('.').ok_or(MALFORMED)?;
        let (header, payload) = message.split_once('.').ok_or(MALFORMED)?;
        if payload.contains('.') || signature.is_empty() {
            return Err(MALFORMED);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| MALFORMED);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| MALFORMED)?;
        let claims: Map<String, Value> = serde_json::from_slice(&decode(payload)?).map_err(|_| MALFORMED)?;
        if header.crit.is_some() {
            // RFC 7515 section 4.1.11: what is critical and not understood makes it invalid.
            return Err(Denied::Token("the access token has critical headers that are not understood"));
        }
        let is_of_access = |name: &str| TYPES.contains(&name.to_ascii_lowercase().as_str());
        if header.typ.as_deref().is_some_and(|name| !is_of_access(name)) {
            return Err(Denied::Token("the token is not of a type that grants access"));
        }
        let algorithm = ALGORITHMS.iter().find(|(name, _)| *name == header.alg).map(|(_, it)| *it);
        let algorithm =
            algorithm.ok_or(Denied::Token("the access token is signed in a way that is not accepted"))?;
        if header.kid.as_ref().is_some_and(|id| id.len() > KEY_ID_BYTES_MAX) {
            return Err(MALFORMED);
        }
        Ok(Self { message, signature, algorithm, key_id: header.kid, claims })
    }

    /// What the signature is over, and the signature.
    #[must_use]
    pub fn signed(&self) -> (&'a [u8], &'a str) {
        (self.message.as_bytes(), self.signature)
    }

    /// Who says to have issued it. Not to be believed: it tells whose keys to check it with.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// The tenant that it says to be of (Entra's `tid`), to be believed as little.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.claims.get("tid").and_then(Value::as_str)
    }

    /// The claims of a token whose signature has been checked.
    #[must_use]
    pub(super) fn into_claims(self) -> Map<String, Value> {
        self.claims
    }
}

#[cfg(test)]
mod tests;
