//! `$export`: exact files of one position of the log, for whoever has begun the export and nobody else.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use anamnesis::exports::ExportOptions;
use anamnesis_events::{Operation, Position};
use serde_json::{Value, json};

use crate::support::{Answer, FHIR, Server, Setup, eventually, test, test_with};

/// The headers of a kick-off.
pub(crate) const ASKED: [(&str, &str); 2] =
    [("Accept", "application/fhir+json"), ("Prefer", "respond-async")];

/// Begins an export; the path of its status below the service.
pub(crate) async fn begin(server: &Server, path: &str, headers: &[(&str, &str)]) -> String {
    let headers: Vec<(&str, &str)> = ASKED.iter().chain(headers).copied().collect();
    let answer = server.send("GET", path, &headers, "").await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert!(answer.bytes.is_empty());
    below(server, answer.header("content-location"))
}

/// The path of an address below the service.
pub(crate) fn below(server: &Server, url: &str) -> String {
    url.strip_prefix(&server.base).unwrap_or_else(|| panic!("{url}")).to_owned()
}

/// The answer of an export that has ended.
pub(crate) async fn ended(server: &Server, status: &str, headers: &[(&str, &str)]) -> Answer {
    let ask = async || server.send("GET", status, headers, "").await;
    eventually("the export ends", || async {
        let answer = ask().await;
        if answer.status == 202 {
            assert!(answer.bytes.is_empty() && !answer.header("retry-after").is_empty());
            assert!(answer.header("x-progress").starts_with("in-progress"), "{answer:?}");
        }
        answer.status != 202
    })
    .await;
    ask().await
}

/// The manifest of an export that is done.
pub(crate) async fn manifest(server: &Server, status: &str, headers: &[(&str, &str)]) -> Value {
    let answer = ended(server, status, headers).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(!answer.header("expires").is_empty());
    answer.json()
}

/// The lines of all files of an export, by `Type/id`. The counts are those of the manifest.
pub(crate) async fn lines(
    server: &Server,
    manifest: &Value,
    headers: &[(&str, &str)],
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for file in manifest["output"].as_array().unwrap() {
        let path = below(server, file["url"].as_str().unwrap());
        let answer = server.send("GET", &path, headers, "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), "application/fhir+ndjson");
        let text = answer.text();
        assert!(text.ends_with('\n'));
        assert_eq!(json!(text.lines().count()), file["count"], "{file}");
        for line in text.lines() {
            let resource: Value = serde_json::from_str(line).unwrap();
            assert_eq!(resource["resourceType"], file["type"]);
            let name = format!("{}/{}", file["type"].as_str().unwrap(), resource["id"].as_str().unwrap());
            assert!(all.insert(name.clone(), line.to_owned()).is_none(), "{name} comes twice");
        }
    }
    all
}

/// Begins an export, waits for it and reads it.
pub(crate) async fn export(server: &Server, path: &str) -> BTreeMap<String, String> {
    let status = begin(server, path, &[]).await;
    let manifest = manifest(server, &status, &[]).await;
    lines(server, &manifest, &[]).await
}

pub(crate) fn names(lines: &BTreeMap<String, String>) -> Vec<&str> {
    lines.keys().map(String::as_str).collect()
}

pub(crate) async fn put(server: &Server, resource: Value) {
    let path =
        format!("/{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
    let answer = server.put(&path, resource.to_string()).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
}

#[test]
fn the_system_is_exported_as_it_stood() {
    test(|server| async move {
        put(&server, json!({"resourceType": "Patient", "id": "a", "active": true})).await;
        put(&server, json!({"resourceType": "Patient", "id": "b", "active": true})).await;
        put(&server, json!({"resourceType": "Organization", "id": "o", "name": "House"})).await;
        let pretty =
            "{\n  \"resourceType\": \"Patient\",\r\n  \"id\": \"c\", \"name\": [{\"text\": \"a\\nb\"}]\n}";
        assert_eq!(server.put("/Patient/c", pretty).await.status, 201);
        server.delete("/Patient/b").await;
        let status = begin(&server, "/$export", &[]).await;
        let head = server.events().await;
        put(&server, json!({"resourceType": "Patient", "id": "a", "active": false})).await;
        let manifest = manifest(&server, &status, &[]).await;
        assert_eq!(manifest["request"], format!("{}/$export", server.base));
        assert_eq!(manifest["requiresAccessToken"], true);
        assert_eq!(
            (&manifest["error"], &manifest["extension"]),
            (&json!([]), &json!({"position": head, "erased": 0}))
        );
        let lines = lines(&server, &manifest, &[]).await;
        assert_eq!(names(&lines), ["Organization/o", "Patient/a", "Patient/c"]);
        let stored = server.get("/Patient/a/_history/1").await.text();
        assert_eq!(lines["Patient/a"], stored, "byte for byte, and the version of then");
        let stored = server.get("/Patient/c").await.text();
        assert_eq!(lines["Patient/c"], stored.replace(['\n', '\r'], " "));
    });
}

/// What an export of the log at a position has to be: all of it, one event after the other.
pub(crate) async fn replay(server: &Server, until: u64) -> BTreeMap<String, String> {
    let mut standing = BTreeMap::new();
    let mut after = Position::ZERO;
    while after.get() < until {
        for event in server.log.read(after, 500).await.unwrap() {
            after = event.position;
            if event.position.get() > until {
                break;
            }
            let name = event.key.to_string();
            match event.operation {
                Operation::Create | Operation::Update => {
                    standing.insert(name, String::from_utf8(event.payload.to_vec()).unwrap())
                }
                _ => standing.remove(&name),
            };
        }
    }
    standing
}

/// Writes, deletes and transactions, one after the other, until it is told to stop.
async fn write(server: &Server, writer: usize, stop: &AtomicBool) -> usize {
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        let id = format!("w{writer}-{}", round % 7);
        match round % 5 {
            3 => assert_eq!(server.delete(&format!("/Patient/{id}")).await.status, 204),
            4 => {
                let entry = |kind: &str| {
                    json!({"resource": {"resourceType": kind, "id": id, "active": round % 2 == 0},
                    "request": {"method": "PUT", "url": format!("{kind}/{id}")}})
                };
                let bundle = json!({"resourceType": "Bundle", "type": "transaction",
                    "entry": [entry("Patient"), entry("Practitioner")]});
                assert_eq!(server.post("", bundle.to_string()).await.status, 200);
            }
            _ => {
                put(server, json!({"resourceType": "Patient", "id": id, "multipleBirthInteger": round})).await
            }
        }
        round += 1;
    }
    round
}

#[test]
fn an_export_is_exact_whatever_is_written_meanwhile() {
    // By small steps, so that there are writes between them.
    let exports = ExportOptions { step_positions: 7, ..ExportOptions::default() };
    test_with(with(exports), |server| async move {
        put(&server, json!({"resourceType": "Patient", "id": "first"})).await;
        let stop = AtomicBool::new(false);
        let export = async {
            let mut done = 0;
            for _ in 0..6 {
                let before = server.events().await;
                let status = begin(&server, "/$export", &[]).await;
                let manifest = manifest(&server, &status, &[]).await;
                let position = manifest["extension"]["position"].as_u64().unwrap();
                assert!(position >= before);
                let event = server.log.fetch(&[Position::new(position)]).await.unwrap().remove(0);
                let time = event.recorded_at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
                assert_eq!(manifest["transactionTime"], time);
                assert_eq!(lines(&server, &manifest, &[]).await, replay(&server, position).await);
                done += usize::from(server.events().await > position);
            }
            stop.store(true, Ordering::Relaxed);
            done
        };
        let (moved, first, second) =
            futures::join!(export, write(&server, 1, &stop), write(&server, 2, &stop));
        assert!(moved > 0 && first > 0 && second > 0, "nothing was written meanwhile");
    });
}

#[test]
fn types_and_times_bound_an_export() {
    test(|server| async move {
        put(&server, json!({"resourceType": "Patient", "id": "a"})).await;
        put(&server, json!({"resourceType": "Organization", "id": "o", "name": "x"})).await;
        put(&server, json!({"resourceType": "Practitioner", "id": "p"})).await;
        let first = begin(&server, "/$export?_type=Patient,Organization&_type=Device", &[]).await;
        let first = manifest(&server, &first, &[]).await;
        assert_eq!(names(&lines(&server, &first, &[]).await), ["Organization/o", "Patient/a"]);
        assert!(
            first["request"].as_str().unwrap().ends_with("/$export?_type=Patient,Organization&_type=Device")
        );
        let time = first["transactionTime"].as_str().unwrap();
        put(&server, json!({"resourceType": "Patient", "id": "b"})).await;
        put(&server, json!({"resourceType": "Organization", "id": "o", "name": "y"})).await;
        let since = export(&server, &format!("/$export?_since={time}")).await;
        assert_eq!(names(&since), ["Organization/o", "Patient/b"], "what came after, and nothing twice");
        let till = export(&server, &format!("/$export?_till={time}")).await;
        assert_eq!(names(&till), ["Patient/a", "Practitioner/p"], "what still stands of then");
        for format in ["application/fhir%2Bndjson", "application/fhir+ndjson", "application/ndjson", "ndjson"]
        {
            let path = format!("/$export?_outputFormat={format}&_type=Device&_isParallel=false");
            let status = begin(&server, &path, &[]).await;
            assert_eq!(manifest(&server, &status, &[]).await["output"], json!([]));
        }
    });
}

#[test]
fn filters_are_searches_of_the_state_that_is_exported() {
    test(|server| async move {
        let observation = |id: &str, status: &str, code: &str| {
            json!({"resourceType": "Observation", "id": id,
            "status": status, "code": {"coding": [{"system": "http://c", "code": code}]}})
        };
        put(&server, observation("a", "final", "x")).await;
        put(&server, observation("b", "preliminary", "y")).await;
        put(&server, observation("c", "amended", "z")).await;
        put(&server, json!({"resourceType": "Patient", "id": "p", "name": [{"family": "Doe"}]})).await;
        put(&server, json!({"resourceType": "Patient", "id": "q"})).await;
        for (filters, expected) in [
            ("_typeFilter=Observation%3Fstatus%3Dfinal", vec!["Observation/a", "Patient/p", "Patient/q"]),
            (
                "_typeFilter=Observation%3Fstatus%3Dfinal%2Camended%26code%3Dhttp://c%7Cz",
                vec!["Observation/c", "Patient/p", "Patient/q"],
            ),
            (
                "_typeFilter=Observation%3Fcode%3Dx&_typeFilter=Observation%3Fcode%3Dy&_typeFilter=Patient%3Ffamily%3Ddoe",
                vec!["Observation/a", "Observation/b", "Patient/p"],
            ),
            (
                "_typeFilter=Observation%3Fcode%3Dx,y,Patient%3Ffamily%3Dnobody",
                vec!["Observation/a", "Observation/b"],
            ),
        ] {
            let path = format!("/$export?_type=Patient,Observation&{filters}");
            assert_eq!(names(&export(&server, &path).await), expected, "{filters}");
        }
        let status =
            begin(&server, "/$export?_type=Observation&_typeFilter=Observation%3Fstatus%3Dfinal", &[]).await;
        put(&server, observation("a", "amended", "x")).await;
        put(&server, observation("b", "final", "y")).await;
        let manifest = manifest(&server, &status, &[]).await;
        assert_eq!(names(&lines(&server, &manifest, &[]).await), ["Observation/a"]);
    });
}

#[test]
fn what_is_not_understood_is_refused() {
    test(|server| async move {
        let [accept, prefer] = ASKED;
        for headers in [
            vec![],
            vec![accept],
            vec![prefer],
            vec![("Accept", "application/json"), prefer],
            vec![("Accept", "*/*"), prefer],
            vec![accept, ("Prefer", "return=minimal")],
        ] {
            let answer = server.send("GET", "/$export", &headers, "").await;
            let code = answer.json()["issue"][0]["code"].clone();
            assert_eq!((answer.status.as_u16(), code), (400, json!("required")), "{headers:?}");
        }
        for (query, code) in [
            ("_type=Patients", "value"),
            ("_type=", "value"),
            ("_type=patient", "value"),
            ("_since=yesterday", "value"),
            ("_since=2999-01-01", "invalid"),
            ("_since=2020&_since=2021", "duplicate"),
            ("_till=x", "value"),
            ("_outputFormat=parquet", "not-supported"),
            ("_typeFilter=Patient%3Fname%3Dx", "value"),
            ("_type=Patient&_typeFilter=Observation%3Fstatus%3Dfinal", "value"),
            ("_type=Patient&_typeFilter=Patient", "value"),
            ("_type=Patient&_typeFilter=Patient%3Funknown%3Dx", "value"),
            ("_type=Patient&_typeFilter=Patient%3F_sort%3Dname", "value"),
            ("_type=Patient&_typeFilter=Patient%3Fgeneral-practitioner.name%3Dx", "value"),
            ("_type=Patient&_typeFilter=Patient%3Fbirthdate%3Dx", "value"),
            ("_elements=id", "not-supported"),
            ("_container=x", "not-supported"),
            ("_anonymizationConfig=x", "not-supported"),
            ("unknown=x", "not-supported"),
            ("_isParallel=perhaps", "invalid"),
        ] {
            let answer = server.send("GET", &format!("/$export?{query}"), &ASKED, "").await;
            assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (400, code), "{query}");
        }
        let answer = server.send("GET", "/Patient/$export?_type=Organization", &ASKED, "").await;
        assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (400, "not-supported"));
        let lenient = [("Accept", "application/fhir+json"), ("Prefer", "respond-async, handling=lenient")];
        for (query, status) in [("unknown=y&_elements=z", 202), ("_anonymizationConfig=x", 400)] {
            let answer = server.send("GET", &format!("/$export?{query}"), &lenient, "").await;
            assert_eq!(answer.status, status, "{query}");
        }
        for path in [
            "/Organization/$export",
            "/Patient/1/$export",
            "/_operations/export/1/x",
            "/_operations/export/1/Patient.ndjson",
        ] {
            assert_eq!(server.send("GET", path, &ASKED, "").await.status, 404, "{path}");
        }
        let headers: Vec<_> = ASKED.into_iter().chain([FHIR]).collect();
        assert_eq!(server.send("POST", "/$export", &headers, "{}").await.status, 405);
        for path in ["/_operations/export/1", "/_operations/export/1/Patient-1.ndjson"] {
            assert_eq!(server.get(path).await.outcome(), "not-found", "{path}");
        }
    });
}

#[test]
fn bundles_neither_begin_an_export_nor_fetch_one() {
    test(|server| async move {
        put(&server, json!({"resourceType": "Patient", "id": "a"})).await;
        let status = begin(&server, "/$export", &[]).await;
        let manifest = manifest(&server, &status, &[]).await;
        let file = below(&server, manifest["output"][0]["url"].as_str().unwrap());
        let entry = |url: &str| json!({"request": {"method": "GET", "url": url}});
        let bundle = json!({"resourceType": "Bundle", "type": "batch",
            "entry": [entry("$export"), entry(status.trim_start_matches('/')), entry(file.trim_start_matches('/'))]});
        let headers: Vec<_> = ASKED.into_iter().chain([FHIR]).collect();
        let answer = server.send("POST", "", &headers, bundle.to_string()).await;
        let entries = answer.json()["entry"].as_array().unwrap().clone();
        assert!(entries.iter().all(|entry| entry["response"]["status"] == "400"), "{entries:?}");
        let head = server.send("HEAD", &file, &[], "").await;
        assert_eq!((head.status.as_u16(), head.bytes.len()), (200, 0));
    });
}

/// A server whose exports are done so.
pub(crate) fn with(exports: ExportOptions) -> Setup {
    Setup { exports, ..Setup::default() }
}
