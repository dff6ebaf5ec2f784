//! The audit log where clients have to say who they are: refusals are on record, and only auditors read it.

use crate::audit_records::{records, setup};
use crate::support::authority::{Authority, Key, bearer};
use crate::support::{Server, Setup, runtime, test_with};

async fn send(server: &Server, path: &str, token: Option<&str>) -> u16 {
    let token = token.map(bearer);
    let headers: Vec<(&str, &str)> = token.iter().map(|token| ("Authorization", token.as_str())).collect();
    server.workspace("GET", path, &headers, "").await.status.as_u16()
}

#[test]
fn refusals_are_on_record_and_only_auditors_read_it() {
    let key = Key::new("one");
    let authority = Authority::start(&[&key]);
    let gate = runtime().block_on(async { authority.gate() });
    test_with(Setup { gate: Some(gate), ..setup() }, |server| async move {
        let token = |role: &str| key.sign(&authority.claims(role));
        let (reader, auditor) = (token("FHIR Data Reader"), token("Auditor"));
        for (path, token, status) in [
            ("/fhir/Patient/a", None, 401),
            ("/fhir/Patient/a", Some("nonsense"), 401),
            ("/fhir/Patient/a", Some(auditor.as_str()), 403),
            ("/fhir/Patient/a", Some(reader.as_str()), 404),
            ("/audit/AuditEvent", None, 401),
            ("/audit/AuditEvent", Some(reader.as_str()), 403),
            ("/audit/AuditEvent/1", Some(reader.as_str()), 403),
            ("/audit/$verify", Some(reader.as_str()), 403),
            ("/audit/AuditEvent", Some(auditor.as_str()), 200),
            ("/audit/AuditEvent/1", Some(auditor.as_str()), 200),
            ("/audit/$verify", Some(auditor.as_str()), 200),
            ("/$events", Some(reader.as_str()), 403),
        ] {
            let before = records(&server, 0).await.len() as u64;
            assert_eq!(send(&server, path, token).await, status, "{path}");
            let all = records(&server, before).await;
            let record = all.first().unwrap();
            assert_eq!((all.len(), record.status), (1, status), "{path}");
            let is_known = status != 401;
            assert_eq!(record.agent.subject.is_empty(), !is_known, "{path}");
            assert_eq!(record.agent.issuer.is_some(), is_known, "{path}");
            if path == "/fhir/Patient/a" {
                assert_eq!(
                    (record.subtype.as_str(), record.patients.as_slice()),
                    ("read", &["Patient/a".to_owned()][..])
                );
            }
        }
    });
}
