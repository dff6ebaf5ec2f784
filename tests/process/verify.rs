//! `anamnesis verify` as auditors run it: beside a server, without one, and over a store that was tampered with.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Server, clean, folder, kill9, on_store, processes_of, program, try_signal, until};

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
    let part = r#"{"resourceType":"CodeSystem","id":"c","url":"urn:c","status":"active","content":"fragment",
        "concept":[{"code":"a","concept":[{"code":"b"}]}]}"#;
    assert_eq!(server.put("/default/fhir/CodeSystem/c", part), Some(201));
    // Asked about, the tables have it.
    let asked = "/default/fhir/CodeSystem/$lookup?system=urn:c&code=b";
    until("the concepts are there", || server.get(asked).filter(|(status, _)| *status == 200));
    let (code, beside, errors) = on_store(folder.path(), &["verify", "--json"]);
    assert_eq!(code, 0, "{beside}{errors}");
    let beside: Value = serde_json::from_str(&beside).unwrap();
    assert_eq!(
        (&beside["ok"], &beside["to"], &beside["parts"][0]["count"]),
        (&true.into(), &7.into(), &7.into())
    );
    server.stop();

    let (code, without, errors) = on_store(folder.path(), &["verify", "--json"]);
    assert_eq!(code, 0, "{without}{errors}");
    let without: Value = serde_json::from_str(&without).unwrap();
    for part in 0..2 {
        assert_eq!(without["parts"][part], beside["parts"][part]);
    }
    // Beside the server the stream may have been behind the log.
    assert_eq!((&without["parts"][2]["part"], &without["parts"][2]["count"]), (&"stream".into(), &7.into()));
    let (search, found) = (&without["parts"][3], &beside["parts"][3]["digest"]);
    assert_eq!((&search["part"], &search["count"]), (&"search".into(), &3.into()));
    assert!(found.is_null() || *found == search["digest"] || !beside["parts"][3]["notes"][1].is_null());
    let terminology = &without["parts"][4];
    assert_eq!((&terminology["part"], &terminology["count"]), (&"terminology".into(), &1.into()));
    assert!(terminology["notes"][0].as_str().unwrap().contains("2 concepts, 1 edges"), "{terminology}");
    assert_eq!(terminology["digest"], beside["parts"][4]["digest"]);
    until("the engines have ended", || processes_of(folder.path()).is_empty().then_some(()));
    let hash = without["parts"][0]["digest"].as_str().unwrap().to_owned();
    let (code, table, _) =
        on_store(folder.path(), &["verify", "--only", "log", "--to", "7", "--hash", &hash]);
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
    let part = r#"{"resourceType":"CodeSystem","id":"c","url":"urn:c","status":"active","content":"fragment",
        "concept":[{"code":"a"}]}"#;
    assert_eq!(server.put("/default/fhir/CodeSystem/c", part), Some(201));
    let asked = "/default/fhir/CodeSystem/$lookup?system=urn:c&code=a";
    until("the concepts are there", || server.get(asked).filter(|(status, _)| *status == 200));
    tamper(
        folder.path(),
        "SET session_replication_role = replica; UPDATE anamnesis.event SET agent = 'nobody' WHERE seq = 2",
    );
    let (code, table, errors) = on_store(folder.path(), &["verify", "--only", "log,heads"]);
    assert_eq!(code, 1);
    assert!(table.contains("FAULT in log: position 2: its hash does not follow"), "{table}");
    assert!(errors.contains("the store is not as it must be: 1 fault"), "{errors}");
    tamper(folder.path(), "DELETE FROM anamnesis.terminology_v1_concept");
    let (code, table, _) = on_store(folder.path(), &["verify", "--only", "terminology"]);
    assert!(
        code == 1 && table.contains("FAULT in terminology: position 3: the table of concepts"),
        "{table}"
    );
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

#[test]
fn what_was_found_is_told_although_a_part_cannot_be_finished() {
    let folder = folder();
    let server = Server::start(folder.path());
    server.wait_until_ready();
    put(&server, "a", "Chalmers");
    put(&server, "b", "Windsor");
    tamper(
        folder.path(),
        "SET session_replication_role = replica; UPDATE anamnesis.event SET agent = 'nobody' WHERE seq = 2",
    );
    // Nobody listens there.
    let config = folder.path().join("elsewhere.toml");
    std::fs::write(&config, "[nats]\nurl = \"nats://127.0.0.1:1\"\n").unwrap();
    let elsewhere = ["verify", "--json", "--config", config.to_str().unwrap()];
    let (code, json, errors) = on_store(folder.path(), &elsewhere);
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&json).unwrap();
    let parts: Vec<&str> =
        report["parts"].as_array().unwrap().iter().map(|part| part["part"].as_str().unwrap()).collect();
    assert_eq!(parts, ["log", "heads", "search", "terminology"]);
    assert_eq!((&report["ok"], &report["parts"][0]["faultCount"]), (&false.into(), &1.into()));
    assert_eq!(report["unfinished"][0]["part"], "stream");
    assert!(errors.contains("1 fault; stream was not finished: NATS"), "{errors}");
    server.stop();
}

#[test]
fn what_was_found_is_told_although_somebody_stops_it() {
    let folder = folder();
    let server = Server::start(folder.path());
    server.wait_until_ready();
    put(&server, "a", "Chalmers");
    let addresses = anamnesis_engines::running(folder.path()).unwrap().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (client, connection) = runtime
        .block_on(tokio_postgres::connect(&addresses.database_url.unwrap(), tokio_postgres::NoTls))
        .unwrap();
    let driver = runtime.spawn(connection);
    // The check of the heads has to wait.
    runtime
        .block_on(client.batch_execute("BEGIN; LOCK TABLE anamnesis.head IN ACCESS EXCLUSIVE MODE"))
        .unwrap();
    let mut command = Command::new(program());
    clean(&mut command);
    command.args(["verify", "--only", "log,heads,search", "--data"]).arg(folder.path());
    let check = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let waits = "SELECT FROM pg_locks WHERE relation = 'anamnesis.head'::regclass AND NOT granted";
    until("the check waits", || runtime.block_on(client.query_opt(waits, &[])).unwrap());
    assert!(try_signal(check.id(), Signal::INT));
    let output = check.wait_with_output().unwrap();
    runtime.block_on(client.batch_execute("ROLLBACK")).unwrap();
    drop(client);
    runtime.block_on(driver).unwrap().unwrap();
    let (table, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{table}{errors}");
    assert!(table.contains("log                  1 events"), "{table}");
    for part in ["heads", "search"] {
        assert!(table.contains(&format!("{part:<11} UNFINISHED: stopped before it was done")), "{table}");
    }
    assert!(errors.contains("heads was not finished: stopped"), "{errors}");
    server.stop();
}

#[test]
fn a_part_that_cannot_be_checked_this_way_is_refused() {
    let nowhere = folder();
    for arguments in [["search", "--from", "5"], ["terminology", "--to", "100"], ["log,search", "--to", "1"]]
    {
        let (code, _, errors) = on_store(nowhere.path(), &[&["verify", "--only"][..], &arguments].concat());
        assert!(code == 2 && errors.contains("needs the whole log"), "{arguments:?}: {code} {errors}");
    }
}
