//! `GET /{type}?…`, `POST /{type}/_search`, `GET /Patient/x/Observation`, `GET /?…`

use anamnesis::api::ApiOptions;

use crate::searchset::{follow, ids, link, outcomes};
use crate::support::{Answer, FHIR, Server, Setup, test, test_with};
use serde_json::Value;

async fn fill(server: &Server) {
    for (id, family) in [("a", "Adams"), ("b", "Brown"), ("c", "Clark")] {
        let body = format!(r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"{family}"}}]}}"#);
        assert_eq!(server.put(&format!("/Patient/{id}"), body).await.status, 201);
    }
    for (id, patient, value) in [("1", "a", "1.10"), ("2", "a", "2.0"), ("3", "b", "3")] {
        let body = format!(
            r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"coding":[{{"system":"urn:c","code":"x"}}]}},"subject":{{"reference":"Patient/{patient}"}},"valueQuantity":{{"value":{value},"unit":"kg"}}}}"#
        );
        assert_eq!(server.put(&format!("/Observation/{id}"), body).await.status, 201);
    }
}

async fn form(server: &Server, path: &str, body: &str) -> Answer {
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    server.send("POST", path, &headers, body.to_owned()).await
}

#[test]
fn a_search_finds_what_was_just_written() {
    test(|server| async move {
        for number in 0..20 {
            let body =
                format!(r#"{{"resourceType":"Patient","id":"p{number}","name":[{{"family":"F{number}"}}]}}"#);
            server.put(&format!("/Patient/p{number}"), body).await;
            let found = server.get(&format!("/Patient?family=F{number}")).await.json();
            assert_eq!(ids(&found), [format!("p{number}")]);
            assert!(outcomes(&found).is_empty(), "{found}");
        }
    });
}

#[test]
fn a_searchset_has_the_recorded_bytes_and_links() {
    test(|server| async move {
        fill(&server).await;
        let answer = server
            .get("/Observation?code=urn:c%7Cx&subject=Patient/a&_sort=value-quantity&_total=accurate")
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let bundle = answer.json();
        assert_eq!((bundle["type"].as_str(), bundle["total"].as_u64()), (Some("searchset"), Some(2)));
        assert_eq!(ids(&bundle), ["1", "2"]);
        assert_eq!(bundle["entry"][0]["fullUrl"], format!("{}/Observation/1", server.base));
        let recorded = server.get("/Observation/1").await.text();
        assert!(answer.text().contains(&recorded), "bytes as recorded");
        let own = link(&bundle, "self").unwrap();
        let again = server.get(own.strip_prefix(&server.base).unwrap()).await.json();
        assert_eq!(ids(&again), ids(&bundle));
        assert_eq!(link(&again, "self").unwrap(), own);
    });
}

#[test]
fn pages_lead_forth_and_back_and_are_stable() {
    test(|server| async move {
        fill(&server).await;
        let first = server.get("/Patient?_count=2&_sort=family").await.json();
        assert_eq!(ids(&first), ["a", "b"]);
        assert_eq!(link(&first, "previous"), None);
        server.put("/Patient/z", r#"{"resourceType":"Patient","id":"z","name":[{"family":"Aaron"}]}"#).await;
        server.delete("/Patient/a").await;
        let second = follow(&server, &first, "next").await;
        assert_eq!(ids(&second), ["c"]);
        assert_eq!(link(&second, "next"), None);
        let back = follow(&server, &second, "previous").await;
        assert_eq!(ids(&back), ["a", "b"]);
    });
}

#[test]
fn pages_say_where_what_they_would_show_may_have_been_erased_since() {
    test(|server| async move {
        fill(&server).await;
        let of_type = server.get("/Patient?_count=2&_sort=family").await.json();
        let of_all = server.get("/?_count=4&_sort=_id").await.json();
        let is_told = async |first: &Value| {
            let second = follow(&server, first, "next").await;
            let told = outcomes(&second).first().map(|outcome| outcome["issue"][0]["code"].clone());
            (ids(&second), told == Some("incomplete".into()))
        };
        let ids_of = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(is_told(&of_type).await, (ids_of(&["c"]), false));
        // Another type's, and one that came after the first page.
        server.delete("/Observation/1?hardDelete=true").await;
        server.put("/Patient/z", r#"{"resourceType":"Patient","id":"z"}"#).await;
        server.delete("/Patient/z?hardDelete=true").await;
        assert_eq!(is_told(&of_type).await, (ids_of(&["c"]), false));
        assert_eq!(is_told(&of_all).await, (ids_of(&["b", "c"]), true));
        server.delete("/Patient/c?hardDelete=true").await;
        assert_eq!(is_told(&of_type).await, (ids_of(&[]), true));
        // A search that begins now misses nothing.
        assert_eq!(outcomes(&server.get("/Patient").await.json()), Vec::<Value>::new());
    });
}

#[test]
fn a_search_by_post_is_the_same() {
    test(|server| async move {
        fill(&server).await;
        for (path, body) in [
            ("/Patient/_search", "family=Brown"),
            ("/Patient/_search?family=Brown", ""),
            ("/_search", "_type=Patient&_id=b"),
        ] {
            let answer = form(&server, path, body).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(ids(&answer.json()), ["b"], "{path} {body}");
        }
        assert_eq!(ids(&form(&server, "/Patient/a/Observation/_search", "").await.json()).len(), 2);
        let json = server.send("POST", "/Patient/_search", &[FHIR], "{}").await;
        assert_eq!(json.status, 415);
    });
}

#[test]
fn everything_is_searched() {
    test(|server| async move {
        fill(&server).await;
        assert_eq!(ids(&server.get("/?_sort=_id&_count=50").await.json()), ["1", "2", "3", "a", "b", "c"]);
        assert_eq!(ids(&server.get("/?_type=Patient&_sort=-_id").await.json()), ["c", "b", "a"]);
        assert_eq!(
            ids(&server.get("/?_id=a,1&_type=Patient,Observation&_sort=_id").await.json()),
            ["1", "a"]
        );
        // What not all types have is no criterion of all.
        let bundle = server.get("/?family=Brown&_count=50").await.json();
        assert_eq!((ids(&bundle).len(), outcomes(&bundle).len()), (6, 1), "{bundle}");
        let paged = server.get("/?_count=4&_sort=_id").await.json();
        assert_eq!(ids(&follow(&server, &paged, "next").await), ["b", "c"]);
    });
}

#[test]
fn results_are_sorted_by_several_keys() {
    test(|server| async move {
        for (id, family, birth) in
            [("a", "Brown", "1980"), ("b", "Adams", "1990"), ("c", "Brown", "1970"), ("d", "Adams", "1990")]
        {
            let patient = serde_json::json!({"resourceType": "Patient", "id": id, "birthDate": birth,
                "name": [{"family": family}]});
            server.put(&format!("/Patient/{id}"), patient.to_string()).await;
        }
        for (sort, expected) in [
            ("family,birthdate,-_id", ["d", "b", "c", "a"]),
            ("-family,-birthdate,_id", ["a", "c", "b", "d"]),
            ("-birthdate,family,_id", ["b", "d", "a", "c"]),
        ] {
            let mut found = Vec::new();
            let mut page = server.get(&format!("/Patient?_sort={sort}&_count=3")).await.json();
            found.extend(ids(&page));
            while link(&page, "next").is_some() {
                page = follow(&server, &page, "next").await;
                found.extend(ids(&page));
            }
            assert_eq!(found, expected, "{sort}");
        }
    });
}

#[test]
fn compartments_are_searched() {
    test(|server| async move {
        fill(&server).await;
        let mut of_a = ids(&server.get("/Patient/a/Observation").await.json());
        of_a.sort();
        assert_eq!(of_a, ["1", "2"]);
        assert_eq!(ids(&server.get("/Patient/b/Observation?code=x").await.json()), ["3"]);
        assert_eq!(ids(&server.get("/Patient/nobody/Observation").await.json()).len(), 0);
        assert_eq!(ids(&server.get("/Patient/a/*").await.json()).len(), 3);
    });
}

#[test]
fn unknown_parameters_are_told_of_or_refused() {
    test(|server| async move {
        fill(&server).await;
        let bundle = server.get("/Patient?nonsense=1&family=Brown").await.json();
        assert_eq!(ids(&bundle), ["b"]);
        let outcome = &outcomes(&bundle)[0];
        assert_eq!(outcome["issue"][0]["severity"], "warning");
        assert!(!link(&bundle, "self").unwrap().contains("nonsense"));
        let strict = [("Prefer", "handling=strict")];
        let refused = server.send("GET", "/Patient?nonsense=1", &strict, "").await;
        assert_eq!((refused.status.as_u16(), refused.outcome().as_str()), (400, "not-supported"));
        for bad in ["birthdate=yesterday", "_count=x", "_summary=maybe", "_summary=true&_elements=id", "ct=x"]
        {
            let answer = server.get(&format!("/Patient?{bad}")).await;
            assert_eq!(answer.status, 400, "{bad}: {}", answer.text());
            answer.outcome();
        }
    });
}

#[test]
fn parts_of_resources_are_marked() {
    test(|server| async move {
        fill(&server).await;
        let counted = server.get("/Patient?_summary=count").await.json();
        assert_eq!((counted["total"].as_u64(), ids(&counted).len()), (Some(3), 0));
        let parts = server.get("/Observation?_elements=status&_id=1").await.json();
        let part = &parts["entry"][0]["resource"];
        assert!(part.get("valueQuantity").is_none() && part.get("status").is_some(), "{part}");
        assert_eq!(part["meta"]["tag"][0]["code"], "SUBSETTED");
    });
}

#[test]
fn criteria_that_are_no_identifier_are_searched() {
    test(|server| async move {
        fill(&server).await;
        let body = r#"{"resourceType":"Patient","name":[{"family":"Brown"}],"active":true}"#;
        let headers = [FHIR, ("If-None-Exist", "family:exact=Brown")];
        let found = server.send("POST", "/Patient", &headers, body).await;
        assert_eq!((found.status.as_u16(), found.json()["id"].as_str()), (200, Some("b")));
        let updated = server.put("/Patient?family:exact=Brown", body).await;
        assert_eq!((updated.status.as_u16(), updated.header("etag")), (200, "W/\"2\""));
        for bad in ["family=Brown&nonsense=1", "family=Brown&_sort=family", "birthdate=yesterday"] {
            let refused = server.delete(&format!("/Patient?{bad}")).await;
            assert_eq!(refused.status, 400, "{bad}");
        }
        let writes = (0..8).map(|_| {
            let headers = [FHIR, ("If-None-Exist", "family:exact=Davis")];
            let body = r#"{"resourceType":"Patient","name":[{"family":"Davis"}]}"#;
            let server = &server;
            async move { server.send("POST", "/Patient", &headers, body).await.status.as_u16() }
        });
        let statuses = futures::future::join_all(writes).await;
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 7, "{statuses:?}");
        assert_eq!(server.delete("/Patient?family:exact=Brown").await.status, 204);
        assert_eq!(server.get("/Patient/b").await.status, 410);
    });
}

#[test]
fn pages_are_as_large_as_is_configured() {
    let api = ApiOptions { page_size: 1, page_size_max: 2, ..ApiOptions::default() };
    test_with(Setup { api, ..Setup::default() }, |server| async move {
        fill(&server).await;
        assert_eq!(ids(&server.get("/Patient").await.json()).len(), 1);
        let bundle = server.get("/Patient?_count=3&_sort=_id").await.json();
        assert_eq!(ids(&bundle), ["a", "b"]);
        assert!(link(&bundle, "self").unwrap().contains("_count=2"));
        assert_eq!(outcomes(&bundle)[0]["issue"][0]["severity"], "information");
        // What is deleted by criteria is no page.
        let deleted = server.delete("/Patient?_id=a,b,c&_count=3").await;
        assert_eq!((deleted.status.as_u16(), deleted.header("items-deleted")), (204, "3"));
    });
}

#[test]
fn a_late_index_is_told_of_or_refused() {
    test(|server| async move {
        fill(&server).await;
        server.get("/Patient").await;
        server.projection.stop().await;
        server.put("/Patient/z", r#"{"resourceType":"Patient","id":"z"}"#).await;
        let bundle = server.get("/Patient").await.json();
        assert_eq!(ids(&bundle).len(), 3);
        assert_eq!(outcomes(&bundle)[0]["issue"][0]["code"], "incomplete");
        let strict = server.send("GET", "/Patient", &[("Prefer", "handling=strict")], "").await;
        assert_eq!((strict.status.as_u16(), strict.outcome().as_str()), (503, "transient"));
        assert!(!strict.header("retry-after").is_empty());
        let eventual = [("x-ms-consistency-level", "eventual")];
        let eventual = server.send("GET", "/Patient", &eventual, "").await.json();
        assert!(outcomes(&eventual).is_empty());
    });
}
