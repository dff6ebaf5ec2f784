//! Assertions of clients: signed with their own keys, for this server, for minutes, once.

mod fetched;

use std::sync::Arc;

use anamnesis_smart::{AuthMethod, Client, GrantType, SmartOptions};
use serde_json::{Value, json};

use crate::support::keys::{AppKey, assertion, es384, rs384};
use crate::support::{Answer, World, basic, test_with};

/// A client that shows who it is with these public keys.
fn client(jwks: Value) -> Client {
    Client {
        id: "backend".into(),
        auth_method: AuthMethod::PrivateKeyJwt,
        grant_types: vec![GrantType::ClientCredentials],
        redirect_uris: vec![],
        secret_digest: None,
        jwks: Some(jwks),
        ..basic()
    }
}

fn setup(keys: &[&AppKey]) -> impl FnOnce(&mut SmartOptions) + use<> {
    let jwks = json!({"keys": keys.iter().map(|key| key.jwk.clone()).collect::<Vec<_>>()});
    |options| options.clients.push(client(jwks))
}

/// Asks with an assertion.
async fn ask(world: &World, assertion: &str) -> Answer {
    let form = [
        ("grant_type", "client_credentials"),
        ("scope", "system/*.rs"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
    ];
    world.token(&form).await
}

/// The claims of a good assertion, but for one that is another or not there.
fn with(world: &World, name: &str, value: Value) -> Value {
    let mut claims = assertion("backend", &world.base);
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(name),
        value => claims.as_object_mut().unwrap().insert(name.into(), value),
    };
    claims
}

#[test]
fn es384_and_rs384_are_taken() {
    let key = es384();
    test_with(setup(&[&key, rs384()]), |world| async move {
        ask(&world, &key.sign(&assertion("backend", &world.base))).await.is_given();
        ask(&world, &rs384().sign(&assertion("backend", &world.base))).await.is_given();
        for audience in [
            json!(world.base),
            json!([world.base]),
            json!(format!("{}/AadSmartOnFhirProxy/token", world.base)),
        ] {
            ask(&world, &key.sign(&with(&world, "aud", audience))).await.is_given();
        }
    });
}

#[test]
fn an_assertion_is_good_once_on_all_processes_together() {
    let key = es384();
    test_with(setup(&[&key]), |world: Arc<World>| async move {
        let other = world.beside().await;
        let said = key.sign(&assertion("backend", &world.base));
        let asked = (0..10).map(|index| ask(if index % 2 == 0 { &world } else { &other }, &said));
        let answers = futures::future::join_all(asked).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        for refused in answers.iter().filter(|answer| answer.status != 200) {
            refused.is_refused(401, "invalid_client");
        }
        // Signed anew, it is the same one still.
        let claims = assertion("backend", &world.base);
        ask(&world, &key.sign(&claims)).await.is_given();
        ask(&other, &key.sign(&claims)).await.is_refused(401, "invalid_client");
        other.stop().await;
    });
}

#[test]
fn what_an_assertion_says_has_to_be_right() {
    let key = es384();
    test_with(setup(&[&key]), |world| async move {
        let now = chrono::Utc::now().timestamp();
        let wrong = [
            ("iss", json!("basic")),
            ("iss", json!("unknown")),
            ("iss", Value::Null),
            ("sub", json!("basic")),
            ("sub", Value::Null),
            ("aud", json!("https://elsewhere.example/auth/token")),
            ("aud", json!(format!("{}/auth/introspect", world.base))),
            ("aud", json!(format!("{}.evil.example/auth/token", world.base))),
            ("aud", json!([world.base, "https://elsewhere.example"])),
            ("aud", json!([])),
            ("aud", Value::Null),
            ("exp", json!(now - 60)),
            ("exp", json!(now + 600)),
            ("exp", json!("tomorrow")),
            ("exp", json!(1e300)),
            ("exp", Value::Null),
            ("nbf", json!(now + 120)),
            ("iat", json!(now + 120)),
            ("jti", json!("")),
            ("jti", json!("x".repeat(300))),
            ("jti", Value::Null),
        ];
        for (name, value) in wrong {
            let refused = ask(&world, &key.sign(&with(&world, name, value.clone()))).await;
            assert_eq!((refused.status, refused.text("error")), (401, "invalid_client"), "{name} {value}");
        }
        assert_eq!(world.host.records().iter().filter(|record| record.refused.is_none()).count(), 0);
        ask(&world, &key.sign(&assertion("backend", &world.base))).await.is_given();
    });
}

#[test]
fn no_other_signature_is_taken_for_the_clients() {
    let (key, other) = (es384(), es384());
    test_with(setup(&[&key, rs384()]), |world| async move {
        let claims = || assertion("backend", &world.base);
        let header = |alg: &str| json!({"alg": alg, "kid": key.kid});
        let good = key.sign(&claims());
        let (message, signature) = good.rsplit_once('.').unwrap();
        let encode = |text: &str| {
            use base64::Engine as _;
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
        };
        let none = format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(&claims().to_string()));
        // The public key as a shared secret.
        let message_of_secret = format!(
            "{}.{}",
            encode(&json!({"alg": "HS256", "kid": key.kid}).to_string()),
            encode(&claims().to_string())
        );
        let secret = jsonwebtoken::EncodingKey::from_secret(key.jwk["x"].as_str().unwrap().as_bytes());
        let mac =
            jsonwebtoken::crypto::sign(message_of_secret.as_bytes(), &secret, jsonwebtoken::Algorithm::HS256);
        let wrong = [
            none,
            format!("{message_of_secret}.{}", mac.unwrap()),
            other.sign(&claims()),
            other.sign_with(&header("ES384"), &claims()),
            key.sign_with(&json!({"alg": "none", "kid": key.kid}), &claims()),
            key.sign_with(&json!({"alg": "RS384", "kid": key.kid}), &claims()),
            key.sign_with(&json!({"alg": "RS384", "kid": "rsa"}), &claims()),
            key.sign_with(&json!({"alg": "ES256", "kid": key.kid}), &claims()),
            key.sign_with(&json!({"alg": "ES384", "kid": "unknown"}), &claims()),
            key.sign_with(&json!({"alg": "ES384", "kid": key.kid, "typ": "at+jwt"}), &claims()),
            key.sign_with(&json!({"alg": "ES384", "kid": key.kid, "crit": ["x"]}), &claims()),
            other.sign_with(&json!({"alg": "ES384", "kid": other.kid, "jwk": other.jwk}), &claims()),
            other.sign_with(&json!({"alg": "ES384", "jku": "https://evil.example/keys"}), &claims()),
            key.sign_with(&json!({"alg": "ES384", "jku": "https://evil.example/keys"}), &claims()),
            format!("{message}x.{signature}"),
            format!("{message}.{}", &signature[1..]),
            format!("{message}.{signature}."),
            format!("{message}."),
            message.to_owned(),
            "a.b.c".into(),
            "...".into(),
            "x".repeat(20_000),
        ];
        for (index, text) in wrong.iter().enumerate() {
            let refused = ask(&world, text).await;
            assert_eq!((refused.status, refused.text("error")), (401, "invalid_client"), "{index}");
        }
        // Only one key fits, so that it need not be named.
        ask(&world, &key.sign_with(&json!({"alg": "ES384"}), &claims())).await.is_given();
        ask(&world, &good).await.is_given();
    });
}

#[test]
fn an_own_access_token_is_no_assertion() {
    let key = es384();
    test_with(setup(&[&key]), |world| async move {
        let given = ask(&world, &key.sign(&assertion("backend", &world.base))).await;
        ask(&world, given.text("access_token")).await.is_refused(401, "invalid_client");
    });
}

#[test]
fn an_assertion_is_for_clients_that_are_registered_with_keys() {
    let key = es384();
    test_with(setup(&[&key]), |world| async move {
        ask(&world, &key.sign(&assertion("basic", &world.base))).await.is_refused(401, "invalid_client");
        let form = [("grant_type", "client_credentials"), ("scope", "system/*.rs"), ("client_id", "backend")];
        world.token(&form).await.is_refused(401, "invalid_client");
        let said = key.sign(&assertion("backend", &world.base));
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"),
            ("client_assertion", said.as_str()),
        ];
        world.token(&form).await.is_refused(400, "invalid_request");
    });
}
