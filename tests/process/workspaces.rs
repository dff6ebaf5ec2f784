//! Workspaces on one server: each has a log, an index and services of its own, and sees nothing of the others, whichever
//! way somebody tries.
//!
//! `one` has the secrets: a patient with the family name Geheim and what belongs to her, all of it with the word Vertraulich,
//! which nobody asks for. Every attempt is made from `two`, and
//! the same is done in `one` first, where it finds something: an attempt that finds nothing anywhere shows nothing.

use futures::TryStreamExt;
use serde_json::{Value, json};

use crate::support::{Server, folder, serve, until};

const CONFIGURATION: &str = "
[workspaces.one.services.fhir]
kind = 'fhir'
[workspaces.two.services.fhir]
kind = 'fhir'
";
/// Nothing of these may be in anything that `two` says.
const SECRETS: [&str; 2] = ["Vertraulich", "one/fhir"];

/// An answer to a request.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn entries(&self) -> usize {
        self.json()["entry"].as_array().map_or(0, Vec::len)
    }

    fn header(&self, name: &str) -> String {
        let line = self.head.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}: ")));
        line.unwrap().split_once(": ").unwrap().1.to_owned()
    }
}

/// Two workspaces on one server.
struct Two {
    server: Server,
    data: tempfile::TempDir,
}

impl Two {
    fn start() -> Two {
        let data = folder();
        let file = data.path().join("anamnesis.toml");
        std::fs::write(&file, CONFIGURATION).unwrap();
        let mut command = serve(data.path());
        command.arg("--config").arg(&file);
        let server = Server::start_with(command, data.path());
        let two = Two { server, data };
        for (path, body) in one_has() {
            let answer = two.ask("PUT", &format!("/one/fhir/{path}"), &body.to_string());
            assert_eq!(answer.status, 201, "{path}: {}", answer.body);
        }
        two
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let answer = self.server.exchange(method, path, body).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = match head.to_lowercase().contains("transfer-encoding: chunked") {
            true => unchunked(body),
            false => body.to_owned(),
        };
        Answer { status, head: head.to_owned(), body }
    }

    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    /// Asks `two` for something; what it says must hold nothing of `one`.
    fn attempt(&self, method: &str, path: &str, body: &str) -> Answer {
        let answer = self.ask(method, path, body);
        for secret in SECRETS {
            let leaks = answer.body.contains(secret) || answer.head.contains(secret);
            assert!(!leaks, "{method} {path} tells {secret}:\n{}\n{}", answer.head, answer.body);
        }
        answer
    }
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.push_str(&rest[..size]);
        body = &rest[size + 2..];
        if size == 0 {
            break;
        }
    }
    whole
}

fn one_has() -> Vec<(&'static str, Value)> {
    let about = json!({ "reference": "Patient/a" });
    vec![
        (
            "Patient/a",
            json!({ "resourceType": "Patient", "id": "a", "name": [{ "family": "Geheim", "given": ["Vertraulich"] }],
                "identifier": [{ "system": "urn:x", "value": "geheim-1" }] }),
        ),
        (
            "Observation/o",
            json!({ "resourceType": "Observation", "id": "o", "status": "final", "subject": about,
                "code": { "coding": [{ "system": "urn:codes", "code": "geheim" }], "text": "Vertraulich" } }),
        ),
        (
            "CodeSystem/c",
            json!({ "resourceType": "CodeSystem", "id": "c", "url": "urn:codes", "status": "active",
                "content": "complete", "concept": [{ "code": "geheim", "display": "Vertraulich" }] }),
        ),
        (
            "ValueSet/v",
            json!({ "resourceType": "ValueSet", "id": "v", "url": "urn:values", "status": "active", "title": "Vertraulich",
                "compose": { "include": [{ "system": "urn:codes" }] } }),
        ),
    ]
}

#[test]
fn nothing_is_reached_by_an_id_an_address_or_a_search() {
    let mut two = Two::start();
    let reads = ["Patient/a", "Patient/a/_history/1", "Observation/o", "CodeSystem/c"];
    for path in reads {
        assert_eq!(two.get(&format!("/one/fhir/{path}")).status, 200, "{path}");
        assert_eq!(two.attempt("GET", &format!("/two/fhir/{path}"), "").status, 404, "{path}");
    }
    // Its addresses lead nowhere from the other one, however they are written.
    for path in
        ["/two/fhir/../../one/fhir/Patient/a", "/two/%2e%2e/one/fhir/Patient/a", "/two/one/fhir/Patient/a"]
    {
        let answer = two.ask("GET", path, "");
        assert!(answer.status >= 400, "{path}: {}", answer.body);
        assert!(!answer.body.contains("Vertraulich"), "{path}: {}", answer.body);
    }
    let searches = [
        "Patient?family=Geheim",
        "Patient?identifier=urn:x%7Cgeheim-1",
        "Observation?subject=Patient/a",
        "Observation?patient.family=Geheim",
        "Observation?subject:Patient.identifier=urn:x%7Cgeheim-1",
        "Patient?_has:Observation:subject:code=geheim",
        "Patient?_id=a&_revinclude=Observation:subject",
        "Observation?_id=o&_include=Observation:subject",
        "Patient/a/Observation",
        "Patient/a/$everything",
        "_history",
        "Patient/_history",
        "Patient?_lastUpdated=gt2000-01-01",
        "ValueSet?url=urn:values",
    ];
    // So that there is something to include and to chain through.
    let own = json!({ "resourceType": "Observation", "id": "own", "status": "final", "code": { "text": "x" },
        "subject": { "reference": format!("http://{}/one/fhir/Patient/a", two.server.address) } });
    assert_eq!(two.ask("PUT", "/two/fhir/Observation/own", &own.to_string()).status, 201);
    for search in searches {
        assert!(
            two.get(&format!("/one/fhir/{search}")).entries() > 0,
            "{search} finds nothing in `one` either"
        );
        let answer = two.ask("GET", &format!("/two/fhir/{search}"), "");
        assert!(!answer.body.contains("Vertraulich"), "{search}: {}", answer.body);
        let ids: Vec<Value> = match answer.status {
            200 => answer.json()["entry"].as_array().cloned().unwrap_or_default(),
            _ => Vec::new(),
        };
        assert!(ids.iter().all(|entry| entry["resource"]["id"] == "own"), "{search}: {}", answer.body);
    }
    // A reference to it is only text: nothing is fetched along.
    let included = two.ask("GET", "/two/fhir/Observation?_include=Observation:subject", "");
    assert_eq!(included.entries(), 1, "{}", included.body);
    two.server.stop_in_order();
}

#[test]
fn the_same_ids_are_other_resources_with_versions_of_their_own() {
    let mut two = Two::start();
    let patient = r#"{"resourceType":"Patient","id":"a","name":[{"family":"Other"}]}"#;
    assert_eq!(
        two.attempt("PUT", "/two/fhir/Patient/a", patient).status,
        201,
        "not an update of the other one"
    );
    assert_eq!(two.attempt("DELETE", "/two/fhir/Patient/a", "").status, 204);
    assert_eq!(two.attempt("DELETE", "/two/fhir/Patient?family=Geheim", "").status, 204);
    assert_eq!(two.get("/one/fhir/Patient/a").json()["name"][0]["family"], "Geheim");
    assert_eq!(two.get("/one/fhir/Patient/a").json()["meta"]["versionId"], "1");
    // An identifier that is taken there is free here.
    let bundle = json!({ "resourceType": "Bundle", "type": "transaction", "entry": [{
        "resource": { "resourceType": "Patient", "active": true },
        "request": { "method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:x|geheim-1" } }] });
    let answer = two.ask("POST", "/two/fhir", &bundle.to_string());
    assert!(
        answer.json()["entry"][0]["response"]["status"].as_str().unwrap().starts_with("201"),
        "{}",
        answer.body
    );
    // And a conditional reference finds nothing there.
    let bundle = json!({ "resourceType": "Bundle", "type": "transaction", "entry": [{
        "resource": { "resourceType": "Observation", "status": "final", "code": { "text": "x" },
            "subject": { "reference": "Patient?family=Geheim" } },
        "request": { "method": "POST", "url": "Observation" } }] });
    let answer = two.attempt("POST", "/two/fhir", &bundle.to_string());
    assert_eq!(answer.status, 400, "there is no such patient: {}", answer.body);
    two.server.stop_in_order();
}

#[test]
fn feeds_and_operators_see_their_own_workspace_only() {
    let mut two = Two::start();
    let feed = two.get("/one/$events?from=1");
    assert_eq!(feed.body.lines().count(), 4, "{}", feed.body);
    for path in [
        "/two/$events?from=1",
        "/two/$events?from=1&compartment=Patient/a",
        "/two/$actors",
        "/two/$projections",
    ] {
        let answer = two.attempt("GET", path, "");
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.contains("Patient/a"), "{path}: {}", answer.body);
    }
    assert_eq!(two.get("/two/$events?from=1").body, "", "no position of the other log");
    // The subjects of the stream, as a subscriber of NATS gets them.
    let running = anamnesis_engines::running(two.data.path()).unwrap().unwrap();
    let nats = running.nats_url.unwrap();
    let messages = until("the relay has published", || {
        let messages = messages(&nats, "anamnesis.>");
        (messages.len() == 4).then_some(messages)
    });
    for (stream, subject) in messages {
        assert!(subject.starts_with("anamnesis.one.fhir."), "{stream}: {subject}");
        assert!(!stream.to_lowercase().contains("two"), "{stream}: {subject}");
    }
    two.server.stop_in_order();
}

#[test]
fn jobs_pages_keys_and_terminology_stay_inside() {
    let mut two = Two::start();
    // A job's id is good where it was given only.
    let job = two.ask("POST", "/one/fhir/$reindex", r#"{"resourceType":"Parameters"}"#);
    assert_eq!(job.status, 201, "{}", job.body);
    let location = job.header("content-location");
    let path = location.split("/one/fhir/").nth(1).unwrap();
    assert_eq!(two.get(&format!("/one/fhir/{path}")).status, 200);
    for method in ["GET", "DELETE"] {
        assert_eq!(two.attempt(method, &format!("/two/fhir/{path}"), "").status, 404, "{method}");
    }
    // An export and its files too.
    let asked = "Accept: application/fhir+json\r\nPrefer: respond-async\r\n";
    let begun = two.server.exchange_with("GET", "/one/fhir/$export", asked, "").unwrap();
    let location = begun.lines().find(|line| line.to_lowercase().starts_with("content-location: ")).unwrap();
    let path = location.trim().split("/one/fhir/").nth(1).unwrap();
    until("the export is done", || (two.get(&format!("/one/fhir/{path}")).status == 200).then_some(()));
    let file = format!("{path}/Patient-1.ndjson");
    assert!(two.get(&format!("/one/fhir/{file}")).body.contains("Vertraulich"));
    for (method, path) in [("GET", path), ("GET", &file), ("DELETE", path)] {
        assert_eq!(two.attempt(method, &format!("/two/fhir/{path}"), "").status, 404, "{method} {path}");
    }
    assert_eq!(two.get(&format!("/one/fhir/{file}")).status, 200, "it is there still");
    // The token of a page holds where it stood in the index, and finds nothing in another one.
    for id in ["x", "y", "z"] {
        let body = format!(r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"Vertraulich"}}]}}"#);
        assert_eq!(two.server.put(&format!("/one/fhir/Patient/{id}"), &body), Some(201));
    }
    let page = two.get("/one/fhir/Patient?_count=1").json();
    let next = page["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next").unwrap();
    let query = next["url"].as_str().unwrap().split("/one/fhir/").nth(1).unwrap();
    assert_eq!(two.get(&format!("/one/fhir/{query}")).entries(), 1);
    let elsewhere = two.attempt("GET", &format!("/two/fhir/{query}"), "");
    let found = elsewhere.json()["entry"].as_array().cloned().unwrap_or_default();
    assert!(found.iter().all(|entry| entry["search"]["mode"] == "outcome"), "{}", elsewhere.body);
    // Codes of the one are not known to the other.
    for (path, there) in [
        ("CodeSystem/$lookup?system=urn:codes&code=geheim", "Vertraulich"),
        ("ValueSet/$expand?url=urn:values", "Vertraulich"),
        ("ValueSet/$validate-code?url=urn:values&system=urn:codes&code=geheim", "true"),
    ] {
        let known = until("the terminology is known", || {
            let answer = two.get(&format!("/one/fhir/{path}"));
            (answer.status == 200).then_some(answer)
        });
        assert!(known.body.contains(there), "{path}: {}", known.body);
        let unknown = two.ask("GET", &format!("/two/fhir/{path}"), "");
        assert_ne!(unknown.status, 200, "{path}: {}", unknown.body);
        assert!(!unknown.body.contains("Vertraulich"), "{path}: {}", unknown.body);
    }
    two.server.stop_in_order();
}

#[test]
fn a_key_of_one_workspace_replays_nothing_in_another() {
    let mut two = Two::start();
    let create = |workspace: &str, family: &str| {
        let body = format!(r#"{{"resourceType":"Patient","name":[{{"family":"{family}"}}]}}"#);
        let head = "Idempotency-Key: one-and-the-same\r\n";
        two.server.exchange_with("POST", &format!("/{workspace}/fhir/Patient"), head, &body).unwrap()
    };
    let (first, again, other) = (create("one", "Geheim"), create("one", "Geheim"), create("two", "Other"));
    let location = |answer: &str| {
        let line = answer.lines().find(|line| line.to_lowercase().starts_with("location: ")).unwrap();
        line.to_owned()
    };
    assert_eq!(location(&first), location(&again), "replayed");
    assert!(other.starts_with("HTTP/1.1 201") && location(&other).contains("/two/fhir/"), "{other}");
    assert!(!other.contains("Geheim"), "{other}");
    two.server.stop_in_order();
}

/// The messages that the streams hold by a subject: the stream and the subject of each.
fn messages(nats: &str, filter: &str) -> Vec<(String, String)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let context = async_nats::jetstream::new(async_nats::connect(nats).await.unwrap());
        let names: Vec<String> = context.stream_names().try_collect().await.unwrap();
        let mut found = Vec::new();
        for name in names {
            let stream = context.get_stream(&name).await.unwrap();
            let subjects: Vec<(String, usize)> =
                stream.info_with_subjects(filter).await.unwrap().try_collect().await.unwrap();
            for (subject, count) in subjects {
                found.extend(std::iter::repeat_n((name.clone(), subject), count));
            }
        }
        found
    })
}
