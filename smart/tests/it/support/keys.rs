//! Private keys of apps, and what they sign.

use std::sync::OnceLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA384};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use uuid::Uuid;

/// A private key of an app, and its public half.
pub(crate) struct AppKey {
    pub(crate) kid: String,
    pub(crate) jwk: Value,
    name: &'static str,
    private: Private,
}

enum Private {
    Ec(EncodingKey),
    Rsa(RsaKeyPair),
}

/// A new key for ES384.
pub(crate) fn es384() -> AppKey {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let private = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
    let point = pair.public_key().as_ref();
    let (x, y) = point[1..].split_at(48);
    let kid = Uuid::new_v4().to_string();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwk = json!({"kty": "EC", "crv": "P-384", "use": "sig", "kid": kid, "x": encode(x), "y": encode(y)});
    AppKey { kid, jwk, name: "ES384", private: Private::Ec(private) }
}

/// The one key for RS384: it takes long to make.
pub(crate) fn rs384() -> &'static AppKey {
    static KEY: OnceLock<AppKey> = OnceLock::new();
    KEY.get_or_init(|| {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = pair.public_key();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = json!({
            "kty": "RSA", "kid": "rsa",
            "n": encode(public.modulus().big_endian_without_leading_zero()),
            "e": encode(public.exponent().big_endian_without_leading_zero()),
        });
        AppKey { kid: "rsa".into(), jwk, name: "RS384", private: Private::Rsa(pair) }
    })
}

impl AppKey {
    /// What the app sends to show who it is, with the usual header.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({"typ": "JWT", "alg": self.name, "kid": self.kid}), claims)
    }

    /// The same with this header, whatever it says.
    pub(crate) fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = match &self.private {
            Private::Ec(key) => {
                jsonwebtoken::crypto::sign(message.as_bytes(), key, Algorithm::ES384).unwrap()
            }
            Private::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA384, &SystemRandom::new(), message.as_bytes(), &mut signature)
                    .unwrap();
                URL_SAFE_NO_PAD.encode(signature)
            }
        };
        format!("{message}.{signature}")
    }
}

/// The claims of a good assertion.
pub(crate) fn assertion(client: &str, base: &str) -> Value {
    let now = chrono::Utc::now().timestamp();
    json!({
        "iss": client, "sub": client, "aud": format!("{base}/auth/token"),
        "exp": now + 240, "iat": now, "jti": Uuid::new_v4().to_string(),
    })
}
