//! `_include`, `_revinclude` and `$includes`

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::searchset::{follow, ids, ids_of, included, link, outcomes, put};
use crate::support::{FHIR, Server, test};

fn observation(id: &str, patient: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"},
        "subject": {"reference": format!("Patient/{patient}")},
        "performer": [{"reference": "Practitioner/doctor"}], "note": [{"text": "n"}]})
}

/// Two patients of a ward, which is part of a hospital, which is part of itself through a trust.
async fn fill(server: &Server) {
    for (id, part_of) in [("trust", "ward"), ("hospital", "trust"), ("ward", "hospital")] {
        let organization = json!({"resourceType": "Organization", "id": id, "name": id,
            "partOf": {"reference": format!("Organization/{part_of}")}});
        put(server, &organization).await;
    }
    put(server, &json!({"resourceType": "Practitioner", "id": "doctor"})).await;
    for id in ["a", "b"] {
        let patient = json!({"resourceType": "Patient", "id": id, "active": true,
            "managingOrganization": {"reference": "Organization/ward"}});
        put(server, &patient).await;
    }
    for (id, patient) in [("1", "a"), ("2", "a"), ("3", "b"), ("4", "nobody")] {
        put(server, &observation(id, patient)).await;
    }
}

#[test]
fn what_matches_point_at_comes_with_them_once() {
    test(|server| async move {
        fill(&server).await;
        for (search, expected) in [
            ("/Observation?_include=Observation:subject", "a b"),
            ("/Observation?_include=Observation:patient:Patient", "a b"),
            ("/Observation?_include=Observation:subject:Group", ""),
            ("/Observation?_include=Observation:subject&_include=Observation:performer", "a b doctor"),
            ("/Observation?_include=Observation:*", "a b doctor"),
            ("/Observation?_include=*", "a b doctor"),
            ("/Observation?_id=4&_include=Observation:subject", ""),
            ("/Observation?_include=Patient:organization", ""),
            ("/Patient/a/Observation?_include=Observation:subject", "a"),
            ("/?_type=Observation&_include=Observation:subject", "a b"),
            // What matches is not included again.
            ("/?_type=Observation,Patient&_include=Observation:*", "doctor"),
        ] {
            let answer = server.get(search).await;
            assert_eq!(answer.status, 200, "{search}: {}", answer.text());
            let bundle = answer.json();
            assert_eq!(included(&bundle).join(" "), expected, "{search}");
            assert!(outcomes(&bundle).is_empty(), "{search}: {bundle}");
            assert_eq!(link(&bundle, "related"), None);
            assert!(link(&bundle, "self").unwrap().contains("_include="), "{search}");
        }
        let bundle = server.get("/Observation?_include=*&_total=accurate&_elements=status").await.json();
        assert_eq!(bundle["total"], 4, "includes do not count");
        let parts = bundle["entry"].as_array().unwrap();
        let is_part = |entry: &Value| entry["resource"]["meta"]["tag"][0]["code"] == "SUBSETTED";
        assert!(parts.iter().all(is_part), "{bundle}");
        assert!(included(&server.get("/Observation?_include=*&_summary=count").await.json()).is_empty());
    });
}

#[test]
fn a_canonical_address_brings_the_version_that_it_names() {
    test(|server| async move {
        for (id, version) in [("one", "1"), ("two", "2")] {
            let questionnaire = json!({"resourceType": "Questionnaire", "id": id, "status": "active",
                "url": "http://q.org/q", "version": version});
            put(&server, &questionnaire).await;
        }
        for (id, address) in [
            ("a", "http://q.org/q|2"),
            ("b", "http://q.org/q|3"),
            ("c", "http://q.org/q"),
            ("d", "http://q.org/q|1"),
        ] {
            let response = json!({"resourceType": "QuestionnaireResponse", "id": id, "status": "completed",
                "questionnaire": address});
            put(&server, &response).await;
        }
        for (id, expected) in [("a", "two"), ("b", ""), ("c", "one two"), ("d", "one")] {
            let search =
                format!("/QuestionnaireResponse?_id={id}&_include=QuestionnaireResponse:questionnaire");
            assert_eq!(included(&server.get(&search).await.json()).join(" "), expected, "{search}");
        }
        let search = "/Questionnaire?version=2&_revinclude=QuestionnaireResponse:questionnaire";
        assert_eq!(included(&server.get(search).await.json()).join(" "), "a c");
    });
}

/// R4 search.html#versions
#[test]
fn a_reference_to_a_version_brings_that_version() {
    test(|server| async move {
        let patient = |id: &str, ward: &str| {
            json!({"resourceType": "Patient", "id": id,
                "managingOrganization": {"reference": format!("Organization/{ward}")}})
        };
        for id in ["first", "second"] {
            put(&server, &json!({"resourceType": "Organization", "id": id, "name": id})).await;
        }
        for (id, ward) in [("v", "first"), ("v", "second"), ("gone", "first")] {
            put(&server, &patient(id, ward)).await;
        }
        put(&server, &json!({"resourceType": "Patient", "id": "v", "active": true})).await;
        assert!(server.delete("/Patient/gone").await.status.is_success());
        let about = |id: &str, subject: &str| {
            json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"},
                "subject": {"reference": subject}})
        };
        for (id, subject) in [
            ("1", "Patient/v/_history/1"),
            ("2", &format!("{}/Patient/v/_history/1", server.base)),
            ("3", "Patient/gone/_history/1"),
            // A delete, one that is not there, one that no version is called, and that of somebody who never was.
            ("4", "Patient/gone/_history/2"),
            ("5", "Patient/v/_history/9"),
            ("6", "Patient/v/_history/x"),
            ("7", "Patient/nobody/_history/1"),
            ("8", "Patient/v/_history/3"),
        ] {
            put(&server, &about(id, subject)).await;
        }
        let shown = |bundle: &Value| {
            let entries = bundle["entry"].as_array().unwrap().iter();
            let entries = entries.filter(|entry| entry["search"]["mode"] == "include").map(|entry| {
                let full_url = entry["fullUrl"].as_str().unwrap();
                let (_, path) = full_url.split_once("/fhir/").unwrap();
                format!("{path} {}", entry["resource"]["meta"]["versionId"].as_str().unwrap())
            });
            entries.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
        };
        for (search, expected) in [
            ("/Observation?_id=1&_include=Observation:subject", "Patient/v 1"),
            ("/Observation?_id=1,2&_include=Observation:patient", "Patient/v 1"),
            ("/Observation?_id=1,2&_include=*", "Patient/v 1"),
            ("/Observation?_include=Observation:subject", "Patient/gone 1, Patient/v 1, Patient/v 3"),
            ("/Observation?_id=1&_include=Observation:subject:Group", ""),
            // What is included is that version, and so is what it points at.
            (
                "/Observation?_id=1,8&_include=Observation:subject&_include:iterate=Patient:organization",
                "Organization/first 1, Patient/v 1, Patient/v 3",
            ),
            // The current version matches itself.
            ("/?_type=Observation,Patient&_include=Observation:subject", "Patient/gone 1, Patient/v 1"),
        ] {
            let bundle = server.get(search).await.json();
            assert_eq!(shown(&bundle), expected, "{search}");
        }
        // In portions of one, while another version is written: nothing twice, nothing left out.
        let first = server.get("/Observation?_include=Observation:subject&_includesCount=1").await.json();
        put(&server, &patient("v", "first")).await;
        put(&server, &about("9", "Patient/v/_history/4")).await;
        let mut all = vec![shown(&first)];
        let mut portion = follow(&server, &first, "related").await;
        all.push(shown(&portion));
        while link(&portion, "next").is_some() {
            portion = follow(&server, &portion, "next").await;
            all.push(shown(&portion));
        }
        all.sort();
        assert_eq!(all, ["Patient/gone 1", "Patient/v 1", "Patient/v 3"]);
    });
}

#[test]
fn what_points_at_matches_comes_with_them_once() {
    test(|server| async move {
        fill(&server).await;
        put(
            &server,
            &json!({"resourceType": "Provenance", "id": "p", "recorded": "2024-01-01T00:00:00Z",
            "target": [{"reference": "Observation/1"}, {"reference": "Observation/2"}],
            "agent": [{"who": {"reference": "Practitioner/doctor"}}]}),
        )
        .await;
        for (search, expected) in [
            ("/Patient?_revinclude=Observation:subject", "1 2 3"),
            ("/Patient?_id=a&_revinclude=Observation:subject:Patient", "1 2"),
            ("/Patient?_id=a&_revinclude=Observation:performer", ""),
            ("/Observation?_revinclude=Provenance:target", "p"),
            ("/Practitioner?_revinclude=*", "1 2 3 4 p"),
            ("/Practitioner?_revinclude=*:*", "1 2 3 4 p"),
            ("/Practitioner?_revinclude=Observation:*", "1 2 3 4"),
            ("/Practitioner?_revinclude=Observation:*&_revinclude:iterate=Provenance:*", "1 2 3 4 p"),
            ("/Patient?_id=b&_revinclude=Observation:subject&_include=Patient:organization", "3 ward"),
        ] {
            let bundle = server.get(search).await.json();
            assert_eq!(included(&bundle).join(" "), expected, "{search}");
        }
    });
}

#[test]
fn includes_are_carried_on_where_they_iterate() {
    test(|server| async move {
        fill(&server).await;
        let patient = "_include=Observation:subject";
        for (search, expected) in [
            (format!("/Observation?_id=1&{patient}&_include=Patient:organization"), "a"),
            (format!("/Observation?_id=1&{patient}&_include:iterate=Patient:organization"), "a ward"),
            (
                format!(
                    "/Observation?_id=1&{patient}&_include:iterate=Patient:organization\
                     &_include:recurse=Organization:partof"
                ),
                "a hospital trust ward",
            ),
            ("/Organization?_id=ward&_include:iterate=Organization:partof".to_owned(), "hospital trust"),
            ("/Organization?_id=ward&_revinclude:iterate=Organization:partof".to_owned(), "hospital trust"),
        ] {
            let bundle = server.get(&search).await.json();
            assert_eq!(included(&bundle).join(" "), expected, "{search}");
        }
    });
}

#[test]
fn what_does_not_fit_is_found_through_related_links_while_others_write() {
    test(|server| async move {
        fill(&server).await;
        let all: BTreeSet<String> = (10..40).map(|number| number.to_string()).collect();
        for id in &all {
            put(&server, &observation(id, "a")).await;
        }
        for search in [
            "/Patient?_id=a&_revinclude=Observation:subject&_includesCount=7",
            "/Patient/a/Patient?_revinclude=Observation:subject&_includesCount=7",
            "/?_type=Patient&_count=1&_sort=_id&_revinclude=Observation:subject&_includesCount=7",
        ] {
            let mut bundle = server.get(search).await.json();
            assert_eq!(ids(&bundle), ["a"]);
            let (mut found, mut relation) = (Vec::new(), "related");
            for step in 0.. {
                found.extend(ids_of(&bundle, "include"));
                if link(&bundle, relation).is_none() {
                    break;
                }
                // New ones, others that change, and one that goes away.
                put(&server, &observation(&format!("new-{step}"), "a")).await;
                let mut changed = observation(&format!("{}", 10 + step), "b");
                changed["note"] = json!([{"text": search}]);
                put(&server, &changed).await;
                server.delete(&format!("/Observation/{}", 30 + step)).await;
                bundle = follow(&server, &bundle, relation).await;
                assert!(ids(&bundle).is_empty(), "only what is included: {bundle}");
                relation = "next";
            }
            let mut expected: Vec<String> = all.iter().cloned().chain(["1".into(), "2".into()]).collect();
            found.sort();
            expected.sort();
            assert_eq!(found, expected, "{search}");
            // As it was before.
            for id in
                server.get("/Observation?_count=1000&subject=Patient/a&_elements=id").await.json()["entry"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter_map(|entry| entry["resource"]["id"].as_str())
                    .filter(|id| id.starts_with("new"))
            {
                server.delete(&format!("/Observation/{id}")).await;
            }
            for id in &all {
                put(&server, &observation(id, "a")).await;
            }
        }
    });
}

#[test]
fn later_pages_have_their_own_includes() {
    test(|server| async move {
        fill(&server).await;
        let search = "/Patient?_sort=_id&_count=1&_revinclude=Observation:subject&_includesCount=1";
        let first = server.get(search).await.json();
        put(&server, &observation("3", "a")).await;
        put(&server, &observation("5", "b")).await;
        let second = follow(&server, &first, "next").await;
        assert_eq!((ids(&second), included(&second)), (vec!["b".into()], vec!["3".into()]));
        assert_eq!(link(&second, "related"), None, "{second}");
        let rest = follow(&server, &first, "related").await;
        let mut found = [included(&first), included(&rest)].concat();
        found.sort();
        assert_eq!((found.join(" ").as_str(), link(&rest, "next")), ("1 2", None));
        // A token is of use for the query that it came with.
        let own = link(&rest, "self").unwrap();
        let own = own.strip_prefix(&server.base).unwrap();
        assert_eq!(included(&server.get(own).await.json()), included(&rest));
        for wrong in [
            own.replace("_count=1", "_count=2"),
            own.replace("Observation%3Asubject", "*").replace("Observation:subject", "*"),
            "/Patient/$includes?includesCt=x".to_owned(),
            "/Patient/$includes".to_owned(),
        ] {
            let answer = server.get(&wrong).await;
            assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
            answer.outcome();
        }
    });
}

#[test]
fn includes_that_name_nothing_are_told_of_or_refused() {
    test(|server| async move {
        fill(&server).await;
        let strict = [("Prefer", "handling=strict")];
        for wrong in
            ["Observation:nothing", "Nothing:subject", "Observation", "Observation:code", "*:subject"]
        {
            let search = format!("/Observation?_include={wrong}");
            let bundle = server.get(&search).await.json();
            assert_eq!((ids(&bundle).len(), included(&bundle).len()), (4, 0), "{wrong}");
            assert_eq!(outcomes(&bundle)[0]["issue"][0]["severity"], "warning", "{wrong}");
            assert!(!link(&bundle, "self").unwrap().contains("_include"));
            let refused = server.send("GET", &search, &strict, "").await;
            assert_eq!((refused.status.as_u16(), refused.outcome().as_str()), (400, "not-supported"));
        }
        for wrong in ["_include:exact=*", "_include=*&_summary=text", "_include=*&_includesCount=0"] {
            assert_eq!(server.get(&format!("/Observation?{wrong}")).await.status, 400, "{wrong}");
        }
        for name in ["_include", "_include:iterate", "_revinclude:recurse", "_includesCount"] {
            let headers = [FHIR, ("If-None-Exist", &*format!("active=true&{name}=*"))];
            let body = r#"{"resourceType":"Patient"}"#;
            let refused = server.send("POST", "/Patient", &headers, body).await;
            assert_eq!(refused.status, 400, "{name}");
        }
    });
}
