//! Requests that no well-behaved client sends, byte by byte: never a 5xx, never a lost server, nothing written.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Server, test};

/// Sends bytes and gives the status of the answer; `None` where the connection was closed without one.
async fn raw(server: &Server, request: &[u8]) -> Option<u16> {
    let address = server.root.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    // The server may answer and close before it has read all.
    let _closed = stream.write_all(request).await;
    let _closed = stream.shutdown().await;
    let mut answer = Vec::new();
    let _reset = stream.read_to_end(&mut answer).await;
    let line = String::from_utf8_lossy(&answer);
    line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text =
        format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

const HOST: (&str, &str) = ("host", "localhost");
const JSON: (&str, &str) = ("content-type", "application/fhir+json");

#[test]
fn odd_paths_are_4xx() {
    test(|server| async move {
        for path in [
            "/default/fhir/Patient/%",
            "/default/fhir/Patient/%0",
            "/default/fhir/Patient/%zz",
            "/default/fhir/Patient/%00",
            "/default/fhir/Patient/%2e%2e",
            "/default/fhir/../../etc/passwd",
            "/default/fhir//Patient/a",
            "//default/fhir/Patient/a",
            "/default//fhir/Patient/a",
            "/%ff/fhir/Patient/a",
            "/default/%66hir%2fPatient",
            "/default/fhir/%50atient/%C0%80",
            "/default/fhir/Patient/a/_history/99999999999999999999",
            "/default/fhir/Patient/a/_history/-1",
            "/default/fhir/Patient/a/_history/1%20",
            "/default/fhir/Patient?_id=a%20b",
            "/default/fhir/Patient?_id=%FF",
            "/default/fhir/Patient?%00=a",
            "/default/fhir/Patient?ct=%00",
            "/default/fhir/_history?_count=99999999999999999999",
            "/default/fhir/_history?_at=0000",
            "/default/fhir/_history?_page=18446744073709551616",
            "/default/fhir/\u{e4}",
            "/default/fhir/Patient/a?_format=%F0%9F%98%80",
            "/default/$actors?_count=x",
            "/$actors",
            "/default",
        ] {
            let status = raw(&server, &request("GET", path, &[HOST], "")).await;
            assert!(status.is_none_or(|status| (400..500).contains(&status)), "{path}: {status:?}");
        }
        for path in [
            "/default/fhir/_history?_page=18446744073709551615",
            "/default/fhir/_history?_since=9999-12-31T23:59:60Z",
            "/default/fhir?",
        ] {
            let status = raw(&server, &request("GET", path, &[HOST], "")).await;
            assert_eq!(status, Some(200), "{path}");
        }
        assert_eq!(server.events().await, 0);
    });
}

#[test]
fn odd_headers_are_no_5xx() {
    test(|server| async move {
        let body = r#"{"resourceType":"Patient","id":"a"}"#;
        for header in [
            ("if-match", "W/\"1"),
            ("if-match", "\u{e4}"),
            ("if-match", ",,,"),
            ("if-none-match", "W/W/\"1\""),
            ("if-none-exist", "%ff"),
            ("if-none-exist", "identifier=|"),
            ("prefer", "return"),
            ("prefer", ";;;=,="),
            ("accept", ";"),
            ("accept", "application/fhir+json;q=x"),
            ("accept-encoding", "\u{e4}"),
            ("accept-encoding", "identity;q=0, *;q=0"),
            ("content-encoding", "gzip"),
            ("content-encoding", "gzip, gzip"),
            ("host", "a\"b<c>"),
            ("x-forwarded-host", "a b"),
            ("x-forwarded-proto", "ja\"va"),
            ("x-request-id", "a\tb"),
            ("transfer-encoding", "gzip"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
            ("range", "bytes=0-1"),
            ("upgrade", "h2c"),
        ] {
            for (method, path) in [
                ("PUT", "/default/fhir/Patient/a"),
                ("POST", "/default/fhir/Patient"),
                ("GET", "/default/fhir/Patient/a"),
            ] {
                let own_host = header.0 == "host";
                let headers: &[(&str, &str)] = if own_host { &[JSON, header] } else { &[HOST, JSON, header] };
                let status = raw(&server, &request(method, path, headers, body)).await;
                assert!(status.is_none_or(|status| status < 500), "{header:?} {method}: {status:?}");
            }
        }
        assert_eq!(server.get("/metadata").await.status, 200);
    });
}

/// Bytes near what is right: a request with pieces replaced, left out and doubled.
fn mutation() -> impl Strategy<Value = Vec<u8>> {
    let seeds = prop_oneof![
        Just(request(
            "PUT",
            "/default/fhir/Patient/a",
            &[HOST, JSON],
            r#"{"resourceType":"Patient","id":"a","meta":{"tag":[{"code":"x"}]},"multipleBirthInteger":1}"#
        )),
        Just(request("GET", "/default/fhir/Patient?name=a&_sort=-birthdate&_count=5", &[HOST], "")),
        Just(request(
            "POST",
            "/default/fhir",
            &[HOST, JSON],
            r#"{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient?_id=a"}}]}"#
        )),
        Just(request("DELETE", "/default/fhir/Patient?identifier=a|b", &[HOST], "")),
    ];
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..6);
    (seeds, edits).prop_map(|(mut bytes, edits)| {
        for (index, byte, kind) in edits {
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => {
                    bytes.remove(at);
                }
                _ => {
                    let piece: Vec<u8> = bytes[at..].iter().take(usize::from(byte)).copied().collect();
                    bytes.splice(at..at, piece);
                }
            }
        }
        bytes
    })
}

/// No handler sees these: the layer of HTTP answers, without an OperationOutcome, and ends the connection.
#[test]
fn what_is_no_http_is_refused_and_others_are_served() {
    test(|server| async move {
        let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "a".repeat(200_000));
        for (bytes, status) in [
            ("GARBAGE\r\n\r\n", 400),
            ("GET /default/fhir/Pat ient HTTP/1.1\r\nhost: x\r\n\r\n", 400),
            ("GET /default/fhir/Patient HTTP/9.9\r\nhost: x\r\n\r\n", 400),
            ("GET /default/fhir/Patient HTTP/1.1\r\nno header\r\n\r\n", 400),
            ("POST /default/fhir/Patient HTTP/1.1\r\nhost: x\r\ncontent-length: abc\r\n\r\n", 400),
            (long.as_str(), 431),
        ] {
            let answered = raw(&server, bytes.as_bytes()).await;
            // Who sends more than is read may find the connection reset before the answer.
            let is_expected = answered == Some(status) || status == 431 && answered.is_none();
            assert!(is_expected, "{answered:?}: {}", bytes.get(..60).unwrap_or(bytes));
        }
        assert_eq!(server.get("/Patient").await.status, 200);
    });
}

#[test]
fn mutated_requests_are_no_5xx() {
    test(|server| async move {
        let mut runner =
            TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        for round in 0..400 {
            let bytes = mutation().new_tree(&mut runner).unwrap().current();
            let status = raw(&server, &bytes).await;
            let text = String::from_utf8_lossy(&bytes);
            assert!(status.is_none_or(|status| status < 500), "round {round}: {status:?} for {text}");
        }
        assert_eq!(server.get("/metadata").await.status, 200);
    });
}

#[test]
fn orders_of_a_web_page_are_refused() {
    test(|server| async move {
        let address = |path: &str| format!("{}/default/{path}", server.root);
        let json = ("content-type", "application/json");
        for (method, path, body) in [
            ("POST", "$rebuild", r#"{"projection":"search"}"#),
            ("DELETE", "$rebuild?projection=search", ""),
            ("POST", "$unpark", r#"{"projection":"search","all":true}"#),
        ] {
            // Its own origin too: a page may have come by a name that was made to lead here.
            for origin in ["http://elsewhere.example", &server.root, "null"] {
                let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
                let request = server.client.request(method, address(path)).header(json.0, json.1);
                let answer = request.header("origin", origin).body(body).send().await.unwrap();
                assert_eq!(answer.status(), 403, "{path} from {origin}");
            }
        }
        let listed = server.client.get(address("$projections")).send().await.unwrap();
        assert!(!listed.text().await.unwrap().contains("building"), "nothing was begun");
    });
}

#[test]
fn a_host_that_is_none_is_refused() {
    test(|server| async move {
        server.put("/Patient/a", r#"{"resourceType":"Patient","id":"a"}"#).await;
        for (name, value) in [
            ("Host", "a b"),
            ("Host", "<x>"),
            ("Host", "a/b"),
            ("Host", "a@b"),
            ("Host", "a\"b"),
            ("X-Forwarded-Host", "<x>"),
            ("X-Forwarded-Proto", "java script"),
        ] {
            let answer = server.send("GET", "/Patient", &[(name, value)], "").await;
            assert_eq!(answer.status, 400, "{name}: {value}: {}", answer.text());
            assert!(!answer.text().contains(value), "{}", answer.text());
        }
        for value in ["fhir.example.org", "fhir.example.org:8080", "[::1]:80", "a_b"] {
            let answer = server.send("GET", "/Patient", &[("Host", value)], "").await;
            let own = format!("http://{value}/default/fhir/Patient");
            assert_eq!(answer.json()["link"][0]["url"].as_str(), Some(own.as_str()), "{}", answer.text());
        }
    });
}
