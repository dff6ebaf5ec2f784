//! Refresh tokens: each is good once, and one that comes again ends all of its family.

use chrono::TimeDelta;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::support::{Answer, SECRET, World, approval, basic_header, claims, redeeming, test};

const SCOPE: &str = "openid offline_access patient/*.rs";

async fn refresh(world: &World, token: &str) -> Answer {
    refresh_for(world, token, &[]).await
}

async fn refresh_for(world: &World, token: &str, more: &[(&str, &str)]) -> Answer {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "public")];
    world.token(&[&form, more].concat()).await
}

async fn first(world: &World, scope: &str) -> Answer {
    let answer = world.redeem(&world.code("public", scope).await).await;
    answer.is_given();
    answer
}

fn is_revoked(world: &World, answer: &Answer) -> bool {
    let claims = claims(answer.text("access_token"));
    let id = |name: &str| -> Uuid { claims[name].as_str().unwrap().parse().unwrap() };
    world.server.is_revoked(id("jti"), id("fam"))
}

#[test]
fn each_refresh_token_gives_the_next_one() {
    test(|world| async move {
        let mut last = first(&world, SCOPE).await;
        let family = claims(last.text("access_token"))["fam"].clone();
        for _ in 0..3 {
            let next = refresh(&world, last.text("refresh_token")).await;
            assert_eq!(next.is_given().text("scope"), SCOPE);
            assert_eq!(next.text("patient"), "p1");
            assert_ne!(next.text("refresh_token"), last.text("refresh_token"));
            assert_ne!(next.text("access_token"), last.text("access_token"));
            assert_eq!(claims(next.text("access_token"))["fam"], family);
            assert!(!is_revoked(&world, &next));
            last = next;
        }
    });
}

#[test]
fn a_refresh_token_that_comes_again_ends_its_family() {
    test(|world| async move {
        let first = first(&world, SCOPE).await;
        let second = refresh(&world, first.text("refresh_token")).await;
        assert!(!is_revoked(&world, second.is_given()));
        world.host.records();
        refresh(&world, first.text("refresh_token")).await.is_refused(400, "invalid_grant");
        let records = world.host.records();
        assert!(records[0].refused.is_some_and(|why| why.contains("used before")), "{records:?}");
        assert!(records[0].user.is_some());
        assert!(is_revoked(&world, &first) && is_revoked(&world, &second));
        refresh(&world, second.text("refresh_token")).await.is_refused(400, "invalid_grant");
    });
}

#[test]
fn of_twenty_who_come_at_once_one_is_first_and_the_family_ends() {
    test(|world| async move {
        let other = world.beside().await;
        for _ in 0..5 {
            let first = first(&world, SCOPE).await;
            let token = first.text("refresh_token");
            let asked = (0..20).map(|index| refresh(if index % 2 == 0 { &world } else { &other }, token));
            let answers = futures::future::join_all(asked).await;
            let given: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
            assert_eq!(given.len(), 1);
            assert!(is_revoked(&world, given[0]));
            refresh(&world, given[0].text("refresh_token")).await.is_refused(400, "invalid_grant");
        }
        other.stop().await;
    });
}

#[test]
fn scopes_can_shrink_for_one_access_token_and_never_grow() {
    test(|world| async move {
        let first = first(&world, SCOPE).await;
        let token = first.text("refresh_token");
        for more in
            ["patient/*.cruds", "user/*.rs", "openid user/Patient.r", "nonsense", "patient/*.rs fhirUser"]
        {
            let refused = refresh_for(&world, token, &[("scope", more)]).await;
            refused.is_refused(400, "invalid_scope");
        }
        let less = refresh_for(&world, token, &[("scope", "patient/Observation.rs")]).await;
        assert_eq!(less.is_given().text("scope"), "patient/Observation.rs");
        assert_eq!(claims(less.text("access_token"))["scope"], "patient/Observation.rs");
        let again = refresh(&world, less.text("refresh_token")).await;
        assert_eq!(again.is_given().text("scope"), SCOPE, "RFC 6749 section 6: the refresh token has all");
    });
}

#[test]
fn another_client_that_has_a_refresh_token_ends_its_family() {
    test(|world| async move {
        let first = first(&world, SCOPE).await;
        let token = first.text("refresh_token");
        let header = basic_header("basic", SECRET);
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        let stolen = world.post("/auth/token", &form, &[("authorization", &header)]).await;
        stolen.is_refused(400, "invalid_grant");
        assert!(is_revoked(&world, &first));
        refresh(&world, token).await.is_refused(400, "invalid_grant");
    });
}

#[test]
fn a_client_that_shows_nothing_need_not_say_its_id_again_and_others_show_who_they_are() {
    test(|world| async move {
        let first = first(&world, SCOPE).await;
        let bare = |token: String| {
            let world = &world;
            async move {
                world
                    .post("/auth/token", &[("grant_type", "refresh_token"), ("refresh_token", &token)], &[])
                    .await
            }
        };
        let second = bare(first.text("refresh_token").to_owned()).await;
        second.is_given();
        bare("no such token".to_owned()).await.is_refused(401, "invalid_client");
        let header = basic_header("basic", SECRET);
        let code = world.code("basic", SCOPE).await;
        let given =
            world.post("/auth/token", &redeeming("basic", &code), &[("authorization", &header)]).await;
        let token = given.is_given().text("refresh_token").to_owned();
        bare(token.clone()).await.is_refused(401, "invalid_client");
        // Nothing was lost by that.
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
        world.post("/auth/token", &form, &[("authorization", &header)]).await.is_given();
    });
}

#[test]
fn a_refresh_token_ends_when_it_lies_unused_and_its_family_some_day() {
    test(|world| async move {
        let first = first(&world, SCOPE).await;
        world.host.pass(TimeDelta::days(29));
        let second = refresh(&world, first.text("refresh_token")).await;
        second.is_given();
        world.host.pass(TimeDelta::days(31));
        refresh(&world, second.text("refresh_token")).await.is_refused(400, "invalid_grant");

        let mut last = self::first(&world, SCOPE).await;
        for _ in 0..3 {
            world.host.pass(TimeDelta::days(29));
            last = refresh(&world, last.text("refresh_token")).await;
            last.is_given();
        }
        world.host.pass(TimeDelta::days(3) - TimeDelta::minutes(10));
        last = refresh(&world, last.text("refresh_token")).await;
        let lasts_s = last.is_given().body["expires_in"].as_i64().unwrap();
        assert!((500..=600).contains(&lasts_s), "no access token outlives its family: {lasts_s}");
        world.host.pass(TimeDelta::minutes(11));
        refresh(&world, last.text("refresh_token")).await.is_refused(400, "invalid_grant");
    });
}

#[test]
fn online_access_ends_with_the_session() {
    test(|world| async move {
        let user = world.user().await;
        let (tables, realm) = (world.tables().await, world.realm().await);
        let digest = Sha256::digest(user.to_string()).to_vec();
        let insert = "INSERT INTO anamnesis.smart_session (realm, digest, user_id, made_at, ends_at)
             VALUES ($1, $2, $3, now(), now() + interval '8 hours')";
        tables.execute(insert, &[&realm, &digest, &user]).await.unwrap();
        let hex = Some(digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        let online = |scope: &str| {
            let mut approved = approval("public", scope, user);
            approved.session_digest = hex.clone();
            approved
        };
        let ends = world.server.approve(&online("online_access patient/*.rs")).await.unwrap();
        let stays = world.server.approve(&online("online_access offline_access patient/*.rs")).await.unwrap();
        let (ends, stays) = (world.redeem(&ends).await, world.redeem(&stays).await);
        let ends = refresh(&world, ends.text("refresh_token")).await;
        ends.is_given();
        tables.execute("DELETE FROM anamnesis.smart_session WHERE digest = $1", &[&digest]).await.unwrap();
        refresh(&world, ends.text("refresh_token")).await.is_refused(400, "invalid_grant");
        refresh(&world, stays.text("refresh_token")).await.is_given();
        let code = world.server.approve(&online("online_access patient/*.rs")).await.unwrap();
        world.redeem(&code).await.is_refused(400, "invalid_grant");
    });
}

#[test]
fn online_access_without_a_known_session_lasts_as_long_as_one_would() {
    test(|world| async move {
        let first = first(&world, "online_access patient/*.rs").await;
        world.host.pass(TimeDelta::hours(7));
        let second = refresh(&world, first.text("refresh_token")).await;
        second.is_given();
        world.host.pass(TimeDelta::hours(2));
        refresh(&world, second.text("refresh_token")).await.is_refused(400, "invalid_grant");
    });
}

#[test]
fn a_user_who_may_not_sign_in_any_more_has_no_tokens_refreshed() {
    test(|world| async move {
        let approved = world.approval("public", SCOPE).await;
        let first = world.redeem(&world.server.approve(&approved).await.unwrap()).await;
        let enable = "UPDATE anamnesis.smart_user SET is_enabled = $2 WHERE id = $1";
        world.tables().await.execute(enable, &[&approved.user, &false]).await.unwrap();
        refresh(&world, first.text("refresh_token")).await.is_refused(400, "invalid_grant");
        world.tables().await.execute(enable, &[&approved.user, &true]).await.unwrap();
        refresh(&world, first.text("refresh_token")).await.is_given();
    });
}

#[test]
fn what_cannot_be_put_on_record_leaves_the_refresh_token_good() {
    test(|world| async move {
        let first = first(&world, SCOPE).await;
        world.host.mute(true);
        let unheard = refresh(&world, first.text("refresh_token")).await;
        unheard.is_refused(503, "temporarily_unavailable");
        world.host.mute(false);
        refresh(&world, first.text("refresh_token")).await.is_given();
        refresh(&world, "unknown").await.is_refused(400, "invalid_grant");
        let form = [("grant_type", "refresh_token"), ("client_id", "public")];
        world.token(&form).await.is_refused(400, "invalid_request");
    });
}
