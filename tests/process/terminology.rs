//! `anamnesis terminology load` that is killed in the middle with its server: started again it goes on, to the same end as
//! one that nobody disturbed.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Server, clean, folder, is_running, on_store, processes_of, program, try_signal, until};

/// More fragments than a load sends at a time.
const CONCEPTS: usize = 125_000;
const FRAGMENTS: u64 = 25;

fn load(file: &Path, server: &Server) -> Child {
    let mut command = Command::new(program());
    clean(&mut command);
    command.args(["terminology", "load"]).arg(file).args([
        "--system",
        "urn:big",
        "--edition",
        "1",
        "--server",
    ]);
    command.arg(format!("http://{}/default/fhir", server.address));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// How many fragments are stored: as the log has it.
fn stored(server: &Server) -> Option<u64> {
    let (status, body) = server.get("/default/fhir/CodeSystem/_history?_summary=count")?;
    let bundle: Value = serde_json::from_str(&body).ok()?;
    (status == 200).then(|| bundle["total"].as_u64()).flatten()
}

/// All fragments without what is of this server alone, and their versions.
fn contents(server: &Server) -> Vec<Value> {
    let path = "/default/fhir/CodeSystem?url=urn:big&_sort=_id&_count=50";
    // The index may be behind the log for longer than a search waits, which it says then.
    let is_whole = |(status, body): &(u16, String)| *status == 200 && !body.contains("\"mode\":\"outcome\"");
    let (_, body) = until("the index has all", || server.get(path).filter(is_whole));
    let bundle: Value = serde_json::from_str(&body).unwrap();
    let entries = bundle["entry"].as_array().unwrap().iter();
    let resource = |entry: &Value| {
        let mut resource = entry["resource"].clone();
        assert_eq!(resource["meta"]["versionId"], "1", "it was written twice");
        resource.as_object_mut().unwrap().remove("meta");
        resource
    };
    entries.map(resource).collect()
}

/// A page from the middle of all codes, and how many there are.
fn listed(server: &Server) -> Value {
    let all = r#"{"resourceType":"ValueSet","id":"all","url":"urn:all","status":"active",
        "compose":{"include":[{"system":"urn:big"}]}}"#;
    assert_eq!(server.put("/default/fhir/ValueSet/all", all), Some(201));
    let path = "/default/fhir/ValueSet/all/$expand?count=500&offset=20000";
    // The tables of concepts may be behind the log for longer than a question waits.
    let (_, body) = until("a page", || server.get(path).filter(|(status, _)| *status == 200));
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["expansion"]["contains"].as_array().unwrap().len(), 500);
    assert_eq!(answer["expansion"]["total"], CONCEPTS);
    answer["expansion"]["contains"].clone()
}

fn kill_all(server: &mut Server, data: &Path) {
    let mut all = processes_of(data);
    all.insert(server.pid());
    for pid in all {
        // Some end by themselves while we are at it.
        if is_running(pid) {
            let _ended = try_signal(pid, Signal::KILL);
        }
    }
    server.wait();
}

#[test]
fn a_load_goes_on_after_its_client_and_its_server_were_killed() {
    let folder = folder();
    let file = folder.path().join("big.csv");
    let rows: Vec<String> = (0..CONCEPTS).map(|n| format!("n{n},Finding {n},n{}", n / 10)).collect();
    std::fs::write(&file, format!("code,display,parent\n{}\n", rows.join("\n"))).unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(&data);
    server.wait_until_ready();

    let mut client = load(&file, &server);
    until("a fragment is stored", || stored(&server).filter(|count| *count > 0));
    client.kill().unwrap();
    kill_all(&mut server, &data);
    client.wait().unwrap();

    let server = Server::start(&data);
    server.wait_until_ready();
    let middle = stored(&server).unwrap();
    assert!(middle > 0 && middle < FRAGMENTS, "{middle}: it was done before the kill: nothing is shown");
    assert!(load(&file, &server).wait().unwrap().success());
    // What was there already has got no other version.
    assert_eq!(stored(&server), Some(FRAGMENTS));
    let judged = |code: &str| {
        let path = format!("/default/fhir/CodeSystem/$validate-code?url=urn:big&code={code}");
        // The tables of concepts may be behind the log for longer than a question waits.
        until("the concepts are in their tables", || server.get(&path).filter(|(status, _)| *status == 200)).1
    };
    assert!(judged("n124999").contains("true"));
    assert!(judged("none").contains("false"), "all of it is there: what is not does not exist");

    // A load that nobody disturbed gives the same.
    let other = Server::start(&folder.path().join("undisturbed"));
    other.wait_until_ready();
    assert!(load(&file, &other).wait().unwrap().success());
    let (here, there) = (contents(&server), contents(&other));
    assert_eq!(here.len(), usize::try_from(FRAGMENTS).unwrap());
    assert!(here == there, "the fragments differ");
    assert_eq!(listed(&server), listed(&other));
    other.stop();
    server.stop();
    let (code, table, errors) = on_store(&data, &["verify"]);
    assert_eq!(code, 0, "{table}{errors}");
    assert!(table.contains("125000 concepts, 125000 edges"), "{table}");
}
