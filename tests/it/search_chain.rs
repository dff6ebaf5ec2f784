//! Chained parameters and `_has`

use serde_json::{Value, json};

use crate::searchset::{follow, ids, link, outcomes, put};
use crate::support::{FHIR, Server, test};

async fn fill(server: &Server) {
    put(server, &json!({"resourceType": "Organization", "id": "ward", "name": "Ward"})).await;
    for (id, family) in [("a", "Adams"), ("b", "Brown")] {
        let patient = json!({"resourceType": "Patient", "id": id, "name": [{"family": family}],
            "managingOrganization": {"reference": "Organization/ward"}});
        put(server, &patient).await;
    }
    for (id, patient) in [("1", "a"), ("2", "a"), ("3", "b")] {
        let observation = json!({"resourceType": "Observation", "id": id, "status": "final",
            "code": {"coding": [{"code": id}]}, "subject": {"reference": format!("Patient/{patient}")}});
        put(server, &observation).await;
    }
}

#[test]
fn chains_are_followed_both_ways() {
    test(|server| async move {
        fill(&server).await;
        for (search, expected) in [
            ("/Observation?subject:Patient.name=adams&_sort=_id", "1 2"),
            ("/Observation?patient.organization.name=ward&_sort=_id", "1 2 3"),
            ("/Patient?_has:Observation:patient:code=3", "b"),
            ("/Organization?_has:Patient:organization:_has:Observation:patient:code=3", "ward"),
            ("/Patient/a/Observation?patient.family=adams&_sort=_id", "1 2"),
            ("/Patient/a/Observation?patient.family=brown", ""),
            ("/Patient?_has:Observation:patient:code=3&_revinclude=Observation:patient", "b"),
        ] {
            let bundle = server.get(search).await.json();
            assert_eq!(ids(&bundle).join(" "), expected, "{search}");
            assert!(outcomes(&bundle).is_empty(), "{search}: {bundle}");
            let own = link(&bundle, "self").unwrap();
            let again = server.get(own.strip_prefix(&server.base).unwrap()).await.json();
            assert_eq!(ids(&again), ids(&bundle), "{own}");
        }
        let counted = server.get("/Observation?patient.name=adams&_summary=count").await.json();
        assert_eq!(counted["total"], 2);
    });
}

#[test]
fn what_was_just_written_is_found_through_chains() {
    test(|server| async move {
        fill(&server).await;
        for number in 0..10 {
            let patient =
                json!({"resourceType": "Patient", "id": "a", "name": [{"family": format!("F{number}")}]});
            put(&server, &patient).await;
            let found = server.get(&format!("/Observation?patient.family=F{number}&_sort=_id")).await.json();
            assert_eq!(ids(&found).join(" "), "1 2");
        }
        let first = server.get("/Observation?patient.family=F9&_sort=_id&_count=1").await.json();
        server.delete("/Patient/a").await;
        let second = follow(&server, &first, "next").await;
        assert_eq!((ids(&first).join(""), ids(&second).join("")), ("1".into(), "2".into()));
        assert!(ids(&server.get("/Observation?patient.family=F9").await.json()).is_empty());
    });
}

#[test]
fn chains_are_criteria_of_conditional_interactions() {
    test(|server| async move {
        fill(&server).await;
        let body = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"}}"#;
        for (criteria, status) in
            [("patient.family=brown", 200), ("patient.family=nobody", 201), ("patient.family=adams", 412)]
        {
            let headers = [FHIR, ("If-None-Exist", criteria)];
            let answer = server.send("POST", "/Observation", &headers, body).await;
            assert_eq!(answer.status, status, "{criteria}: {}", answer.text());
        }
        for wrong in ["patient.nothing=1", "_has:Observation:nothing:code=1", "patient.birthdate=x"] {
            assert_eq!(server.delete(&format!("/Observation?{wrong}")).await.status, 400, "{wrong}");
        }
        assert_eq!(server.delete("/Patient?_has:Observation:patient:code=3").await.status, 204);
        assert_eq!(server.get("/Patient/b").await.status, 410);
        assert_eq!(server.get("/Patient/a").await.status, 200);
    });
}

#[test]
fn chains_that_are_too_long_or_lead_nowhere_are_told_of() {
    test(|server| async move {
        fill(&server).await;
        let long = format!("/Observation?patient.organization.{}name=a", "partof.".repeat(3));
        let refused = server.get(&long).await;
        assert_eq!(
            (refused.status.as_u16(), refused.outcome().as_str()),
            (400, "invalid"),
            "{}",
            refused.text()
        );
        let bundle = server.get("/Observation?patient.nothing=a").await.json();
        assert_eq!(
            (ids(&bundle).len(), outcomes(&bundle)[0]["issue"][0]["severity"].as_str()),
            (3, Some("warning"))
        );
        let strict = [("Prefer", "handling=strict")];
        assert_eq!(server.send("GET", "/Observation?patient.nothing=a", &strict, "").await.status, 400);
    });
}

#[test]
fn lists_and_orphans_are_found() {
    test(|server| async move {
        fill(&server).await;
        put(&server, &json!({"resourceType": "Patient", "id": "c"})).await;
        put(
            &server,
            &json!({"resourceType": "List", "id": "l", "status": "current", "mode": "working",
            "entry": [{"item": {"reference": "Patient/a"}}, {"item": {"reference": "Observation/3"}}]}),
        )
        .await;
        for (search, expected) in [
            ("/Patient?_list=l", "a"),
            ("/Observation?_list=l,other", "3"),
            ("/?_list=l&_sort=_id", "3 a"),
            ("/Patient?_list=other", ""),
            ("/Patient?_not-referenced=*:*", "c"),
            ("/Patient?_not-referenced=List:item&_sort=_id", "b c"),
            ("/Patient?_not-referenced=Observation:subject", "c"),
            ("/Patient?_not-referenced=List:*&_sort=_id", "b c"),
            ("/Observation?_not-referenced=*:*&_sort=_id", "1 2"),
            ("/?_not-referenced=*:*&_sort=_id", "1 2 c l"),
        ] {
            let bundle = server.get(search).await.json();
            assert_eq!(ids(&bundle).join(" "), expected, "{search}: {bundle}");
            assert!(outcomes(&bundle).is_empty(), "{search}: {bundle}");
        }
        let refused = server.get("/Patient?_list=$current-problems").await.json();
        assert_eq!(outcomes(&refused)[0]["issue"][0]["code"], "not-supported");
        for wrong in ["*", "Nothing:subject", "Observation:code", "*:subject", "Observation:encounter"] {
            assert_eq!(server.get(&format!("/Patient?_not-referenced={wrong}")).await.status, 400, "{wrong}");
        }
    });
}

/// R4 List.entry.deleted: such an item is not in the List any more.
#[test]
fn what_a_list_marks_as_deleted_is_not_in_it() {
    test(|server| async move {
        fill(&server).await;
        let list = |id: &str, entries: Value| json!({"resourceType": "List", "id": id, "status": "current", "mode": "changes", "entry": entries});
        let item = |reference: &str| json!({"item": {"reference": reference}});
        let deleted = |reference: &str| json!({"deleted": true, "item": {"reference": reference}});
        let entries =
            json!([deleted("Patient/a"), item("Patient/b"), item("Observation/3"), deleted("Observation/1")]);
        put(&server, &list("l", entries)).await;
        put(&server, &list("holds", json!([item("Patient/a")]))).await;
        put(&server, &list("both", json!([deleted("Patient/a"), item("Patient/a")]))).await;
        put(&server, &list("other", json!([deleted("Observation/3")]))).await;
        for (search, expected) in [
            ("/Patient?_list=l", "b"),
            ("/?_list=l&_sort=_id", "3 b"),
            ("/Patient?_list=List/l&_total=accurate", "b"),
            ("/Observation?_list=l", "3"),
            ("/Patient?_list=l,holds&_sort=_id", "a b"),
            ("/Patient?_list=l&_list=holds", ""),
            ("/Patient?_list=both", "a"),
            ("/Observation?_list=l,other", "3"),
            ("/Observation?_list=l&_list=other", ""),
            ("/Observation?subject:Patient._list=l&_sort=_id", "3"),
            ("/Observation?subject:Patient._list=holds&_sort=_id", "1 2"),
        ] {
            let bundle = server.get(search).await.json();
            assert_eq!(ids(&bundle).join(" "), expected, "{search}: {bundle}");
            assert!(outcomes(&bundle).is_empty(), "{search}: {bundle}");
        }
        // Criteria that are too wide delete too much.
        assert_eq!(server.delete("/Patient?_list=l&_count=10").await.header("items-deleted"), "1");
        assert_eq!(server.get("/Patient/a").await.status, 200);

        // Pages show the List as it was when the first one was made.
        let first = server.get("/?_list=l,holds&_count=1&_sort=_id").await.json();
        put(&server, &list("holds", json!([deleted("Patient/a")]))).await;
        let second = follow(&server, &first, "next").await;
        assert_eq!((ids(&first).join(" "), ids(&second).join(" ")), ("3".into(), "a".into()), "{second}");
    });
}
