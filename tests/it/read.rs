//! `GET /{type}/{id}`

use crate::support::test;

#[test]
fn read_of_what_never_was_is_404() {
    test(|server| async move {
        let answer = server.get("/Patient/nobody").await;
        assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (404, "not-found"));
    });
}

const BODY: &str = r#"{"resourceType":"Patient","id":"a","active":true}"#;

#[test]
fn conditional_read_spares_the_body() {
    test(|server| async move {
        let written = server.put("/Patient/a", BODY).await;
        let modified = written.header("last-modified").to_owned();
        for (name, value, status) in [
            ("If-None-Match", "W/\"1\"", 304),
            ("If-None-Match", "\"1\"", 304),
            ("If-None-Match", "*", 304),
            ("If-None-Match", "W/\"2\", W/\"1\"", 304),
            ("If-None-Match", "W/\"2\"", 200),
            ("If-None-Match", "nonsense", 400),
            ("If-Modified-Since", &modified, 304),
            ("If-Modified-Since", "Sun, 01 Jan 2017 00:00:00 GMT", 200),
            ("If-Modified-Since", "nonsense", 200),
        ] {
            let answer = server.send("GET", "/Patient/a", &[(name, value)], "").await;
            assert_eq!(answer.status.as_u16(), status, "{name}: {value}");
            if status == 304 {
                assert_eq!((answer.bytes.len(), answer.header("etag")), (0, "W/\"1\""));
            }
        }
    });
}

#[test]
fn head_is_get_without_the_body() {
    test(|server| async move {
        server.put("/Patient/a", BODY).await;
        let (get, head) = (server.get("/Patient/a").await, server.send("HEAD", "/Patient/a", &[], "").await);
        assert_eq!((head.status.as_u16(), head.bytes.len()), (200, 0));
        for name in ["etag", "last-modified", "content-type"] {
            assert_eq!(head.header(name), get.header(name));
        }
        assert_eq!(server.send("HEAD", "/Patient/b", &[], "").await.status, 404);
    });
}

#[test]
fn pretty_indents_and_changes_no_literal() {
    test(|server| async move {
        let body = r#"{"resourceType":"Observation","id":"a","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.10}}"#;
        server.put("/Observation/a", body).await;
        let pretty = server.get("/Observation/a?_pretty=true").await.text();
        assert!(pretty.contains("\n  \"valueQuantity\": {\n    \"value\": 1.10\n  }"), "{pretty}");
    });
}

#[test]
fn request_ids_come_back() {
    test(|server| async move {
        let answer = server.send("GET", "/Patient/a", &[("X-Request-Id", "my-1")], "").await;
        assert_eq!(answer.header("x-request-id"), "my-1");
        assert_eq!(answer.json()["id"], answer.header("x-correlation-id"));
        let odd = server.send("GET", "/Patient/a", &[("X-Request-Id", "a b<c>")], "").await;
        assert!(!odd.header("x-request-id").contains(' '));
    });
}

#[test]
fn answers_are_compressed_where_the_client_wants_it() {
    test(|server| async move {
        server.put("/Patient/a", BODY).await;
        let answer = server.send("GET", "/Patient/a", &[("Accept-Encoding", "gzip")], "").await;
        assert_eq!(answer.header("content-encoding"), "gzip");
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&answer.bytes[..]), &mut plain).unwrap();
        assert_eq!(plain, server.get("/Patient/a").await.bytes);
    });
}
