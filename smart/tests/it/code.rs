//! Authorization codes: what they give, once, to whom they belong.

use anamnesis_smart::{Happened, LaunchContext, SmartOptions};
use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    Answer, SECRET, VERIFIER, World, approval, basic_header, claims, part, redeeming, test, test_with,
};

const SCOPE: &str = "openid fhirUser profile launch/patient offline_access patient/*.rs";

fn family(answer: &Answer) -> (Uuid, Uuid) {
    let claims = claims(answer.text("access_token"));
    let id = |name: &str| claims[name].as_str().unwrap().parse().unwrap();
    (id("jti"), id("fam"))
}

/// The form that redeems a code, with something else in place of what it has, or nothing.
fn with<'a>(code: &'a str, name: &str, value: Option<&'a str>) -> Vec<(&'static str, &'a str)> {
    let pairs = redeeming("public", code).into_iter();
    pairs
        .filter_map(
            |(own, usual)| if own == name { value.map(|value| (own, value)) } else { Some((own, usual)) },
        )
        .collect()
}

#[test]
fn a_code_gives_tokens_that_say_what_was_approved() {
    test(|world| async move {
        let approved = world.approval("public", SCOPE).await;
        let context = LaunchContext {
            encounter: Some("e1".into()),
            need_patient_banner: Some(true),
            intent: Some("reconcile".into()),
            ..approved.context.clone()
        };
        let approved = anamnesis_smart::Approval { context, ..approved };
        let code = world.server.approve(&approved).await.unwrap();
        assert_eq!(code.len(), 43);
        world.host.records();
        let answer = world.redeem(&code).await;
        answer.is_given();
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.headers["pragma"], "no-cache");
        assert_eq!((answer.text("token_type"), &answer.body["expires_in"]), ("Bearer", &json!(3600)));
        assert_eq!((answer.text("patient"), answer.text("encounter")), ("p1", "e1"));
        assert_eq!((answer.text("intent"), &answer.body["need_patient_banner"]), ("reconcile", &json!(true)));
        assert_eq!(answer.text("scope"), SCOPE);

        let access = answer.text("access_token");
        assert_eq!((&part(access, 0)["typ"], &part(access, 0)["alg"]), (&json!("at+jwt"), &json!("RS256")));
        let said = claims(access);
        for name in ["iss", "aud"] {
            assert_eq!(said[name], json!(world.base));
        }
        assert_eq!((&said["sub"], &said["client_id"]), (&json!(approved.user), &json!("public")));
        assert_eq!((&said["scope"], &said["patient"]), (&json!(SCOPE), &json!("p1")));
        assert_eq!(said["encounter"], "e1");
        assert_eq!(said["fhirUser"], json!(format!("{}/Practitioner/1", world.base)));
        assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 3600);
        assert!(said.get("break_glass").is_none());

        let id = claims(answer.text("id_token"));
        assert_eq!((&id["iss"], &id["aud"], &id["sub"]), (&said["iss"], &json!("public"), &said["sub"]));
        assert_eq!(
            (&id["nonce"], &id["auth_time"]),
            (&json!("n-0"), &json!(approved.signed_in_at.timestamp()))
        );
        assert_eq!((&id["fhirUser"], &id["profile"]), (&said["fhirUser"], &said["fhirUser"]));
        assert_eq!(id["name"], "A User");

        let [record] = world.host.records().try_into().unwrap();
        assert_eq!((record.happened, record.refused), (Happened::Token, None));
        assert_eq!(record.client.as_deref(), Some("public"));
        assert_eq!(record.user, Some(approved.user.to_string()));
        assert_eq!((record.patient.as_deref(), record.scope.as_deref()), (Some("Patient/p1"), Some(SCOPE)));
    });
}

#[test]
fn tokens_are_signed_with_a_published_key() {
    test(|world| async move {
        let answer = world.redeem(&world.code("public", SCOPE).await).await;
        let keys = world.get("/auth/jwks").await.body;
        let set: jsonwebtoken::jwk::JwkSet = serde_json::from_value(keys).unwrap();
        for name in ["access_token", "id_token"] {
            let token = answer.text(name);
            let key = set.find(part(token, 0)["kid"].as_str().unwrap()).unwrap();
            let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
            let (message, signature) = token.rsplit_once('.').unwrap();
            let check = |message: &str| {
                jsonwebtoken::crypto::verify(
                    signature,
                    message.as_bytes(),
                    &key,
                    jsonwebtoken::Algorithm::RS256,
                )
            };
            assert!(check(message).unwrap());
            assert!(!check(&format!("{message}x")).unwrap());
        }
    });
}

#[test]
fn without_their_scopes_there_are_no_refresh_and_no_id_token() {
    test(|world| async move {
        let answer = world.redeem(&world.code("public", "patient/*.rs").await).await;
        answer.is_given();
        assert!(answer.body.get("refresh_token").is_none() && answer.body.get("id_token").is_none());
        let answer = world.redeem(&world.code("public", "openid patient/*.rs").await).await;
        let id = claims(answer.text("id_token"));
        for name in ["fhirUser", "profile", "name"] {
            assert!(id.get(name).is_none(), "{name}");
        }
    });
}

#[test]
fn a_code_that_comes_twice_ends_what_it_gave() {
    test(|world| async move {
        let code = world.code("public", SCOPE).await;
        let first = world.redeem(&code).await;
        let (jti, family) = family(first.is_given());
        assert!(!world.server.is_revoked(jti, family));
        world.redeem(&code).await.is_refused(400, "invalid_grant");
        assert!(world.server.is_revoked(jti, family));
        let refresh = first.text("refresh_token");
        let again = world
            .token(&[("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_id", "public")])
            .await;
        again.is_refused(400, "invalid_grant");
    });
}

#[test]
fn a_code_that_is_redeemed_twenty_times_at_once_gives_one_token_that_is_ended() {
    test(|world| async move {
        let other = world.beside().await;
        for _ in 0..5 {
            let code = world.code("public", SCOPE).await;
            let asked =
                (0..20).map(|index| if index % 2 == 0 { world.redeem(&code) } else { other.redeem(&code) });
            let answers = futures::future::join_all(asked).await;
            let given: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
            assert_eq!(given.len(), 1);
            for refused in answers.iter().filter(|answer| answer.status != 200) {
                refused.is_refused(400, "invalid_grant");
            }
            let (jti, family) = family(given[0]);
            assert!(world.server.is_revoked(jti, family), "the others have ended it");
            let query = "SELECT count(*) FROM anamnesis.smart_refresh WHERE realm = $1 AND family = $2";
            let realm = world.realm().await;
            let count: i64 = world.tables().await.query_one(query, &[&realm, &family]).await.unwrap().get(0);
            assert_eq!(count, 1);
        }
        other.stop().await;
    });
}

#[test]
fn whoever_has_something_wrong_about_a_code_ends_it() {
    test(|world| async move {
        let other = "another-verifier-that-is-long-enough-for-the-rules-of-RFC-7636";
        let wrong = [
            ("code_verifier", other),
            ("redirect_uri", "https://app.example/other"),
            ("redirect_uri", "https://app.example/callback/"),
        ];
        for (name, value) in wrong {
            let code = world.code("public", SCOPE).await;
            world.token(&with(&code, name, Some(value))).await.is_refused(400, "invalid_grant");
            world.redeem(&code).await.is_refused(400, "invalid_grant");
        }
        let code = world.code("public", SCOPE).await;
        let mut form = redeeming("basic", &code).to_vec();
        form.retain(|(name, _)| *name != "client_id");
        let header = basic_header("basic", SECRET);
        let stolen = world.post("/auth/token", &form, &[("authorization", &header)]).await;
        stolen.is_refused(400, "invalid_grant");
        world.redeem(&code).await.is_refused(400, "invalid_grant");
    });
}

#[test]
fn what_is_missing_or_malformed_does_not_end_a_code() {
    test(|world| async move {
        let code = world.code("public", SCOPE).await;
        for name in ["code", "redirect_uri", "code_verifier"] {
            world.token(&with(&code, name, None)).await.is_refused(400, "invalid_request");
            world.token(&with(&code, name, Some(""))).await.is_refused(400, "invalid_request");
        }
        let (short, long) = ("a".repeat(42), "a".repeat(129));
        for verifier in [short.as_str(), &long, &VERIFIER.replace('-', "/")] {
            world
                .token(&with(&code, "code_verifier", Some(verifier)))
                .await
                .is_refused(400, "invalid_request");
        }
        world.redeem("unknown").await.is_refused(400, "invalid_grant");
        world.redeem(&code).await.is_given();
    });
}

#[test]
fn a_code_lasts_for_a_minute() {
    test(|world| async move {
        let code = world.code("public", SCOPE).await;
        world.host.pass(TimeDelta::seconds(58));
        world.redeem(&code).await.is_given();
        let code = world.code("public", SCOPE).await;
        world.host.pass(TimeDelta::seconds(61));
        world.redeem(&code).await.is_refused(400, "invalid_grant");
    });
}

#[test]
fn a_code_of_somebody_who_may_not_sign_in_any_more_gives_nothing() {
    test(|world| async move {
        let approved = world.approval("public", SCOPE).await;
        let code = world.server.approve(&approved).await.unwrap();
        let statement = "UPDATE anamnesis.smart_user SET is_enabled = false WHERE id = $1";
        world.tables().await.execute(statement, &[&approved.user]).await.unwrap();
        world.redeem(&code).await.is_refused(400, "invalid_grant");
        let nobody = world.server.approve(&approval("public", SCOPE, Uuid::new_v4())).await.unwrap();
        world.redeem(&nobody).await.is_refused(400, "invalid_grant");
        let code = world.code("public", SCOPE).await;
        let query = "UPDATE anamnesis.smart_family SET revoked_at = clock_timestamp() WHERE realm = $1";
        world.tables().await.execute(query, &[&world.realm().await]).await.unwrap();
        world.redeem(&code).await.is_refused(400, "invalid_grant");
    });
}

#[test]
fn what_cannot_be_put_on_record_is_not_given_and_the_code_stays_good() {
    test(|world| async move {
        let code = world.code("public", SCOPE).await;
        world.host.mute(true);
        world.redeem(&code).await.is_refused(503, "temporarily_unavailable");
        world.redeem("unknown").await.is_refused(503, "temporarily_unavailable");
        world.host.mute(false);
        world.redeem(&code).await.is_given();
    });
}

#[test]
fn an_emergency_lasts_for_minutes_and_is_not_refreshed() {
    test(|world| async move {
        let mut approved = world.approval("public", &format!("{SCOPE} break-glass")).await;
        approved.emergency_reason = Some("unconscious".into());
        let code = world.server.approve(&approved).await.unwrap();
        world.host.records();
        let answer = world.redeem(&code).await;
        assert_eq!(answer.is_given().body["expires_in"], 900);
        assert!(answer.body.get("refresh_token").is_none());
        assert_eq!(claims(answer.text("access_token"))["break_glass"], "unconscious");
        assert_eq!(world.host.records()[0].reason.as_deref(), Some("unconscious"));
    });
}

#[test]
fn what_a_client_may_have_no_more_is_not_given() {
    fn setup(options: &mut SmartOptions) {
        options.clients[0].scope = "openid patient/*.rs".into();
    }
    test_with(setup, |world| async move {
        let answer = world.redeem(&world.code("public", SCOPE).await).await;
        assert_eq!(answer.is_given().text("scope"), "openid patient/*.rs");
        let code = world.code("public", "user/*.rs").await;
        world.redeem(&code).await.is_refused(400, "invalid_scope");
    });
}

#[test]
fn grants_are_those_that_the_client_is_registered_for() {
    test_with(
        |options| options.clients[0].grant_types = vec![anamnesis_smart::GrantType::AuthorizationCode],
        |world| async move {
            let answer = world.redeem(&world.code("public", SCOPE).await).await;
            assert!(answer.is_given().body.get("refresh_token").is_none());
            let ask =
                async |grant: &str| world.token(&[("grant_type", grant), ("client_id", "public")]).await;
            ask("refresh_token").await.is_refused(400, "unauthorized_client");
            ask("client_credentials").await.is_refused(400, "unauthorized_client");
            ask("password").await.is_refused(400, "unsupported_grant_type");
            world.token(&[("client_id", "public")]).await.is_refused(400, "invalid_request");
        },
    );
}

#[test]
fn a_code_is_for_one_service_of_the_workspace() {
    test(|world: std::sync::Arc<World>| async move {
        let other = world.beside_with(|options| options.service = "other".into()).await;
        let code = world.code("public", SCOPE).await;
        other.redeem(&code).await.is_refused(400, "invalid_grant");
        let approved = world.approval("public", SCOPE).await;
        let refused = other.server.approve(&approved).await;
        assert!(matches!(refused, Err(anamnesis_smart::SmartError::Invalid(_))));
        other.stop().await;
    });
}

#[test]
fn the_address_of_azure_is_the_same_endpoint() {
    test(|world| async move {
        let code = world.code("public", SCOPE).await;
        let answer = world.post("/AadSmartOnFhirProxy/token", &redeeming("public", &code), &[]).await;
        answer.is_given();
        let code = world.code("post", SCOPE).await;
        let mut form = redeeming("post", &code).to_vec();
        form.push(("client_secret", SECRET));
        world.token(&form).await.is_given();
    });
}
