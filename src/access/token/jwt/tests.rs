//! Tokens taken apart, and checked with keys.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests")]

use std::collections::BTreeMap;
use std::sync::Mutex;

use jsonwebtoken::{EncodingKey, Header};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::access::token::keys::{Checked, KeySet};

/// A key that nobody else has; the same for the same name.
fn made(name: &'static str, make: fn() -> Vec<u8>) -> EncodingKey {
    static MADE: Mutex<BTreeMap<&str, Vec<u8>>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap();
    let der = made.entry(name).or_insert_with(make);
    if name == "rsa" { EncodingKey::from_rsa_der(der) } else { EncodingKey::from_ec_der(der) }
}

fn make_ec() -> Vec<u8> {
    let random = aws_lc_rs::rand::SystemRandom::new();
    let algorithm = &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    aws_lc_rs::signature::EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap().as_ref().to_vec()
}

fn make_rsa() -> Vec<u8> {
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    // Within PKCS #8 stands the RSAPrivateKey of RFC 8017, behind 26 bytes for a key of this size.
    der.as_ref()[26..].to_vec()
}

fn jwk(key: &EncodingKey, algorithm: Algorithm, id: &str) -> Value {
    let mut jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(key, algorithm).unwrap();
    jwk.common.key_id = Some(id.to_owned());
    serde_json::to_value(jwk).unwrap()
}

fn keys(all: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": all }).to_string().as_bytes()).unwrap()
}

fn ec() -> EncodingKey {
    made("one", make_ec)
}

fn other() -> EncodingKey {
    made("other", make_ec)
}

fn rsa() -> EncodingKey {
    made("rsa", make_rsa)
}

fn signed(key: &EncodingKey, algorithm: Algorithm, id: Option<&str>) -> String {
    let mut header = Header::new(algorithm);
    header.kid = id.map(str::to_owned);
    jsonwebtoken::encode(&header, &json!({"iss": "https://id.example", "sub": "x"}), key).unwrap()
}

fn encoded(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2lnbmF0dXJl", part(header), part(claims))
}

fn check(keys: &KeySet, token: &str) -> Checked {
    keys.check(&Unverified::parse(token).unwrap())
}

#[test]
fn a_token_is_signed_with_the_key_that_it_names() {
    let set = keys(&[jwk(&ec(), Algorithm::ES256, "one"), jwk(&rsa(), Algorithm::RS256, "rsa")]);
    assert_eq!(check(&set, &signed(&ec(), Algorithm::ES256, Some("one"))), Checked::Good);
    assert_eq!(check(&set, &signed(&rsa(), Algorithm::RS256, Some("rsa"))), Checked::Good);
    assert_eq!(check(&set, &signed(&other(), Algorithm::ES256, Some("one"))), Checked::Bad);
    assert_eq!(check(&set, &signed(&ec(), Algorithm::ES256, Some("two"))), Checked::Unknown);
}

#[test]
fn a_key_is_used_with_algorithms_of_its_own_type_only() {
    let set = keys(&[jwk(&ec(), Algorithm::ES256, "one"), jwk(&rsa(), Algorithm::RS256, "rsa")]);
    assert_eq!(check(&set, &signed(&ec(), Algorithm::ES256, Some("rsa"))), Checked::Unknown);
    assert_eq!(check(&set, &signed(&rsa(), Algorithm::RS256, Some("one"))), Checked::Unknown);
    // The key says that it is for RS256.
    assert_eq!(check(&set, &signed(&rsa(), Algorithm::RS512, Some("rsa"))), Checked::Unknown);
    let mut open = jwk(&rsa(), Algorithm::RS256, "rsa");
    open.as_object_mut().unwrap().remove("alg");
    assert_eq!(check(&keys(&[open]), &signed(&rsa(), Algorithm::RS512, Some("rsa"))), Checked::Good);
}

#[test]
fn a_token_without_a_name_of_a_key_is_signed_with_the_only_one() {
    let one = jwk(&ec(), Algorithm::ES256, "one");
    let token = signed(&ec(), Algorithm::ES256, None);
    assert_eq!(check(&keys(std::slice::from_ref(&one)), &token), Checked::Good);
    let two = jwk(&other(), Algorithm::ES256, "two");
    assert_eq!(check(&keys(&[one, two]), &token), Checked::Unknown);
}

#[test]
fn keys_for_other_ends_are_left_out() {
    let one = jwk(&ec(), Algorithm::ES256, "one");
    for (name, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["sign"])),
        ("alg", json!("ES384K")),
        ("alg", json!("HS256")),
        ("crv", json!("P-521")),
        ("kty", json!("oct")),
        ("x", json!("AA")),
    ] {
        let mut other = one.clone();
        other[name] = value.clone();
        let token = signed(&ec(), Algorithm::ES256, Some("one"));
        assert_ne!(check(&keys(&[other]), &token), Checked::Good, "{name}: {value}");
    }
    assert!(keys(&[json!({"kty": "oct", "k": "c2VjcmV0"}), json!("x"), json!({})]).is_empty());
    assert!(KeySet::parse(b"{}").is_err() && KeySet::parse(b"[").is_err());
    let many: Vec<Value> = (0..101).map(|_| one.clone()).collect();
    assert!(KeySet::parse(json!({ "keys": many }).to_string().as_bytes()).is_err());
}

#[test]
fn none_and_shared_secrets_are_never_accepted() {
    for name in ["none", "None", "NONE", "HS256", "HS384", "HS512", "", "ES256K", "RSA-OAEP", "rs256"] {
        let token = encoded(&json!({"alg": name, "kid": "one"}), &json!({}));
        assert!(matches!(Unverified::parse(&token), Err(Denied::Token(_))), "{name}");
    }
    let unsigned = encoded(&json!({"alg": "none"}), &json!({}));
    let (unsigned, _) = unsigned.rsplit_once('.').unwrap();
    assert!(Unverified::parse(&format!("{unsigned}.")).is_err());
}

#[test]
fn the_key_that_a_token_brings_is_not_looked_at() {
    let evil = other();
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some("one".to_owned());
    header.jwk = Some(jsonwebtoken::jwk::Jwk::from_encoding_key(&evil, Algorithm::ES256).unwrap());
    header.jku = Some("https://evil.example/keys".to_owned());
    let token = jsonwebtoken::encode(&header, &json!({}), &evil).unwrap();
    assert_eq!(check(&keys(&[jwk(&ec(), Algorithm::ES256, "one")]), &token), Checked::Bad);
}

#[test]
fn only_types_that_grant_access_are_taken() {
    for name in [json!("JWT"), json!("at+jwt"), json!("AT+JWT"), json!("application/at+jwt"), Value::Null] {
        let token = encoded(&json!({"alg": "ES256", "typ": name}), &json!({}));
        assert!(Unverified::parse(&token).is_ok(), "{name}");
    }
    for name in ["logout+jwt", "dpop+jwt", "secevent+jwt", ""] {
        let token = encoded(&json!({"alg": "ES256", "typ": name}), &json!({}));
        assert!(Unverified::parse(&token).is_err(), "{name}");
    }
}

#[test]
fn what_is_critical_and_not_understood_is_refused() {
    for crit in [json!(["b64"]), json!(["exp"]), json!([])] {
        let token = encoded(&json!({"alg": "ES256", "crit": crit}), &json!({}));
        assert!(Unverified::parse(&token).is_err());
    }
}

#[test]
fn what_is_no_jwt_is_refused() {
    let good = signed(&ec(), Algorithm::ES256, Some("one"));
    let parts: Vec<&str> = good.split('.').collect();
    for token in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{good}.x"),
        format!("{}.{}.{}.x.y", parts[0], parts[1], parts[2]),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        encoded(&json!([]), &json!({})),
        encoded(&json!({"alg": 1}), &json!({})),
        encoded(&json!({"alg": "ES256", "kid": {}}), &json!({})),
        encoded(&json!({"alg": "ES256"}), &json!([])),
        encoded(&json!({"alg": "ES256", "kid": "k".repeat(513)}), &json!({})),
    ] {
        assert!(matches!(Unverified::parse(&token), Err(Denied::Token(_))), "{token:.60}");
    }
}

/// Any change of a good token makes it one that is not.
fn is_good(token: &str) -> bool {
    let set = keys(&[jwk(&ec(), Algorithm::ES256, "one")]);
    Unverified::parse(token).is_ok_and(|token| set.check(&token) == Checked::Good)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sent_is_told_and_nothing_breaks(token in "\\PC{0,200}") {
        prop_assert!(!is_good(&token));
    }

    #[test]
    fn whatever_stands_in_its_parts_is_told(header in any::<Vec<u8>>(), claims in any::<Vec<u8>>()) {
        let token = format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        prop_assert!(!is_good(&token));
    }

    #[test]
    fn a_token_that_was_touched_is_no_good(at in 0usize..10_000, byte in "[A-Za-z0-9_.-]") {
        let good = signed(&ec(), Algorithm::ES256, Some("one"));
        let at = at % good.len();
        let mut touched = good.clone();
        touched.replace_range(at..=at, &byte);
        // The last character of a part holds bits that mean nothing: base64 refuses them unless they are zero.
        prop_assert!(touched == good || !is_good(&touched), "{touched}");
    }

    #[test]
    fn any_keys_are_read_or_refused(json in "\\PC{0,300}") {
        drop(KeySet::parse(json.as_bytes()));
    }
}
