//! A server that is killed amid exports: the next one goes on with each, and its files are what the log was then.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::rebuild::{Client, serve_at};
use crate::support::{Server, folder, kill9, until};

/// Resources that are there before: several steps of an export.
const BUNDLES: usize = 26;
const ENTRIES: usize = 500;
/// Exports that are begun at once, so that some are under way when the server dies.
const EXPORTS: usize = 8;
/// How often that is done to see one in its middle.
const TRIES_MAX: u32 = 5;

/// An export as it was begun.
struct Begun {
    status: String,
    /// The end of the log then, at least.
    head: u64,
}

impl Client {
    async fn begin(&self) -> Begun {
        let (_, _, head) = self.versions().await.unwrap();
        let request = self.http.get(format!("{}/fhir/$export", self.workspace));
        let request = request.header("Accept", "application/fhir+json").header("Prefer", "respond-async");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 202);
        Begun { status: response.headers()["content-location"].to_str().unwrap().to_owned(), head }
    }

    /// The hundredths that are done; the manifest where all is.
    async fn standing(&self, begun: &Begun) -> Result<Value, u32> {
        let response = self.http.get(&begun.status).send().await.unwrap();
        if response.status() == 202 {
            let progress = response.headers()["x-progress"].to_str().unwrap().to_owned();
            let digits: String = progress.chars().filter(char::is_ascii_digit).collect();
            return Err(digits.parse().unwrap());
        }
        assert_eq!(response.status(), 200);
        Ok(response.json().await.unwrap())
    }

    /// What an export has given, by name.
    async fn files(&self, manifest: &Value) -> BTreeMap<String, Value> {
        let mut all = BTreeMap::new();
        for file in manifest["output"].as_array().unwrap() {
            let text =
                self.http.get(file["url"].as_str().unwrap()).send().await.unwrap().text().await.unwrap();
            for line in text.lines() {
                let resource: Value = serde_json::from_str(line).unwrap();
                assert!(all.insert(name(&resource), resource).is_none());
            }
        }
        all
    }

    /// What stood at a position, by the change feed.
    async fn replayed(&self, until: u64) -> BTreeMap<String, Value> {
        let feed = self.http.get(format!("{}/$events?to={until}", self.workspace)).send().await.unwrap();
        let mut standing = BTreeMap::new();
        for line in feed.text().await.unwrap().lines() {
            let mut event: Value = serde_json::from_str(line).unwrap();
            let resource = event["data"].take();
            standing.insert(name(&resource), resource);
        }
        standing
    }
}

fn name(resource: &Value) -> String {
    format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap())
}

fn entries(bundle: usize, round: usize) -> Vec<Value> {
    let entry = |one: usize| {
        let id = format!("b{bundle}-{one}");
        let patient = json!({"resourceType": "Patient", "id": id, "multipleBirthInteger": round});
        json!({"resource": patient, "request": {"method": "PUT", "url": format!("Patient/{id}")}})
    };
    (0..ENTRIES).map(entry).collect()
}

/// Begins exports, writes on, and waits until one is in its middle.
async fn caught_in_the_middle(client: &Client) -> Vec<Begun> {
    for round in 1..=TRIES_MAX {
        let mut all = Vec::new();
        for _ in 0..EXPORTS {
            all.push(client.begin().await);
        }
        assert!(client.transaction(entries(0, round as usize)).await);
        loop {
            let mut running = 0;
            for begun in &all {
                match client.standing(begun).await {
                    Err(percent) if percent > 0 => return all,
                    Err(_) => running += 1,
                    Ok(_) => {}
                }
            }
            if running == 0 {
                break;
            }
        }
    }
    panic!("no export was caught in its middle");
}

fn start(address: &str, data: &Path) -> Server {
    Server::start_with(serve_at(address, data), data)
}

#[test]
fn exports_go_on_after_a_kill_in_their_middle() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = folder();
    let mut server = Server::start(folder.path());
    server.wait_until_ready();
    let address = server.address.clone();
    let client = Client::of(&address);
    let begun = runtime.block_on(async {
        for bundle in 0..BUNDLES {
            assert!(client.transaction(entries(bundle, 0)).await);
        }
        caught_in_the_middle(&client).await
    });
    kill9(server.pid());
    server.wait();

    let server = start(&address, folder.path());
    server.wait_until_ready();
    assert!(runtime.block_on(client.transaction(entries(1, 99))));
    for begun in &begun {
        let manifest = until("the export is done", || runtime.block_on(client.standing(begun)).ok());
        let position = manifest["extension"]["position"].as_u64().unwrap();
        assert!(position >= begun.head);
        let (files, replayed) =
            runtime.block_on(async { (client.files(&manifest).await, client.replayed(position).await) });
        assert_eq!(files.len(), BUNDLES * ENTRIES);
        assert!(files == replayed, "the files of {} are not what stood at {position}", begun.status);
    }
    server.stop();
}
