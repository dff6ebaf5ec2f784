//! Sign-in elsewhere: at another realm of this same server, which is a real provider, and at one that lies.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpResponse, HttpServer, web};
use anamnesis_smart::{Client, Happened, NewUser, SmartOptions, Upstream};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::support::browser::{Browser, PASSWORD, Page};
use crate::support::html::tags;
use crate::support::keys::es384;
use crate::support::{World, basic, public, runtime, test};

/// A server whose users sign in at another one, as a public client or with a secret.
async fn beside(provider: &World, secret: Option<&str>) -> World {
    let issuer = provider.base.clone();
    let here = World::start(|options: &mut SmartOptions| {
        let mut upstream = Upstream::new("the <b>hospital", issuer, "rp");
        // The claim in which the provider tells the display name.
        upstream.name_claim = "name".into();
        upstream.client_secret = secret.map(|secret| Zeroizing::new(secret.to_owned()));
        options.upstream = Some(upstream);
    })
    .await;
    let like = if secret.is_some() { basic() } else { public() };
    let client = Client {
        id: "rp".into(),
        redirect_uris: vec![format!("{}/auth/upstream/callback", here.base)],
        scope: "openid profile".into(),
        is_trusted: true,
        ..like
    };
    let statement = "INSERT INTO anamnesis.smart_client (realm, id, said, by_operator, made_at)
         VALUES ($1, 'rp', $2::text::jsonb, true, now()) ON CONFLICT (realm, id) DO UPDATE SET said = excluded.said";
    let said = serde_json::to_string(&client).unwrap();
    provider.tables().await.execute(statement, &[&provider.realm().await, &said]).await.unwrap();
    here
}

/// Somebody who was made for the provider here.
async fn expected(here: &World, issuer: &str, name: &str) -> Uuid {
    let new = NewUser {
        name: name.into(),
        fhir_user: Some("Practitioner/1".into()),
        upstream: Some(issuer.into()),
        ..NewUser::default()
    };
    here.server.users().add(new).await.unwrap().id
}

/// The address of the button.
#[track_caller]
fn button(page: &Page) -> String {
    let link = tags(&page.text).into_iter().find(|tag| tag.attribute("id") == Some("elsewhere")).unwrap();
    link.attribute("href").unwrap().to_owned()
}

/// Goes to the provider, signs somebody in there, and comes back with the address that leads back.
async fn through(here: &World, provider: &World, browser: &mut Browser, name: &str) -> String {
    let page = browser.go(&here.asking(&[])).await;
    let away = browser.go(&button(&page)).await.location().unwrap();
    let mut there = Browser::new(provider);
    let page = there.go(&away).await;
    there.sign_in(&page, name).await.location().unwrap()
}

#[test]
fn who_has_signed_in_elsewhere_is_signed_in_here() {
    test(|provider| async move {
        provider.person("grete", None).await;
        for secret in [None, Some(crate::support::SECRET)] {
            let here = beside(&provider, secret).await;
            let user = expected(&here, &provider.base, "Grete the person").await;
            let mut browser = Browser::new(&here);
            let page = browser.go(&here.asking(&[])).await;
            assert!(page.words().contains("Sign in with the <b>hospital"));
            let back = through(&here, &provider, &mut browser, "grete").await;
            assert!(!back.contains("error"), "{back}");
            browser.go(&back).await.is(200, "Choose a patient");
            let records = here.host.records();
            assert_eq!((records[0].happened, records[0].refused), (Happened::SignIn, None));
            assert_eq!(records[0].user, Some(user.to_string()));
            // Once.
            browser.go(&back).await.is(403, "This does not go on here");
            // From now on known by the subject, whatever the name is.
            here.server.users().rename(user, "somebody.else", "Somebody Else").await.unwrap();
            let mut browser = Browser::new(&here);
            let back = through(&here, &provider, &mut browser, "grete").await;
            browser.go(&back).await.is(200, "Choose a patient");
            let stored = here.server.users().get(user).await.unwrap().unwrap();
            assert_eq!(stored.upstream.as_deref(), Some(provider.base.as_str()));
            here.server.users().set_enabled(user, false).await.unwrap();
            let mut browser = Browser::new(&here);
            let back = through(&here, &provider, &mut browser, "grete").await;
            browser.go(&back).await.is(403, "Sign in");
            here.stop().await;
        }
    });
}

#[test]
fn nobody_becomes_a_user_by_having_the_name() {
    test(|provider| async move {
        provider.person("grete", None).await;
        let here = beside(&provider, None).await;
        let refused = async |here: &World| {
            let mut browser = Browser::new(here);
            here.host.records();
            let back = through(here, &provider, &mut browser, "grete").await;
            let page = browser.go(&back).await;
            page.is(403, "Sign in");
            assert!(page.words().contains("Signing in there did not work"));
            assert_eq!(here.host.records()[0].refused, Some("nobody here signs in so elsewhere"));
            assert!(!browser.cookies.contains_key("anamnesis-session"));
        };
        refused(&here).await;
        // A user of this name who was not made for this provider.
        let user = here.person("grete the person", None).await;
        refused(&here).await;
        // One who is somebody else there.
        let other = Some((provider.base.clone(), Some("another subject".to_owned())));
        here.server.users().set_upstream(user, other).await.unwrap();
        refused(&here).await;
        // One of another provider.
        let other = Some(("https://other.example".to_owned(), None));
        here.server.users().set_upstream(user, other).await.unwrap();
        refused(&here).await;
        assert_eq!(here.server.users().get(user).await.unwrap().unwrap().subject, None);
        here.stop().await;
    });
}

#[test]
fn the_way_back_is_of_one_browser_and_one_way_there() {
    test(|provider| async move {
        provider.person("grete", None).await;
        let here = beside(&provider, None).await;
        expected(&here, &provider.base, "grete the person").await;
        let mut browser = Browser::new(&here);
        let back = through(&here, &provider, &mut browser, "grete").await;
        let mut thief = Browser::new(&here);
        thief.go(&here.asking(&[])).await.is(200, "Sign in");
        thief.go(&back).await.is(403, "This does not go on here");
        let mut url = Url::parse(&back).unwrap();
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let forged =
            back.replace(&state, &format!("{}.{}", state.split_once('.').unwrap().0, "A".repeat(43)));
        browser.go(&forged).await.is(403, "This does not go on here");
        for state in ["", "x", "x.y", "."] {
            let page = browser.go(&format!("/auth/upstream/callback?code=x&state={state}")).await;
            assert_eq!(page.status, 400);
        }
        // The answer of another issuer (RFC 9207).
        url.query_pairs_mut().clear().extend_pairs([("code", "x"), ("iss", "https://evil.example")]);
        url.query_pairs_mut().append_pair("state", &state);
        browser.go(url.as_str()).await.is(403, "Sign in");
        assert_eq!(here.host.records().last().unwrap().refused, Some("the answer is of another issuer"));
        // Who does not sign in there can do so here.
        let page = browser.go(&here.asking(&[])).await;
        let away = browser.go(&button(&page)).await.location().unwrap();
        let mut there = Browser::new(&provider);
        let page = there.go(&away).await;
        let back = there.submit(&page, "cancel", &[]).await.location().unwrap();
        browser.go(&back).await.is(403, "Sign in");
        assert_eq!(
            here.host.records().last().unwrap().refused,
            Some("the provider has not signed the user in")
        );
        here.stop().await;
    });
}

#[test]
fn sign_in_once_more_is_asked_for_there_as_well() {
    test(|provider| async move {
        provider.person("grete", None).await;
        let here = beside(&provider, None).await;
        let mut browser = Browser::new(&here);
        let asked = [("prompt", "login"), ("max_age", "60"), ("login_hint", "grete")];
        let page = browser.go(&here.asking(&asked)).await;
        let away = Url::parse(&browser.go(&button(&page)).await.location().unwrap()).unwrap();
        let said: std::collections::BTreeMap<_, _> = away.query_pairs().into_owned().collect();
        for (name, value) in asked {
            assert_eq!(said[name], value);
        }
        assert_eq!(said["redirect_uri"], format!("{}/auth/upstream/callback", here.base));
        here.stop().await;
    });
}

#[test]
fn nobody_signs_in_elsewhere_where_it_is_not_configured() {
    test(|world| async move {
        let mut browser = Browser::new(&world);
        let page = browser.go(&world.asking(&[])).await;
        assert!(!page.text.contains("elsewhere"));
        let id = page.form("sign-in").fields[0].1.clone();
        browser.go(&format!("/auth/upstream?request={id}")).await.is(400, "There is nothing here");
        browser.sign_in(&page, "nobody").await.is(403, "Sign in");
    });
}

/// What a provider that lies says: its discovery document, its keys, and its id token.
#[derive(Default)]
struct Lies {
    discovery: Value,
    keys: Value,
    id_token: String,
}

fn liar() -> (String, Arc<Mutex<Lies>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let lies = Arc::new(Mutex::new(Lies {
        discovery: json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
        }),
        ..Lies::default()
    }));
    let told = web::Data::from(lies.clone());
    std::thread::spawn(move || {
        let tell = |what: fn(&Lies) -> Value| {
            move |lies: web::Data<Mutex<Lies>>| {
                let said = what(&lies.lock().unwrap());
                async move { HttpResponse::Ok().json(said) }
            }
        };
        actix_web::rt::System::new().block_on(async move {
            HttpServer::new(move || {
                App::new()
                    .app_data(told.clone())
                    .route(
                        "/.well-known/openid-configuration",
                        web::get().to(tell(|lies| lies.discovery.clone())),
                    )
                    .route("/keys", web::get().to(tell(|lies| lies.keys.clone())))
                    .route("/token", web::post().to(tell(|lies| json!({"id_token": lies.id_token}))))
            })
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run()
            .await
            .unwrap();
        });
    });
    (issuer, lies)
}

#[test]
fn a_provider_is_believed_what_it_has_signed_for_this_sign_in() {
    let (issuer, lies) = liar();
    let (key, other) = (es384(), es384());
    lies.lock().unwrap().keys = json!({"keys": [key.jwk]});
    runtime().block_on(async {
        let here = World::start(|options: &mut SmartOptions| {
            options.upstream = Some(Upstream::new("a liar", &issuer, "rp"));
        })
        .await;
        expected(&here, &issuer, "grete").await;
        let come = async |make: &dyn Fn(&str, i64) -> String| {
            let mut browser = Browser::new(&here);
            let page = browser.go(&here.asking(&[])).await;
            let away = Url::parse(&browser.go(&button(&page)).await.location().unwrap()).unwrap();
            let said: std::collections::BTreeMap<_, _> = away.query_pairs().into_owned().collect();
            lies.lock().unwrap().id_token = make(&said["nonce"], chrono::Utc::now().timestamp());
            let page = browser.go(&format!("/auth/upstream/callback?code=x&state={}", said["state"])).await;
            let refused = here.host.records().last().and_then(|record| record.refused);
            (page.status, refused)
        };
        let claims = |nonce: &str, now: i64| {
            json!({"iss": issuer, "aud": "rp", "nonce": nonce, "sub": "s", "exp": now + 60, "iat": now,
                "preferred_username": "Grete"})
        };
        let bad = come(&|nonce, now| {
            let token = other.sign_with(&json!({"alg": "ES384", "kid": key.kid}), &claims(nonce, now));
            assert_eq!(token.split('.').count(), 3);
            token
        })
        .await;
        assert_eq!(bad, (403, Some("the signature of the id token is wrong")));
        let unknown = come(&|nonce, now| other.sign(&claims(nonce, now))).await;
        assert_eq!(unknown, (403, Some("the id token is signed with a key that the provider does not have")));
        let none = come(&|nonce, now| {
            let token = key.sign_with(&json!({"alg": "none"}), &claims(nonce, now));
            format!("{}.", token.rsplit_once('.').unwrap().0)
        })
        .await;
        assert_eq!(none, (403, Some("the id token is signed in a way that is not accepted")));
        let stale = come(&|_, now| key.sign(&claims("the nonce of before", now))).await;
        assert_eq!(stale, (403, Some("the id token is for another sign-in")));
        let late = come(&|nonce, now| key.sign(&claims(nonce, now - 200))).await;
        assert_eq!(late, (403, Some("the id token has ended")));
        assert_eq!(come(&|_, _| "no token".into()).await, (403, Some("the id token is no signed JWT")));
        let good = come(&|nonce, now| key.sign(&claims(nonce, now))).await;
        assert_eq!(good, (200, None));
        here.stop().await;
    });
}

#[test]
fn a_provider_that_says_it_is_another_one_is_not_gone_to() {
    let (issuer, lies) = liar();
    runtime().block_on(async {
        let wrong = [
            ("issuer", json!("https://other.example")),
            ("token_endpoint", json!("http://other.example/token")),
            ("jwks_uri", json!(1)),
        ];
        let good = lies.lock().unwrap().discovery.clone();
        for (name, value) in wrong {
            let mut discovery = good.clone();
            discovery[name] = value;
            lies.lock().unwrap().discovery = discovery;
            let here = World::start(|options: &mut SmartOptions| {
                options.upstream = Some(Upstream::new("a liar", &issuer, "rp"));
            })
            .await;
            let mut browser = Browser::new(&here);
            let page = browser.go(&here.asking(&[])).await;
            browser.go(&button(&page)).await.is(403, "Sign in");
            // With a password it still goes.
            here.person("grete", None).await;
            browser
                .submit(&page, "sign-in", &[("name", "grete"), ("password", PASSWORD)])
                .await
                .is(200, "Choose a patient");
            here.stop().await;
        }
    });
}
