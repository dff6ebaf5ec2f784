//! The choice of a patient: who is offered, who may be chosen, and whose record it is without a choice.

use anamnesis_smart::PatientShown;

use crate::support::browser::{Browser, Page};
use crate::support::html::{forms, tags};
use crate::support::{World, test};

fn patient(id: &str, name: &str) -> PatientShown {
    PatientShown {
        id: id.into(),
        name: name.into(),
        birth_date: "1970-01-02".into(),
        gender: "female".into(),
        identifier: format!("MRN-{id}"),
    }
}

async fn picker(world: &World) -> (Browser, Page) {
    world.person("grete", Some("Practitioner/1")).await;
    let mut browser = Browser::new(world);
    let page = browser.go(&world.asking(&[])).await;
    let page = browser.sign_in(&page, "grete").await;
    page.is(200, "Choose a patient");
    (browser, page)
}

/// The ids that a page offers.
fn offered(page: &Page) -> Vec<String> {
    let radios = tags(&page.text).into_iter().filter(|tag| tag.attribute("type") == Some("radio"));
    radios.map(|tag| tag.attribute("value").unwrap().to_owned()).collect()
}

#[test]
fn patients_are_searched_for_and_told_apart() {
    test(|world| async move {
        world.host.set(|settings| {
            settings.patients =
                (0..25).map(|at| (patient(&format!("p{at}"), &format!("Maier {at:02}")), false)).collect();
        });
        let (mut browser, page) = picker(&world).await;
        assert_eq!(offered(&page).len(), 20);
        assert!(page.words().contains("There are more."));
        assert!(page.words().contains("Maier 03, born 1970-01-02, female, identifier MRN-p3"));
        let page = browser.submit(&page, "patient", &[("words", " Maier 2 ")]).await;
        page.is(200, "Choose a patient");
        assert_eq!(offered(&page), ["p20", "p21", "p22", "p23", "p24"]);
        let page = browser.submit(&page, "patient", &[("words", "Meier")]).await;
        assert!(offered(&page).is_empty() && page.words().contains("No patient was found."));
        let page = browser.submit(&page, "patient", &[("words", "MRN-p7")]).await;
        assert_eq!(offered(&page), ["p7"]);
        assert!(!page.words().contains("There are more."));
        assert!(page.location().is_none() && !page.text.contains("words=MRN"));
        let asked = world.host.questions();
        let last = asked.last().unwrap();
        assert_eq!((last.words.as_str(), last.count, last.is_emergency), ("MRN-p7", 20, false));
        assert_eq!((last.address.as_str(), last.fhir_user.as_deref()), ("192.0.2.7", Some("Practitioner/1")));
        let chosen: Vec<_> = forms(&page.text)[1].fields.clone();
        assert!(chosen.iter().all(|(name, _)| name != "patient"), "nobody is chosen beforehand");
        let page = browser.submit(&page, "patient", &[("words", &"x".repeat(201))]).await;
        page.is(400, "Choose a patient");
    });
}

#[test]
fn a_patient_who_is_not_offered_cannot_be_chosen() {
    test(|world| async move {
        world.host.set(|settings| {
            settings.patients = vec![(patient("p1", "Ada"), false), (patient("p2", "Hidden"), true)];
        });
        let (mut browser, page) = picker(&world).await;
        assert_eq!(offered(&page), ["p1"]);
        for id in ["p2", "p3", "../p1", "p1 ", "<b>"] {
            let page = browser.submit(&page, "patient", &[("choose", "yes"), ("patient", id)]).await;
            page.is(400, "Choose a patient");
            assert!(page.words().contains("This patient cannot be chosen."));
        }
        let none = browser.submit(&page, "patient", &[("choose", "yes")]).await;
        none.is(400, "Choose a patient");
        let page = browser.submit(&page, "patient", &[("choose", "yes"), ("patient", "p1")]).await;
        page.is(200, "Let this app in?");
        // Not to be seen any more between choice and consent.
        world.host.set(|settings| settings.patients = vec![(patient("p2", "Other"), false)]);
        browser.submit(&page, "consent", &[]).await.is(200, "Choose a patient");
        world.host.set(|settings| settings.is_down = true);
        browser.go(&world.asking(&[])).await.is(503, "Not now");
    });
}

#[test]
fn the_page_of_consent_is_for_the_patient_that_it_shows() {
    test(|world| async move {
        world.host.set(|settings| {
            settings.patients = vec![(patient("p1", "Ada"), false), (patient("p2", "Berta"), false)];
        });
        let (mut browser, picker) = picker(&world).await;
        let of_ada = browser.submit(&picker, "patient", &[("choose", "yes"), ("patient", "p1")]).await;
        assert!(of_ada.words().contains("Ada"));
        // In another window.
        let of_berta = browser.submit(&picker, "patient", &[("choose", "yes"), ("patient", "p2")]).await;
        assert!(of_berta.words().contains("Berta"));
        browser.submit(&of_ada, "consent", &[]).await.is(403, "This does not go on here");
        browser.submit(&of_berta, "consent", &[]).await.code();
        assert_eq!(world.granted().await["context"]["patient"], "p2");
        browser.submit(&of_berta, "consent", &[]).await.is(400, "This cannot be gone on with");
    });
}

#[test]
fn who_is_a_patient_opens_the_own_record_only() {
    test(|world| async move {
        world.host.set(|settings| {
            settings.patients = vec![(patient("p1", "Ada"), false), (patient("p2", "Berta"), false)];
        });
        world.person("berta", Some("Patient/p2")).await;
        world.person("gone", Some("Patient/p9")).await;
        let mut browser = Browser::new(&world);
        let page = browser.go(&world.asking(&[])).await;
        let page = browser.sign_in(&page, "berta").await;
        page.is(200, "Let this app in?");
        let own = page.form("cancel").fields;
        let path = page.form("cancel").action.replace("cancel", "patient");
        let other = [own, vec![("choose".into(), "yes".into()), ("patient".into(), "p1".into())]].concat();
        browser.post(&path, &other).await.is(200, "Let this app in?");
        browser.submit(&page, "consent", &[]).await.code();
        assert_eq!(world.granted().await["context"]["patient"], "p2");
        let mut browser = Browser::new(&world);
        let page = browser.go(&world.asking(&[])).await;
        browser.sign_in(&page, "gone").await.is_error("access_denied");
    });
}

#[test]
fn no_patient_is_chosen_where_none_is_needed() {
    test(|world| async move {
        world.person("grete", Some("Practitioner/1")).await;
        let mut browser = Browser::new(&world);
        let page = browser.go(&world.asking(&[("scope", "openid user/*.rs")])).await;
        let page = browser.sign_in(&page, "grete").await;
        page.is(200, "Let this app in?");
        browser.submit(&page, "consent", &[]).await.code();
        let granted = world.granted().await;
        assert_eq!(
            (&granted["context"], &granted["scope"]),
            (&serde_json::json!({}), &"openid user/*.rs".into())
        );
        assert!(world.host.questions().is_empty());
    });
}

#[test]
fn nobody_needs_to_choose() {
    test(|world| async move {
        let (mut browser, page) = picker(&world).await;
        world.host.records();
        browser.submit(&page, "cancel", &[]).await.is_error("access_denied");
        let records = world.host.records();
        assert_eq!(records[0].refused, Some("the user has not let the app in"));
        browser.submit(&page, "cancel", &[]).await.is(400, "This cannot be gone on with");
    });
}
