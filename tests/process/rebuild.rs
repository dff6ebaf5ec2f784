//! `anamnesis rebuild search` and a server that is killed in the middle of it, while others write and search.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anamnesis_events::{Draft, Erases, Group, Log, LogOptions, Operation, ResourceKey, Version};
use anamnesis_projections::search::{SearchProjection, digest};
use anamnesis_projections::{Database, DatabaseOptions, Runner, RunnerOptions, Versions};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{PATIENCE, Server, clean, folder, kill9, program, try_signal, until};

/// Resources that are there before: several batches of a rebuild.
const BUNDLES: usize = 14;
const ENTRIES: usize = 500;
/// Resources of a transaction that is written meanwhile.
const SIZE: u64 = 5;
/// How often a rebuild is begun to be caught in its middle.
const TRIES_MAX: u32 = 5;

pub(crate) fn serve_at(address: &str, data: &Path) -> Command {
    let mut command = Command::new(program());
    command.args(["serve", "--listen", address, "--data"]).arg(data);
    clean(&mut command);
    command
}

/// A command that has begun to watch a rebuild.
fn rebuild(address: &str) -> Watching {
    let mut command = Command::new(program());
    clean(&mut command);
    command.args(["rebuild", "search", "--workspace", &format!("http://{address}/default")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    output.read_line(&mut said).unwrap();
    Watching { child, output, said }
}

struct Watching {
    child: Child,
    output: BufReader<ChildStdout>,
    said: String,
}

impl Watching {
    /// Its exit code, and all that it has said.
    fn end(mut self) -> (i32, String) {
        self.output.read_to_string(&mut self.said).unwrap();
        let Output { status, stderr, .. } = self.child.wait_with_output().unwrap();
        (status.code().unwrap(), self.said + &String::from_utf8(stderr).unwrap())
    }
}

/// A client that lives through a server's death.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) workspace: String,
}

impl Client {
    pub(crate) fn of(address: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { http, workspace: format!("http://{address}/default") }
    }

    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        let response = self.http.get(format!("{}{path}", self.workspace)).send().await.ok()?;
        if response.status() != 200 { None } else { response.json().await.ok() }
    }

    /// True: the write was acknowledged.
    pub(crate) async fn transaction(&self, entries: Vec<Value>) -> bool {
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        let request = self.http.post(format!("{}/fhir", self.workspace)).json(&bundle);
        let request = request.header("Content-Type", "application/fhir+json");
        request.send().await.is_ok_and(|response| response.status() == 200)
    }

    /// The version that is active, the one that is being built with its position, and the log's end.
    pub(crate) async fn versions(&self) -> Option<(u64, Option<(u64, u64)>, u64)> {
        let listed = self.get("/$projections").await?;
        let search = &listed["projections"][0];
        let versions = search["versions"].as_array()?;
        let building = versions.iter().find(|one| one["state"] == "building");
        let building = building.and_then(|one| Some((one["version"].as_u64()?, one["position"].as_u64()?)));
        Some((search["active"].as_u64()?, building, listed["head"].as_u64()?))
    }
}

fn entry(id: &str, family: &str) -> Value {
    let patient = json!({"resourceType": "Patient", "id": id, "name": [{"family": family}]});
    json!({"resource": patient, "request": {"method": "PUT", "url": format!("Patient/{id}")}})
}

/// What clients do meanwhile, and what they have seen.
#[derive(Default)]
struct Meanwhile {
    is_over: AtomicBool,
    acknowledged: AtomicU64,
    searches: AtomicU64,
}

impl Meanwhile {
    async fn write(&self, client: &Client) {
        let mut bundle = 1;
        while !self.is_over.load(Ordering::SeqCst) {
            let entries = (0..SIZE).map(|one| entry(&format!("w{bundle}-{one}"), "written")).collect();
            // What was not acknowledged is written again; putting it twice makes nothing new.
            if client.transaction(entries).await {
                self.acknowledged.store(bundle, Ordering::SeqCst);
                bundle += 1;
            } else {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    async fn search(&self, client: &Client) {
        while !self.is_over.load(Ordering::SeqCst) {
            let acknowledged = self.acknowledged.load(Ordering::SeqCst);
            let found = client.get("/fhir/Patient?family:exact=written&_summary=count").await;
            let Some(found) = found else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let total = found["total"].as_u64().unwrap();
            assert_eq!(total % SIZE, 0, "a search has seen half a bundle");
            // Postgres was killed as well: what the index has lost it says, until it has it again.
            let is_warned = found["entry"][0]["resource"]["issue"][0]["code"] == "incomplete";
            assert!(is_warned || total >= acknowledged * SIZE, "{total} of {acknowledged} bundles: {found}");
            self.searches.fetch_add(u64::from(!is_warned), Ordering::SeqCst);
        }
    }
}

/// Begins rebuilds until one is seen in its middle; the version, and two commands that watch it.
async fn caught_in_the_middle(client: &Client, address: &str) -> (u64, [Watching; 2]) {
    for _ in 0..TRIES_MAX {
        let (before, _, _) = client.versions().await.unwrap();
        let watching = [rebuild(address), rebuild(address)];
        loop {
            let (active, building, head) = client.versions().await.unwrap();
            match building {
                Some((version, position)) if position > 0 && position < head => return (version, watching),
                _ if active > before => break,
                _ => {}
            }
        }
        for watching in watching {
            assert_eq!(watching.end().0, 0);
        }
    }
    panic!("no rebuild was caught in its middle");
}

/// The digests of the active version and of one that is built from nothing, by the same search parameters.
pub(crate) async fn digests(data: &Path) -> [[u8; 32]; 2] {
    let url = anamnesis_engines::running(data).unwrap().unwrap().database_url.unwrap();
    let log = Log::open(&url, "default", LogOptions::default()).await.unwrap();
    let database = Database::new(&url, &DatabaseOptions::default()).unwrap();
    let versions = Versions::open(&database, SearchProjection::NAME, log.number()).await.unwrap();
    let active = versions.active(SearchProjection::SCHEMA).await.unwrap();
    let inputs = versions.get(active).await.unwrap().unwrap().inputs;
    let number = versions.scratch_from(SearchProjection::SCHEMA, &inputs).await.unwrap();
    let projection = || SearchProjection::maker(log.number())(number, &inputs).unwrap();
    let options = RunnerOptions::default();
    let runner = Runner::start(database.clone(), projection(), log.clone(), log.number(), options).await;
    let runner = runner.unwrap();
    runner.progress().wait_for(log.head().await.unwrap(), PATIENCE).await.unwrap();
    runner.stop().await;
    let active = digest(&database, log.number(), active).await.unwrap();
    let from_nothing = digest(&database, log.number(), number).await.unwrap();
    versions.remove(&projection()).await.unwrap();
    log.close().await;
    [active, from_nothing]
}

#[test]
fn a_rebuild_goes_on_after_a_kill_in_its_middle() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = folder();
    let mut server = Server::start(folder.path());
    server.wait_until_ready();
    let address = server.address.clone();
    let client = Client::of(&address);
    runtime.block_on(async {
        for bundle in 0..BUNDLES {
            let entries = (0..ENTRIES).map(|one| entry(&format!("b{bundle}-{one}"), "before")).collect();
            assert!(client.transaction(entries).await);
        }
    });
    let meanwhile = std::sync::Arc::new(Meanwhile::default());
    let clients: Vec<_> = (0..2)
        .map(|which| {
            let (meanwhile, client) = (meanwhile.clone(), client.clone());
            runtime.spawn(async move {
                if which == 0 { meanwhile.write(&client).await } else { meanwhile.search(&client).await }
            })
        })
        .collect();
    let (version, [watching, other]) = runtime.block_on(caught_in_the_middle(&client, &address));
    kill9(server.pid());
    server.wait();
    assert!(
        other.said.contains(&format!("Version {version} of search is being built already.")),
        "{}",
        other.said
    );
    try_signal(other.child.id(), Signal::INT);
    let (code, said) = other.end();
    assert!(code == 1 && said.contains("the server goes on building"), "{said}");
    let before = meanwhile.searches.load(Ordering::SeqCst);

    let server = Server::start_with(serve_at(&address, folder.path()), folder.path());
    let (code, said) = watching.end();
    assert!(code == 0 && said.contains(&format!("Version {version} of search is used now")), "{said}");
    assert_eq!(runtime.block_on(client.versions()).unwrap().0, version);
    until("searches go on", || (meanwhile.searches.load(Ordering::SeqCst) > before + 5).then_some(()));
    meanwhile.is_over.store(true, Ordering::SeqCst);
    for client in clients {
        runtime.block_on(client).unwrap();
    }
    // The last search waits until the index has everything.
    let all = runtime.block_on(client.get("/fhir/Patient?family:exact=before&_summary=count")).unwrap();
    assert_eq!(all["total"], BUNDLES * ENTRIES, "{all}");
    let [active, from_nothing] = runtime.block_on(digests(folder.path()));
    assert_eq!(active, from_nothing);
    server.stop();
}

/// Writes an event that no projection can take, past the server.
fn append_broken(data: &Path, resource_type: &str, id: &str) {
    let url = anamnesis_engines::running(data).unwrap().unwrap().database_url.unwrap();
    let draft = Draft {
        key: ResourceKey::new(resource_type, id),
        operation: Operation::Create,
        erases: Erases::Nothing,
        version: Version::new(1),
        home: format!("{resource_type}/{id}"),
        touches: Vec::new(),
        payload: b"not JSON".to_vec(),
        stamp_at: None,
        identifiers: Vec::new(),
        require_no_identifier: Vec::new(),
        agent: std::sync::Arc::from("test"),
        source: None,
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let log = Log::open(&url, "default", LogOptions::default()).await.unwrap();
        log.append(Group::single(draft)).await.unwrap();
        log.close().await;
    });
}

#[test]
fn operators_rebuild_and_unpark_from_the_command_line() {
    let folder = folder();
    let server = Server::start(folder.path());
    server.wait_until_ready();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(program());
        clean(&mut command);
        let workspace = format!("http://{}/default", server.address);
        let Output { status, stdout, stderr } =
            command.args(arguments).args(["--workspace", &workspace]).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout) + &text(stderr))
    };
    let (code, said) = run(&["rebuild", "search", "--cancel"]);
    assert!(code == 1 && said.contains("nothing was given up"), "{said}");
    let (code, said) = run(&["rebuild", "search", "--detach"]);
    assert!(code == 0 && said.contains("Version 2 of search is being built."), "{said}");
    until("the new version is used", || {
        run(&["parked"]).1.contains("search version 2 (active)").then_some(())
    });
    let (code, said) = run(&["parked", "--unpark-all"]);
    assert!(code == 0 && said.contains("0 event(s) were taken"), "{said}");
    append_broken(folder.path(), "Patient", "x");
    until("the event is parked", || run(&["parked"]).1.contains("1  Patient/x").then_some(()));
    let (code, said) = run(&["parked", "--unpark", "Patient/x"]);
    assert!(code == 1 && said.contains("1 resource(s) are still parked"), "{said}");
    // Both versions park it, so that nothing is lost by the switch.
    let (code, said) = run(&["rebuild", "search"]);
    assert!(code == 0 && said.contains("Version 3 of search is used now"), "{said}");
    let (code, said) = run(&["rebuild", "other"]);
    assert!(code == 2 && said.contains("possible values: search"), "{said}");
    server.stop();
}
