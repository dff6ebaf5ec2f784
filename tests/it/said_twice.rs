//! Parameters that are given twice, or say what nobody can mean.

use serde_json::json;

use crate::support::{Answer, FHIR, test};

fn patient(value: &str) -> String {
    json!({"resourceType": "Patient", "id": "a", "name": [{"family": "Osler"}],
        "meta": {"tag": [{"system": "urn:t", "code": value}]}})
    .to_string()
}

fn refused(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    answer.outcome();
}

#[test]
fn a_flag_that_contradicts_itself_does_nothing() {
    test(|server| async move {
        server.put("/Patient/a", patient("1")).await;
        for query in [
            "_meta-history=false&_meta-history=true",
            "_meta-history=false&_meta-history=false",
            "_meta-history=FALSE",
            "_meta-history=",
        ] {
            refused(&server.put(&format!("/Patient/a?{query}"), patient("2")).await, query);
            refused(&server.put(&format!("/Patient?_tag=urn:t|1&{query}"), patient("2")).await, query);
            refused(&server.post(&format!("/Patient?{query}"), patient("2")).await, query);
        }
        for query in [
            "hardDelete=true&_hardDelete=false",
            "hardDelete=true&hardDelete=true",
            "hardDelete=x",
            "hardDelete=",
        ] {
            refused(&server.delete(&format!("/Patient/a?{query}")).await, query);
            refused(&server.delete(&format!("/Patient?family=Osler&{query}")).await, query);
            for kind in ["batch", "transaction"] {
                let entry = json!([{"request": {"method": "DELETE", "url": format!("Patient/a?{query}")}}]);
                let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": entry});
                let answer = server.post("", bundle.to_string()).await;
                assert!(
                    answer.status == 400 || answer.text().contains(r#""status":"400""#),
                    "{}",
                    answer.text()
                );
            }
        }
        refused(&server.delete("/Patient?family=Osler&_count=2&_count=3").await, "_count");
        assert_eq!(server.events().await, 1, "nothing was written");
        assert_eq!(server.get("/Patient/a").await.status, 200);
    });
}

#[test]
fn a_search_is_told_once_how_to_answer() {
    test(|server| async move {
        server.put("/Patient/a", patient("1")).await;
        for query in [
            "_count=2&_count=3",
            "_sort=family&_sort=_id",
            "_summary=true&_summary=data",
            "_total=none&_total=accurate",
            "_elements=name&_elements=id",
        ] {
            refused(&server.get(&format!("/Patient?{query}")).await, query);
        }
        let same = server.get("/Patient?_count=2&_count=2&_sort=_id&_sort=_id").await;
        assert_eq!(same.status, 200, "{}", same.text());
        assert_eq!(same.json()["link"][0]["url"].as_str().unwrap().matches("_count").count(), 1);
    });
}

#[test]
fn what_has_one_value_is_given_it_once_wherever_it_is_given() {
    test(|server| async move {
        server.put("/Patient/a", patient("1")).await;
        for (path, queries) in [
            (
                "/Patient/a/_history",
                ["_count=1&_count=2", "_since=2020&_since=2100", "_sort=_lastUpdated&_sort=-_lastUpdated"],
            ),
            ("/_history", ["_at=2020&_at=2021", "_before=2020&_before=2021", "_page=1&_page=2"]),
            (
                "/Patient/a",
                [
                    "_summary=text&_summary=data",
                    "_elements=name&_elements=gender",
                    "_format=json&_format=xml",
                ],
            ),
            (
                "/Patient/a/_history/1",
                [
                    "_summary=text&_summary=data",
                    "_elements=name&_elements=gender",
                    "_pretty=true&_pretty=false",
                ],
            ),
            (
                "/metadata",
                [
                    "mode=full&mode=terminology",
                    "mode=normative&mode=full",
                    "_format=json&_format=application/json",
                ],
            ),
            ("/Patient", ["_explain=true&_explain=values", "_explain=false&_explain=true", "ct=a&ct=b"]),
        ] {
            for query in queries {
                let answer = server.get(&format!("{path}?{query}")).await;
                refused(&answer, query);
                assert_eq!(answer.outcome(), "duplicate", "{query}");
            }
        }
        for path in [
            "/Patient/a?_summary=data&_summary=data",
            "/_history?_count=1&_count=1",
            "/metadata?mode=full&mode=full",
        ] {
            assert_eq!(server.get(path).await.status, 200, "{path} says one thing");
        }
    });
}

#[test]
fn lists_of_types_are_all_to_be_met() {
    test(|server| async move {
        server.put("/Patient/a", patient("1")).await;
        server.put("/Group/g", r#"{"resourceType":"Group","id":"g","type":"person","actual":true}"#).await;
        let found = async |query: &str| {
            let json = server.get(&format!("?{query}&_total=accurate")).await.json();
            json["total"].as_u64()
        };
        assert_eq!(found("_type=Patient,Group").await, Some(2));
        assert_eq!(found("_type=Patient,Group&_type=Group,Observation").await, Some(1));
        refused(&server.get("?_type=Patient&_type=Group").await, "nothing is of two types");
    });
}

#[test]
fn a_purge_looks_at_the_version_and_takes_no_parameters() {
    test(|server| async move {
        server.put("/Patient/a", patient("1")).await;
        server.put("/Patient/a", patient("2")).await;
        let send = async |version: &str| {
            let headers = [FHIR, ("If-Match", version)];
            server.send("DELETE", "/Patient/a/$purge-history", &headers, "").await
        };
        let stale = send("W/\"1\"").await;
        assert_eq!((stale.status.as_u16(), stale.outcome().as_str()), (412, "conflict"));
        assert_eq!(server.get("/Patient/a/_history/1").await.status, 200);
        refused(&server.delete("/Patient/a/$purge-history?foo=1").await, "foo");
        assert_eq!(send("x").await.status, 400);
        assert_eq!(send("W/\"2\"").await.status, 204);
        assert_eq!(server.get("/Patient/a/_history/1").await.status, 404);
    });
}
