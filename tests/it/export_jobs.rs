//! What becomes of exports: given up, gone after their time, bounded, without what was erased, on whichever server.

use std::time::Duration;

use anamnesis::exports::{ExportOptions, Exports, Owner};
use anamnesis_events::{Log, LogOptions};
use serde_json::json;

use crate::export::{ASKED, begin, below, ended, lines, manifest, names, put, replay, with};
use crate::support::{Server, eventually, test, test_with};

#[test]
fn an_export_can_be_cancelled() {
    test(|server| async move {
        put(&server, json!({"resourceType": "Patient", "id": "a"})).await;
        let status = begin(&server, "/$export", &[]).await;
        let manifest = manifest(&server, &status, &[]).await;
        let file = below(&server, manifest["output"][0]["url"].as_str().unwrap());
        assert_eq!(server.get(&file).await.status, 200);
        let wrong = file.replace("-1.ndjson", "-2.ndjson");
        assert_eq!(server.get(&wrong).await.status, 404);
        assert_eq!(server.delete(&status).await.status, 202);
        assert_eq!(server.get(&status).await.status, 404);
        assert_eq!(server.get(&file).await.status, 404);
        assert_eq!(server.delete(&status).await.status, 404);
    });
}

#[test]
fn exports_go_after_their_time() {
    let exports = ExportOptions { kept_for: Duration::from_secs(2), ..ExportOptions::default() };
    test_with(with(exports), |server| async move {
        put(&server, json!({"resourceType": "Patient", "id": "a"})).await;
        let status = begin(&server, "/$export", &[]).await;
        manifest(&server, &status, &[]).await;
        eventually("it is gone", || async { server.get(&status).await.status == 404 }).await;
    });
}

#[test]
fn files_and_exports_are_bounded() {
    let exports =
        ExportOptions { jobs_max: 2, file_resources_max: 2, resources_max: 8, ..ExportOptions::default() };
    test_with(with(exports), |server| async move {
        for id in 0..5 {
            put(&server, json!({"resourceType": "Patient", "id": id.to_string()})).await;
        }
        let status = begin(&server, "/$export", &[]).await;
        let first = manifest(&server, &status, &[]).await;
        let files: Vec<(String, u64)> = first["output"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| (below(&server, file["url"].as_str().unwrap()), file["count"].as_u64().unwrap()))
            .collect();
        let expected = [1, 2, 3]
            .map(|number| (format!("{status}/Patient-{number}.ndjson"), if number == 3 { 1 } else { 2 }));
        assert_eq!(files, expected);
        assert_eq!(lines(&server, &first, &[]).await.len(), 5);
        let other = begin(&server, "/$export", &[]).await;
        let answer = ended(&server, &other, &[]).await;
        assert_eq!((answer.status.as_u16(), answer.outcome().as_str()), (413, "too-costly"));
        let refused = server.send("GET", "/$export", &ASKED, "").await;
        assert_eq!((refused.status.as_u16(), refused.outcome().as_str()), (429, "throttled"));
        assert!(!refused.header("retry-after").is_empty());
        assert_eq!(server.delete(&other).await.status, 202);
        assert_eq!(server.send("GET", "/$export", &ASKED, "").await.status, 202);
    });
}

/// Nothing of a resource is in the tables of exports.
async fn assert_no_copy_is_kept(server: &Server) {
    let (client, connection) =
        tokio_postgres::connect(&server.database, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    for table in ["export_job", "export_file", "export_chunk"] {
        let statement = format!(
            "SELECT count(*), count(*) FILTER (WHERE t::text ILIKE '%quxxzymborski%') FROM anamnesis.{table} AS t"
        );
        let row = client.query_one(&statement, &[]).await.unwrap();
        assert!(row.get::<_, i64>(0) > 0 && row.get::<_, i64>(1) == 0, "{table}");
    }
    drop(client);
    driver.await.unwrap().unwrap();
}

#[test]
fn what_is_erased_is_in_no_file_any_more() {
    test(|server| async move {
        for id in ["a", "b"] {
            put(&server, json!({"resourceType": "Patient", "id": id, "name": [{"family": "Quxxzymborski"}]}))
                .await;
        }
        let status = begin(&server, "/$export", &[]).await;
        assert_eq!(manifest(&server, &status, &[]).await["output"][0]["count"], 2);
        assert_no_copy_is_kept(&server).await;
        assert_eq!(server.delete("/Patient/a?hardDelete=true").await.status, 204);
        let after = manifest(&server, &status, &[]).await;
        assert_eq!((&after["output"][0]["count"], &after["extension"]["erased"]), (&json!(1), &json!(1)));
        assert_eq!(names(&lines(&server, &after, &[]).await), ["Patient/b"]);
        let file = below(&server, after["output"][0]["url"].as_str().unwrap());
        assert_eq!(server.delete("/Patient/b?hardDelete=true").await.status, 204);
        assert_eq!(manifest(&server, &status, &[]).await["output"], json!([]));
        assert_eq!(server.get(&file).await.text(), "");
    });
}

#[test]
fn every_server_answers_and_one_of_them_does_it() {
    test(|server| async move {
        for id in 0..20 {
            put(&server, json!({"resourceType": "Patient", "id": id.to_string()})).await;
        }
        let other = server.beside().await;
        let mut expected = Vec::new();
        for _ in 0..5 {
            expected.push(begin(&server, "/$export", &[]).await);
        }
        for status in &expected {
            let manifest = manifest(&other, status, &[]).await;
            assert_eq!(lines(&other, &manifest, &[]).await, replay(&server, 20).await);
        }
        // One that does no exports any more: the other one goes on.
        server.exports.stop().await;
        let status = begin(&server, "/$export", &[]).await;
        let manifest = manifest(&server, &status, &[]).await;
        assert_eq!(lines(&server, &manifest, &[]).await, replay(&server, 20).await);
        other.stop().await;
    });
}

/// Every lease has ended when it is taken: each server takes the export from the other one in its middle.
#[test]
fn two_servers_that_both_work_on_an_export_record_it_once() {
    let eager = || {
        let exports = ExportOptions { lease: Duration::ZERO, step_positions: 3, ..ExportOptions::default() };
        with(exports)
    };
    test_with(eager(), |server| async move {
        for id in 0..60 {
            put(&server, json!({"resourceType": "Patient", "id": id.to_string()})).await;
        }
        let other = server.beside_with(eager()).await;
        // Begun on both, so that both are at work at the same time.
        let mut begun = Vec::new();
        for _ in 0..6 {
            begun.push(begin(&server, "/$export", &[]).await);
            begun.push(begin(&other, "/$export", &[]).await);
        }
        for status in begun {
            let manifest = manifest(&server, &status, &[]).await;
            assert_eq!(lines(&server, &manifest, &[]).await, replay(&server, 60).await);
        }
        other.stop().await;
    });
}

#[test]
fn what_an_export_says_of_a_patient_is_forgotten() {
    test(|server| async move {
        put(&server, json!({"resourceType": "Patient", "id": "a"})).await;
        let all = begin(&server, "/$export", &[]).await;
        let path = "/$export?_type=Observation&_typeFilter=Observation%3Fsubject%3DPatient/a";
        let of_a = begin(&server, path, &[]).await;
        let of_b = begin(&server, &path.replace("/a", "/b"), &[]).await;
        assert_eq!(server.exports.forget_patient("Patient/a").await.unwrap(), 1);
        for (status, expected) in [(all, 200), (of_a, 404), (of_b, 200)] {
            assert_eq!(ended(&server, &status, &[]).await.status, expected);
        }
    });
}

#[test]
fn an_export_of_one_workspace_is_in_no_other() {
    test(|server| async move {
        let status = begin(&server, "/$export", &[]).await;
        manifest(&server, &status, &[]).await;
        let id = status.rsplit('/').next().unwrap();
        let owner = Owner { issuer: None, subject: "anonymous".to_owned(), client: None };
        assert!(server.exports.find(id, &owner, None).await.unwrap().is_some());
        let log = Log::open(&server.database, "other", LogOptions::default()).await.unwrap();
        let index = server.index.clone();
        for (log, service) in [(&log, "fhir"), (&server.log, "second")] {
            let options = ExportOptions::default();
            let other =
                Exports::start(&server.database, (log, service), &index, Vec::new(), options).await.unwrap();
            assert!(other.find(id, &owner, None).await.unwrap().is_none(), "{service}");
            other.stop().await;
        }
        log.close().await;
    });
}

#[test]
fn a_purged_patient_is_in_no_file_any_more() {
    test(|server| async move {
        for id in ["a", "b"] {
            let subject = json!({"reference": format!("Patient/{id}")});
            put(&server, json!({"resourceType": "Patient", "id": id})).await;
            put(
                &server,
                json!({"resourceType": "Observation", "id": format!("of-{id}"), "status": "final",
                "code": {"text": "x"}, "subject": subject}),
            )
            .await;
        }
        let (before, since) = (begin(&server, "/$export", &[]).await, server.events().await);
        manifest(&server, &before, &[]).await;
        let purged = server.post("/Patient/a/$purge", "").await;
        assert_eq!(purged.status, 200, "{}", purged.text());
        let after = manifest(&server, &before, &[]).await;
        assert_eq!(after["extension"], json!({"position": since, "erased": 2}));
        assert_eq!(names(&lines(&server, &after, &[]).await), ["Observation/of-b", "Patient/b"]);
        let status = begin(&server, "/Patient/$export", &[]).await;
        let next = manifest(&server, &status, &[]).await;
        assert_eq!(names(&lines(&server, &next, &[]).await), ["Observation/of-b", "Patient/b"]);
        assert_eq!(next["extension"]["erased"], 0);
    });
}
