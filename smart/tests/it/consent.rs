//! Consent: what is shown, what can be left out, what is never granted.

use anamnesis_smart::{Client, GrantType, Happened};

use crate::support::browser::{Browser, Page};
use crate::support::html::tags;
use crate::support::{World, basic, eventually, public, test, test_with};

const SCOPE: &str = "openid offline_access patient/Observation.rs patient/*.r launch/patient";

async fn consent(world: &World, fields: &[(&str, &str)]) -> (Browser, Page) {
    world.person("pat", Some("Patient/p1")).await;
    let mut browser = Browser::new(world);
    let page = browser.go(&world.asking(fields)).await;
    let page = browser.sign_in(&page, "pat").await;
    page.is(200, "Let this app in?");
    (browser, page)
}

fn boxes(page: &Page) -> Vec<String> {
    let boxes = tags(&page.text).into_iter().filter(|tag| tag.attribute("type") == Some("checkbox"));
    boxes.map(|tag| tag.attribute("value").unwrap().to_owned()).collect()
}

#[test]
fn each_scope_is_shown_in_words_and_can_be_left_out() {
    test(|world| async move {
        let (mut browser, page) = consent(&world, &[("scope", SCOPE)]).await;
        assert_eq!(boxes(&page), ["openid", "offline_access", "patient/Observation.rs", "patient/*.r"]);
        let words = page.words();
        for shown in
            ["A Public App", "Ada", "pat the person", "Do patient/Observation.rs", "Do launch/patient"]
        {
            assert!(words.contains(shown), "{shown}: {words}");
        }
        assert!(words.contains("https://app.example"));
        let nothing = browser.submit(&page, "consent", &[("scope", "")]).await;
        nothing.is(400, "Let this app in?");
        assert!(nothing.words().contains("Choose at least one thing"));
        // More than what was asked for.
        let mut fields = page.form("consent").fields;
        fields.retain(|(name, value)| name != "scope" || value == "patient/Observation.rs");
        for more in ["patient/*.cruds", "user/*.rs", "system/*.rs", "break-glass"] {
            fields.push(("scope".into(), more.into()));
        }
        let answer = browser.post(&page.form("consent").action, &fields).await;
        answer.code();
        assert_eq!(world.granted().await["scope"], "patient/Observation.rs launch/patient");
        let records = world.host.records();
        assert_eq!(records.last().unwrap().scope.as_deref(), Some("patient/Observation.rs launch/patient"));
    });
}

#[test]
fn a_form_without_its_token_lets_nobody_in() {
    test(|world| async move {
        let (mut browser, page) = consent(&world, &[]).await;
        let other = page.form("cancel").fields.into_iter().find(|(name, _)| name == "csrf").unwrap().1;
        for token in ["", &other] {
            browser.submit(&page, "consent", &[("csrf", token)]).await.is(403, "This does not go on here");
        }
        let mut thief = Browser::new(&world);
        thief.submit(&page, "consent", &[]).await.is(403, "This does not go on here");
        assert_eq!(world.realm_families().await, 0);
        browser.headers = vec![("sec-fetch-site", "same-site".into())];
        browser.submit(&page, "consent", &[]).await.is(403, "This does not go on here");
    });
}

#[test]
fn an_app_is_let_in_once_by_one_form() {
    test_with(
        |options| options.pool_size = 10,
        |world| async move {
            let (browser, page) = consent(&world, &[]).await;
            // All of them have read the request before one of them ends it.
            let mut tables = world.tables().await;
            let holding = tables.transaction().await.unwrap();
            let lock = "SELECT digest FROM anamnesis.smart_request WHERE realm = $1 FOR UPDATE";
            assert_eq!(holding.query(lock, &[&world.realm().await]).await.unwrap().len(), 1);
            let tries = (0..3).map(|_| {
                let (mut browser, page) = (browser.clone(), page.clone());
                async move { browser.submit(&page, "consent", &[]).await }
            });
            let looking = world.tables().await;
            let release = async {
                eventually("all of them wait", async || {
                    let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                         AND wait_event_type = 'Lock' AND query LIKE 'DELETE FROM anamnesis.smart_request%'";
                    looking.query_one(query, &[]).await.unwrap().get::<_, i64>(0) == 3
                })
                .await;
                holding.rollback().await.unwrap();
            };
            let (answers, ()) = futures::join!(futures::future::join_all(tries), release);
            let codes = answers.iter().filter(|page| page.status == 303).count();
            assert_eq!((codes, world.realm_families().await), (1, 1), "{answers:?}");
        },
    );
}

#[test]
fn who_does_not_let_an_app_in_goes_back_to_it() {
    test(|world| async move {
        let (mut browser, page) = consent(&world, &[]).await;
        world.host.records();
        let answer = browser.submit(&page, "cancel", &[]).await;
        answer.is_error("access_denied");
        assert_eq!(answer.told()["state"], "st-1");
        let record = &world.host.records()[0];
        assert_eq!(record.happened, Happened::Consent);
        assert_eq!(
            (record.refused, record.client.as_deref()),
            (Some("the user has not let the app in"), Some("public"))
        );
    });
}

#[test]
fn nobody_grants_what_is_for_machines_or_for_others() {
    test(|world| async move {
        let user = world.person("poor", Some("Practitioner/2")).await;
        world.host.set(|settings| settings.no_role.push(user));
        let scope = "system/*.rs user/*.rs patient/*.rs openid";
        let mut browser = Browser::new(&world);
        let page = browser.go(&world.asking(&[("client_id", "basic"), ("scope", scope)])).await;
        let page = browser.sign_in(&page, "poor").await;
        let page = browser.submit(&page, "patient", &[("choose", "yes"), ("patient", "p1")]).await;
        page.is(200, "Let this app in?");
        assert_eq!(boxes(&page), ["patient/*.rs", "openid"]);
        assert!(page.words().contains("which your account cannot give: Do user/*.rs"));
        browser.submit(&page, "consent", &[]).await.code();
        assert_eq!(world.granted().await["scope"], "patient/*.rs openid");
        browser.go(&world.asking(&[("scope", "user/*.rs")])).await.is_error("access_denied");
    });
}

#[test]
fn refresh_tokens_are_asked_for_only_where_the_app_takes_them() {
    let once = Client { grant_types: vec![GrantType::AuthorizationCode], ..public() };
    test_with(
        |options| options.clients = vec![once],
        |world| async move {
            let (_, page) = consent(&world, &[("scope", SCOPE)]).await;
            assert_eq!(boxes(&page), ["openid", "patient/Observation.rs", "patient/*.r"]);
        },
    );
}

#[test]
fn what_was_decided_is_not_remembered() {
    test(|world| async move {
        let (mut browser, page) = consent(&world, &[]).await;
        browser.submit(&page, "consent", &[]).await.code();
        browser.go(&world.asking(&[])).await.is(200, "Let this app in?");
    });
}

#[test]
fn an_app_that_is_gone_is_let_in_by_nobody() {
    test(|world| async move {
        let (mut browser, page) = consent(&world, &[]).await;
        let without = world.beside_with(|options| options.clients = vec![basic()]).await;
        let mut there = browser.clone();
        let origin = url::Url::parse(&without.at).unwrap().origin().ascii_serialization();
        there.move_to(&origin);
        there.submit(&page, "consent", &[]).await.is(400, "This cannot be gone on with");
        without.stop().await;
        browser.submit(&page, "consent", &[]).await.code();
    });
}

#[test]
fn an_app_that_has_registered_itself_is_shown_as_such() {
    const WARNING: &str = "This app has registered itself. Nobody has checked who it is.";
    test(|world| async move {
        for (id, by_operator) in [("self", false), ("known", true)] {
            let client = Client { id: id.into(), ..public() };
            let statement = "INSERT INTO anamnesis.smart_client (realm, id, said, by_operator, made_at)
                 VALUES ($1, $2, $3::text::jsonb, $4, now())";
            let said = serde_json::to_string(&client).unwrap();
            world
                .tables()
                .await
                .execute(statement, &[&world.realm().await, &id, &said, &by_operator])
                .await
                .unwrap();
        }
        let (mut browser, page) = consent(&world, &[("client_id", "self")]).await;
        assert!(page.words().contains(WARNING));
        for client in ["known", "public"] {
            let page = browser.go(&world.asking(&[("client_id", client)])).await;
            page.is(200, "Let this app in?");
            assert!(!page.words().contains(WARNING), "{client}");
        }
    });
}
