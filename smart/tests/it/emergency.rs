//! Emergencies: declared with a reason, on record before anything is shown, for those who may.

use anamnesis_smart::{Happened, PatientShown};

use crate::support::browser::{Browser, Page};
use crate::support::{World, test};

const SCOPE: &str = "patient/*.rs break-glass launch/patient";
const REASON: &str = "unconscious in the emergency room";

fn hidden(settings: &mut crate::support::host::Settings) {
    let patient =
        |id: &str, name: &str| PatientShown { id: id.into(), name: name.into(), ..PatientShown::default() };
    settings.patients = vec![(patient("p1", "Ada"), false), (patient("p2", "Hidden"), true)];
}

async fn declared(world: &World) -> (Browser, Page) {
    world.person("grete", Some("Practitioner/1")).await;
    world.host.set(hidden);
    let mut browser = Browser::new(world);
    let page = browser.go(&world.asking(&[("scope", SCOPE)])).await;
    let page = browser.sign_in(&page, "grete").await;
    page.is(200, "Emergency access");
    (browser, page)
}

#[test]
fn an_emergency_opens_all_patients_and_is_on_record() {
    test(|world| async move {
        let (mut browser, page) = declared(&world).await;
        assert!(page.words().contains("recorded and reported"));
        for reason in ["", "too short", &"x".repeat(501), "          "] {
            let page = browser.submit(&page, "emergency", &[("declare", "yes"), ("reason", reason)]).await;
            page.is(400, "Emergency access");
        }
        assert!(world.host.questions().is_empty(), "nobody was shown");
        world.host.records();
        let page = browser.submit(&page, "emergency", &[("declare", "yes"), ("reason", REASON)]).await;
        page.is(200, "Choose a patient");
        let records = world.host.records();
        assert_eq!((records.len(), records[0].happened), (1, Happened::BreakGlass));
        assert_eq!(records[0].reason.as_deref(), Some(REASON));
        assert!(world.host.questions().iter().all(|question| question.is_emergency));
        let page = browser.submit(&page, "patient", &[("choose", "yes"), ("patient", "p2")]).await;
        page.is(200, "Let this app in?");
        assert!(page.words().contains(REASON) && page.words().contains("Hidden"));
        browser.submit(&page, "consent", &[]).await.code();
        let granted = world.granted().await;
        assert_eq!(
            (&granted["emergency_reason"], &granted["context"]["patient"]),
            (&REASON.into(), &"p2".into())
        );
        let records = world.host.records();
        let happened: Vec<_> =
            records.iter().map(|record| (record.happened, record.patient.as_deref())).collect();
        assert_eq!(
            happened,
            [(Happened::BreakGlass, Some("Patient/p2")), (Happened::Consent, Some("Patient/p2"))]
        );
        assert!(records.iter().all(|record| record.reason.as_deref() == Some(REASON)));
    });
}

#[test]
fn what_cannot_be_put_on_record_opens_nothing() {
    test(|world| async move {
        let (mut browser, page) = declared(&world).await;
        world.host.mute(true);
        let said = [("declare", "yes"), ("reason", REASON)];
        browser.submit(&page, "emergency", &said).await.is(503, "Not now");
        world.host.mute(false);
        let id = page.form("cancel").fields[0].1.clone();
        browser.go(&format!("/auth/interaction?request={id}")).await.is(200, "Emergency access");
        assert!(world.host.questions().is_empty());
    });
}

#[test]
fn without_an_emergency_the_scope_is_not_granted() {
    test(|world| async move {
        let (mut browser, page) = declared(&world).await;
        let page = browser.submit(&page, "emergency", &[("declare", "no"), ("reason", REASON)]).await;
        page.is(200, "Choose a patient");
        let hidden = browser.submit(&page, "patient", &[("choose", "yes"), ("patient", "p2")]).await;
        hidden.is(400, "Choose a patient");
        let page = browser.submit(&page, "patient", &[("choose", "yes"), ("patient", "p1")]).await;
        browser.submit(&page, "consent", &[]).await.code();
        let granted = world.granted().await;
        assert_eq!(granted["scope"], "patient/*.rs launch/patient");
        assert!(granted["emergency_reason"].is_null());
        assert!(world.host.records().iter().all(|record| record.happened != Happened::BreakGlass));
    });
}

#[test]
fn not_everybody_may_break_the_glass() {
    test(|world| async move {
        let user = world.person("grete", Some("Practitioner/1")).await;
        world.host.set(|settings| settings.no_glass.push(user));
        let mut browser = Browser::new(&world);
        let page = browser.go(&world.asking(&[("scope", SCOPE)])).await;
        browser.sign_in(&page, "grete").await.is_error("access_denied");
        let records = world.host.records();
        assert_eq!(records.last().unwrap().refused, Some("the user may not break the glass"));
        // The right is taken away while the page stands there.
        world.host.set(|settings| settings.no_glass.clear());
        let page = browser.go(&world.asking(&[("scope", SCOPE)])).await;
        page.is(200, "Emergency access");
        world.host.set(|settings| settings.no_glass.push(user));
        let said = [("declare", "yes"), ("reason", REASON)];
        browser.submit(&page, "emergency", &said).await.is_error("access_denied");
    });
}

#[test]
fn an_emergency_is_for_one_patient() {
    test(|world| async move {
        world.person("grete", Some("Practitioner/1")).await;
        let mut browser = Browser::new(&world);
        let page = browser.go(&world.asking(&[("scope", "user/*.rs break-glass")])).await;
        let page = browser.sign_in(&page, "grete").await;
        let page = browser.submit(&page, "emergency", &[("declare", "yes"), ("reason", REASON)]).await;
        page.is(200, "Choose a patient");
        browser.go(&world.asking(&[("scope", "break-glass")])).await.is_error("invalid_scope");
    });
}
