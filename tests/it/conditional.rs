//! Conditional create, update and delete.

use futures::future::join_all;
use serde_json::json;

use crate::support::{FHIR, Server, test};

fn patient(identifier: &str) -> String {
    format!(r#"{{"resourceType":"Patient","identifier":[{{"system":"urn:a","value":"{identifier}"}}]}}"#)
}

async fn create(server: &Server, criteria: &str, body: &str) -> crate::support::Answer {
    server.send("POST", "/Patient", &[FHIR, ("If-None-Exist", criteria)], body.to_owned()).await
}

#[test]
fn conditional_create_finds_what_is_there() {
    test(|server| async move {
        let first = create(&server, "identifier=urn:a|1", &patient("1")).await;
        assert_eq!(first.status, 201);
        let second = create(&server, "Patient?identifier=urn:a%7C1", &patient("1")).await;
        assert_eq!((second.status.as_u16(), second.header("etag")), (200, "W/\"1\""));
        assert_eq!(second.bytes, first.bytes);
        assert_eq!(second.header("location"), first.header("location"));
        let headers = [FHIR, ("If-None-Exist", "identifier=urn:a|1"), ("Prefer", "return=minimal")];
        let minimal = server.send("POST", "/Patient", &headers, patient("1")).await;
        assert_eq!((minimal.status.as_u16(), minimal.bytes.len()), (200, 0));
        server.post("/Patient", patient("1")).await;
        let many = create(&server, "identifier=urn:a|1", &patient("1")).await;
        assert_eq!((many.status.as_u16(), many.outcome().as_str()), (412, "multiple-matches"));
        assert_eq!(server.events().await, 2);
    });
}

#[test]
fn of_many_conditional_creates_at_once_one_creates() {
    test(|server| async move {
        let body = patient("1");
        let answers = join_all((0..32).map(|_| create(&server, "identifier=urn:a|1", &body))).await;
        let created = answers.iter().filter(|answer| answer.status == 201).count();
        let found = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!((created, found), (1, 31));
        assert_eq!(server.events().await, 1);
        let location = answers[0].header("location");
        assert!(answers.iter().all(|answer| answer.header("location") == location));
    });
}

#[test]
fn criteria_must_be_there() {
    test(|server| async move {
        for criteria in ["", "?", "_format=json"] {
            let answer = create(&server, criteria, &patient("1")).await;
            assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (412, "required"), "{criteria}");
        }
        let deletes = server.delete("/Patient").await;
        assert_eq!((deletes.status.as_u16(), deletes.outcome().as_str()), (412, "required"));
        assert_eq!(server.put("/Patient", patient("1")).await.status, 412);
        assert_eq!(server.events().await, 0);
    });
}

#[test]
fn criteria_in_two_headers_are_refused() {
    test(|server| async move {
        server.post("/Patient", patient("1")).await;
        let criteria = |value| ("If-None-Exist", value);
        let headers = [FHIR, criteria("identifier=urn:a|1"), criteria("identifier=urn:a|2")];
        let twice = server.send("POST", "/Patient", &headers, patient("2")).await;
        assert_eq!((twice.status.as_u16(), twice.outcome().as_str()), (400, "invalid"));
        assert_eq!(twice.json()["issue"][0]["expression"][0], "If-None-Exist");
        assert_eq!(server.events().await, 1);
        let umlaut = create(&server, "identifier=urn:a|ä", &patient("ä")).await;
        assert_eq!(umlaut.status, 201, "criteria may be UTF-8");
        assert_eq!(create(&server, "identifier=urn:a|ä", &patient("ä")).await.status, 200);
    });
}

#[test]
fn entity_tags_in_several_headers_are_one_list() {
    test(|server| async move {
        server.put("/Patient/a", r#"{"resourceType":"Patient","id":"a"}"#).await;
        let headers = [FHIR, ("If-Match", "W/\"7\""), ("If-Match", "W/\"1\"")];
        let body = r#"{"resourceType":"Patient","id":"a","active":true}"#;
        assert_eq!(server.send("PUT", "/Patient/a", &headers, body).await.status, 200);
        assert_eq!(server.send("PUT", "/Patient/a", &headers, patient("1")).await.status, 400);
    });
}

#[test]
fn conditional_update_creates_or_updates_the_one_that_matches() {
    test(|server| async move {
        let path = "/Patient?identifier=urn:a|1";
        let created = server.put(path, patient("1")).await;
        assert_eq!(created.status, 201);
        let id = created.json()["id"].as_str().unwrap().to_owned();
        let active = patient("1").replace("\"identifier\"", "\"active\":true,\"identifier\"");
        let updated = server.put(path, active.clone()).await;
        assert_eq!((updated.status.as_u16(), updated.header("etag")), (200, "W/\"2\""));
        assert_eq!(updated.json()["id"].as_str(), Some(id.as_str()));
        let other_id = patient("1").replace("\"identifier\"", "\"id\":\"other\",\"identifier\"");
        let differs = server.put(path, other_id).await;
        assert_eq!((differs.status.as_u16(), differs.outcome().as_str()), (400, "invalid"));
        let stale = server.send("PUT", path, &[FHIR, ("If-Match", "W/\"1\"")], patient("1")).await;
        assert_eq!(stale.status, 412);
        let named = patient("2").replace("\"identifier\"", "\"id\":\"mine\",\"identifier\"");
        let named = server.put("/Patient?identifier=urn:a|2", named).await;
        assert_eq!((named.status.as_u16(), named.json()["id"].as_str()), (201, Some("mine")));
        server.post("/Patient", patient("2")).await;
        let many = server.put("/Patient?identifier=urn:a|2", patient("2")).await;
        assert_eq!((many.status.as_u16(), many.outcome().as_str()), (412, "multiple-matches"));
    });
}

#[test]
fn conditional_update_never_overwrites_what_its_criteria_do_not_match() {
    test(|server| async move {
        server
            .put("/Patient/mine", patient("1").replace("\"identifier\"", "\"id\":\"mine\",\"identifier\""))
            .await;
        let body = patient("2").replace("\"identifier\"", "\"id\":\"mine\",\"identifier\"");
        for path in ["/Patient?identifier=urn:a|2", "/Patient?birthdate=1990"] {
            let refused = server.put(path, body.clone()).await;
            assert_eq!((refused.status.as_u16(), refused.outcome().as_str()), (409, "conflict"), "{path}");
        }
        let entry = format!(
            r#"{{"resource":{body},"request":{{"method":"PUT","url":"Patient?identifier=urn:a|2"}}}}"#
        );
        let bundle = format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{entry}]}}"#);
        let refused = server.post("/", bundle).await;
        assert_eq!((refused.status.as_u16(), refused.outcome().as_str()), (409, "conflict"));
        assert_eq!(refused.json()["issue"][0]["expression"][0], "Bundle.entry[0]");
        assert_eq!(server.events().await, 1);
        assert_eq!(server.delete("/Patient/mine").await.status, 204);
        assert_eq!(server.put("/Patient?identifier=urn:a|2", body).await.status, 201);
    });
}

#[test]
fn of_many_conditional_updates_at_once_one_creates_and_the_others_update() {
    test(|server| async move {
        let body = |n: usize| {
            patient("1").replace("\"identifier\"", &format!("\"multipleBirthInteger\":{n},\"identifier\""))
        };
        let writes = (0..4).map(|n| server.put("/Patient?identifier=urn:a|1", body(n)));
        let answers = join_all(writes).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 201].contains(status)), "{statuses:?}");
        assert_eq!(server.events().await, 4);
    });
}

#[test]
fn conditional_delete_takes_one_or_as_many_as_allowed() {
    test(|server| async move {
        let none = server.delete("/Patient?identifier=urn:a|1").await;
        assert_eq!(none.status, 204);
        server.post("/Patient", patient("1")).await;
        let one = server.delete("/Patient?identifier=urn:a|1").await;
        assert_eq!((one.status.as_u16(), one.header("etag")), (204, "W/\"2\""));
        for _ in 0..3 {
            server.post("/Patient", patient("2")).await;
        }
        let many = server.delete("/Patient?identifier=urn:a|2").await;
        assert_eq!((many.status.as_u16(), many.outcome().as_str()), (412, "multiple-matches"));
        let two = server.delete("/Patient?identifier=urn:a|2&_count=2").await;
        assert_eq!((two.status.as_u16(), two.header("items-deleted")), (204, "2"));
        let rest = server.delete("/Patient?identifier=urn:a|2&_count=100").await;
        assert_eq!(rest.header("items-deleted"), "1");
        for bad in ["0", "101", "x"] {
            let answer = server.delete(&format!("/Patient?identifier=urn:a|2&_count={bad}")).await;
            assert_eq!(answer.status, 400, "{bad}");
        }
    });
}

#[test]
fn the_master_identifier_of_a_document_is_an_identifier() {
    test(|server| async move {
        let document = r#"{"resourceType":"DocumentReference","status":"current","content":[{"attachment":{"title":"x"}}],
            "masterIdentifier":{"system":"http://m","value":"1"}}"#;
        let condition = [FHIR, ("If-None-Exist", "identifier=http://m|1")];
        assert_eq!(server.send("POST", "/DocumentReference", &condition, document).await.status, 201);
        assert_eq!(server.send("POST", "/DocumentReference", &condition, document).await.status, 200);
        assert_eq!(server.events().await, 1);
    });
}

#[test]
fn a_question_mark_in_a_value_stays_in_it() {
    test(|server| async move {
        let victim = r#"{"resourceType":"Patient","id":"v","name":[{"family":"Victim"}]}"#;
        server.put("/Patient/v", victim).await;
        let criteria = "identifier=http://a?family=victim";
        let with = |entry: serde_json::Value| {
            let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
            server.post("", bundle.to_string())
        };
        for criteria in [criteria, "name?family=victim"] {
            let url = format!("Patient?{criteria}");
            let deleted = with(json!({"request": {"method": "DELETE", "url": url}})).await;
            assert!([200, 400].contains(&deleted.status.as_u16()), "{}", deleted.text());
            let reference = json!({"resource": {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": url}},
                "request": {"method": "POST", "url": "Basic"}});
            assert_eq!(with(reference).await.status, 400, "nothing matches {criteria}");
        }
        assert_eq!(server.get("/Patient/v").await.status, 200, "the criteria match nobody");
        assert_eq!(server.events().await, 1);

        assert_eq!(create(&server, criteria, &patient("1")).await.status, 201);
        let made = json!({"resource": {"resourceType": "Patient"},
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": criteria}});
        let answer = with(made).await.json();
        assert_eq!(answer["entry"][0]["response"]["status"].as_str().map(|status| &status[..3]), Some("201"));

        let of_others = create(&server, "Person?identifier=urn:a|1", &patient("1")).await;
        assert_eq!((of_others.status.as_u16(), of_others.outcome().as_str()), (400, "not-supported"));
    });
}
