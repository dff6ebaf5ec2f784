//! A server that is killed while a `$reindex` builds its index with a client's search parameter: the next one goes on.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use super::rebuild::{Client, digests, serve_at};
use crate::support::{Server, folder, kill9, until};

/// Resources that are there before: several batches of a reindex.
const BUNDLES: usize = 14;
const ENTRIES: usize = 500;
/// How often a reindex is begun to be caught in its middle.
const TRIES_MAX: u32 = 5;

impl Client {
    /// The status of an answer, and its body.
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = self.http.request(method, format!("{}/fhir{path}", self.workspace));
        let mut request = request.header("Prefer", "handling=strict");
        if let Some(body) = body {
            request = request.header("Content-Type", "application/fhir+json").body(body.to_string());
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    /// How many patients there are with a nickname; what is wrong where it cannot be asked for.
    async fn called(&self, nickname: &str) -> Result<Value, (u16, Value)> {
        let path = format!("/Patient?nickname:exact={nickname}&_summary=count");
        match self.ask(Method::GET, &path, None).await {
            (200, bundle) => Ok(bundle["total"].clone()),
            (status, outcome) => Err((status, outcome["issue"][0]["code"].clone())),
        }
    }
}

fn patient(id: &str, nickname: &str) -> Value {
    let name = json!([{"use": "nickname", "given": [nickname]}, {"use": "official", "family": "Doe"}]);
    let patient = json!({"resourceType": "Patient", "id": id, "name": name});
    json!({"resource": patient, "request": {"method": "PUT", "url": format!("Patient/{id}")}})
}

fn parameter() -> Value {
    json!({"resourceType": "SearchParameter", "id": "nickname", "name": "Nickname", "status": "active",
        "url": "http://example.org/SearchParameter/nickname", "description": "What a patient is called.",
        "code": "nickname", "base": ["Patient"], "type": "string",
        "expression": "Patient.name.where(use = 'nickname').given"})
}

/// Has an index built that has the parameter; the id of the job.
async fn begin(client: &Client) -> String {
    let order = json!({"resourceType": "Parameters"});
    let (status, job) = client.ask(Method::POST, "/$reindex", Some(order)).await;
    assert_eq!(status, 201, "{job}");
    said(&job, "id").unwrap()
}

/// What a job says of itself.
fn said(job: &Value, name: &str) -> Option<String> {
    let parameters = job["parameter"].as_array()?;
    let one = parameters.iter().find(|one| one["name"] == name)?;
    one["valueString"].as_str().map(str::to_owned)
}

/// Begins such jobs until one is seen in its middle; its version and its id.
async fn caught_in_the_middle(client: &Client) -> (u64, String) {
    for _ in 0..TRIES_MAX {
        let (before, _, _) = client.versions().await.unwrap();
        let job = begin(client).await;
        loop {
            let (active, building, head) = client.versions().await.unwrap();
            match building {
                Some((version, position)) if position > 0 && position < head => return (version, job),
                _ if active > before => break,
                _ => {}
            }
        }
    }
    panic!("no reindex was caught in its middle");
}

fn start(address: &str, data: &Path) -> Server {
    Server::start_with(serve_at(address, data), data)
}

#[test]
fn an_index_with_a_parameter_goes_on_after_a_kill_in_its_middle() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = folder();
    let mut server = Server::start(folder.path());
    server.wait_until_ready();
    let address = server.address.clone();
    let client = Client::of(&address);
    let (version, job) = runtime.block_on(async {
        for bundle in 0..BUNDLES {
            let name = |one: usize| if one < ENTRIES / 2 { "Ann" } else { "Bob" };
            let entries = (0..ENTRIES).map(|one| patient(&format!("b{bundle}-{one}"), name(one))).collect();
            assert!(client.transaction(entries).await);
        }
        let unknown = Err((400, json!("not-supported")));
        assert_eq!(client.called("Ann").await, unknown);
        let (status, _) = client.ask(Method::PUT, "/SearchParameter/nickname", Some(parameter())).await;
        assert_eq!(status, 201);
        assert_eq!(client.called("Ann").await, unknown, "it is known, and nothing is indexed by it");
        caught_in_the_middle(&client).await
    });
    kill9(server.pid());
    server.wait();

    let server = start(&address, folder.path());
    server.wait_until_ready();
    // Written before it is done, or after: it is in the index in either case.
    assert!(runtime.block_on(client.transaction(vec![patient("late", "Ann")])));
    until("the index is built", || (runtime.block_on(client.versions())?.0 == version).then_some(()));
    let path = format!("/_operations/reindex/{job}");
    let (status, shown) = runtime.block_on(client.ask(Method::GET, &path, None));
    assert_eq!((status, said(&shown, "status").as_deref()), (200, Some("Completed")), "{shown}");
    let total = until("this server has noticed", || runtime.block_on(client.called("Ann")).ok());
    assert_eq!(total, BUNDLES * ENTRIES / 2 + 1);
    let [active, from_nothing] = runtime.block_on(digests(folder.path()));
    assert_eq!(active, from_nothing);
    server.stop();
}
