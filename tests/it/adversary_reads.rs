//! An app that is bounded to one patient tries to learn something of another one, by whatever reads and searches.

use anamnesis::api::Conditions;
use serde_json::json;

use crate::adversary::{Asked, ask, get, of_patient, principal, send, with_both};
use anamnesis::access::grant::Claims;

/// What is asked, and what is found; `None` where anything may be as long as both servers say it alike.
const SEARCHES: &[(&str, Option<&str>)] = &[
    ("Patient", Some("a")),
    ("Patient?name=birch", Some("")),
    ("Patient?_id=b", Some("")),
    ("Patient?_id=a,b", Some("a")),
    ("Patient?identifier=http://i|b", Some("")),
    ("Patient?name:missing=true", Some("")),
    ("Patient?active:not=false", Some("a")),
    ("Patient?_sort=name&_count=1", Some("a")),
    ("Patient?_sort=-birthdate", Some("a")),
    ("Patient?_total=accurate", Some("a")),
    ("Patient?_total=estimate&_summary=count", Some("")),
    ("Observation", Some("a1 a2 ba")),
    ("Observation?_sort=-date&_total=accurate", Some("a1 a2 ba")),
    ("Observation?_count=1&_sort=code", None),
    ("Observation?_sort=subject.name", None),
    ("Observation?code=z", Some("")),
    ("Observation?code:not=z", Some("a1 a2 ba")),
    ("Observation?identifier=http://i|b1", Some("")),
    ("Observation?subject=Patient/b", Some("ba")),
    ("Observation?subject:Patient.name=birch", Some("")),
    ("Observation?subject:Patient.identifier=http://i|b", Some("")),
    ("Observation?subject.name=birch", Some("")),
    ("Observation?patient.birthdate=1970-01-01", Some("a1 a2")),
    ("Observation?has-member:Observation.code=x", Some("")),
    ("Observation?performer:Practitioner.name=doc", Some("a1 a2")),
    ("Patient?link:Patient.name=birch", Some("")),
    ("Group?member:Patient.name=birch", Some("")),
    ("Appointment?actor:Patient.name=birch", Some("")),
    ("Appointment?actor:Patient.name=ash", Some("p")),
    ("Practitioner?_has:Observation:performer:code=z", Some("")),
    ("Practitioner?_has:Observation:performer:code=x", Some("d")),
    ("Practitioner?_has:Observation:performer:subject:Patient.name=birch", Some("")),
    ("Practitioner?_has:Patient:general-practitioner:name=birch", Some("")),
    ("Practitioner?_has:Encounter:practitioner:status=finished", Some("")),
    ("Practitioner?_has:AuditEvent:agent:type=rest", Some("")),
    ("Organization?_has:Patient:organization:birthdate=1970-01-01", Some("h")),
    ("Organization?_has:Patient:organization:_has:Observation:patient:code=z", Some("")),
    ("Patient?_has:Observation:patient:code=x", Some("a")),
    ("Observation?_has:Condition:evidence-detail:code=c2", Some("")),
    ("Observation?_has:Composition:entry:status=final", Some("")),
    ("Observation?_has:Provenance:target:agent=Practitioner/d", Some("")),
    ("Observation?_filter=subject.name eq birch", Some("")),
    ("Observation?_filter=code eq z or code eq y", Some("a2")),
    ("Observation?_filter=not (code eq y)", Some("a1 ba")),
    ("Observation?_list=lb", Some("")),
    ("Observation?_list=la", Some("a1")),
    ("Observation?_list=la,lb", Some("a1")),
    ("Observation?_list=nothing", Some("")),
    ("Observation?_not-referenced=*:*", Some("a2 ba")),
    ("Observation?_not-referenced=Condition:evidence-detail", None),
    ("Patient?_not-referenced=Patient:link", Some("a")),
    ("Medication?_contained=true", Some("ma")),
    ("Medication?_contained=true&_containedType=contained", None),
    ("Medication?_contained=both&code=drug", Some("")),
    ("MedicationRequest?medication.code=drug", Some("")),
    ("MedicationRequest?medication.code=pill", Some("ma")),
    ("?_lastUpdated=gt2000", None),
    ("?_type=Patient,Observation,Encounter", Some("a a1 a2 ba")),
    ("?_type=Encounter", Some("")),
    ("Encounter", Some("")),
    ("Composition?_total=accurate", Some("")),
    ("AuditEvent", Some("")),
    // Types in nobody's compartment.
    ("ValueSet", None),
    ("PractitionerRole", None),
    ("Subscription", None),
    // Compartments.
    ("Patient/b/*", Some("a ba g p")),
    ("Patient/b/Observation", Some("ba")),
    ("Patient/b/Encounter", Some("")),
    ("Patient/nobody/*", Some("")),
    ("Practitioner/d/Observation", Some("a1 a2")),
    ("Practitioner/d/Encounter", Some("")),
    ("Encounter/eb/*", Some("")),
    // Includes.
    ("Observation?_include=*", None),
    ("Observation?_id=a1&_include=Observation:has-member", Some("a1")),
    ("Observation?_id=ba&_include=Observation:subject", Some("ba")),
    ("Observation?_revinclude=*:*", None),
    ("Observation?_id=a1&_revinclude=Condition:evidence-detail", Some("a1")),
    ("Observation?_id=a1&_revinclude=Provenance:target", Some("a1")),
    ("Practitioner?_revinclude=*:*", None),
    ("Practitioner?_revinclude=Observation:performer&_revinclude:iterate=*:*&_include:iterate=*", None),
    ("Practitioner?_revinclude=Encounter:practitioner", Some("d")),
    ("Patient?_include=Patient:link", Some("a")),
    ("Group?_include=Group:member", Some("a g")),
    ("Appointment?_include=Appointment:actor", Some("a p")),
    ("List?_include=List:item", Some("a1 la")),
    ("Provenance?_include=Provenance:target", Some("a va")),
    // Not understood, and how it is said.
    ("Patient?_explain=true", None),
    ("Observation?ct=nonsense", None),
    ("Observation?subject:Patient.nothing=x", None),
    ("Patient/b/Observation?_asOf=1", None),
];

#[test]
fn searches_tell_what_they_would_tell_if_there_were_nobody_else() {
    with_both(|both| async move {
        let app = of_patient("a", "patient/*.rs");
        for (url, expected) in SEARCHES {
            let told = both.same(&app, &get(url)).await;
            if let Some(expected) = expected {
                both.check((told.status, told.found().as_str()) == (200, *expected), || {
                    format!("{url}: {} {}", told.status, told.body)
                });
            }
            let (path, query) = url.split_once('?').unwrap_or((url, ""));
            if !path.contains("_asOf") && told.status == 200 {
                // By POST, and of the head alone.
                let search = if path.is_empty() { "_search".to_owned() } else { format!("{path}/_search") };
                let by_post = Asked { method: "POST", url: format!("{search}?{query}"), ..Asked::default() };
                let found = both.same(&app, &by_post).await.found();
                both.check(found == told.found(), || format!("{url} by POST: {found}"));
                both.same(&app, &Asked { method: "HEAD", ..get(url) }).await;
            }
        }
    });
}

#[test]
fn reads_tell_of_what_is_hidden_as_of_what_never_was() {
    with_both(|both| async move {
        let app = of_patient("a", "patient/*.rs");
        let hidden = [
            "Patient/b",
            "Observation/b1",
            "Condition/cb",
            "List/lb",
            "Encounter/eb",
            "MedicationRequest/mb",
        ];
        let nothing = ask(&both.all, &app, &get("Observation/nothing")).await;
        assert_eq!(nothing.status, 404);
        let conditions = [
            Conditions::default(),
            Conditions { if_none_match: Some("W/\"1\"".to_owned()), ..Conditions::default() },
            Conditions {
                if_modified_since: Some("Wed, 01 Jan 2100 00:00:00 GMT".to_owned()),
                ..Conditions::default()
            },
        ];
        for name in hidden {
            for suffix in
                ["", "?_summary=true", "?_elements=id", "?_asOf=3", "/_history", "/_history?_asOf=3"]
            {
                for condition in &conditions {
                    let asked = Asked { conditions: condition.clone(), ..get(&format!("{name}{suffix}")) };
                    both.answers(&app, &asked, 404).await;
                }
            }
            for suffix in [
                "/_history/1",
                "/_history/2",
                "/$everything",
                "/$validate",
                "/$validate?mode=delete",
                "/$reindex",
            ] {
                let told = both.same(&app, &get(&format!("{name}{suffix}"))).await;
                assert_ne!(told.status, 500);
            }
            both.same(&app, &Asked { method: "HEAD", ..get(name) }).await;
            let body = ask(&both.all, &app, &get(name)).await;
            assert_eq!((body.version, body.body), (None, nothing.body.clone()), "{name}");
        }
        for name in
            ["Patient/a", "Observation/a1", "Observation/ba", "Group/g", "Practitioner/d", "Organization/h"]
        {
            for suffix in ["", "/_history", "/_history/1"] {
                assert_eq!(
                    both.same(&app, &get(&format!("{name}{suffix}"))).await.status,
                    200,
                    "{name}{suffix}"
                );
            }
        }
    });
}

#[test]
fn operations_and_histories_of_many_are_bounded_or_refused() {
    with_both(|both| async move {
        let app = of_patient("a", "patient/*.cruds");
        for (asked, status) in [
            (get("_history"), 403),
            (get("Patient/_history"), 403),
            (get("Observation/_history?_summary=count"), 403),
            (get("Observation/a1/_history?_summary=count"), 403),
            (get("Patient/a/$everything"), 200),
            (get("Patient/a/$everything?_type=Patient"), 200),
            (get("Patient/b/$everything"), 404),
            (get("Patient/b/$everything?_type=Observation"), 404),
            (get("Patient/a/$everything?_asOf=9"), 200),
            (get("Observation/$lastn?patient=Patient/a&code=x"), 200),
            (get("Observation/$lastn?patient=Patient/b&code=x"), 200),
            (get("Observation/$lastn?subject:Patient.name=birch&code=x,z&max=9"), 200),
            (get("DocumentReference/$docref?patient=b"), 200),
            (send("POST", "Patient/$member-match", json!({"resourceType": "Parameters"})), 403),
            (get("Subscription/$status"), 403),
            (get("Subscription/x/$events"), 403),
            (get("SearchParameter/$status"), 403),
            (Asked { method: "POST", ..get("$reindex") }, 403),
            (Asked { method: "POST", ..get("Observation/b1/$reindex") }, 403),
            (Asked { method: "POST", ..get("Observation/b1/$purge-history") }, 403),
            (Asked { method: "POST", ..get("Observation/a1/$purge-history") }, 403),
            (Asked { method: "POST", ..get("Patient/a/$purge") }, 403),
            (get("Patient/a/$legal-hold"), 403),
            (Asked { method: "POST", ..get("Patient/a/$legal-hold") }, 403),
            (Asked { method: "POST", ..get("Patient/a/$legal-hold-release") }, 403),
            (send("POST", "CodeSystem/$import", json!({})), 403),
            (get("_operations/reindex/1"), 403),
            (get("$versions"), 200),
            (get("CodeSystem/$lookup?system=http://hl7.org/fhir/observation-status&code=final"), 200),
        ] {
            both.answers(&app, &asked, status).await;
        }
        let everything = ask(&both.all, &app, &get("Patient/a/$everything?_count=100")).await;
        assert_eq!(everything.found(), "a a1 a2 ba ca d g h la ma p va");
        let further = get("Observation/$includes?_include=*&includesCt=nonsense");
        assert_eq!(both.same(&app, &further).await.status, 400);
    });
}

#[test]
fn a_page_of_one_token_is_of_no_use_for_another() {
    with_both(|both| async move {
        let server = &both.all;
        let everybody = anamnesis::access::Principal::anonymous();
        let first = ask(server, &everybody, &get("Observation?_count=1&_sort=_id")).await;
        let next = first.next(&server.base).unwrap();
        for app in [of_patient("a", "patient/*.rs"), of_patient("b", "patient/*.rs")] {
            let told = ask(server, &app, &get(&next)).await;
            assert_eq!((told.status, told.found().as_str()), (400, ""), "{}", told.body);
        }
        let app = of_patient("a", "patient/*.rs");
        let own = ask(server, &app, &get("Observation?_count=1&_sort=_id")).await.next(&server.base).unwrap();
        assert_eq!(ask(server, &app, &get(&own)).await.found(), "a2");
        for other in [of_patient("b", "patient/*.rs"), of_patient("a", "patient/Observation.rs")] {
            assert_eq!(ask(server, &other, &get(&own)).await.status, 400);
        }
    });
}

#[test]
fn scopes_say_which_types_and_what_may_be_done() {
    with_both(|both| async move {
        let server = &both.all;
        let narrow = of_patient("a", "patient/Observation.rs?code=x patient/Condition.r patient/Patient.s");
        for (url, status, found) in [
            ("Observation", 200, "a1"),
            ("Observation/a1", 200, ""),
            ("Observation/a2", 404, ""),
            ("Condition/ca", 200, ""),
            ("Condition", 403, ""),
            ("Patient", 200, "a"),
            ("Patient/a", 403, ""),
            ("Patient?_revinclude=Observation:patient", 200, "a a1"),
            ("Patient?_revinclude=Condition:patient", 200, "a"),
            ("Patient?_has:Condition:patient:code=c1", 200, ""),
            ("Patient?_has:Observation:patient:code=y", 200, ""),
            ("Practitioner", 403, ""),
            ("Practitioner/d", 403, ""),
            ("Observation?_include=Observation:performer", 200, "a1"),
            ("?_type=Observation,Condition", 200, "a1"),
            ("Medication?_contained=true", 403, ""),
        ] {
            let told = ask(server, &narrow, &get(url)).await;
            let found_now =
                if told.status == 200 && !url.contains('/') { told.found() } else { String::new() };
            both.check((told.status, found_now.as_str()) == (status, found), || {
                format!("{url}: {} {}", told.status, told.body)
            });
        }
        let unknown = of_patient("a", "patient/Observation.rs?nonsense=x");
        assert_eq!(ask(server, &unknown, &get("Observation")).await.status, 403);
        // A user who is a patient is bounded to that one, and a practitioner by types.
        let user =
            |who| principal("user/Observation.rs", &Claims { fhir_user: Some(who), ..Claims::default() });
        assert_eq!(ask(server, &user("Patient/b"), &get("Observation")).await.found(), "b1 b2 ba");
        assert_eq!(ask(server, &user("Practitioner/d"), &get("Observation")).await.found(), "a1 a2 b1 b2 ba");
        let chain = get("Observation?subject:Patient.name=birch");
        assert_eq!(ask(server, &user("Practitioner/d"), &chain).await.found(), "");
        let system = principal("system/Observation.rs?code=z system/Patient.rs", &Claims::default());
        assert_eq!(ask(server, &system, &chain).await.found(), "b2");
        assert_eq!(ask(server, &system, &get("Patient/_history")).await.status, 200);
        assert_eq!(ask(server, &system, &get("Observation/_history")).await.status, 403);
        assert_eq!(ask(server, &system, &get("_history")).await.status, 403);
    });
}
