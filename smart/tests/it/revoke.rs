//! Tokens that their clients take back.

use std::time::{Duration, Instant};

use anamnesis_smart::Happened;
use uuid::Uuid;

use crate::support::{Answer, SECRET, World, basic_header, claims, eventually, test};

const SCOPE: &str = "offline_access patient/*.rs";

async fn revoke(world: &World, token: &str) -> Answer {
    world.post("/auth/revoke", &[("client_id", "public"), ("token", token)], &[]).await
}

async fn given(world: &World) -> (Answer, Uuid, Uuid) {
    let answer = world.redeem(&world.code("public", SCOPE).await).await;
    let claims = claims(answer.is_given().text("access_token"));
    let id = |name: &str| claims[name].as_str().unwrap().parse().unwrap();
    (answer, id("jti"), id("fam"))
}

#[test]
fn an_access_token_is_revoked_alone_here_at_once_and_elsewhere_soon() {
    test(|world| async move {
        let other = world.beside().await;
        let (first, jti, family) = given(&world).await;
        world.host.records();
        let answer = revoke(&world, first.text("access_token")).await;
        assert_eq!((answer.status, &answer.headers["cache-control"]), (200, &"no-store".parse().unwrap()));
        assert!(world.server.is_revoked(jti, family));
        assert!(!world.server.is_revoked(Uuid::new_v4(), family), "its family goes on");
        let begun = Instant::now();
        eventually("the other process knows", async || other.server.is_revoked(jti, family)).await;
        assert!(begun.elapsed() < Duration::from_secs(2));
        let [record] = world.host.records().try_into().unwrap();
        assert_eq!((record.happened, record.refused), (Happened::Revocation, None));
        assert!(record.user.is_some());
        let token = first.text("refresh_token");
        let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "public")];
        world.token(&form).await.is_given();
        other.stop().await;
    });
}

#[test]
fn a_refresh_token_takes_its_family_with_it() {
    test(|world| async move {
        let (first, jti, family) = given(&world).await;
        assert_eq!(revoke(&world, first.text("refresh_token")).await.status, 200);
        assert!(world.server.is_revoked(jti, family));
        let token = first.text("refresh_token");
        let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "public")];
        world.token(&form).await.is_refused(400, "invalid_grant");
        assert_eq!(revoke(&world, token).await.status, 200, "once more does no harm");
    });
}

#[test]
fn tokens_of_others_cannot_be_taken_back() {
    test(|world| async move {
        let (first, jti, family) = given(&world).await;
        let header = basic_header("basic", SECRET);
        for name in ["access_token", "refresh_token"] {
            let form = [("token", first.text(name))];
            let refused = world.post("/auth/revoke", &form, &[("authorization", &header)]).await;
            refused.is_refused(400, "unauthorized_client");
        }
        assert!(!world.server.is_revoked(jti, family));
    });
}

#[test]
fn what_is_no_token_is_taken_back_without_a_word() {
    test(|world| async move {
        for text in ["x", "a.b.c", "..."] {
            assert_eq!(revoke(&world, text).await.status, 200);
        }
        let form = [("client_id", "public"), ("token", "x"), ("token_type_hint", "unheard_of")];
        assert_eq!(world.post("/auth/revoke", &form, &[]).await.status, 200);
        world.post("/auth/revoke", &[("client_id", "public")], &[]).await.is_refused(400, "invalid_request");
        world.post("/auth/revoke", &[("token", "x")], &[]).await.is_refused(401, "invalid_client");
    });
}

#[test]
fn a_revocation_that_cannot_be_put_on_record_is_done_and_not_confirmed() {
    test(|world| async move {
        let (first, jti, family) = given(&world).await;
        world.host.mute(true);
        revoke(&world, first.text("access_token")).await.is_refused(503, "temporarily_unavailable");
        assert!(world.server.is_revoked(jti, family));
    });
}
