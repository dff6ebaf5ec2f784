//! The form of an answer: as it was asked for, on every page; and requests that say less than others, or in older words.

use serde_json::{Value, json};

use crate::support::{FHIR, test};

fn patient(id: &str) -> String {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": id}]}).to_string()
}

fn links(bundle: &Value) -> Vec<String> {
    let links = bundle["link"].as_array().unwrap().iter();
    links.map(|link| link["url"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn links_go_on_in_the_form_that_was_asked_for() {
    test(|server| async move {
        for id in ["a", "b", "c"] {
            server.put(&format!("/Patient/{id}"), patient(id)).await;
        }
        let observation = json!({"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"},
            "subject": {"reference": "Patient/a"}});
        server.put("/Observation/o", observation.to_string()).await;
        for path in [
            "/Patient?_count=1&_sort=_id",
            "/Patient/_history?_count=1",
            "/_history?_count=1",
            "/Patient/a/$everything?_count=1",
            "/Patient/a/*?_count=1",
            "/Patient/a/*?_count=1&_asOf=4",
            "/Observation/$lastn?patient=a&code=x",
            "/DocumentReference/$docref?patient=a",
        ] {
            let answer = server.get(&format!("{path}&_format=json&_pretty=true")).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            let all = links(&answer.json());
            assert!(!all.is_empty());
            for link in all {
                assert!(link.contains("_format=json") && link.contains("_pretty=true"), "{link}");
            }
        }
        let first = server.get("/Patient?_count=1&_sort=_id&_format=xml").await.text();
        let next =
            first.split("value=\"").find(|part| part.contains("ct=")).unwrap().split('"').next().unwrap();
        let next = next.replace("&amp;", "&");
        let second = server.get(next.strip_prefix(&server.base).unwrap()).await;
        assert_eq!(second.status, 200, "{}", second.text());
        assert!(second.text().contains("<Bundle "), "{}", second.text());
        let plain = server.get("/Patient?_count=1").await.json();
        assert!(links(&plain).iter().all(|link| !link.contains("_format")), "nobody has asked");
    });
}

#[test]
fn an_empty_preference_is_none_and_old_media_types_are_known() {
    test(|server| async move {
        server.put("/Patient/a", patient("a")).await;
        let read = async |accept: &str| {
            let answer = server.send("GET", "/Patient/a", &[("Accept", accept)], "").await;
            (answer.status.as_u16(), answer.header("content-type").to_owned())
        };
        let (json, xml) = ("application/fhir+json; charset=utf-8", "application/fhir+xml; charset=utf-8");
        assert_eq!(read("").await, (200, json.to_owned()));
        assert_eq!(read("application/json+fhir").await, (200, json.to_owned()));
        assert_eq!(read("application/xml+fhir;q=0.9, text/html").await, (200, xml.to_owned()));
        assert_eq!(read("text/html").await.0, 406);
        let old = [("Content-Type", "application/json+fhir")];
        assert_eq!(server.send("PUT", "/Patient/b", &old, patient("b")).await.status, 201);
    });
}

#[test]
fn preferences_are_read_in_any_case() {
    test(|server| async move {
        let strict = [("Prefer", "Handling=Strict")];
        assert_eq!(server.send("GET", "/Patient?nosuch=1", &strict, "").await.status, 400);
        let minimal = [FHIR, ("Prefer", "RETURN=Minimal")];
        let answer = server.send("PUT", "/Patient/a", &minimal, patient("a")).await;
        assert_eq!((answer.status.as_u16(), answer.bytes.len()), (201, 0));
    });
}

#[test]
fn a_search_by_post_may_have_all_in_its_url() {
    test(|server| async move {
        server.put("/Patient/a", patient("a")).await;
        server.put("/Patient/b", patient("b")).await;
        let found = server.send("POST", "/Patient/_search?_id=a", &[], "").await;
        assert_eq!(found.status, 200, "{}", found.text());
        assert_eq!(found.json()["entry"].as_array().unwrap().len(), 1);
        let other = server.send("POST", "/Patient/_search?_id=a", &[FHIR], "{}").await;
        assert_eq!(other.status, 415, "a body is a form");
    });
}

#[test]
fn who_wants_no_explanation_gets_results() {
    test(|server| async move {
        server.put("/Patient/a", patient("a")).await;
        let strict = [("Prefer", "handling=strict")];
        let answer = server.send("GET", "/Patient?_id=a&_explain=false", &strict, "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["entry"].as_array().unwrap().len(), 1);
        assert_eq!(server.get("/Patient?_explain=maybe").await.status, 400);
    });
}

#[test]
fn criteria_that_match_many_are_not_counted() {
    test(|server| async move {
        for id in ["a", "b", "c"] {
            server.put(&format!("/Patient/{id}"), patient(id)).await;
        }
        let answer = server.delete("/Patient?family:missing=false").await;
        assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (412, "multiple-matches"));
        assert!(answer.text().contains("more than one"), "{}", answer.text());
    });
}
