//! Public keys of an authority (RFC 7517), and the check of a signature with the one that fits.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::jwt::Unverified;

/// Keys of one authority at most; the largest publish about a dozen.
const KEYS_MAX: usize = 100;

/// Keys that one token is tried with at most: two of one name may be published while one takes the other's place.
const TRIES_MAX: usize = 4;

/// The public keys of an authority.
#[derive(Clone, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    digest: [u8; 32],
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
    Ed25519,
}

/// What came of looking for the key of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It is signed with a key of this set.
    Good,
    /// There is a key that it should be signed with, and it is not.
    Bad,
    /// There is no such key here.
    Unknown,
}

/// Why something is no set of keys.
#[derive(Debug, thiserror::Error)]
#[error("it is no JSON Web Key Set: {0}")]
pub struct NoKeys(&'static str);

impl KeySet {
    /// Reads a JSON Web Key Set. Keys of kinds that are not used here, and such that are for something else than
    /// signatures, are left out.
    ///
    /// # Errors
    /// It is none, or it has too many keys.
    pub fn parse(json: &[u8]) -> Result<Self, NoKeys> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(json).map_err(|_| NoKeys("there is no array `keys`"))?;
        if set.keys.len() > KEYS_MAX {
            return Err(NoKeys("there are too many keys"));
        }
        let keys = set.keys.into_iter().filter_map(key).collect();
        Ok(Self { keys, digest: Sha256::digest(json).into() })
    }

    /// Whether the other set was read from the same text.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// How many keys can be used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key can be used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Checks the signature of a token. A key is used only with an algorithm of its own type, so that no public key is ever
    /// taken for something else. A token that names no key may be signed with the only one that fits.
    #[must_use]
    pub fn check(&self, token: &Unverified<'_>) -> Checked {
        let fitting = self.keys.iter().filter(|key| key.takes(token.algorithm));
        let candidates: Vec<&Key> = match &token.key_id {
            Some(id) => fitting.filter(|key| key.id.as_ref() == Some(id)).take(TRIES_MAX).collect(),
            None => {
                let all: Vec<&Key> = fitting.collect();
                if all.len() == 1 { all } else { Vec::new() }
            }
        };
        let (message, signature) = token.signed();
        let is_good = |key: &&Key| {
            jsonwebtoken::crypto::verify(signature, message, &key.key, token.algorithm).unwrap_or(false)
        };
        match candidates.iter().any(is_good) {
            true => Checked::Good,
            false if candidates.is_empty() => Checked::Unknown,
            false => Checked::Bad,
        }
    }
}

impl Key {
    fn takes(&self, algorithm: Algorithm) -> bool {
        let fits = match self.fits {
            Fits::Rsa => algorithm.family() == AlgorithmFamily::Rsa,
            Fits::P256 => algorithm == Algorithm::ES256,
            Fits::P384 => algorithm == Algorithm::ES384,
            Fits::Ed25519 => algorithm == Algorithm::EdDSA,
        };
        fits && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

/// A key that signatures can be checked with; `None` for any other.
fn key(json: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(json).ok()?;
    let fits = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Fits::Rsa,
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => Fits::P256,
            EllipticCurve::P384 => Fits::P384,
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Fits::Ed25519,
        // A shared secret among public keys is a mistake of the authority.
        _ => return None,
    };
    let common = &jwk.common;
    let is_for_signatures = common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
    let checks = common.key_operations.as_ref().is_none_or(|of| of.contains(&KeyOperations::Verify));
    if !is_for_signatures || !checks {
        return None;
    }
    let algorithm = match common.key_algorithm {
        None => None,
        Some(named) => Some(algorithm(named)?),
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(Key { id: common.key_id.clone(), fits, algorithm, key })
}

fn algorithm(named: KeyAlgorithm) -> Option<Algorithm> {
    Some(match named {
        KeyAlgorithm::RS256 => Algorithm::RS256,
        KeyAlgorithm::RS384 => Algorithm::RS384,
        KeyAlgorithm::RS512 => Algorithm::RS512,
        KeyAlgorithm::PS256 => Algorithm::PS256,
        KeyAlgorithm::PS384 => Algorithm::PS384,
        KeyAlgorithm::PS512 => Algorithm::PS512,
        KeyAlgorithm::ES256 => Algorithm::ES256,
        KeyAlgorithm::ES384 => Algorithm::ES384,
        KeyAlgorithm::EdDSA => Algorithm::EdDSA,
        _ => return None,
    })
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<_> = self.keys.iter().map(|key| &key.id).collect();
        formatter.debug_struct("KeySet").field("ids", &ids).finish_non_exhaustive()
    }
}
