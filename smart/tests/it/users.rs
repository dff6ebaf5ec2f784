//! Users: made, changed and removed by operators, and what ends with it.

use anamnesis_smart::{Happened, NewUser, UserError, Users};
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::support::browser::{Browser, PASSWORD};
use crate::support::{Answer, World, answer, approval, test};

async fn ask(world: &World, method: &str, path: &str, body: Option<Value>) -> Answer {
    ask_as(world, "operator", method, path, body).await
}

async fn ask_as(world: &World, token: &str, method: &str, path: &str, body: Option<Value>) -> Answer {
    let address = format!("{}/auth/users{path}", world.at);
    let mut request = world.http.request(method.parse().unwrap(), address).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(&body);
    }
    answer(request).await
}

fn grete() -> Value {
    json!({"name": " Grete.Müller ", "display": "Grete Müller", "fhir_user": "Practitioner/1", "password": PASSWORD})
}

#[test]
fn an_operator_makes_changes_and_removes_users() {
    test(|world| async move {
        let made = ask(&world, "POST", "", Some(grete())).await;
        assert_eq!((made.status, made.text("name")), (201, "grete.müller"));
        let id = made.text("id").to_owned();
        assert_eq!(made.headers["location"], format!("{}/auth/users/{id}", world.base).as_str());
        assert_eq!((&made.body["has_password"], &made.body["is_enabled"]), (&json!(true), &json!(true)));
        assert!(!made.body.to_string().contains("argon2") && !made.body.to_string().contains(PASSWORD));
        let stored = "SELECT password FROM anamnesis.smart_user WHERE realm = $1";
        let row = world.tables().await.query_one(stored, &[&world.realm().await]).await.unwrap();
        assert!(row.get::<_, String>(0).starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let mut again = grete();
        again["name"] = "GRETE.MU\u{308}LLER".into();
        ask(&world, "POST", "", Some(again)).await.is_refused(409, "conflict");
        let records = world.host.records();
        assert_eq!(records[0].changed.as_deref(), Some(id.as_str()));
        assert_eq!(records.last().unwrap().refused, Some("it was not possible"));
        let other = ask(&world, "POST", "", Some(json!({"name": "anna"}))).await;
        assert_eq!((other.status, &other.body["has_password"]), (201, &json!(false)));
        let one = ask(&world, "GET", &format!("/{id}"), None).await;
        assert_eq!(one.body["display"], "Grete Müller");
        let page = ask(&world, "GET", "?count=1", None).await;
        assert_eq!((&page.body["users"][0]["name"], &page.body["after"]), (&json!("anna"), &json!("anna")));
        let page = ask(&world, "GET", "?count=1&after=anna", None).await;
        assert_eq!(
            (&page.body["users"][0]["name"], &page.body["after"]),
            (&json!("grete.müller"), &Value::Null)
        );
        let found = ask(&world, "GET", "?name=Grete.M%C3%BCller", None).await;
        assert_eq!(found.body["users"][0]["id"], json!(id));
        let change = json!({"name": "g.m", "display": "G. M.", "is_enabled": false});
        let changed = ask(&world, "PUT", &format!("/{id}"), Some(change)).await;
        assert_eq!((changed.status, changed.text("name")), (200, "g.m"));
        assert_eq!((&changed.body["fhir_user"], &changed.body["has_password"]), (&Value::Null, &json!(true)));
        let taken = json!({"name": "anna", "display": "x"});
        ask(&world, "PUT", &format!("/{id}"), Some(taken)).await.is_refused(409, "conflict");
        assert_eq!(ask(&world, "DELETE", &format!("/{id}"), None).await.status, 204);
        for method in ["GET", "DELETE"] {
            ask(&world, method, &format!("/{id}"), None).await.is_refused(404, "not_found");
        }
        ask(&world, "GET", "/grete", None).await.is_refused(404, "not_found");
        let records = world.host.records();
        assert!(records.iter().all(|record| record.happened == Happened::UserChange));
        assert!(records.iter().all(|record| record.user.as_deref() == Some("operator")));
        assert!(records.iter().any(|record| record.changed.as_deref() == Some(&id)));
    });
}

#[test]
fn nobody_else_sees_or_changes_users() {
    test(|world| async move {
        let id = world.person("grete", None).await;
        for (token, status) in [("clinician", 403), ("nobody", 403), ("forged", 403)] {
            for (method, path, body) in [
                ("GET", String::new(), None),
                ("POST", String::new(), Some(grete())),
                ("GET", format!("/{id}"), None),
                ("PUT", format!("/{id}"), Some(grete())),
                ("DELETE", format!("/{id}"), None),
            ] {
                let refused = ask_as(&world, token, method, &path, body).await;
                refused.is_refused(status, "access_denied");
            }
        }
        let without = answer(world.http.get(format!("{}/auth/users", world.at))).await;
        without.is_refused(401, "invalid_token");
        let records = world.host.records();
        assert_eq!(records.len(), 16);
        assert!(records.iter().all(|record| record.refused.is_some()));
        assert_eq!(world.server.users().list("", 10).await.unwrap().len(), 1);
    });
}

#[test]
fn what_makes_no_sense_is_refused_and_nothing_is_written() {
    test(|world| async move {
        for wrong in [
            json!({}),
            json!({"name": ""}),
            json!({"name": "a\u{7}"}),
            json!({"name": "a\u{0}"}),
            json!({"name": "x".repeat(201)}),
            json!({"name": "a", "display": "y".repeat(201)}),
            json!({"name": "a", "fhir_user": "Device/1"}),
            json!({"name": "a", "password": "short"}),
            json!({"name": "a", "password": "passwordpassword"}),
            json!({"name": "a.long.name", "password": "a.long.name123"}),
            json!({"name": "a", "password": "x y z".repeat(300)}),
            json!({"name": "a", "unknown": 1}),
            json!({"name": "a", "subject": "without an issuer"}),
            json!({"name": "a", "upstream": "https://idp.example", "subject": ""}),
            json!({"name": "a", "is_enabled": false}),
            json!([]),
        ] {
            let refused = ask(&world, "POST", "", Some(wrong)).await;
            refused.is_refused(400, "invalid_request");
        }
        for path in ["?count=0", "?count=1001", "?count=x", "?count=1&count=2"] {
            ask(&world, "GET", path, None).await.is_refused(400, "invalid_request");
        }
        world.host.mute(true);
        ask(&world, "POST", "", Some(grete())).await.is_refused(503, "temporarily_unavailable");
        world.host.mute(false);
        assert!(world.server.users().list("", 10).await.unwrap().is_empty());
        let id = Uuid::new_v4();
        ask(&world, "PUT", &format!("/{id}"), Some(grete())).await.is_refused(404, "not_found");
        assert!(matches!(world.server.users().set_enabled(id, true).await, Err(UserError::Missing)));
    });
}

#[test]
fn what_takes_something_away_ends_sessions_and_tokens() {
    test(|world| async move {
        let users = world.server.users();
        let begin = async || {
            let name = format!("u{}", Uuid::new_v4().simple());
            let id = world.person(&name, Some("Patient/p1")).await;
            let mut browser = Browser::new(&world);
            let page = browser.go(&world.asking(&[])).await;
            browser.sign_in(&page, &name).await.is(200, "Let this app in?");
            world.server.approve(&approval("public", "patient/*.rs", id)).await.unwrap();
            (id, browser)
        };
        let other = Zeroizing::new("another long password".to_owned());
        for step in 0..4 {
            let (id, mut browser) = begin().await;
            match step {
                0 => users.set_enabled(id, false).await.unwrap(),
                1 => users.set_password(id, other.clone()).await.unwrap(),
                2 => users.set_fhir_user(id, Some("Patient/p2".into())).await.unwrap(),
                _ => users.remove(id).await.unwrap(),
            }
            browser.go(&world.asking(&[])).await.is(200, "Sign in");
            let query = "SELECT family FROM anamnesis.smart_family WHERE realm = $1 AND user_id = $2
                 AND revoked_at IS NOT NULL";
            let rows = world.tables().await.query(query, &[&world.realm().await, &id]).await.unwrap();
            assert_eq!(rows.len(), 1, "step {step}");
        }
        // A code that was given just before is worth nothing.
        let (id, _) = begin().await;
        let code = world.server.approve(&approval("public", "patient/*.rs", id)).await.unwrap();
        users.set_enabled(id, false).await.unwrap();
        world.redeem(&code).await.is_refused(400, "invalid_grant");
        // What takes nothing away ends nothing.
        let (id, mut browser) = begin().await;
        users.rename(id, "new.name", "New Name").await.unwrap();
        users.set_enabled(id, true).await.unwrap();
        users.set_fhir_user(id, Some("Patient/p1".into())).await.unwrap();
        browser.go(&world.asking(&[])).await.is(200, "Let this app in?");
        assert_eq!(world.realm_families().await, 1);
        assert_eq!(users.find(" NEW.name").await.unwrap().unwrap().id, id);
    });
}

#[test]
fn a_changed_password_is_the_one_that_counts() {
    test(|world| async move {
        let id = world.person("grete", Some("Patient/p1")).await;
        let new = "an entirely new password";
        world.server.users().set_password(id, Zeroizing::new(new.to_owned())).await.unwrap();
        let mut browser = Browser::new(&world);
        let page = browser.go(&world.asking(&[])).await;
        browser.sign_in(&page, "grete").await.is(403, "Sign in");
        let page = browser.submit(&page, "sign-in", &[("name", "grete"), ("password", new)]).await;
        page.is(200, "Let this app in?");
    });
}

#[test]
fn a_weak_digest_is_made_anew_at_sign_in() {
    test(|world| async move {
        world.person("grete", Some("Patient/p1")).await;
        // "correct horse battery staple" with less memory and one round.
        let weak = weak_digest();
        let statement = "UPDATE anamnesis.smart_user SET password = $2 WHERE realm = $1";
        world.tables().await.execute(statement, &[&world.realm().await, &weak]).await.unwrap();
        let mut browser = Browser::new(&world);
        let page = browser.go(&world.asking(&[])).await;
        browser.sign_in(&page, "grete").await.is(200, "Let this app in?");
        let query = "SELECT password FROM anamnesis.smart_user WHERE realm = $1";
        let row = world.tables().await.query_one(query, &[&world.realm().await]).await.unwrap();
        assert!(row.get::<_, String>(0).starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        browser.go(&world.asking(&[])).await.is(200, "Let this app in?");
    });
}

fn weak_digest() -> String {
    use argon2::password_hash::PasswordHasher as _;
    let weak = argon2::Params::new(64, 1, 1, None).unwrap();
    let weak = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, weak);
    weak.hash_password(PASSWORD.as_bytes()).unwrap().to_string()
}

#[test]
fn users_are_administered_without_a_server() {
    test(|world| async move {
        let workspace = Uuid::new_v4().to_string();
        let users = Users::open(&world.database, &workspace, chrono::Utc::now).await.unwrap();
        let new = NewUser { name: "grete".into(), ..NewUser::default() };
        let id = users.add(new.clone()).await.unwrap().id;
        assert!(matches!(users.add(new).await, Err(UserError::Taken)));
        users.set_upstream(id, Some(("https://idp.example".into(), Some("42".into())))).await.unwrap();
        assert_eq!(users.get(id).await.unwrap().unwrap().subject.as_deref(), Some("42"));
        assert_eq!(users.list("", 10).await.unwrap().len(), 1);
        assert!(world.server.users().get(id).await.unwrap().is_none(), "another workspace");
        assert!(matches!(world.server.users().remove(id).await, Err(UserError::Missing)));
        users.remove(id).await.unwrap();
        assert!(users.list("", 10).await.unwrap().is_empty());
    });
}
