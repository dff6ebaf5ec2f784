//! Who may export what: exactly what a search would give, and nobody else's exports.

use std::collections::BTreeSet;

use anamnesis::audit::Mode;
use anamnesis_audit::AuditOptions;
use serde_json::{Value, json};

use crate::audit_records::records;
use crate::export::{ASKED, begin, below, ended, lines, manifest};
use crate::support::authority::{Authority, Key, bearer};
use crate::support::{Server, Setup, eventually, runtime, test_with};

fn refer(reference: &str) -> Value {
    json!({"reference": reference})
}

fn observation(id: &str, patient: &str, code: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final", "subject": refer(patient),
        "code": {"coding": [{"system": "http://c", "code": code}]}})
}

/// Two patients, and what is of nobody.
async fn fill(server: &Server, as_whom: &str) {
    let group = json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true,
        "member": [{"entity": refer("Patient/a")}, {"entity": refer("Patient/b")}]});
    let both = json!({"resourceType": "Appointment", "id": "both", "status": "proposed", "participant": [
        {"actor": refer("Patient/a"), "status": "accepted"}, {"actor": refer("Patient/b"), "status": "accepted"}]});
    let linked = json!([{"other": refer("Patient/a"), "type": "seealso"}]);
    let bundle: Vec<Value> = [
        json!({"resourceType": "Patient", "id": "a"}),
        json!({"resourceType": "Patient", "id": "b", "link": linked}),
        json!({"resourceType": "Organization", "id": "o", "name": "House"}),
        json!({"resourceType": "ValueSet", "id": "v", "status": "active"}),
        observation("a-x", "Patient/a", "x"),
        observation("a-y", "Patient/a", "y"),
        observation("b-x", "Patient/b", "x"),
        group,
        both,
    ]
    .into_iter()
    .map(|resource| {
        let url =
            format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
        json!({"resource": resource, "request": {"method": "PUT", "url": url}})
    })
    .collect();
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": bundle});
    let headers = [("Authorization", as_whom), ("Content-Type", "application/fhir+json")];
    let answer = server.send("POST", "", &headers, bundle.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A key, its authority, and a server that trusts it and keeps an audit log.
fn with_authority<T: Future<Output = ()>>(body: impl FnOnce(std::sync::Arc<Server>, Tokens) -> T) {
    let key = Key::new("one");
    let authority = Authority::start(&[&key]);
    let gate = runtime().block_on(async { authority.gate() });
    let audit = Some((AuditOptions::default(), Mode::default()));
    test_with(Setup { gate: Some(gate), audit, ..Setup::default() }, |server| async move {
        body(server, Tokens { key, authority }).await;
    });
}

struct Tokens {
    key: Key,
    authority: Authority,
}

impl Tokens {
    fn of(&self, role: &str) -> String {
        bearer(&self.key.sign(&self.authority.claims(role)))
    }

    /// The token of an app with these scopes.
    fn smart(&self, scope: &str, patient: Option<&str>) -> String {
        let mut claims = self.authority.claims("FHIR SMART User");
        claims["scope"] = scope.into();
        if let Some(patient) = patient {
            claims["patient"] = patient.into();
        }
        bearer(&self.key.sign(&claims))
    }
}

/// What somebody exports, by name.
async fn exported(server: &Server, path: &str, token: &str) -> BTreeSet<String> {
    let headers = [("Authorization", token)];
    let status = begin(server, path, &headers).await;
    let manifest = manifest(server, &status, &headers).await;
    lines(server, &manifest, &headers).await.into_keys().collect()
}

/// What somebody finds.
async fn found(server: &Server, token: &str) -> BTreeSet<String> {
    let answer = server.send("GET", "/?_count=1000", &[("Authorization", token)], "").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let bundle = answer.json();
    let resources = bundle["entry"].as_array().cloned().unwrap_or_default();
    let resources = resources.into_iter().map(|entry| entry["resource"].clone());
    let resources = resources.filter(|resource| resource["resourceType"] != "OperationOutcome");
    resources
        .map(|one| format!("{}/{}", one["resourceType"].as_str().unwrap(), one["id"].as_str().unwrap()))
        .collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_token_exports_what_it_finds() {
    with_authority(|server, tokens| async move {
        fill(&server, &tokens.of("FHIR Data Contributor")).await;
        let own = [
            "Appointment/both",
            "Group/g",
            "Observation/a-x",
            "Observation/a-y",
            "Organization/o",
            "Patient/a",
        ];
        for (scope, patient, expected) in [
            ("patient/*.rs", Some("a"), set(&own)),
            ("patient/*.read", Some("a"), set(&own)),
            ("patient/Observation.rs", Some("a"), set(&["Observation/a-x", "Observation/a-y"])),
            ("patient/Observation.rs?code=x", Some("a"), set(&["Observation/a-x"])),
            ("system/Observation.rs", None, set(&["Observation/a-x", "Observation/a-y", "Observation/b-x"])),
            ("system/Observation.rs?code=http://c|x", None, set(&["Observation/a-x", "Observation/b-x"])),
            (
                "system/Observation.rs?code=y system/Patient.rs",
                None,
                set(&["Observation/a-y", "Patient/a", "Patient/b"]),
            ),
            ("patient/Observation.rs patient/Patient.r", Some("b"), set(&["Observation/b-x"])),
        ] {
            let token = tokens.smart(scope, patient);
            assert_eq!(found(&server, &token).await, expected, "{scope}, found");
            assert_eq!(exported(&server, "/$export", &token).await, expected, "{scope}, exported");
        }
        let all = tokens.of("FHIR Data Exporter");
        assert_eq!(exported(&server, "/$export", &all).await, found(&server, &all).await);
        // What is of everybody is in no compartment, and what is of b not for a.
        let token = tokens.smart("patient/*.rs", Some("a"));
        let expected =
            set(&["Appointment/both", "Group/g", "Observation/a-x", "Observation/a-y", "Patient/a"]);
        assert_eq!(exported(&server, "/Patient/$export", &token).await, expected);
        assert_eq!(exported(&server, "/Group/g/$export", &token).await, expected);
        let token = tokens.smart("system/Observation.rs?code=x system/Group.rs", None);
        let expected = set(&["Group/g", "Observation/a-x", "Observation/b-x"]);
        assert_eq!(exported(&server, "/Group/g/$export", &token).await, expected);
    });
}

#[test]
fn who_may_not_export_is_refused() {
    with_authority(|server, tokens| async move {
        fill(&server, &tokens.of("FHIR Data Contributor")).await;
        let kick_off = async |path: &str, token: &str| {
            let headers = [ASKED[0], ASKED[1], ("Authorization", token)];
            server.send("GET", path, &headers, "").await.status.as_u16()
        };
        for role in ["FHIR Data Reader", "FHIR Data Importer", "Auditor", "Operator"] {
            assert_eq!(kick_off("/$export", &tokens.of(role)).await, 403, "{role}");
        }
        for role in
            ["FHIR Data Exporter", "FHIR Data Contributor", "FHIR Data Writer", "FHIR Data Bulk Operator"]
        {
            assert_eq!(kick_off("/$export", &tokens.of(role)).await, 202, "{role}");
        }
        for (path, scope, patient) in [
            ("/$export", "system/*.r", None),
            ("/$export", "patient/*.cud", Some("a")),
            ("/$export?_type=Condition", "system/Observation.rs", None),
            ("/$export?_type=ValueSet", "patient/*.rs", Some("a")),
            ("/$export", "system/Observation.rs?unheard=of", None),
            ("/Group/g/$export", "system/*.s", None),
        ] {
            assert_eq!(kick_off(path, &tokens.smart(scope, patient)).await, 403, "{path} {scope}");
        }
        for (scope, patient) in [("system/Observation.rs", None), ("patient/*.rs", Some("c"))] {
            assert_eq!(kick_off("/Group/g/$export", &tokens.smart(scope, patient)).await, 404, "{scope}");
        }
        assert_eq!(server.send("GET", "/$export", &ASKED, "").await.status, 401);
    });
}

#[test]
fn an_export_is_there_for_whoever_has_begun_it_alone() {
    with_authority(|server, tokens| async move {
        fill(&server, &tokens.of("FHIR Data Contributor")).await;
        let own = tokens.smart("system/*.rs", None);
        let of_own = [("Authorization", own.as_str())];
        let status = begin(&server, "/$export", &of_own).await;
        let done = manifest(&server, &status, &of_own).await;
        let file = below(&server, done["output"][0]["url"].as_str().unwrap());
        let mut other_client = tokens.authority.claims("FHIR SMART User");
        other_client["scope"] = "system/*.rs".into();
        other_client["azp"] = "another-app".into();
        let others = [
            tokens.of("FHIR Data Contributor"),
            tokens.of("FHIR Data Exporter"),
            bearer(&tokens.key.sign(&other_client)),
            tokens.smart("system/Patient.rs", None),
            tokens.smart("patient/*.rs", Some("a")),
        ];
        for token in &others {
            for (method, path) in [("GET", &status), ("GET", &file), ("DELETE", &status)] {
                let answer = server.send(method, path, &[("Authorization", token.as_str())], "").await;
                assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text());
            }
        }
        // Who has rights to read, and none to export, is not even told that there is nothing.
        let reader = tokens.of("FHIR Data Reader");
        for (method, path) in [("GET", &status), ("GET", &file), ("DELETE", &status)] {
            let answer = server.send(method, path, &[("Authorization", reader.as_str())], "").await;
            assert_eq!(answer.status, 403, "{method} {path}");
            assert_eq!(server.send(method, path, &[], "").await.status, 401, "{method} {path}");
        }
        // The other way round: a bounded token's export is not for a token that reaches further.
        let bounded = tokens.smart("system/Patient.rs", None);
        let of_bounded = [("Authorization", bounded.as_str())];
        let other = begin(&server, "/$export", &of_bounded).await;
        assert_eq!(ended(&server, &other, &of_bounded).await.status, 200);
        assert_eq!(server.send("GET", &other, &of_own, "").await.status, 404);
        assert_eq!(server.send("GET", &file, &of_own, "").await.status, 200, "still there");
        // A token of a moment later with the same scopes is as good.
        let again = tokens.smart("system/*.read", None);
        assert_eq!(server.send("GET", &file, &[("Authorization", again.as_str())], "").await.status, 200);
    });
}

#[test]
fn exports_are_on_record_with_the_patients_in_them() {
    with_authority(|server, tokens| async move {
        fill(&server, &tokens.of("FHIR Data Contributor")).await;
        let token = tokens.of("FHIR Data Exporter");
        exported(&server, "/$export?_type=Patient,Observation", &token).await;
        let headers = [("Authorization", token.as_str())];
        let status = begin(&server, "/Group/g/$export?_type=Condition", &headers).await;
        manifest(&server, &status, &headers).await;
        assert_eq!(server.send("DELETE", &status, &headers, "").await.status, 202);
        let ends = async || {
            let all = records(&server, 0).await;
            all.iter().filter(|record| record.subtype == "$export-file-end").count()
        };
        eventually("the ends of both files are on record", || async { ends().await == 2 }).await;
        let mut told = Vec::new();
        for record in records(&server, 0).await {
            if record.subtype.starts_with("$export") {
                let mut patients = record.patients.clone();
                patients.sort();
                told.push((
                    record.subtype.clone(),
                    record.status,
                    patients,
                    record.query.clone().unwrap_or_default(),
                ));
            }
        }
        let of = |subtype: &str| told.iter().filter(|one| one.0 == subtype).collect::<Vec<_>>();
        assert_eq!(of("$export").len(), 2);
        assert!(of("$export")[0].3.contains("$export?_type=Patient,Observation"), "{told:?}");
        assert!(
            of("$export-status").iter().any(|one| one.1 == 200 && one.3.contains("_operations/export/")),
            "{told:?}"
        );
        let files: Vec<&str> = of("$export-file").iter().map(|one| one.3.as_str()).collect();
        assert!(files.len() == 2 && files[0].contains("Observation-1.ndjson"), "{told:?}");
        let both = vec!["Patient/a".to_owned(), "Patient/b".to_owned()];
        assert!(of("$export-file-end").iter().all(|one| one.2 == both), "{told:?}");
    });
}
