//! What must not pass: malformed requests of all kinds are 4xx with an outcome, and write nothing.

use std::io::Write;

use crate::support::{FHIR, Setup, test, test_with};

fn nested(depth: usize) -> Vec<u8> {
    let mut text = String::from(r#"{"resourceType":"Patient","extension":"#);
    text.push_str(&"[".repeat(depth));
    text.push_str(&"]".repeat(depth));
    text.push('}');
    text.into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn encodings_that_are_not_offered_are_told_as_an_outcome() {
    test(|server| async move {
        for path in ["/metadata", "/Patient/a", "/nothing/of/this/kind"] {
            let none = [("Accept-Encoding", "identity;q=0, *;q=0")];
            let answer = server.send("GET", path, &none, "").await;
            assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (406, "not-supported"), "{path}");
            assert_eq!(answer.json()["issue"][0]["expression"][0], "Accept-Encoding");
            assert_eq!(answer.header("vary"), "Accept-Encoding");
        }
        let xml = [("Accept-Encoding", "identity;q=0, *;q=0"), ("Accept", "application/fhir+xml")];
        let answer = server.send("GET", "/metadata", &xml, "").await;
        assert!(
            answer.text().starts_with("<?xml") || answer.text().starts_with("<OperationOutcome"),
            "{}",
            answer.text()
        );
    });
}

#[test]
fn bad_bodies_are_refused() {
    test(|server| async move {
        let bodies: Vec<(&str, Vec<u8>)> = vec![
            ("empty", b"".to_vec()),
            ("blank", b"  ".to_vec()),
            ("text", b"hello".to_vec()),
            ("half", br#"{"resourceType":"Patient""#.to_vec()),
            ("array", b"[]".to_vec()),
            ("string", br#""Patient""#.to_vec()),
            ("null", b"null".to_vec()),
            ("no type", b"{}".to_vec()),
            ("type is a number", br#"{"resourceType":1}"#.to_vec()),
            ("other type", br#"{"resourceType":"Group","type":"person","actual":true}"#.to_vec()),
            ("wrong case", br#"{"resourceType":"patient"}"#.to_vec()),
            ("duplicate", br#"{"resourceType":"Patient","active":true,"active":true}"#.to_vec()),
            ("duplicate type", br#"{"resourceType":"Patient","resourceType":"Patient"}"#.to_vec()),
            ("surrogate", br#"{"resourceType":"Patient","gender":"\ud800"}"#.to_vec()),
            ("bad utf-8", b"{\"resourceType\":\"Patient\",\"gender\":\"\xff\"}".to_vec()),
            ("utf-16", b"\xff\xfe{\x00}\x00".to_vec()),
            ("control", b"{\"resourceType\":\"Patient\",\"gender\":\"a\x01\"}".to_vec()),
            ("raw nul", b"{\"resourceType\":\"Patient\",\"gender\":\"\x00\"}".to_vec()),
            ("trailing", br#"{"resourceType":"Patient"} x"#.to_vec()),
            ("comment", br#"{"resourceType":"Patient"/* x */}"#.to_vec()),
            ("number", br#"{"resourceType":"Patient","multipleBirthInteger":01}"#.to_vec()),
            ("500 deep", nested(500)),
            ("50,000 deep", nested(50_000)),
        ];
        for (name, body) in bodies {
            let answer = server.post("/Patient", body.clone()).await;
            assert_eq!(answer.status, 400, "{name}: {}", answer.text());
            answer.outcome();
            let answer = server.put("/Patient/a", body).await;
            assert_eq!(answer.status, 400, "{name}: {}", answer.text());
            answer.outcome();
        }
        assert_eq!(server.events().await, 0);
    });
}

#[test]
fn malformed_json_is_answered_with_line_and_column() {
    test(|server| async move {
        let answer = server.post("/Patient", "{\"resourceType\":\"Patient\",\n  \"active\":tru}").await;
        let json = answer.json();
        let diagnostics = json["issue"][0]["diagnostics"].as_str().unwrap();
        assert!(diagnostics.contains("line 2, column 12"), "{diagnostics}");
        assert_eq!(answer.outcome(), "structure");
    });
}

#[test]
fn bad_paths_are_refused() {
    test(|server| async move {
        let long = "x".repeat(65);
        let paths = [
            ("/Patient/a%20b", 400),
            ("/Patient/a%00b", 400),
            ("/Patient/%ff", 400),
            ("/Patient/%C3%A4", 400),
            ("/Patient/a%2Fb", 400),
            ("/Patient/a_b", 400),
            (&format!("/Patient/{long}"), 400),
            ("/patient/a", 400),
            ("/PATIENT", 400),
            ("/Nonsense", 404),
            ("/Nonsense/1", 404),
            ("/%00", 404),
            ("/Patient/a/nonsense", 404),
            ("/Observation/a/Patient", 404),
            ("/Patient/a/_history/1/x", 404),
            ("/Patient//_history", 400),
            ("/$nonsense", 404),
            ("/Patient/$nonsense", 404),
            ("/Patient/a/$nonsense", 404),
            ("/Patient/a?_format=%ff", 400),
            ("/Patient/a?x=%00", 400),
            ("/Patient?family=%zz", 400),
            ("/Patient?family=50%", 400),
        ];
        for (path, status) in paths {
            let answer = server.get(path).await;
            assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text());
            answer.outcome();
        }
        let other =
            server.client.get(format!("{}/nowhere/fhir/Patient/1", server.root)).send().await.unwrap();
        assert_eq!(other.status(), 404);
        let top = server.client.get(format!("{}/", server.root)).send().await.unwrap();
        assert_eq!(top.status(), 404);
    });
}

#[test]
fn methods_that_are_not_served_are_405_with_allow() {
    test(|server| async move {
        let cases = [
            ("DELETE", "/metadata", "GET, HEAD"),
            ("POST", "/Patient/a", "DELETE, GET, HEAD, PATCH, PUT"),
            ("PATCH", "/Patient/a/_history", "GET, HEAD"),
            ("PUT", "/Patient/a/_history/1", "GET, HEAD"),
            ("TRACE", "/Patient", "DELETE, GET, HEAD, PATCH, POST, PUT"),
            ("GET", "/Patient/_search", "POST"),
        ];
        for (method, path, allow) in cases {
            let answer = server.send(method, path, &[FHIR], "").await;
            assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, allow), "{method} {path}");
            assert_eq!(answer.outcome(), "not-supported");
        }
        let options = server.send("OPTIONS", "/Patient/a", &[], "").await;
        assert_eq!(
            (options.status.as_u16(), options.header("allow")),
            (204, "DELETE, GET, HEAD, PATCH, PUT")
        );
    });
}

#[test]
fn media_types_are_checked() {
    test(|server| async move {
        let body = r#"{"resourceType":"Patient","active":true}"#;
        for bad in [
            "application/fhir+turtle",
            "text/plain",
            "application/fhir+json; charset=iso-8859-1",
            "application/fhir+json; charset=utf-16",
            "application/json-patch+json",
            "nonsense",
            "application/fhir+json; fhirVersion=5.0",
        ] {
            let answer = server.send("POST", "/Patient", &[("Content-Type", bad)], body).await;
            assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (415, "not-supported"), "{bad}");
        }
        let none = server.send("POST", "/Patient", &[], body).await;
        assert_eq!(none.status, 415);
        assert_eq!(server.events().await, 0);
        for good in [
            "application/fhir+json",
            "application/json; charset=UTF-8",
            "Application/FHIR+JSON; fhirVersion=4.0",
            "application/fhir+json; fhirVersion=4.0.1",
        ] {
            let answer = server.send("POST", "/Patient", &[("Content-Type", good)], body).await;
            assert_eq!(answer.status, 201, "{good}");
        }
        for (accept, status) in [
            ("application/fhir+json", 200),
            ("application/json", 200),
            ("text/html, */*;q=0.1", 200),
            ("application/fhir+xml", 200),
            ("text/turtle", 406),
            ("text/html", 406),
            ("application/fhir+json;q=0", 406),
            ("application/fhir+json; fhirVersion=4.0", 200),
            ("application/fhir+json; fhirVersion=3.0", 406),
        ] {
            let answer = server.send("GET", "/metadata", &[("Accept", accept)], "").await;
            assert_eq!(answer.status.as_u16(), status, "{accept}");
        }
        for (format, status) in [
            ("json", 200),
            ("application/fhir%2Bjson", 200),
            ("application/fhir+json", 200),
            ("text/json", 200),
            ("xml", 200),
            ("application/fhir%2Bxml", 200),
            ("ttl", 406),
            ("html", 406),
        ] {
            let path = format!("/metadata?_format={format}");
            let answer = server.send("GET", &path, &[("Accept", "text/html")], "").await;
            assert_eq!(answer.status.as_u16(), status, "{format}");
        }
    });
}

#[test]
fn large_bodies_are_413() {
    let api = anamnesis::api::ApiOptions { body_bytes_max: 1 << 20, ..Default::default() };
    test_with(Setup { api, ..Setup::default() }, |server| async move {
        let large = vec![b' '; 50 << 20];
        let packed = gzip(&large);
        assert!(packed.len() < 1 << 20);
        let answer = server.post("/Patient", large).await;
        assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (413, "too-long"));
        let headers = [FHIR, ("Content-Encoding", "gzip")];
        let bomb = server.send("POST", "/Patient", &headers, packed).await;
        assert_eq!((bomb.status.as_u16(), bomb.outcome().as_str()), (413, "too-long"));
        let broken = server.send("POST", "/Patient", &headers, "no gzip").await;
        assert_eq!((broken.status.as_u16(), broken.outcome().as_str()), (400, "structure"));
        let unknown = server.send("POST", "/Patient", &[FHIR, ("Content-Encoding", "br")], "x").await;
        assert_eq!(unknown.status, 415);
        let good = gzip(br#"{"resourceType":"Patient","active":true}"#);
        assert_eq!(server.send("POST", "/Patient", &headers, good).await.status, 201);
        assert_eq!(server.events().await, 1);
    });
}
