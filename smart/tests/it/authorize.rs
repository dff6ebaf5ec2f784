//! The authorization endpoint: what is taken, what is refused, and who is told.

use anamnesis_smart::{Client, GrantType, Happened};
use chrono::TimeDelta;
use serde_json::json;

use crate::support::browser::{Browser, PASSWORD};
use crate::support::{REDIRECT, basic, claims, public, test, test_with};

#[test]
fn an_app_is_let_in_for_a_patient() {
    test(|world| async move {
        let user = world.person("grete", Some("Practitioner/1")).await;
        let mut browser = Browser::new(&world);
        let page = browser.go(&world.asking(&[("nonce", "n-7")])).await;
        page.is(200, "Sign in");
        let page = browser.submit(&page, "sign-in", &[("name", " Grete "), ("password", PASSWORD)]).await;
        page.is(200, "Choose a patient");
        let page = browser.submit(&page, "patient", &[("choose", "yes"), ("patient", "p1")]).await;
        page.is(200, "Let this app in?");
        let page = browser.submit(&page, "consent", &[]).await;
        let told = page.told();
        assert_eq!((told["state"].as_str(), told["iss"].as_str()), ("st-1", world.base.as_str()));
        assert_eq!(told.len(), 3, "{told:?}");
        let tokens = world.redeem(&told["code"]).await;
        tokens.is_given();
        assert_eq!(
            (tokens.text("patient"), tokens.text("scope")),
            ("p1", "openid fhirUser patient/*.rs launch/patient")
        );
        let claims = claims(tokens.text("id_token"));
        assert_eq!((&claims["sub"], &claims["nonce"]), (&json!(user), &json!("n-7")));
        let granted = world.granted().await;
        assert_eq!(granted["user"], json!(user));
        assert_eq!(granted["fhir_user"], "Practitioner/1");
        assert_eq!(granted["scope"], "openid fhirUser patient/*.rs launch/patient");
        assert_eq!(granted["context"], json!({"patient": "p1", "need_patient_banner": true}));
        assert_eq!(granted["nonce"], "n-7");
        assert_eq!(granted["redirect_uri"], REDIRECT);
        assert!(granted["session_digest"].is_string());
        let records = world.host.records();
        let happened: Vec<Happened> = records.iter().map(|record| record.happened).collect();
        assert_eq!(happened, [Happened::SignIn, Happened::Consent, Happened::Token]);
        assert_eq!(records[1].patient.as_deref(), Some("Patient/p1"));
        assert_eq!(records[1].user, Some(user.to_string()));
        assert_eq!(records[1].scope.as_deref(), granted["scope"].as_str());
    });
}

#[test]
fn nobody_is_sent_to_an_address_that_is_not_registered() {
    test(|world| async move {
        let mut browser = Browser::new(&world);
        let wrong: [&[(&str, &str)]; 9] = [
            &[("client_id", "")],
            &[("client_id", "unknown")],
            &[("client_id", "a\0b")],
            &[("redirect_uri", "")],
            &[("redirect_uri", "https://evil.example/callback")],
            &[("redirect_uri", "https://app.example/callback?x=1")],
            &[("redirect_uri", "https://app.example/callback#x")],
            &[("redirect_uri", REDIRECT), ("redirect_uri", "https://evil.example/")],
            &[("client_id", "public"), ("client_id", "basic")],
        ];
        for fields in wrong {
            let page = browser.go(&world.asking(fields)).await;
            assert_eq!((page.status, page.location()), (400, None), "{fields:?}");
            assert!(!page.text.contains("evil"), "{fields:?}");
        }
        let records = world.host.records();
        assert!(records.len() >= 8 && records.iter().all(|record| record.refused.is_some()));
    });
}

#[test]
fn an_app_is_told_what_is_wrong_with_its_request() {
    let without_code =
        Client { id: "machine".into(), grant_types: vec![GrantType::ClientCredentials], ..basic() };
    test_with(
        |options| options.clients.push(without_code),
        |world| async move {
            let mut browser = Browser::new(&world);
            let long = "x".repeat(3_000);
            let wrong: [(&[(&str, &str)], &str); 24] = [
                (&[("response_type", "")], "invalid_request"),
                (&[("response_type", "token")], "unsupported_response_type"),
                (&[("response_type", "code id_token")], "unsupported_response_type"),
                (&[("client_id", "machine")], "unauthorized_client"),
                (&[("response_mode", "fragment")], "invalid_request"),
                (&[("response_mode", "form_post")], "invalid_request"),
                (&[("code_challenge", "")], "invalid_request"),
                (&[("code_challenge", "short")], "invalid_request"),
                (&[("code_challenge_method", "plain")], "invalid_request"),
                (&[("code_challenge_method", "")], "invalid_request"),
                (&[("aud", "")], "invalid_request"),
                (&[("aud", "https://evil.example/fhir")], "invalid_request"),
                (&[("scope", "")], "invalid_scope"),
                (&[("scope", "nonsense")], "invalid_scope"),
                (&[("scope", "system/*.rs")], "invalid_scope"),
                (&[("scope", "offline_access")], "invalid_scope"),
                (&[("scope", "patient/*.cruds")], "invalid_scope"),
                (&[("prompt", "none login")], "invalid_request"),
                (&[("prompt", "create")], "invalid_request"),
                (&[("max_age", "-1")], "invalid_request"),
                (&[("request", "eyJ")], "request_not_supported"),
                (&[("request_uri", "https://app.example/r")], "request_uri_not_supported"),
                (&[("nonce", &long)], "invalid_request"),
                (&[("scope", "openid"), ("scope", "patient/*.rs")], "invalid_request"),
            ];
            for (fields, error) in wrong {
                let page = browser.go(&world.asking(fields)).await;
                page.is_error(error);
                let told = page.told();
                assert_eq!((told["state"].as_str(), told["iss"].as_str()), ("st-1", world.base.as_str()));
                assert!(!told["error_description"].is_empty());
            }
            let page = browser.go(&world.asking(&[("state", &long)])).await;
            page.is_error("invalid_request");
            assert!(!page.told().contains_key("state"));
            let page = browser.go(&world.asking(&[("x", &"x".repeat(17_000))])).await;
            assert_eq!((page.status, page.location()), (400, None));
            assert_eq!(browser.cookies.len(), 0, "nothing has begun");
        },
    );
}

#[test]
fn an_audience_may_be_named_otherwise_and_is_not_needed_where_no_data_is_opened() {
    test_with(
        |options| options.other_bases = vec!["https://fhir.example.org/r4".into()],
        |world| async move {
            let mut browser = Browser::new(&world);
            let slash = format!("{}/", world.base);
            for fields in [
                [("aud", "https://fhir.example.org/r4"), ("x", "")],
                [("aud", "https://fhir.example.org/r4/"), ("x", "")],
                [("aud", &slash), ("x", "")],
                [("aud", ""), ("scope", "openid profile")],
            ] {
                browser.go(&world.asking(&fields)).await.is(200, "Sign in");
            }
        },
    );
}

#[test]
fn the_port_of_an_app_on_the_machine_itself_is_free() {
    let native = Client { redirect_uris: vec!["http://127.0.0.1/cb".into()], ..public() };
    test_with(
        |options| options.clients = vec![native],
        |world| async move {
            let mut browser = Browser::new(&world);
            let page = browser.go(&world.asking(&[("redirect_uri", "http://127.0.0.1:53211/cb")])).await;
            page.is(200, "Sign in");
            let policy = page.headers["content-security-policy"].to_str().unwrap();
            assert!(policy.contains("form-action 'self' http://127.0.0.1:53211;"), "{policy}");
            let page = browser.submit(&page, "cancel", &[]).await;
            assert!(page.location().unwrap().starts_with("http://127.0.0.1:53211/cb?error=access_denied"));
            let page = browser.go(&world.asking(&[("redirect_uri", "http://localhost:53211/cb")])).await;
            assert_eq!(page.status, 400);
        },
    );
}

#[test]
fn a_request_may_come_in_a_form_and_by_the_address_of_the_proxy() {
    test(|world| async move {
        let mut browser = Browser::new(&world);
        let fields: Vec<(String, String)> =
            url::form_urlencoded::parse(world.asked(&[]).as_bytes()).into_owned().collect();
        browser.headers.push(("sec-fetch-site", "cross-site".into()));
        let path = url::Url::parse(&world.base).unwrap().path().to_owned();
        for address in ["auth/authorize", "AadSmartOnFhirProxy/authorize"] {
            let page = browser.post(&format!("{path}/{address}"), &fields).await;
            page.is(200, "Sign in");
            browser.go(&format!("/{address}?{}", world.asked(&[]))).await.is(200, "Sign in");
        }
        let twice = [fields.clone(), vec![("state".to_owned(), "other".to_owned())]].concat();
        browser.post(&format!("{path}/auth/authorize"), &twice).await.is_error("invalid_request");
    });
}

#[test]
fn a_request_is_known_by_a_digest_and_is_over_after_a_while() {
    test(|world| async move {
        world.person("grete", None).await;
        let mut browser = Browser::new(&world);
        let page = browser.go(&world.asking(&[])).await;
        let id = page.form("sign-in").fields[0].1.clone();
        let query =
            "SELECT encode(digest, 'base64'), said::text FROM anamnesis.smart_request WHERE realm = $1";
        let row = world.tables().await.query_one(query, &[&world.realm().await]).await.unwrap();
        let (digest, said): (String, String) = (row.get(0), row.get(1));
        assert!(!said.contains(&id) && digest != id);
        let browser_value = browser.cookies.values().next().unwrap();
        assert!(!said.contains(browser_value));
        browser.go(&format!("/auth/interaction?request={id}")).await.is(200, "Sign in");
        world.host.pass(TimeDelta::seconds(901));
        browser.go(&format!("/auth/interaction?request={id}")).await.is(400, "This cannot be gone on with");
        browser.sign_in(&page, "grete").await.is(400, "This cannot be gone on with");
        for id in ["", "x", "%00", &id.to_uppercase()] {
            assert_eq!(browser.go(&format!("/auth/interaction?request={id}")).await.status, 400);
        }
    });
}

#[test]
fn a_silent_request_shows_nothing() {
    let trusted = Client { id: "trusted".into(), is_trusted: true, ..public() };
    test_with(
        |options| options.clients.push(trusted),
        |world| async move {
            world.person("pat", Some("Patient/p1")).await;
            world.person("grete", None).await;
            let silent = |client| world.asking(&[("prompt", "none"), ("client_id", client)]);
            let mut browser = Browser::new(&world);
            browser.go(&silent("trusted")).await.is_error("login_required");
            let page = browser.go(&world.asking(&[])).await;
            browser.sign_in(&page, "pat").await.is(200, "Let this app in?");
            browser.go(&silent("public")).await.is_error("consent_required");
            assert!(!browser.go(&silent("trusted")).await.code().is_empty());
            let old = world.asking(&[("prompt", "none"), ("client_id", "trusted"), ("max_age", "60")]);
            assert!(!browser.go(&old).await.code().is_empty());
            world.host.pass(TimeDelta::seconds(61));
            browser.go(&old).await.is_error("login_required");
            let mut other = Browser::new(&world);
            let page = other.go(&world.asking(&[])).await;
            other.sign_in(&page, "grete").await.is(200, "Choose a patient");
            other.go(&silent("trusted")).await.is_error("interaction_required");
            let glass = world.asking(&[
                ("prompt", "none"),
                ("client_id", "trusted"),
                ("scope", "break-glass patient/*.rs"),
            ]);
            other.go(&glass).await.is_error("interaction_required");
        },
    );
}

#[test]
fn an_app_may_ask_for_sign_in_and_for_consent_once_more() {
    let trusted = Client { is_trusted: true, ..public() };
    test_with(
        |options| options.clients = vec![trusted],
        |world| async move {
            world.person("pat", Some("Patient/p1")).await;
            let mut browser = Browser::new(&world);
            let page = browser.go(&world.asking(&[])).await;
            assert!(!browser.sign_in(&page, "pat").await.code().is_empty());
            assert!(!browser.go(&world.asking(&[])).await.code().is_empty(), "signed in, and trusted");
            for prompt in ["login", "select_account"] {
                let page = browser.go(&world.asking(&[("prompt", prompt)])).await;
                page.is(200, "Sign in");
                assert!(!browser.sign_in(&page, "pat").await.code().is_empty());
            }
            browser.go(&world.asking(&[("prompt", "consent")])).await.is(200, "Let this app in?");
            let page = browser.go(&world.asking(&[("max_age", "0")])).await;
            page.is(200, "Sign in");
            assert!(!browser.sign_in(&page, "pat").await.code().is_empty(), "once is enough");
            let page = browser.go(&world.asking(&[("prompt", "login"), ("login_hint", "<b>\"x")])).await;
            let hint = page.form("sign-in").fields.into_iter().find(|(name, _)| name == "name").unwrap().1;
            assert_eq!(hint, "<b>\"x");
        },
    );
}
