//! Launches by electronic health records: who may make one, and what it opens, once.

use anamnesis_smart::{Happened, SmartOptions};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::{Answer, World, answer, test};

const SCOPE: &str = "launch openid patient/*.rs";

async fn launch(world: &World, token: &str, body: &Value) -> Answer {
    let request = world.http.post(format!("{}/auth/launch", world.at)).json(body);
    answer(if token.is_empty() { request } else { request.bearer_auth(token) }).await
}

async fn launched(world: &World, body: &Value) -> String {
    let made = launch(world, "clinician", body).await;
    assert_eq!((made.status, made.body["expires_in"].as_i64()), (201, Some(300)), "{:?}", made.body);
    assert_eq!(made.headers["cache-control"], "no-store");
    made.text("launch").to_owned()
}

fn asking(world: &World, launch: &str) -> String {
    world.asking(&[("launch", launch), ("scope", SCOPE)])
}

#[test]
fn an_app_opens_what_the_record_around_it_has_open() {
    test(|world| async move {
        let user = world.person("grete", Some("Practitioner/1")).await;
        let context = json!({
            "patient": "p1", "encounter": "e-1", "practitioner": "d.2", "need_patient_banner": false,
            "intent": "reconcile", "smart_style_url": "https://ehr.example/style.json", "tenant": "ward 3",
            "fhirContext": [{"reference": "ImagingStudy/7"}]
        });
        let value = launched(&world, &context).await;
        let records = world.host.records();
        assert_eq!(
            (records[0].happened, records[0].patient.as_deref()),
            (Happened::Launch, Some("Patient/p1"))
        );
        assert_eq!(records[0].user.as_deref(), Some("clinician"));
        let mut browser = Browser::new(&world);
        let page = browser.go(&asking(&world, &value)).await;
        let page = browser.sign_in(&page, "grete").await;
        page.is(200, "Let this app in?");
        browser.submit(&page, "consent", &[]).await.code();
        let granted = world.granted().await;
        assert_eq!(granted["context"], context);
        assert_eq!(
            (&granted["user"], &granted["scope"]),
            (&json!(user), &json!("openid patient/*.rs launch"))
        );
        // Once.
        browser.go(&asking(&world, &value)).await.is_error("invalid_request");
    });
}

#[test]
fn a_launch_is_used_by_one_of_two_who_come_with_it() {
    test(|world| async move {
        world.person("grete", None).await;
        let value = launched(&world, &json!({"patient": "p1"})).await;
        let mut pages = Vec::new();
        for _ in 0..2 {
            let mut browser = Browser::new(&world);
            let page = browser.go(&asking(&world, &value)).await;
            pages.push((browser.clone(), browser.sign_in(&page, "grete").await));
            pages.last_mut().unwrap().0 = browser;
        }
        let (mut first, page) = pages.remove(0);
        first.submit(&page, "consent", &[]).await.code();
        let (mut second, page) = pages.remove(0);
        second.submit(&page, "consent", &[]).await.is_error("invalid_request");
    });
}

#[test]
fn a_launch_is_for_a_service_a_while_an_app_and_a_user() {
    test(|world| async move {
        let grete = world.person("grete", None).await;
        world.person("hans", None).await;
        let mut browser = Browser::new(&world);
        browser.go(&asking(&world, "unknown")).await.is_error("invalid_request");
        let value = launched(&world, &json!({"patient": "p1", "client_id": "basic"})).await;
        browser.go(&asking(&world, &value)).await.is_error("invalid_request");
        let value = launched(&world, &json!({"patient": "p1", "user": grete})).await;
        let page = browser.go(&asking(&world, &value)).await;
        browser.sign_in(&page, "hans").await.is_error("access_denied");
        let page =
            browser.go(&world.asking(&[("launch", &value), ("scope", SCOPE), ("prompt", "login")])).await;
        browser.sign_in(&page, "grete").await.is(200, "Let this app in?");
        let other = |options: &mut SmartOptions| options.service = "other".into();
        let other = world.beside_with(other).await;
        let value = launched(&other, &json!({"patient": "p1"})).await;
        browser.go(&asking(&world, &value)).await.is_error("invalid_request");
        other.stop().await;
        let value = launched(&world, &json!({"patient": "p1"})).await;
        world.host.pass(TimeDelta::seconds(295));
        let page = browser.go(&asking(&world, &value)).await;
        page.is(200, "Let this app in?");
        // The app came in time; its user may take longer.
        world.host.pass(TimeDelta::seconds(600));
        world.server.maintain().await.unwrap();
        browser.submit(&page, "consent", &[]).await.code();
        let value = launched(&world, &json!({"patient": "p1"})).await;
        world.host.pass(TimeDelta::seconds(301));
        browser.go(&asking(&world, &value)).await.is_error("invalid_request");
    });
}

#[test]
fn the_parameter_and_the_scope_go_together() {
    test(|world| async move {
        let value = launched(&world, &json!({"patient": "p1"})).await;
        let mut browser = Browser::new(&world);
        browser.go(&world.asking(&[("launch", &value)])).await.is_error("invalid_request");
        browser.go(&world.asking(&[("scope", SCOPE)])).await.is_error("invalid_request");
    });
}

#[test]
fn nobody_is_opened_whom_the_user_may_not_see() {
    test(|world| async move {
        world.person("grete", Some("Practitioner/1")).await;
        world.person("pat", Some("Patient/p1")).await;
        let mut browser = Browser::new(&world);
        let value = launched(&world, &json!({"patient": "p2"})).await;
        let page = browser.go(&asking(&world, &value)).await;
        browser.sign_in(&page, "grete").await.is_error("access_denied");
        let mut browser = Browser::new(&world);
        let page = browser.go(&asking(&world, &value)).await;
        browser.sign_in(&page, "pat").await.is_error("access_denied");
        // Without a patient one is chosen.
        let value = launched(&world, &json!({"encounter": "e"})).await;
        let mut browser = Browser::new(&world);
        let page = browser.go(&asking(&world, &value)).await;
        let page = browser.sign_in(&page, "grete").await;
        let page = browser.submit(&page, "patient", &[("choose", "yes"), ("patient", "p1")]).await;
        browser.submit(&page, "consent", &[]).await.code();
        assert_eq!(world.granted().await["context"], json!({"patient": "p1", "encounter": "e"}));
    });
}

#[test]
fn only_who_has_rights_to_data_launches_and_says_what_makes_sense() {
    test(|world| async move {
        let good = json!({"patient": "p1"});
        let none = launch(&world, "", &good).await;
        none.is_refused(401, "invalid_token");
        assert_eq!(none.headers["www-authenticate"], "Bearer");
        launch(&world, "forged", &good).await.is_refused(403, "access_denied");
        launch(&world, "nobody", &good).await.is_refused(403, "access_denied");
        launch(&world, "operator", &good).await.is_refused(403, "access_denied");
        let refused = world.host.records();
        assert_eq!(refused.len(), 4);
        assert!(refused.iter().all(|record| record.happened == Happened::Launch && record.refused.is_some()));
        let many: Vec<Value> = (0..21).map(|at| json!({"reference": format!("Task/{at}")})).collect();
        for wrong in [
            json!({"patient": "../1"}),
            json!({"patient": 1}),
            json!({"encounter": "ä"}),
            json!({"user": "grete"}),
            json!({"client_id": 7}),
            json!({"intent": ""}),
            json!({"intent": "a\u{0}b"}),
            json!({"smart_style_url": "javascript:alert(1)"}),
            json!({"fhirContext": ["Task/1"]}),
            json!({"fhirContext": [{"reference": "Task/1", "x": 1}]}),
            json!({"fhirContext": [{"reference": "Task/\u{0}"}]}),
            json!({"fhirContext": many}),
            json!({"name": "a member that is none"}),
            json!([]),
        ] {
            launch(&world, "clinician", &wrong).await.is_refused(400, "invalid_request");
        }
        let large = json!({"fhirContext": [{"reference": "x".repeat(20_000)}]});
        launch(&world, "clinician", &large).await.is_refused(413, "invalid_request");
        let text = world.http.post(format!("{}/auth/launch", world.at)).bearer_auth("clinician").body("{}");
        answer(text).await.is_refused(415, "invalid_request");
        world.host.mute(true);
        launch(&world, "clinician", &good).await.is_refused(503, "temporarily_unavailable");
        let query = "SELECT count(*) FROM anamnesis.smart_launch WHERE realm = $1";
        let count: i64 = world.tables().await.query_one(query, &[&world.realm().await]).await.unwrap().get(0);
        assert_eq!(count, 0);
    });
}
