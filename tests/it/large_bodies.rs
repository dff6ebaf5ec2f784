//! Large bodies: few are worked on at a time, beside the threads that serve, and their memory counts until the answer.

use std::sync::Arc;
use std::time::Duration;

use anamnesis::api::{ApiOptions, Arriving, GuardOptions, Large};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Answer, FHIR, Hold, Server, Setup, eventually, in_time, test_with};

/// White space, which makes a body large and no more than that.
fn padding() -> String {
    " ".repeat(2 << 20)
}

fn patient(id: &str) -> String {
    format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#)
}

type Sent = tokio::task::JoinHandle<Answer>;

fn send(
    server: &Arc<Server>,
    (method, path, media): (&'static str, &'static str, &'static str),
    body: String,
) -> Sent {
    let server = Arc::clone(server);
    tokio::spawn(async move { server.send(method, path, &[("Content-Type", media)], body).await })
}

#[test]
fn large_bodies_of_every_sort_wait_for_a_place_and_small_ones_do_not() {
    let large = Large::new(0);
    let api = ApiOptions { large: large.clone(), ..ApiOptions::default() };
    test_with(Setup { api, ..Setup::default() }, |server| async move {
        let xml = r#"<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>"#;
        let bundle = |kind: &str| json!({ "resourceType": "Bundle", "type": kind }).to_string();
        let sorts = [
            (("POST", "/Patient", FHIR.1), patient("a")),
            (("PUT", "/Patient/a", FHIR.1), patient("a")),
            (("PUT", "/Patient?_id=a", FHIR.1), patient("a")),
            (("POST", "/Patient", "application/fhir+xml"), xml.to_owned()),
            (("PATCH", "/Patient/a", "application/json-patch+json"), "[]".to_owned()),
            (("POST", "/Patient/$validate", FHIR.1), patient("a")),
            (("POST", "/", FHIR.1), bundle("batch")),
            (("POST", "/", FHIR.1), bundle("transaction")),
            (("POST", "/Binary", "text/plain"), String::new()),
        ];
        let count = sorts.len();
        let sent: Vec<Sent> =
            sorts.into_iter().map(|(sort, body)| send(&server, sort, body + &padding())).collect();
        eventually("all wait for a place", async || large.waiting() == count).await;
        assert_eq!(server.put("/Patient/b", patient("b")).await.status, 201);
        assert_eq!(server.get("/Patient/b").await.status, 200);
        assert_eq!(server.events().await, 1);
        sent.iter().for_each(Sent::abort);
    });
}

#[test]
fn large_bodies_are_served_as_others_are() {
    let api = ApiOptions { large: Large::new(1), ..ApiOptions::default() };
    test_with(Setup { api, ..Setup::default() }, |server| async move {
        let entry = json!([{ "resource": { "resourceType": "Patient", "id": "b" },
            "request": { "method": "PUT", "url": "Patient/b" } }]);
        let bundle = json!({ "resourceType": "Bundle", "type": "transaction", "entry": entry }).to_string();
        let xml = r#"<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>"#;
        let xml_media = "application/fhir+xml";
        for (sort, body, status) in [
            (("PUT", "/Patient/a", FHIR.1), patient("a"), 201),
            (("POST", "/", FHIR.1), bundle, 200),
            (("POST", "/Patient", xml_media), xml.to_owned(), 201),
            (("POST", "/Patient/$validate", FHIR.1), patient("a"), 200),
            (("POST", "/Patient", xml_media), xml.replace("active", "passive"), 400),
            (("POST", "/Patient?_profile=x", FHIR.1), patient("a") + "]", 400),
        ] {
            let answer = send(&server, sort, body + &padding()).await.unwrap();
            assert_eq!(answer.status, status, "{sort:?}: {}", answer.text());
        }
        assert_eq!(server.events().await, 3);
    });
}

#[test]
fn the_memory_of_a_body_counts_until_its_request_is_answered() {
    let api = ApiOptions { arriving: Arriving::new(3 << 20), ..ApiOptions::default() };
    test_with(Setup { api, ..Setup::default() }, |server| async move {
        let hold = Hold::appends(&server.database).await;
        let first = send(&server, ("PUT", "/Patient/a", FHIR.1), patient("a") + &padding());
        hold.until_waiting(1).await;
        let second = server.put("/Patient/b", patient("b") + &padding()).await;
        assert_eq!((second.status.as_u16(), second.outcome().as_str()), (503, "transient"));
        hold.release().await;
        assert_eq!(in_time("the first", first).await.unwrap().status, 201);
        assert_eq!(server.put("/Patient/b", patient("b") + &padding()).await.status, 201);
    });
}

#[test]
fn a_body_that_arrives_drop_by_drop_is_given_up() {
    let api = ApiOptions { body_wait: Duration::from_millis(100), ..ApiOptions::default() };
    test_with(Setup { api, ..Setup::default() }, |server| async move {
        let head = "PUT /default/fhir/Patient/a HTTP/1.1\r\nhost: x\r\ncontent-type: application/fhir+json\r\n\
                    content-length: 30000000\r\n\r\n";
        let stream = tokio::net::TcpStream::connect(server.root.trim_start_matches("http://")).await.unwrap();
        let (mut from, mut to) = stream.into_split();
        to.write_all(head.as_bytes()).await.unwrap();
        // Never long enough without a byte to be given up for that.
        let drip = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(5));
            while to.write_all(b" ").await.is_ok() {
                tick.tick().await;
            }
        });
        let mut answer = [0; 12];
        in_time("the body", from.read_exact(&mut answer)).await.unwrap();
        drip.abort();
        assert_eq!(std::str::from_utf8(&answer), Ok("HTTP/1.1 408"));
        assert_eq!(server.events().await, 0);
    });
}

#[test]
fn who_sends_too_much_is_told_the_bound_of_what_he_sends() {
    let api = ApiOptions { body_bytes_max: 2 << 20, ..ApiOptions::default() };
    test_with(Setup { api, ..Setup::default() }, |server| async move {
        for (sort, bound) in [
            (
                ("POST", "/Patient/_search", "application/x-www-form-urlencoded"),
                "1048576 bytes, which is the most that this server takes of the form of a search",
            ),
            (
                ("POST", "/Patient", FHIR.1),
                "2097152 bytes, which is the most that this server takes of a body",
            ),
            (
                ("POST", "/Binary", "text/plain"),
                "1568768 bytes, which is the most that this server takes of the content of a Binary",
            ),
        ] {
            let answer = send(&server, sort, padding() + " ").await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (413, "too-long"));
            assert!(answer.text().contains(bound), "{}", answer.text());
        }
    });
}

/// A bound of the HTTP library, which answers by itself.
#[test]
fn more_headers_than_the_library_takes_are_a_bare_431() {
    let guard = GuardOptions { headers_max: 200, ..GuardOptions::default() };
    test_with(Setup { guard, ..Setup::default() }, |server| async move {
        for (count, status) in [(95, "200"), (96, "431")] {
            let mut stream =
                tokio::net::TcpStream::connect(server.root.trim_start_matches("http://")).await.unwrap();
            let headers: String = (0..count).map(|number| format!("x-{number}: 1\r\n")).collect();
            let request = format!("GET /default/fhir/metadata HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = [0; 12];
            in_time("the answer", stream.read_exact(&mut answer)).await.unwrap();
            assert_eq!(std::str::from_utf8(&answer), Ok(format!("HTTP/1.1 {status}").as_str()));
        }
    });
}
