//! What is on record of an access: who, what, from where, whose data, what came of it, before the answer leaves.

use anamnesis::audit::Mode;
use anamnesis_audit::{Action, AuditOptions, Kind, Number, Outcome, Record};
use serde_json::json;

use crate::support::{FHIR, JSON, Server, Setup, eventually, test, test_with};

pub(crate) fn setup() -> Setup {
    Setup { audit: Some((AuditOptions::default(), Mode::Required)), ..Setup::default() }
}

/// The records after a number.
pub(crate) async fn records(server: &Server, after: u64) -> Vec<Record> {
    let log = server.audit.as_ref().unwrap();
    let records = log.read(Number::new(after), 10_000).await.unwrap();
    records.into_iter().map(|recorded| recorded.record).collect()
}

async fn fill(server: &Server) {
    for (path, body) in [
        ("/Patient/a", json!({"resourceType": "Patient", "id": "a"})),
        ("/Patient/b", json!({"resourceType": "Patient", "id": "b"})),
        (
            "/Observation/o",
            json!({"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"},
                "subject": {"reference": "Patient/a"}, "performer": [{"reference": "Patient/b"}]}),
        ),
        ("/Organization/g", json!({"resourceType": "Organization", "id": "g", "name": "G"})),
    ] {
        assert_eq!(server.put(path, body.to_string()).await.status, 201, "{path}");
    }
}

fn what(record: &Record) -> Vec<(&str, Option<u32>)> {
    record.entities.iter().map(|entity| (entity.what.as_str(), entity.version)).collect()
}

/// A request, and what is to be on record of it.
struct Case {
    request: (&'static str, &'static str),
    body: &'static str,
    status: u16,
    told: (&'static str, Action),
    what: &'static [(&'static str, Option<u32>)],
    patients: &'static [&'static str],
}

const fn case(
    request: (&'static str, &'static str),
    status: u16,
    told: (&'static str, Action),
    what: &'static [(&'static str, Option<u32>)],
    patients: &'static [&'static str],
) -> Case {
    Case { request, body: "", status, told, what, patients }
}

const PATCH: &str = r#"[{"op":"add","path":"/active","value":true}]"#;
const A: &str = "Patient/a";
const B: &str = "Patient/b";

const CASES: [Case; 13] = [
    case(("GET", "/Patient/a"), 200, ("read", Action::R), &[(A, Some(1))], &[A]),
    case(
        ("GET", "/Observation/o/_history/1"),
        200,
        ("vread", Action::R),
        &[("Observation/o", Some(1))],
        &[A, B],
    ),
    case(
        ("GET", "/Observation/o/_history"),
        200,
        ("history-instance", Action::R),
        &[("Observation/o", None)],
        &[A, B],
    ),
    case(("GET", "/Organization/g"), 200, ("read", Action::R), &[("Organization/g", Some(1))], &[]),
    case(("GET", "/Patient?_id=a,b"), 200, ("search-type", Action::E), &[], &[A, B]),
    case(("GET", "/Patient/a/Observation"), 200, ("search", Action::E), &[(A, None)], &[A, B]),
    case(("GET", "/Patient/b/$everything"), 200, ("$everything", Action::E), &[(B, None)], &[A, B]),
    case(("GET", "/Patient/none"), 404, ("read", Action::R), &[("Patient/none", None)], &["Patient/none"]),
    Case { body: "{}", ..case(("POST", "/Patient"), 400, ("create", Action::C), &[], &[]) },
    Case { body: PATCH, ..case(("PATCH", "/Patient/a"), 200, ("patch", Action::U), &[(A, Some(2))], &[A]) },
    case(("DELETE", "/Observation/o"), 204, ("delete", Action::D), &[("Observation/o", Some(2))], &[A, B]),
    case(("GET", "/metadata"), 200, ("capabilities", Action::R), &[], &[]),
    case(("GET", "/Nonsense/1"), 404, ("", Action::E), &[], &[]),
];

#[test]
fn each_interaction_is_on_record_with_its_code_and_whose_data_it_was() {
    test_with(setup(), |server| async move {
        fill(&server).await;
        for case in &CASES {
            let (method, path) = case.request;
            let kind = if method == "PATCH" { "application/json-patch+json" } else { FHIR.1 };
            let before = records(&server, 0).await.len() as u64;
            let answer = server.send(method, path, &[("Content-Type", kind)], case.body).await;
            assert_eq!(answer.status, case.status, "{method} {path}");
            let all = records(&server, before).await;
            assert_eq!(all.len(), 1, "{method} {path}: it is there when the answer is");
            let record = &all[0];
            let outcome = if answer.status.is_success() { Outcome::Success } else { Outcome::Minor };
            assert_eq!((record.status, record.outcome), (case.status, outcome), "{method} {path}");
            assert_eq!((record.subtype.as_str(), record.action), case.told, "{method} {path}");
            assert_eq!(what(record), case.what, "{method} {path}");
            let mut found: Vec<&str> = record.patients.iter().map(String::as_str).collect();
            found.sort_unstable();
            assert_eq!(found, case.patients, "{method} {path}");
            assert_eq!((record.kind, record.service.as_str()), (Kind::Rest, "fhir"), "{method} {path}");
            assert_eq!(&*record.agent.subject, "anonymous", "{method} {path}");
            assert_eq!(record.agent.address.as_deref(), Some("127.0.0.1"));
            assert_eq!(record.correlation, answer.header("x-correlation-id"));
            if matches!(record.action, Action::U | Action::D) {
                let position = answer.header("x-anamnesis-position").parse::<u64>().ok();
                assert_eq!(record.position, position, "{method} {path}");
            }
        }
    });
}

#[test]
fn a_query_is_kept_and_forms_too() {
    test_with(setup(), |server| async move {
        server.get("/Patient?name=Chalmers&_count=1").await;
        let form = ("Content-Type", "application/x-www-form-urlencoded");
        server.send("POST", "/Patient/_search?_count=2", &[form], "name=Windsor").await;
        let all = records(&server, 0).await;
        assert_eq!(all[0].query.as_deref(), Some("Patient?name=Chalmers&_count=1"));
        assert_eq!(all[1].query.as_deref(), Some("Patient/_search?_count=2&name=Windsor"));
    });
}

#[test]
fn headers_for_the_audit_log_are_kept_and_too_many_refused() {
    test_with(setup(), |server| async move {
        let site = ("X-MS-AZUREFHIR-AUDIT-SITE", "ward 7");
        let forwarded = ("X-Forwarded-For", "203.0.113.5, 198.51.100.7");
        server.send("GET", "/Patient/a", &[site, forwarded], "").await;
        let names: Vec<String> = (0..11).map(|number| format!("X-MS-AZUREFHIR-AUDIT-{number}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
        let refused = server.send("GET", "/Patient/a", &many, "").await;
        assert_eq!((refused.status.as_u16(), refused.outcome()), (400, "too-long".to_owned()));
        let all = records(&server, 0).await;
        assert_eq!(all[0].custom, [("X-MS-AZUREFHIR-AUDIT-SITE".to_owned(), "ward 7".to_owned())]);
        // The test's server trusts 127.0.0.1 and nobody further out.
        assert_eq!(all[0].agent.address.as_deref(), Some("198.51.100.7"));
        assert_eq!(all[0].agent.proxies, ["127.0.0.1"]);
        assert_eq!((all[1].status, all[1].custom.len()), (400, 0));
    });
}

#[test]
fn each_entry_of_a_bundle_is_on_record() {
    test_with(setup(), |server| async move {
        fill(&server).await;
        let begun = records(&server, 0).await.len() as u64;
        let entry = |method: &str, url: &str, resource: Option<serde_json::Value>| {
            let mut entry = json!({ "request": { "method": method, "url": url } });
            if let Some(resource) = resource {
                entry["resource"] = resource;
            }
            entry
        };
        let patient = json!({"resourceType": "Patient", "id": "c"});
        for kind in ["batch", "transaction"] {
            let entries = [
                entry("GET", "Patient/a", None),
                entry("PUT", "Patient/c", Some(patient.clone())),
                entry("DELETE", "Observation/o", None),
                entry("GET", "Patient?_id=b", None),
            ];
            let bundle = json!({ "resourceType": "Bundle", "type": kind, "entry": entries });
            let before = records(&server, 0).await.len() as u64;
            let answer = server.post("", bundle.to_string()).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let all = records(&server, before).await;
            let told: Vec<_> = all.iter().map(|one| (one.entry, one.subtype.as_str(), one.status)).collect();
            let wrote = if kind == "batch" { 201 } else { 200 };
            assert_eq!(
                told,
                [
                    (None, kind, 200),
                    (Some(0), "read", 200),
                    (Some(1), "update", wrote),
                    (Some(2), "delete", 204),
                    (Some(3), "search-type", 200),
                ]
            );
            assert_eq!(all[1].patients, ["Patient/a"]);
            assert_eq!(what(&all[2]), [("Patient/c", Some(1))]);
            assert_eq!(all[4].patients, ["Patient/b"]);
            assert!(all.iter().all(|one| one.correlation == answer.header("x-correlation-id")));
            assert!(all.iter().all(|one| &*one.agent.subject == "anonymous"));
        }
        // In the second round everything was as it should be already.
        let all = records(&server, begun).await;
        assert_eq!(all[3].patients, ["Patient/a", "Patient/b"]);
        assert!(all[2].position.is_some() && all[7].position.is_none(), "{all:?}");
        let failing = json!({ "resourceType": "Bundle", "type": "transaction", "entry": [entry("GET", "Patient/none", None)] });
        assert_eq!(server.post("", failing.to_string()).await.status, 404);
        let all = records(&server, begun + 10).await;
        assert_eq!((all[0].subtype.as_str(), all[0].status), ("transaction", 404));
    });
}

#[test]
fn a_transaction_that_writes_names_what_it_wrote() {
    test_with(setup(), |server| async move {
        let bundle = json!({ "resourceType": "Bundle", "type": "transaction", "entry": [
            { "fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000001", "resource": { "resourceType": "Patient" },
              "request": { "method": "POST", "url": "Patient" } },
            { "resource": { "resourceType": "Basic", "code": { "text": "x" },
                "subject": { "reference": "urn:uuid:00000000-0000-4000-8000-000000000001" } },
              "request": { "method": "POST", "url": "Basic" } },
        ] });
        let answer = server.post("", bundle.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let all = records(&server, 0).await;
        let told: Vec<_> =
            all.iter().map(|one| (one.entry, one.subtype.as_str(), one.status, one.position)).collect();
        assert_eq!(
            told,
            [
                (None, "transaction", 200, Some(2)),
                (Some(0), "create", 201, Some(1)),
                (Some(1), "create", 201, Some(2)),
            ]
        );
        let patient = all[1].entities[0].what.clone();
        assert!(patient.starts_with("Patient/"));
        assert!(all.iter().all(|one| one.patients == [patient.clone()]), "{all:?}");
        assert_eq!(all[0].entities.len(), 2);
    });
}

#[test]
fn orders_of_operators_and_streams_are_on_record() {
    test_with(setup(), |server| async move {
        fill(&server).await;
        let begun = records(&server, 0).await.len() as u64;
        server.workspace("GET", "/$projections", &[], "").await;
        server.workspace("POST", "/$unpark", &[JSON], r#"{"nonsense":1}"#).await;
        let events = server.workspace("GET", "/$events?from=2", &[], "").await;
        assert_eq!(events.text().lines().count(), 3);
        eventually("the end is on record", || async { records(&server, begun).await.len() == 4 }).await;
        let all = records(&server, begun).await;
        let told: Vec<_> = all
            .iter()
            .map(|one| (one.kind, one.subtype.as_str(), one.status, one.service.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (Kind::Application, "$projections", 200, ""),
                (Kind::Application, "$unpark", 400, ""),
                (Kind::Export, "$events", 200, ""),
                (Kind::Export, "$events-end", 200, ""),
            ]
        );
        assert_eq!(all[2].query.as_deref(), Some("$events?from=2"));
        assert_eq!(all[3].position, Some(4), "how far the reader has come");
    });
}

/// Keeps others from writing to the audit log until it is dropped.
async fn hold(server: &Server) -> tokio_postgres::Client {
    let (client, connection) =
        tokio_postgres::connect(&server.database, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("BEGIN; SELECT 1 FROM anamnesis.audit_log FOR UPDATE").await.unwrap();
    client
}

fn impatient(mode: Mode) -> Setup {
    let options = AuditOptions {
        retry_for: std::time::Duration::from_millis(10),
        statement_timeout: std::time::Duration::from_millis(200),
        ..AuditOptions::default()
    };
    Setup { audit: Some((options, mode)), ..Setup::default() }
}

#[test]
fn what_cannot_be_recorded_is_not_answered() {
    test_with(impatient(Mode::Required), |server| async move {
        fill(&server).await;
        let holder = hold(&server).await;
        let refused = server.get("/Patient/a").await;
        assert_eq!((refused.status.as_u16(), refused.outcome()), (503, "transient".to_owned()));
        assert!(!refused.text().contains("\"Patient\""), "{}", refused.text());
        assert!(!refused.header("retry-after").is_empty());
        holder.batch_execute("COMMIT").await.unwrap();
        assert_eq!(server.get("/Patient/a").await.status, 200);
    });
}

#[test]
fn where_best_effort_will_do_it_is_answered_all_the_same() {
    test_with(impatient(Mode::BestEffort), |server| async move {
        fill(&server).await;
        let _holder = hold(&server).await;
        assert_eq!(server.get("/Patient/a").await.status, 200);
    });
}

#[test]
fn without_an_audit_log_all_is_as_it_was() {
    test(|server| async move {
        fill(&server).await;
        assert_eq!(server.get("/Patient/a").await.status, 200);
        let answer = server.workspace("GET", "/audit/AuditEvent", &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.outcome()), (404, "not-found".to_owned()));
    });
}
