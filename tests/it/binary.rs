//! Binary as the bytes that it holds.

use anamnesis::api::{ApiOptions, Checked, ValidationOptions};
use serde_json::json;

use crate::support::{FHIR, Setup, test, test_with};

const PNG: (&str, &str) = ("Content-Type", "image/png");
const AS_RESOURCE: (&str, &str) = ("Accept", "application/fhir+json");
/// Not UTF-8, and with every byte that JSON and XML would have to escape.
const CONTENT: &[u8] = b"\x89PNG\r\n\x1a\n\x00\xff\xfe<&\"";

#[test]
fn content_is_written_and_read_as_it_is() {
    test(|server| async move {
        let created =
            server.send("POST", "/Binary", &[PNG, ("X-Security-Context", "Patient/p")], CONTENT).await;
        assert_eq!(created.status, 201, "{}", created.text());
        let resource = created.json();
        assert_eq!(
            (&resource["resourceType"], &resource["contentType"]),
            (&json!("Binary"), &json!("image/png"))
        );
        let path = format!("/Binary/{}", resource["id"].as_str().unwrap());
        for accept in ["*/*", "image/png", "application/pdf, */*;q=0.1"] {
            let read = server.send("GET", &path, &[("Accept", accept)], "").await;
            assert_eq!((read.status.as_u16(), read.header("content-type")), (200, "image/png"), "{accept}");
            assert_eq!(read.bytes, CONTENT);
            assert_eq!((read.header("etag"), read.header("x-security-context")), ("W/\"1\"", "Patient/p"));
            assert_eq!(read.header("x-content-type-options"), "nosniff");
            assert!(read.header("content-security-policy").contains("sandbox"));
        }
        let version = server.get(&format!("{path}/_history/1")).await;
        assert_eq!((version.header("content-type"), version.bytes.as_slice()), ("image/png", CONTENT));
        for accept in
            ["application/fhir+json", "application/json", "application/pdf, application/fhir+json;q=0.1"]
        {
            let read = server.send("GET", &path, &[("Accept", accept)], "").await;
            assert_eq!(read.json()["data"], resource["data"], "{accept}");
        }
        assert_eq!(server.get(&format!("{path}?_format=json")).await.json()["id"], resource["id"]);
        let known = server.send("GET", &path, &[("If-None-Match", "W/\"1\"")], "").await;
        assert_eq!((known.status.as_u16(), known.bytes.len()), (304, 0));
    });
}

#[test]
fn an_update_of_content_makes_a_version_only_where_it_differs() {
    test(|server| async move {
        let plain = ("Content-Type", "text/plain; charset=utf-8");
        for (content, status, version) in
            [("a", 201, "W/\"1\""), ("a", 200, "W/\"1\""), ("b", 200, "W/\"2\"")]
        {
            let answer = server.send("PUT", "/Binary/x", &[plain], content).await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("etag")),
                (status, version),
                "{}",
                answer.text()
            );
        }
        let read = server.get("/Binary/x").await;
        assert_eq!((read.header("content-type"), read.text().as_str()), ("text/plain; charset=utf-8", "b"));
        // A resource is a resource, whatever is in it; and other types have no content.
        let resource = json!({"resourceType": "Binary", "id": "x", "contentType": "application/pdf"});
        assert_eq!(server.put("/Binary/x", resource.to_string()).await.status, 200);
        let read = server.get("/Binary/x").await;
        assert_eq!((read.header("content-type"), read.bytes.len()), ("application/pdf", 0));
        assert_eq!(server.send("PUT", "/Patient/x", &[plain], "b").await.status, 415);
        // Content is replaced, not patched.
        let patch = server.send("PATCH", "/Binary/x", &[plain], "b").await;
        assert_eq!((patch.status.as_u16(), patch.outcome().as_str()), (415, "not-supported"));
        let conditional = server.send("PUT", "/Binary?_id=x", &[plain], "b").await;
        assert_eq!(conditional.status, 415);
        server.delete("/Binary/x").await;
        let gone = server.get("/Binary/x").await;
        assert_eq!((gone.status.as_u16(), gone.outcome().as_str()), (410, "deleted"));
        assert_eq!(server.send("GET", "/Binary/x", &[AS_RESOURCE], "").await.status, 410);
    });
}

#[test]
fn content_is_bounded_and_its_type_is_checked() {
    let api = anamnesis::api::ApiOptions { body_bytes_max: 1 << 20, ..Default::default() };
    test_with(Setup { api, ..Setup::default() }, |server| async move {
        let large = server.send("POST", "/Binary", &[PNG], vec![7; 800 << 10]).await;
        assert_eq!((large.status.as_u16(), large.outcome().as_str()), (413, "too-long"));
        let fits = server.send("POST", "/Binary", &[PNG], vec![7; 700 << 10]).await;
        assert_eq!(fits.status, 201);
        for bad in ["nonsense", "a b/c"] {
            let answer = server.send("POST", "/Binary", &[("Content-Type", bad)], "x").await;
            assert!(matches!(answer.status.as_u16(), 400 | 415), "{bad}: {}", answer.status);
        }
        assert_eq!(server.send("POST", "/Binary", &[], "x").await.status, 415);
        assert_eq!(server.send("POST", "/Binary", &[FHIR], "x").await.status, 400);
        assert_eq!(server.events().await, 1);
    });
}

#[test]
fn base64_with_bits_left_over_is_read() {
    test(|server| async move {
        let body = r#"{"resourceType":"Binary","id":"x","contentType":"texté","data":"QUJD\nAB=="}"#;
        assert_eq!(server.put("/Binary/x", body).await.status, 201);
        let read = server.get("/Binary/x").await;
        assert_eq!((read.status.as_u16(), read.bytes.as_slice()), (200, b"ABC\0".as_slice()));
        assert_eq!(
            read.header("content-type"),
            "application/octet-stream",
            "what is no header is not sent as one"
        );
    });
}

#[test]
fn content_that_cannot_be_read_is_no_mistake_of_the_server() {
    let validation = ValidationOptions { checked: Checked::Off, ..ValidationOptions::default() };
    let api = ApiOptions { validation, ..ApiOptions::default() };
    test_with(Setup { api, ..Setup::default() }, |server| async move {
        let body = r#"{"resourceType":"Binary","id":"x","contentType":"text/plain","data":"!"}"#;
        assert_eq!(server.put("/Binary/x", body).await.status, 201);
        let read = server.get("/Binary/x").await;
        assert_eq!((read.status.as_u16(), read.outcome().as_str()), (406, "not-supported"));
        assert_eq!(server.send("GET", "/Binary/x", &[AS_RESOURCE], "").await.json()["data"], "!");
    });
}
