//! `POST /{type}`

use crate::support::{FHIR, test};

#[test]
fn create_answers_with_the_resource_and_its_address() {
    test(|server| async move {
        let body = r#"{ "resourceType":"Observation", "status":"final","code":{"text":"x"},
  "subject":{"reference":"Patient/a"}, "valueQuantity":{"value":1.10,"unit":"kg"} }"#;
        let answer = server.post("/Observation", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.header("etag"), "W/\"1\"");
        assert_eq!(answer.header("content-type"), "application/fhir+json; charset=utf-8");
        assert_eq!(answer.header("x-anamnesis-position"), "1");
        let json = answer.json();
        let id = json["id"].as_str().unwrap();
        assert_eq!(answer.header("location"), format!("{}/Observation/{id}/_history/1", server.base));
        assert_eq!(json["meta"]["versionId"], "1");
        let stamp = json["meta"]["lastUpdated"].as_str().unwrap();
        assert!(stamp.starts_with("20") && stamp.ends_with('Z') && stamp.len() == 27, "{stamp}");
        let expected = body.replace(
            r#""resourceType":"Observation""#,
            &format!(
                r#""resourceType":"Observation","id":"{id}","meta":{{"versionId":"1","lastUpdated":"{stamp}"}}"#
            ),
        );
        assert_eq!(answer.text(), expected);
        let read = server.get(&format!("/Observation/{id}")).await;
        assert_eq!(read.status, 200);
        assert_eq!(read.text(), expected);
        assert_eq!(read.header("etag"), "W/\"1\"");
        assert_eq!(read.header("last-modified"), answer.header("last-modified"));
        assert!(read.header("last-modified").ends_with("GMT"));
    });
}

#[test]
fn create_ignores_id_version_and_time_of_the_client() {
    test(|server| async move {
        let body = r#"{"id":"mine","resourceType":"Patient","meta":{"lastUpdated":"2001-01-01T00:00:00Z","tag":[{"code":"t"}],"versionId":"77"},"active":true}"#;
        let answer = server.post("/Patient", body).await;
        assert_eq!(answer.status, 201);
        let json = answer.json();
        assert_ne!(json["id"], "mine");
        assert_eq!(json["meta"]["versionId"], "1");
        assert_ne!(json["meta"]["lastUpdated"], "2001-01-01T00:00:00Z");
        assert_eq!(json["meta"]["tag"][0]["code"], "t");
        assert_eq!(server.get("/Patient/mine").await.status, 404);
    });
}

#[test]
fn prefer_return_chooses_the_body() {
    test(|server| async move {
        let body = r#"{"resourceType":"Patient","active":true}"#;
        let minimal = server.send("POST", "/Patient", &[FHIR, ("Prefer", "return=minimal")], body).await;
        assert_eq!((minimal.status.as_u16(), minimal.bytes.len()), (201, 0));
        assert!(!minimal.header("location").is_empty());
        let outcome =
            server.send("POST", "/Patient", &[FHIR, ("Prefer", "return=OperationOutcome")], body).await;
        assert_eq!((outcome.status.as_u16(), outcome.outcome().as_str()), (201, "informational"));
        let full = server.send("POST", "/Patient", &[FHIR, ("Prefer", "return=representation")], body).await;
        assert_eq!(full.json()["resourceType"], "Patient");
    });
}
