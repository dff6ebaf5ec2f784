//! What stands before the service: bounds, rates, time, headers, and pages of other origins.

use std::num::NonZeroU32;
use std::time::Duration;

use anamnesis::api::{ApiOptions, Complexity, Cors, GuardOptions, Limits, Rate};
use reqwest::header::HeaderMap;

use crate::support::{Answer, FHIR, Hold, Server, Setup, eventually, test, test_with};

const PATIENT: &str = r#"{"resourceType":"Patient","id":"a"}"#;
const APP: &str = "https://app.example";

fn guarded(guard: GuardOptions) -> Setup {
    Setup { guard, ..Setup::default() }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

#[test]
fn every_answer_keeps_out_of_caches_and_frames() {
    test(|server| async move {
        assert_eq!(server.put("/Patient/a", PATIENT).await.status, 201);
        let read = server.get("/Patient/a").await;
        let etag = header(&read.headers, "etag").unwrap().to_owned();
        let unchanged = server.send("GET", "/Patient/a", &[("If-None-Match", &etag)], "").await;
        assert_eq!(unchanged.status, 304, "caches are kept out, conditional reads are not");
        let refused = server.get("/Patient/none").await;
        let nothing = server.client.get(format!("{}/nothing", server.root)).send().await.unwrap();
        for headers in [&read.headers, &unchanged.headers, &refused.headers, nothing.headers()] {
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("cache-control", "no-store"),
                ("referrer-policy", "no-referrer"),
                ("x-frame-options", "DENY"),
                ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ] {
                assert_eq!(header(headers, name), Some(value), "{name} in {headers:?}");
            }
            assert_eq!(header(headers, "strict-transport-security"), None, "this is not TLS");
            assert_eq!(header(headers, "access-control-allow-origin"), None);
        }
    });
}

#[test]
fn long_addresses_and_many_headers_are_refused() {
    let guard = GuardOptions {
        url_bytes_max: 500,
        headers_max: 20,
        header_bytes_max: 2000,
        ..GuardOptions::default()
    };
    test_with(guarded(guard), |server| async move {
        let long = server.get(&format!("/Patient?family={}", "a".repeat(500))).await;
        assert_eq!((long.status.as_u16(), long.outcome().as_str()), (414, "too-long"));
        assert!(long.text().contains("_search"), "{}", long.text());
        let many: Vec<(String, String)> = (0..30).map(|i| (format!("x-{i}"), "1".to_owned())).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, &**value)).collect();
        let large = "a".repeat(2000);
        for headers in [many.as_slice(), &[("x-large", large.as_str())]] {
            let refused = server.send("GET", "/Patient", headers, "").await;
            assert_eq!((refused.status.as_u16(), refused.outcome().as_str()), (431, "too-long"));
        }
        assert_eq!(server.get("/Patient").await.status, 200);
    });
}

fn rate(per_second: u32, burst: u32) -> Option<Rate> {
    let count = |count| NonZeroU32::new(count).unwrap();
    Some(Rate { per_second: count(per_second), burst: count(burst) })
}

#[test]
fn who_asks_too_often_is_told_when_to_come_back() {
    let limits = Limits { of_client: rate(1, 3), ..Limits::default() };
    let guard = GuardOptions { limits: [("default".to_owned(), limits)].into(), ..GuardOptions::default() };
    test_with(guarded(guard), |server| async move {
        let mut answers: Vec<Answer> = Vec::new();
        for _ in 0..10 {
            answers.push(server.get("/metadata").await);
        }
        let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 429).collect();
        // Three at once, and one for each second that this took.
        assert!(refused.len() >= 3 && answers[..3].iter().all(|answer| answer.status == 200), "{answers:?}");
        assert_eq!(refused[0].outcome(), "throttled");
        assert_eq!(header(&refused[0].headers, "retry-after"), Some("1"));
        assert_eq!(header(&refused[0].headers, "x-ms-retry-after-ms"), Some("1000"));
        assert_eq!(header(&refused[0].headers, "cache-control"), Some("no-store"));
    });
}

#[test]
fn a_request_that_takes_too_long_is_given_up_and_its_write_is_whole() {
    let guard = GuardOptions { request_wait: Some(Duration::from_millis(20)), ..GuardOptions::default() };
    test_with(guarded(guard), |server| async move {
        let bundle = r#"{"resourceType":"Bundle","type":"transaction","entry":[
            {"resource":{"resourceType":"Patient","id":"a"},"request":{"method":"PUT","url":"Patient/a"}},
            {"resource":{"resourceType":"Patient","id":"b"},"request":{"method":"PUT","url":"Patient/b"}}]}"#;
        // Held still, so that nothing is answered before its time is over.
        let hold = Hold::appends(&server.database).await;
        for _ in 0..5 {
            let answer = server.send("POST", "", &[FHIR], bundle).await;
            assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (504, "timeout"));
            assert!(answer.text().contains("whole or not at all"), "{}", answer.text());
        }
        hold.release().await;
        let hold = Hold::reads(&server.database).await;
        let read = server.get("/Patient/other").await;
        assert_eq!((read.status.as_u16(), read.outcome().as_str()), (504, "timeout"));
        assert!(!read.text().contains("whole or not at all"), "{}", read.text());
        hold.release().await;
        // The server goes on, and no bundle was torn.
        let beside = server.beside().await;
        assert_eq!(beside.put("/Patient/c", r#"{"resourceType":"Patient","id":"c"}"#).await.status, 201);
        let status = |id: &'static str| {
            let beside = &beside;
            async move { beside.get(&format!("/Patient/{id}")).await.status }
        };
        // A bundle that was given up may be written between two of these reads, but never one half of it.
        let (before, other, after) = (status("a").await, status("b").await, status("a").await);
        assert!(other == before || other == after, "{before} {other} {after}");
        beside.stop().await;
    });
}

fn cors() -> Setup {
    let cors = Cors {
        origins: vec![APP.to_owned()],
        headers: vec!["*".to_owned()],
        methods: vec!["GET".to_owned(), "PUT".to_owned()],
        max_age_s: Some(60),
        credentials: true,
    };
    let place = ("default".to_owned(), "fhir".to_owned());
    guarded(GuardOptions { cors: [(place, cors)].into(), ..GuardOptions::default() })
}

async fn preflight(server: &Server, url: &str, origin: &str) -> reqwest::Response {
    let request = server.client.request(reqwest::Method::OPTIONS, url).header("origin", origin);
    let request = request.header("access-control-request-method", "PUT");
    request.header("access-control-request-headers", "authorization, if-match").send().await.unwrap()
}

#[test]
fn pages_of_allowed_origins_may_ask_and_others_see_nothing() {
    test_with(cors(), |server| async move {
        let url = format!("{}/Patient/a", server.base);
        let asked = preflight(&server, &url, APP).await;
        assert_eq!(asked.status(), 204);
        for (name, value) in [
            ("access-control-allow-origin", APP),
            ("access-control-allow-methods", "GET, PUT"),
            ("access-control-allow-headers", "authorization, if-match"),
            ("access-control-max-age", "60"),
            ("access-control-allow-credentials", "true"),
            ("vary", "Origin"),
        ] {
            assert_eq!(header(asked.headers(), name), Some(value), "{name}");
        }
        let written = server.send("PUT", "/Patient/a", &[FHIR, ("origin", APP)], PATIENT).await;
        assert_eq!(written.status, 201);
        assert_eq!(header(&written.headers, "access-control-allow-origin"), Some(APP));
        assert!(header(&written.headers, "access-control-expose-headers").unwrap().contains("ETag"));
        for origin in ["https://app.example.evil", "http://app.example", "null", "https://APP.example"] {
            let asked = preflight(&server, &url, origin).await;
            let read = server.send("GET", "/Patient/a", &[("origin", origin)], "").await;
            for headers in [asked.headers(), &read.headers] {
                assert!(
                    headers.keys().all(|name| !name.as_str().starts_with("access-control")),
                    "{headers:?}"
                );
                assert!(headers.get_all("vary").iter().any(|vary| vary == "Origin"), "{headers:?}");
            }
        }
    });
}

#[test]
fn operators_addresses_are_open_to_no_page() {
    test_with(cors(), |server| async move {
        let url = format!("{}/default/$rebuild", server.root);
        let asked = preflight(&server, &url, APP).await;
        assert_eq!(header(asked.headers(), "access-control-allow-origin"), None);
        let order = server.client.post(&url).header("origin", APP).header("content-type", "application/json");
        let refused = order.body(r#"{"projection":"search"}"#).send().await.unwrap();
        assert_eq!(refused.status(), 403);
        assert_eq!(header(refused.headers(), "access-control-allow-origin"), None);
    });
}

#[test]
fn every_origin_may_be_allowed_but_then_without_credentials() {
    let cors = Cors { origins: vec!["*".to_owned()], credentials: true, ..Cors::default() };
    let place = ("default".to_owned(), "fhir".to_owned());
    let guard = GuardOptions { cors: [(place, cors)].into(), ..GuardOptions::default() };
    test_with(guarded(guard), |server| async move {
        let read = server.send("GET", "/metadata", &[("origin", APP)], "").await;
        assert_eq!(header(&read.headers, "access-control-allow-origin"), Some("*"));
        assert_eq!(header(&read.headers, "access-control-allow-credentials"), None);
    });
}

#[test]
fn a_search_that_asks_for_too_much_is_refused() {
    let complexity = Complexity { criteria_max: 3, values_max: 4, links_max: 2, includes_max: 1 };
    let api = ApiOptions { complexity, ..ApiOptions::default() };
    test_with(Setup { api, ..Setup::default() }, |server| async move {
        for query in [
            "Patient?family=a&given=b&gender=male&active=true",
            "Patient?family=a,b,c,d,e",
            "Observation?subject:Patient.organization.partof.name=a",
            "Patient?_revinclude=Observation:subject&_revinclude=Encounter:subject",
        ] {
            let refused = server.get(&format!("/{query}")).await;
            assert_eq!((refused.status.as_u16(), refused.outcome().as_str()), (400, "too-costly"), "{query}");
        }
        let headers = [FHIR, ("If-None-Exist", "family=a,b,c,d,e")];
        let refused = server.send("POST", "/Patient", &headers, r#"{"resourceType":"Patient"}"#).await;
        assert_eq!((refused.status.as_u16(), refused.outcome().as_str()), (400, "too-costly"));
        let fine =
            "/Observation?subject:Patient.organization.name=a,b&_include=Observation:subject&status=final";
        assert_eq!(server.get(fine).await.status, 200);
        assert_eq!(server.events().await, 0);
    });
}

#[test]
fn what_goes_wrong_inside_is_told_to_nobody_outside() {
    test(|server| async move {
        assert_eq!(server.put("/Patient/a", PATIENT).await.status, 201);
        assert_eq!(server.get("/Patient?_id=a").await.status, 200);
        let (client, connection) =
            tokio_postgres::connect(&server.database, tokio_postgres::NoTls).await.unwrap();
        let _connection = tokio::spawn(connection);
        // Every table that a request may want is another one now.
        let tables = client
            .query("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')", &[])
            .await
            .unwrap();
        assert!(tables.len() > 5, "{}", tables.len());
        for (number, table) in tables.iter().enumerate() {
            let name: String = table.get(0);
            client.batch_execute(&format!("ALTER TABLE {name} RENAME TO gone_{number}")).await.unwrap();
        }
        let mut failed = 0;
        let requests = [
            ("GET", "/Patient/a", ""),
            ("GET", "/Patient/a/_history", ""),
            ("GET", "/Patient?family=a", ""),
            ("GET", "/Observation?subject:Patient.name=a&_include=Observation:subject", ""),
            ("GET", "/Patient/a/$everything", ""),
            ("PUT", "/Patient/a", PATIENT),
            ("POST", "/Patient", r#"{"resourceType":"Patient"}"#),
            ("DELETE", "/Patient?family=a", ""),
            ("POST", "/$reindex", r#"{"resourceType":"Parameters"}"#),
            ("GET", "/ValueSet/$expand?url=urn:none", ""),
        ];
        for (method, path, body) in requests {
            let answer = server.send(method, path, &[FHIR], body).await;
            failed += usize::from(answer.status.is_server_error());
            silent(&format!("{method} {path}"), &answer.text());
        }
        for path in ["$events?from=1", "$projections", "$actors"] {
            let answer = server.client.get(format!("{}/default/{path}", server.root)).send().await.unwrap();
            silent(path, &answer.text().await.unwrap_or_default());
        }
        assert!(failed >= 5, "only {failed} requests failed: this shows nothing");
        eventually("the server still answers", || async { server.get("/metadata").await.status == 200 })
            .await;
    });
}

/// An answer says nothing of statements, tables, source files or backtraces.
fn silent(what: &str, text: &str) {
    let lower = text.to_lowercase();
    for word in [
        "select ",
        "insert ",
        "relation ",
        "sqlstate",
        "postgres",
        "gone_",
        "panicked",
        ".rs:",
        "backtrace",
        "column ",
        "db error",
    ] {
        assert!(!lower.contains(word), "{what} tells {word:?}: {text}");
    }
}
