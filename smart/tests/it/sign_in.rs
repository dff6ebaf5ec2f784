//! Sign-in and sign-out: who gets in, how often may be guessed, and whose session it is.

use std::time::{Duration, Instant};

use anamnesis_smart::Happened;
use chrono::TimeDelta;

use crate::support::browser::{Browser, PASSWORD, Page};
use crate::support::{World, test, test_with};

const WRONG: [(&str, &str); 2] = [("name", "grete"), ("password", "not her password")];

async fn first_page(world: &World) -> (Browser, Page) {
    let mut browser = Browser::new(world);
    let page = browser.go(&world.asking(&[])).await;
    page.is(200, "Sign in");
    (browser, page)
}

#[test]
fn everything_that_is_wrong_is_told_in_the_same_words() {
    test(|world| async move {
        world.person("grete", None).await;
        let off = world.person("off", None).await;
        world.server.users().set_enabled(off, false).await.unwrap();
        // Made without a password.
        let elsewhere = world.user().await.to_string();
        world.host.records();
        let (mut browser, page) = first_page(&world).await;
        let mut texts = Vec::new();
        let wrong = [
            ("grete", "not her password", "the name or the password is wrong"),
            ("nobody", PASSWORD, "the name or the password is wrong"),
            ("off", PASSWORD, "the user is not enabled"),
            (&elsewhere, PASSWORD, "the name or the password is wrong"),
            ("grete", "", "the name or the password is wrong"),
            ("", PASSWORD, "the name or the password is wrong"),
            ("grete", &"x".repeat(5_000), "the name or the password is wrong"),
        ];
        for (name, password, why) in wrong {
            let page = browser.submit(&page, "sign-in", &[("name", name), ("password", password)]).await;
            page.is(403, "Sign in");
            let records = world.host.records();
            assert_eq!(records.len(), 1);
            assert_eq!((records[0].happened, records[0].refused), (Happened::SignIn, Some(why)));
            assert!(!page.text.contains(PASSWORD));
            texts.push(page.text.replace(&format!("value=\"{name}\""), "value=\"\""));
        }
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
        assert!(browser.cookies.keys().all(|name| !name.contains("session")));
    });
}

#[test]
fn it_takes_as_long_where_there_is_no_such_user() {
    test_with(
        |options| options.attempts_max = 1_000,
        |world| async move {
            world.person("grete", None).await;
            let (mut browser, page) = first_page(&world).await;
            let mut shortest = [Duration::MAX; 2];
            // The machine may have other things to do, so the shortest of several times counts.
            for _ in 0..30 {
                for (at, name) in ["grete", "nobody"].into_iter().enumerate() {
                    let begun = Instant::now();
                    browser
                        .submit(&page, "sign-in", &[("name", name), ("password", "what a password")])
                        .await;
                    shortest[at] = shortest[at].min(begun.elapsed());
                }
                let [somebody, nobody] = shortest;
                if nobody * 2 > somebody && somebody * 2 > nobody {
                    return;
                }
            }
            panic!("it can be told from the time: {shortest:?}");
        },
    );
}

#[test]
fn a_user_is_guessed_for_ten_times_and_then_not_for_a_quarter_of_an_hour() {
    test(|world| async move {
        world.person("grete", None).await;
        world.person("hans", None).await;
        let (mut browser, page) = first_page(&world).await;
        for at in 0..10 {
            // From ever new addresses.
            browser.headers = vec![("x-test-address", format!("192.0.2.{at}"))];
            browser.submit(&page, "sign-in", &WRONG).await.is(403, "Sign in");
        }
        world.host.records();
        let refused = browser.sign_in(&page, "GRETE").await;
        refused.is(403, "Sign in");
        assert_eq!(world.host.records()[0].refused, Some("there were too many attempts"));
        world.host.pass(TimeDelta::minutes(14));
        let (mut other, page) = first_page(&world).await;
        other.sign_in(&page, "grete").await.is(403, "Sign in");
        other.sign_in(&page, "hans").await.is(200, "Choose a patient");
        world.host.pass(TimeDelta::minutes(2));
        let (mut other, page) = first_page(&world).await;
        other.sign_in(&page, "grete").await.is(200, "Choose a patient");
    });
}

#[test]
fn who_gets_in_may_guess_anew() {
    test_with(
        |options| options.attempts_max = 3,
        |world| async move {
            world.person("grete", None).await;
            for _ in 0..4 {
                let (mut browser, page) = first_page(&world).await;
                for _ in 0..2 {
                    browser.submit(&page, "sign-in", &WRONG).await.is(403, "Sign in");
                }
                browser.sign_in(&page, "grete").await.is(200, "Choose a patient");
            }
        },
    );
}

#[test]
fn an_address_guesses_for_all_users_together() {
    test_with(
        |options| options.attempts_per_address_max = 3,
        |world| async move {
            world.person("grete", None).await;
            let (mut browser, page) = first_page(&world).await;
            for name in ["a", "b"] {
                browser.submit(&page, "sign-in", &[("name", name), ("password", "x")]).await;
            }
            // Who gets in is not counted, and forgives the address nothing else.
            browser.sign_in(&page, "grete").await.is(200, "Choose a patient");
            let (mut browser, page) = first_page(&world).await;
            browser.submit(&page, "sign-in", &[("name", "c"), ("password", "x")]).await;
            browser.sign_in(&page, "grete").await.is(403, "Sign in");
            browser.headers = vec![("x-test-address", "198.51.100.1".into())];
            browser.sign_in(&page, "grete").await.is(200, "Choose a patient");
            // What comes from there is counted for nobody.
            browser.headers.clear();
            for _ in 0..12 {
                browser.submit(&page, "sign-in", &WRONG).await;
            }
            let (mut browser, page) = first_page(&world).await;
            browser.headers = vec![("x-test-address", "198.51.100.1".into())];
            browser.sign_in(&page, "grete").await.is(200, "Choose a patient");
        },
    );
}

#[test]
fn attempts_at_once_are_all_counted() {
    test_with(
        |options| options.attempts_max = 3,
        |world| async move {
            world.person("grete", None).await;
            let (browser, page) = first_page(&world).await;
            world.host.records();
            let tries = (0..12).map(|_| {
                let (mut browser, page) = (browser.clone(), page.clone());
                async move { browser.submit(&page, "sign-in", &WRONG).await }
            });
            futures::future::join_all(tries).await;
            let records = world.host.records();
            let guessed =
                records.iter().filter(|record| record.refused == Some("the name or the password is wrong"));
            assert_eq!((guessed.count(), records.len()), (3, 12));
        },
    );
}

#[test]
fn a_session_is_new_at_each_sign_in() {
    test(|world| async move {
        world.person("grete", None).await;
        let (mut browser, page) = first_page(&world).await;
        // Somebody has put a cookie into the browser.
        let planted = "p".repeat(43);
        browser.cookies.insert("anamnesis-session".into(), planted.clone());
        browser.sign_in(&page, "grete").await.is(200, "Choose a patient");
        let first = browser.cookies["anamnesis-session"].clone();
        assert_ne!(first, planted);
        let mut thief = Browser::new(&world);
        thief.cookies.insert("anamnesis-session".into(), planted);
        thief.go(&world.asking(&[])).await.is(200, "Sign in");
        let page = browser.go(&world.asking(&[("prompt", "login")])).await;
        browser.sign_in(&page, "grete").await.is(200, "Choose a patient");
        assert_ne!(browser.cookies["anamnesis-session"], first);
        // The one before has ended.
        thief.cookies.insert("anamnesis-session".into(), first);
        thief.go(&world.asking(&[])).await.is(200, "Sign in");
        let query = "SELECT count(*) FROM anamnesis.smart_session WHERE realm = $1";
        let count: i64 = world.tables().await.query_one(query, &[&world.realm().await]).await.unwrap().get(0);
        assert_eq!(count, 1);
    });
}

#[test]
fn cookies_are_for_these_pages_only() {
    test(|world| async move {
        world.person("grete", None).await;
        let (mut browser, page) = first_page(&world).await;
        browser.sign_in(&page, "grete").await;
        assert_eq!(browser.set.len(), 2);
        let path = url::Url::parse(&world.base).unwrap().path().to_owned();
        for cookie in &browser.set {
            assert!(cookie.contains(&format!("; Path={path}/auth; HttpOnly; SameSite=Lax")), "{cookie}");
            assert!(!cookie.contains("Secure") && !cookie.contains("Domain"), "over loopback: {cookie}");
        }
    });
    let secure = |options: &mut anamnesis_smart::SmartOptions| {
        options.base = format!("https://ehr.example/{}/fhir", options.workspace);
    };
    test_with(secure, |world| async move {
        world.person("grete", None).await;
        let response = world.http.get(format!("{}{}", world.at, world.asking(&[]))).send().await.unwrap();
        let to = response.headers()["location"].to_str().unwrap().to_owned();
        let origin = url::Url::parse(&world.at).unwrap().origin().ascii_serialization();
        let response = world.http.get(format!("{origin}{to}")).send().await.unwrap();
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        assert!(
            cookie.starts_with("__Secure-anamnesis-browser=") && cookie.ends_with("; Secure"),
            "{cookie}"
        );
    });
}

#[test]
fn a_forged_form_is_not_taken() {
    test(|world| async move {
        world.person("grete", None).await;
        let (mut browser, page) = first_page(&world).await;
        for token in ["", "x", &"A".repeat(43)] {
            let forged = [("csrf", token), ("name", "grete"), ("password", PASSWORD)];
            browser.submit(&page, "sign-in", &forged).await.is(403, "This does not go on here");
            browser.submit(&page, "cancel", &[("csrf", token)]).await.is(403, "This does not go on here");
        }
        // The form of one browser sent by another one, which has a request of its own.
        let (mut other, other_page) = first_page(&world).await;
        other.sign_in(&page, "grete").await.is(403, "This does not go on here");
        let id = page.form("sign-in").fields[0].1.clone();
        other.go(&format!("/auth/interaction?request={id}")).await.is(403, "This does not go on here");
        let mixed = [("request", id.as_str()), ("name", "grete"), ("password", PASSWORD)];
        other.submit(&other_page, "sign-in", &mixed).await.is(403, "This does not go on here");
        // From a page of somebody else.
        browser.headers = vec![("sec-fetch-site", "cross-site".into())];
        browser.sign_in(&page, "grete").await.is(403, "This does not go on here");
        browser.headers = vec![("sec-fetch-site", "same-origin".into())];
        browser.sign_in(&page, "grete").await.is(200, "Choose a patient");
        assert!(world.host.records().iter().all(|record| record.refused.is_none()), "nobody was guessed for");
    });
}

#[test]
fn a_form_of_one_session_is_not_taken_in_another_one() {
    test(|world| async move {
        world.person("grete", None).await;
        world.person("hans", None).await;
        let (mut browser, page) = first_page(&world).await;
        let of_grete = browser.sign_in(&page, "grete").await;
        let again = browser.submit(&of_grete, "sign-out", &[]).await;
        again.is(200, "Sign in");
        let chosen = [("choose", "yes"), ("patient", "p1")];
        browser.submit(&of_grete, "patient", &chosen).await.is(403, "This does not go on here");
        let of_hans = browser.sign_in(&again, "hans").await;
        assert!(of_hans.words().contains("hans the person"));
        browser.submit(&of_grete, "patient", &chosen).await.is(403, "This does not go on here");
        browser.submit(&of_hans, "patient", &chosen).await.is(200, "Let this app in?");
    });
}

#[test]
fn what_one_user_has_chosen_is_not_there_for_the_next_one() {
    test(|world| async move {
        world.person("grete", None).await;
        world.person("hans", None).await;
        let (mut browser, page) = first_page(&world).await;
        let page = browser.sign_in(&page, "grete").await;
        let page = browser.submit(&page, "patient", &[("choose", "yes"), ("patient", "p1")]).await;
        page.is(200, "Let this app in?");
        let again = browser.submit(&page, "sign-out", &[]).await;
        browser.sign_in(&again, "hans").await.is(200, "Choose a patient");
        // Also where somebody else signs in in another window.
        let (mut browser, page) = first_page(&world).await;
        let page = browser.sign_in(&page, "grete").await;
        let chosen = browser.submit(&page, "patient", &[("choose", "yes"), ("patient", "p1")]).await;
        chosen.is(200, "Let this app in?");
        let other = browser.go(&world.asking(&[("prompt", "login")])).await;
        browser.sign_in(&other, "hans").await.is(200, "Choose a patient");
        let id = chosen.form("cancel").fields[0].1.clone();
        let page = browser.go(&format!("/auth/interaction?request={id}")).await;
        page.is(200, "Choose a patient");
        assert!(page.words().contains("hans the person"));
    });
}

#[test]
fn two_browsers_do_not_disturb_each_other() {
    test(|world| async move {
        world.person("grete", Some("Patient/p1")).await;
        let (mut one, one_page) = first_page(&world).await;
        let (mut other, other_page) = first_page(&world).await;
        let one_page = one.sign_in(&one_page, "grete").await;
        let other_page = other.sign_in(&other_page, "grete").await;
        assert!(!one.submit(&one_page, "consent", &[]).await.code().is_empty());
        assert!(!other.submit(&other_page, "consent", &[]).await.code().is_empty());
        // Two windows of one browser: both were opened before anybody signed in.
        let mut windows = Browser::new(&world);
        let first = windows.go(&world.asking(&[("state", "first")])).await;
        let second = windows.go(&world.asking(&[("state", "second")])).await;
        let first = windows.sign_in(&first, "grete").await;
        let second = windows.sign_in(&second, "grete").await;
        assert_eq!(windows.submit(&second, "consent", &[]).await.told()["state"], "second");
        // The other window belongs to the sign-in before: it is shown again.
        windows.submit(&first, "consent", &[]).await.is(403, "This does not go on here");
        let id = first.form("cancel").fields[0].1.clone();
        let first = windows.go(&format!("/auth/interaction?request={id}")).await;
        assert_eq!(windows.submit(&first, "consent", &[]).await.told()["state"], "first");
    });
}

#[test]
fn a_session_ends() {
    test(|world| async move {
        let grete = world.person("grete", Some("Patient/p1")).await;
        let (mut browser, page) = first_page(&world).await;
        browser.sign_in(&page, "grete").await.is(200, "Let this app in?");
        world.host.pass(TimeDelta::hours(8) - TimeDelta::seconds(30));
        let page = browser.go(&world.asking(&[])).await;
        page.is(200, "Let this app in?");
        // While the page of consent stands there.
        world.host.pass(TimeDelta::minutes(1));
        browser.submit(&page, "consent", &[]).await.is(200, "Sign in");
        let page = browser.go(&world.asking(&[])).await;
        let page = browser.sign_in(&page, "grete").await;
        page.is(200, "Let this app in?");
        world.server.users().set_enabled(grete, false).await.unwrap();
        browser.submit(&page, "consent", &[]).await.is(200, "Sign in");
        assert_eq!(world.realm_families().await, 0);
    });
}

#[test]
fn who_signs_out_is_signed_out() {
    test(|world| async move {
        let user = world.person("grete", Some("Patient/p1")).await;
        let (mut browser, page) = first_page(&world).await;
        browser.sign_in(&page, "grete").await.is(200, "Let this app in?");
        let page = browser.go("/auth/sign-out").await;
        page.is(200, "Sign out");
        let cookies = browser.cookies.clone();
        browser.submit(&page, "sign-out", &[("csrf", "")]).await.is(403, "This does not go on here");
        browser.go(&world.asking(&[])).await.is(200, "Let this app in?");
        world.host.records();
        browser.submit(&page, "sign-out", &[]).await.is(200, "You are signed out");
        let records = world.host.records();
        assert_eq!(
            (records[0].happened, records[0].user.clone()),
            (Happened::SignOut, Some(user.to_string()))
        );
        assert!(!browser.cookies.contains_key("anamnesis-session"));
        browser.cookies = cookies;
        browser.go(&world.asking(&[])).await.is(200, "Sign in");
        browser.go("/auth/sign-out").await.is(200, "You are signed out");
    });
}

#[test]
fn what_cannot_be_put_on_record_is_not_done() {
    test(|world| async move {
        world.person("grete", Some("Patient/p1")).await;
        let (mut browser, page) = first_page(&world).await;
        world.host.mute(true);
        let answer = browser.sign_in(&page, "grete").await;
        answer.is(503, "Not now");
        assert!(answer.headers.contains_key("retry-after"));
        assert!(!browser.cookies.contains_key("anamnesis-session"));
        browser.submit(&page, "sign-in", &WRONG).await.is(503, "Not now");
        browser.go(&world.asking(&[("scope", "nonsense")])).await.is(503, "Not now");
        browser.submit(&page, "cancel", &[]).await.is(503, "Not now");
        world.host.mute(false);
        let consent = browser.sign_in(&page, "grete").await;
        consent.is(200, "Let this app in?");
        let out = browser.go("/auth/sign-out").await;
        world.host.mute(true);
        browser.submit(&out, "sign-out", &[]).await.is(503, "Not now");
        browser.submit(&consent, "consent", &[]).await.is(503, "Not now");
        assert_eq!(world.realm_families().await, 0);
    });
}

impl World {
    /// How many families of tokens there are that were not ended.
    pub(crate) async fn realm_families(&self) -> i64 {
        let query = "SELECT count(*) FROM anamnesis.smart_family WHERE realm = $1 AND revoked_at IS NULL";
        self.tables().await.query_one(query, &[&self.realm().await]).await.unwrap().get(0)
    }
}
