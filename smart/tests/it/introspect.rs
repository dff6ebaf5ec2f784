//! What clients are told of tokens: of their own, and of others if they may.

use anamnesis_smart::{Happened, SmartOptions};
use chrono::TimeDelta;
use serde_json::json;

use crate::support::{Answer, SECRET, World, basic, basic_header, claims, redeeming, test, test_with};

const SCOPE: &str = "openid fhirUser offline_access patient/*.rs";

/// With a client that may ask about all.
fn setup(options: &mut SmartOptions) {
    options.clients.push(anamnesis_smart::Client { id: "gate".into(), may_introspect: true, ..basic() });
}

async fn ask(world: &World, client: &str, token: &str) -> Answer {
    let header = basic_header(client, SECRET);
    world.post("/auth/introspect", &[("token", token)], &[("authorization", &header)]).await
}

async fn given(world: &World) -> Answer {
    let code = world.code("post", SCOPE).await;
    let form = [&redeeming("post", &code)[..], &[("client_secret", SECRET)]].concat();
    let answer = world.token(&form).await;
    answer.is_given();
    answer
}

fn is_inactive(answer: &Answer) {
    assert_eq!(answer.is_given().body, json!({"active": false}));
}

#[test]
fn a_good_token_is_told_with_what_it_was_granted_for() {
    test_with(setup, |world| async move {
        let given = given(&world).await;
        let said = claims(given.text("access_token"));
        world.host.records();
        let told = ask(&world, "gate", given.text("access_token")).await;
        assert_eq!(told.is_given().body["active"], true);
        for name in ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "fhirUser", "patient"] {
            assert_eq!(told.body[name], said[name], "{name}");
        }
        assert_eq!(told.headers["cache-control"], "no-store");
        let [record] = world.host.records().try_into().unwrap();
        assert_eq!((record.happened, record.client.as_deref()), (Happened::Introspection, Some("gate")));
        assert_eq!(record.user.as_deref(), said["sub"].as_str());
        let told = ask(&world, "gate", given.text("refresh_token")).await;
        assert_eq!((told.text("client_id"), told.text("scope")), ("post", SCOPE));
    });
}

#[test]
fn tokens_of_others_and_what_is_none_are_told_alike() {
    test_with(setup, |world| async move {
        let given = given(&world).await;
        let access = given.text("access_token");
        is_inactive(&ask(&world, "basic", access).await);
        is_inactive(&ask(&world, "basic", given.text("refresh_token")).await);
        let secret = [("client_id", "post"), ("client_secret", SECRET), ("token", access)];
        assert_eq!(world.post("/auth/introspect", &secret, &[]).await.body["active"], true);
        let (message, signature) = access.rsplit_once('.').unwrap();
        let others = [
            "x".to_owned(),
            "a.b.c".into(),
            given.text("id_token").to_owned(),
            format!("{message}.{}", signature.replace(&signature[..4], "AAAA")),
            format!("{message}."),
        ];
        for other in others {
            is_inactive(&ask(&world, "gate", &other).await);
        }
    });
}

#[test]
fn ended_and_revoked_tokens_are_not_active() {
    test_with(setup, |world| async move {
        let first = given(&world).await;
        let family = claims(first.text("access_token"))["fam"].as_str().unwrap().parse().unwrap();
        // Another process knows at once.
        let other = world.beside().await;
        world.server.revoke_family(family).await.unwrap();
        is_inactive(&ask(&other, "gate", first.text("access_token")).await);
        is_inactive(&ask(&other, "gate", first.text("refresh_token")).await);
        other.stop().await;
        let second = given(&world).await;
        world.host.pass(TimeDelta::minutes(61));
        is_inactive(&ask(&world, "gate", second.text("access_token")).await);
        assert_eq!(ask(&world, "gate", second.text("refresh_token")).await.body["active"], true);
    });
}

#[test]
fn only_clients_that_show_who_they_are_may_ask() {
    test(|world| async move {
        let form = [("client_id", "public"), ("token", "x")];
        world.post("/auth/introspect", &form, &[]).await.is_refused(401, "invalid_client");
        world.post("/auth/introspect", &[("token", "x")], &[]).await.is_refused(401, "invalid_client");
        let header = basic_header("basic", SECRET);
        let headers = [("authorization", header.as_str())];
        world.post("/auth/introspect", &[], &headers).await.is_refused(400, "invalid_request");
        world.host.mute(true);
        ask(&world, "basic", "x").await.is_refused(503, "temporarily_unavailable");
    });
}

#[test]
fn a_token_of_another_service_is_none_here() {
    test_with(setup, |world| async move {
        let other = world
            .beside_with(|options| {
                options.service = "other".into();
                options.base = "https://ehr.example/other".into();
            })
            .await;
        is_inactive(&ask(&other, "gate", given(&world).await.text("access_token")).await);
        other.stop().await;
    });
}
