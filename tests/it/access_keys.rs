//! The keys of an authority: fetched, rotated, withdrawn, and what happens while it is away.

use std::sync::Arc;
use std::time::Duration;

use anamnesis::access::Gate;
use anamnesis::access::token::keeper::KeeperOptions;

use crate::support::authority::{Authority, Key, bearer, quick};
use crate::support::{Server, Setup, eventually, runtime, test_with};

fn guarded_by<T: Future<Output = ()>>(gate: Arc<Gate>, body: impl FnOnce(Arc<Server>) -> T) {
    test_with(Setup { gate: Some(gate), ..Setup::default() }, body);
}

/// The status of a search with a token.
async fn status(server: &Server, token: &str) -> u16 {
    server.send("GET", "/Patient", &[("Authorization", &bearer(token))], "").await.status.as_u16()
}

#[test]
fn a_new_key_is_asked_for_once_and_an_unknown_one_is_not_asked_for_again_and_again() {
    let (one, two) = (Key::new("one"), Key::new("two"));
    let authority = Authority::start(&[&one]);
    let options = KeeperOptions { unknown_key_every: Duration::from_secs(3600), ..KeeperOptions::default() };
    let gate = runtime().block_on(async { authority.gate_with(options) });
    guarded_by(gate, async |server| {
        assert_eq!(status(&server, &one.sign(&authority.claims("FHIR Data Reader"))).await, 200);
        assert_eq!(authority.asked(), 1);
        authority.publish(&[&one, &two]);
        // It was only just asked: a client that makes names up has it asked no more.
        for name in ["made up", "another", "two"] {
            let token = two.called(name).sign(&authority.claims("FHIR Data Reader"));
            assert_eq!(status(&server, &token).await, 401, "{name}");
        }
        assert_eq!(authority.asked(), 1);
    });
}

#[test]
fn a_rotated_key_is_taken_at_once_and_many_who_ask_are_one() {
    let (one, two) = (Key::new("one"), Key::new("two"));
    let authority = Authority::start(&[&one]);
    let gate = runtime().block_on(async { authority.gate_with(quick()) });
    guarded_by(gate, async |server| {
        assert_eq!(status(&server, &one.sign(&authority.claims("FHIR Data Reader"))).await, 200);
        let before = authority.asked();
        authority.publish(&[&one, &two]);
        let tokens: Vec<String> = (0..20).map(|_| two.sign(&authority.claims("FHIR Data Reader"))).collect();
        let asked = futures::future::join_all(tokens.iter().map(|token| status(&server, token))).await;
        assert!(asked.iter().all(|status| *status == 200), "{asked:?}");
        assert!(authority.asked() - before <= 3, "{} times", authority.asked() - before);
        // The old one is still published.
        assert_eq!(status(&server, &one.sign(&authority.claims("FHIR Data Reader"))).await, 200);
    });
}

#[test]
fn a_withdrawn_key_ends_tokens_that_were_good() {
    let (one, two) = (Key::new("one"), Key::new("two"));
    let authority = Authority::start(&[&one]);
    let options = KeeperOptions { every: Duration::from_millis(50), ..quick() };
    let gate = runtime().block_on(async { authority.gate_with(options) });
    guarded_by(gate, async |server| {
        let token = one.sign(&authority.claims("FHIR Data Reader"));
        assert_eq!(status(&server, &token).await, 200);
        authority.publish(&[&two]);
        eventually("the token is refused", async || status(&server, &token).await == 401).await;
    });
}

#[test]
fn while_the_authority_was_never_reached_nobody_is_told_that_their_token_is_bad() {
    let key = Key::new("one");
    let authority = Authority::start(&[&key]);
    authority.fail(Some(500));
    let gate = runtime().block_on(async { authority.gate_with(quick()) });
    guarded_by(gate, async |server| {
        let token = key.sign(&authority.claims("FHIR Data Reader"));
        let headers = [("Authorization", &*bearer(&token))];
        let answer = server.send("GET", "/Patient", &headers, "").await;
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(!answer.header("retry-after").is_empty());
        assert!(!answer.text().contains("secret"));
        // What needs no token is there, and who brings none is told so.
        assert_eq!(server.get("/metadata").await.status, 200);
        assert_eq!(server.get("/Patient").await.status, 401);
        authority.fail(None);
        eventually("the token is taken", async || status(&server, &token).await == 200).await;
    });
}

#[test]
fn while_the_authority_is_away_its_last_keys_are_taken_up_to_a_bound() {
    let key = Key::new("one");
    let authority = Authority::start(&[&key]);
    let options = KeeperOptions {
        every: Duration::from_millis(50),
        stale_max: Duration::from_secs(1),
        unknown_key_every: Duration::from_secs(3600),
        ..KeeperOptions::default()
    };
    let gate = runtime().block_on(async { authority.gate_with(options) });
    guarded_by(gate, async |server| {
        let claims = authority.claims("FHIR Data Reader");
        assert_eq!(status(&server, &key.sign(&claims)).await, 200);
        let asked = authority.asked_for_metadata();
        authority.fail(Some(503));
        eventually("it was asked in vain", async || authority.asked_for_metadata() > asked).await;
        assert_eq!(status(&server, &key.sign(&claims)).await, 200, "its last keys are good");
        eventually("they are too old", async || status(&server, &key.sign(&claims)).await == 503).await;
    });
}

#[test]
fn an_authority_that_says_wrong_things_is_not_believed() {
    let key = Key::new("one");
    let authority = Authority::start(&[&key]);
    let keys = format!("{}/keys", authority.address);
    let own = authority.address.clone();
    for (what, metadata) in [
        ("another issuer", serde_json::json!({"issuer": "https://evil.example", "jwks_uri": keys})),
        ("keys without TLS", serde_json::json!({"issuer": own, "jwks_uri": "http://192.0.2.1/keys"})),
        ("no address", serde_json::json!({"issuer": own, "jwks_uri": "keys"})),
        ("nothing", serde_json::json!({})),
        ("too much", serde_json::json!({"issuer": own, "jwks_uri": keys, "x": "x".repeat(200_000)})),
    ] {
        authority.say(metadata);
        let gate = runtime().block_on(async { authority.gate_with(quick()) });
        let token = key.sign(&authority.claims("FHIR Data Reader"));
        let admitted = runtime().block_on(gate.admit(&[bearer(&token).as_bytes()], ""));
        assert!(
            matches!(admitted, Err(anamnesis::access::Denied::Unavailable { .. })),
            "{what}: {admitted:?}"
        );
    }
    authority.say(serde_json::json!({"issuer": own, "jwks_uri": keys}));
    let gate = runtime().block_on(async { authority.gate_with(quick()) });
    let token = key.sign(&authority.claims("FHIR Data Reader"));
    let admitted = runtime().block_on(gate.admit(&[bearer(&token).as_bytes()], ""));
    assert_eq!(&*admitted.unwrap().subject, "FHIR Data Reader");
}
