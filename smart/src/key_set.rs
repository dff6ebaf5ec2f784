//! The public keys of a client (RFC 7517), and the check of a signature with the one that fits.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::Value;

/// Keys of one client at most.
const KEYS_MAX: usize = 50;
/// Keys that one signature is tried with at most: two of one name may stand there while one takes the other's place.
const TRIES_MAX: usize = 4;
/// What only private and symmetric keys have (RFC 7518 section 6).
const SECRET_MEMBERS: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];

/// Algorithms that assertions may be signed with: SMART has RS384 and ES384; RFC 7518 section 3.1 has the others, which clients
/// use that were made for other servers. Those with shared secrets are not among them, nor is `none`.
pub(crate) const ALGORITHMS: [(&str, Algorithm); 8] = [
    ("RS384", Algorithm::RS384),
    ("ES384", Algorithm::ES384),
    ("RS256", Algorithm::RS256),
    ("RS512", Algorithm::RS512),
    ("ES256", Algorithm::ES256),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
];

/// The public keys of a client.
#[derive(Clone, Default)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: Option<String>,
    fits: Fits,
    /// The one algorithm that it is for, where it says so.
    algorithm: Option<Algorithm>,
    key: DecodingKey,
}

/// The algorithms that a key can be used with at all, by its type and curve.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fits {
    Rsa,
    P256,
    P384,
}

/// What came of looking for the key of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// It is made with a key of this set.
    Good,
    /// There is a key that it should be made with, and it is not.
    Bad,
    /// There is no such key here.
    Unknown,
}

impl KeySet {
    /// Reads a JSON Web Key Set. Keys that no signature can be checked with are left out.
    ///
    /// # Errors
    /// It is none, has too many keys, or private ones. Says which of these.
    pub(crate) fn parse(json: &Value) -> Result<Self, &'static str> {
        let keys = json.get("keys").and_then(Value::as_array).ok_or("there is no array `keys`")?;
        if keys.len() > KEYS_MAX {
            return Err("there are too many keys");
        }
        if keys.iter().any(|key| SECRET_MEMBERS.iter().any(|name| key.get(name).is_some())) {
            return Err("there are private or symmetric keys in it, which nobody but the client may know");
        }
        Ok(Self { keys: keys.iter().filter_map(Key::parse).collect() })
    }

    /// Whether no key can be used.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Checks a signature. A key is used only with an algorithm of its own type, so that no public key is ever taken for
    /// something else. Without a name of a key there has to be one only that fits.
    pub(crate) fn check(
        &self,
        (algorithm, key_id): (Algorithm, Option<&str>),
        message: &str,
        signature: &str,
    ) -> Checked {
        let fitting = self.keys.iter().filter(|key| key.takes(algorithm));
        let candidates: Vec<&Key> = match key_id {
            Some(id) => fitting.filter(|key| key.id.as_deref() == Some(id)).take(TRIES_MAX).collect(),
            None => {
                let all: Vec<&Key> = fitting.collect();
                if all.len() == 1 { all } else { Vec::new() }
            }
        };
        let is_good = |key: &&Key| {
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.key, algorithm).unwrap_or(false)
        };
        match candidates.iter().any(is_good) {
            true => Checked::Good,
            false if candidates.is_empty() => Checked::Unknown,
            false => Checked::Bad,
        }
    }
}

impl Key {
    /// A key that signatures can be checked with; `None` for any other.
    fn parse(json: &Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(json.clone()).ok()?;
        let fits = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Fits::Rsa,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Fits::P256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => Fits::P384,
            _ => return None,
        };
        let common = &jwk.common;
        let is_for_signatures =
            common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
        let checks = common.key_operations.as_ref().is_none_or(|of| of.contains(&KeyOperations::Verify));
        if !is_for_signatures || !checks {
            return None;
        }
        let algorithm = match common.key_algorithm {
            None => None,
            Some(named) => Some(algorithm_of(named)?),
        };
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { id: common.key_id.clone(), fits, algorithm, key })
    }

    fn takes(&self, algorithm: Algorithm) -> bool {
        let fits = match self.fits {
            Fits::Rsa => algorithm.family() == AlgorithmFamily::Rsa,
            Fits::P256 => algorithm == Algorithm::ES256,
            Fits::P384 => algorithm == Algorithm::ES384,
        };
        fits && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

fn algorithm_of(named: KeyAlgorithm) -> Option<Algorithm> {
    let algorithm = Algorithm::try_from(named).ok()?;
    ALGORITHMS.iter().any(|(_, allowed)| *allowed == algorithm).then_some(algorithm)
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<_> = self.keys.iter().map(|key| &key.id).collect();
        formatter.debug_struct("KeySet").field("ids", &ids).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    /// A key of P-384 with these members more, and a signature of `message` by it.
    fn signed(more: &Value) -> (Value, String) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk =
            json!({"kty": "EC", "crv": "P-384", "x": encode(&point[1..49]), "y": encode(&point[49..])});
        jwk.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let signature = pair.sign(&aws_lc_rs::rand::SystemRandom::new(), b"message").unwrap();
        (jwk, encode(signature.as_ref()))
    }

    #[test]
    fn a_key_is_used_for_what_it_is_for_only() {
        let check = |more: Value, algorithm: Algorithm, kid: Option<&str>| {
            let (jwk, signature) = signed(&more);
            KeySet::parse(&json!({"keys": [jwk]})).unwrap().check((algorithm, kid), "message", &signature)
        };
        assert_eq!(check(json!({}), Algorithm::ES384, None), Checked::Good);
        assert_eq!(check(json!({"kid": "a", "use": "sig"}), Algorithm::ES384, Some("a")), Checked::Good);
        assert_eq!(check(json!({"kid": "a"}), Algorithm::ES384, Some("b")), Checked::Unknown);
        for algorithm in [Algorithm::ES256, Algorithm::RS384, Algorithm::HS384, Algorithm::EdDSA] {
            assert_eq!(check(json!({}), algorithm, None), Checked::Unknown, "{algorithm:?}");
        }
        for more in [json!({"use": "enc"}), json!({"alg": "ES256"}), json!({"key_ops": ["sign"]})] {
            assert_eq!(check(more.clone(), Algorithm::ES384, None), Checked::Unknown, "{more}");
        }
    }

    #[test]
    fn a_key_has_to_be_named_where_several_fit() {
        let ((one, signature), (other, _)) = (signed(&json!({"kid": "a"})), signed(&json!({"kid": "b"})));
        let keys = KeySet::parse(&json!({"keys": [other, one]})).unwrap();
        assert_eq!(keys.check((Algorithm::ES384, None), "message", &signature), Checked::Unknown);
        assert_eq!(keys.check((Algorithm::ES384, Some("a")), "message", &signature), Checked::Good);
        assert_eq!(keys.check((Algorithm::ES384, Some("b")), "message", &signature), Checked::Bad);
        assert_eq!(keys.check((Algorithm::ES384, Some("a")), "another", &signature), Checked::Bad);
    }

    #[test]
    fn what_is_no_set_of_public_keys_is_refused() {
        let (jwk, _) = signed(&json!({}));
        for wrong in [
            json!(null),
            json!([jwk]),
            json!({"keys": jwk}),
            json!({"keys": vec![jwk; KEYS_MAX + 1]}),
            json!({"keys": [signed(&json!({"d": "AQAB"})).0]}),
            json!({"keys": [{"kty": "oct", "k": "AQAB"}]}),
        ] {
            assert!(KeySet::parse(&wrong).is_err());
        }
    }
}
