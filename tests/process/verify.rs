//! `anamnesis verify` as auditors run it: beside a server, without one, and over a store that was tampered with.

use std::path::Path;

use serde_json::Value;

use crate::support::{Server, folder, kill9, on_store, processes_of, until};

pub(crate) fn put(server: &Server, id: &str, family: &str) {
    let body = format!(r#"{{"resourceType":"Patient","id":"{id}","name":[{{"family":"{family}"}}]}}"#);
    let answer = server.put(&format!("/default/fhir/Patient/{id}"), &body);
    assert!(matches!(answer, Some(200 | 201)), "{answer:?}");
}

/// Changes the store of a running server behind its back.
pub(crate) fn tamper(data: &Path, statements: &str) {
    let addresses = anamnesis_engines::running(data).unwrap().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let url = addresses.database_url.unwrap();
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        let driver = tokio::spawn(connection);
        client.batch_execute(statements).await.unwrap();
        drop(client);
        driver.await.unwrap().unwrap();
    });
}

#[test]
fn a_store_is_verified_beside_its_server_and_without_it() {
    let folder = folder();
    let server = Server::start(folder.path());
    server.wait_until_ready();
    for id in ["a", "b", "a"] {
        put(&server, id, "Chalmers");
        put(&server, id, "Windsor");
    }
    let (code, beside, errors) = on_store(folder.path(), &["verify", "--json"]);
    assert_eq!(code, 0, "{beside}{errors}");
    let beside: Value = serde_json::from_str(&beside).unwrap();
    assert_eq!(
        (&beside["ok"], &beside["to"], &beside["parts"][0]["count"]),
        (&true.into(), &6.into(), &6.into())
    );
    server.stop();

    let (code, without, errors) = on_store(folder.path(), &["verify", "--json"]);
    assert_eq!(code, 0, "{without}{errors}");
    let without: Value = serde_json::from_str(&without).unwrap();
    for part in 0..3 {
        assert_eq!(without["parts"][part], beside["parts"][part]);
    }
    let (search, found) = (&without["parts"][3], &beside["parts"][3]["digest"]);
    assert_eq!((&search["part"], &search["count"]), (&"search".into(), &2.into()));
    assert!(found.is_null() || *found == search["digest"] || !beside["parts"][3]["notes"][1].is_null());
    until("the engines have ended", || processes_of(folder.path()).is_empty().then_some(()));
    let hash = without["parts"][0]["digest"].as_str().unwrap().to_owned();
    let (code, table, _) =
        on_store(folder.path(), &["verify", "--only", "log", "--to", "6", "--hash", &hash]);
    assert!(code == 0 && table.contains(&hash), "{table}");
    let (code, table, _) =
        on_store(folder.path(), &["verify", "--only", "log", "--to", "5", "--hash", &hash]);
    assert!(code == 1 && table.contains("FAULT in log: position 5: the hash there is another"), "{table}");
}

#[test]
fn tampering_is_found_and_ends_with_1() {
    let folder = folder();
    let server = Server::start(folder.path());
    server.wait_until_ready();
    put(&server, "a", "Chalmers");
    put(&server, "b", "Windsor");
    tamper(
        folder.path(),
        "SET session_replication_role = replica; UPDATE anamnesis.event SET agent = 'nobody' WHERE seq = 2",
    );
    let (code, table, errors) = on_store(folder.path(), &["verify", "--only", "log,heads"]);
    assert_eq!(code, 1);
    assert!(table.contains("FAULT in log: position 2: its hash does not follow"), "{table}");
    assert!(errors.contains("the store is not as it must be: 1 fault"), "{errors}");
    let (code, json, _) = on_store(folder.path(), &["verify", "--only", "log,heads", "--json"]);
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["parts"][0]["faults"][0]["position"], 2);
    server.stop();
}

#[test]
fn what_cannot_be_opened_is_told_with_what_to_do() {
    let folder = folder();
    let nothing = folder.path().join("nothing");
    let (code, _, errors) = on_store(&nothing, &["verify"]);
    assert!(code == 1 && errors.contains("name the data folder of the server with --data"), "{errors}");
    assert!(!nothing.exists());
    let mut server = Server::start(folder.path());
    let (code, _, errors) = on_store(folder.path(), &["verify", "--workspace", "other"]);
    assert!(code == 1 && errors.contains("there is no workspace `other`; there are: default"), "{errors}");
    let (code, _, errors) = on_store(folder.path(), &["verify", "--from", "9"]);
    assert!(code == 1 && errors.contains("--from 9: the log ends at position 0"), "{errors}");
    let (code, _, _) = on_store(folder.path(), &["verify", "--hash", "12"]);
    assert_eq!(code, 2);
    // What a killed server has written down is not believed: the command starts the engines itself.
    kill9(server.pid());
    server.wait();
    let (code, table, errors) = on_store(folder.path(), &["verify"]);
    assert_eq!(code, 0, "{table}{errors}");
}
