//! Patients that Synthea made go in, and come out wherever they have to: by id, in the log, in the stream, in the
//! history and in searches.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use futures::StreamExt;
use reqwest::Method;

use crate::compare::{Names, differences};
use crate::corpus::{self, Document};
use crate::server::{self, Server};
use crate::{process, searches};

/// Entries of all bundles of the corpus.
const RESOURCES: usize = 1156;

#[test]
fn what_the_load_command_sends_is_everywhere() {
    let bundles = corpus::synthea();
    server::test(|server| async move {
        load(&server);
        let logged = logged(&server).await;
        assert_eq!(counts(&logged), counts_of(&bundles));
        let streamed = streamed(&server).await;
        let positions: Vec<u64> = streamed.iter().map(|message| message.position).collect();
        assert_eq!(positions, (1..=RESOURCES as u64).collect::<Vec<_>>());
        let subjects = |(address, _): &(String, i32)| format!("{address}/_history/1");
        let subjects: Vec<String> = logged.iter().map(subjects).collect();
        assert_eq!(streamed.iter().map(|message| message.subject.clone()).collect::<Vec<_>>(), subjects);
        history_has_each_once(&server, &logged).await;
    });
}

#[test]
fn what_is_posted_reads_back_equal_and_is_found() {
    let bundles = corpus::synthea();
    server::test(|server| async move {
        let mut stored = BTreeMap::new();
        let mut resources = Vec::new();
        for bundle in &bundles {
            let names = post(&server, bundle, resources.len()).await;
            for entry in bundle.json.all("entry") {
                let address = names[entry.text("fullUrl").unwrap()].clone();
                let sent = entry.get("resource").unwrap();
                let body = read_back(&server, &address).await;
                let found = differences(sent, &crate::json::Json::parse(&body), &names);
                assert!(found.is_empty(), "{}, {address}: {found:#?}", bundle.name);
                stored.insert(address.clone(), body.clone());
                resources.push(searches::Resource { address, json: crate::json::Json::parse(&body) });
            }
        }
        assert_eq!(stored.len(), RESOURCES);
        for message in streamed(&server).await {
            let address = message.subject.strip_suffix("/_history/1").unwrap();
            assert_eq!(message.body, stored[address], "position {}", message.position);
        }
        searches::find_everything(&server, &resources).await;
    });
}

/// Runs `anamnesis load --verify` over the whole folder: the command finds hospitals and practitioners by itself.
fn load(server: &Server) {
    let mut command = Command::new(process::program());
    process::clean(&mut command);
    command.args(["load", "--verify", "--server", &server.base]).arg(corpus::folder().join("synthea"));
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}{complained}");
    assert!(
        said.contains(&format!("{RESOURCES} entries accepted in 10 requests from 10 files, 0 failed")),
        "{said}"
    );
    assert!(said.contains(&format!("{RESOURCES} resources read back and equal to what was sent")), "{said}");
}

/// Posts a bundle; answers what its entries have become. `before` is how many events there are already.
async fn post(server: &Server, bundle: &Document, before: usize) -> Names {
    let answer = server.send(Method::POST, "", &bundle.text).await;
    let response = answer.json(200);
    let entries = bundle.json.all("entry");
    assert_eq!(answer.header("x-anamnesis-position"), (before + entries.len()).to_string());
    assert_eq!(response.text("type"), Some("transaction-response"));
    let responses = response.all("entry/response");
    assert_eq!(responses.len(), entries.len());
    let mut names = Names::new();
    for (entry, response) in entries.iter().zip(responses) {
        assert!(response.text("status").unwrap().starts_with("201"));
        assert_eq!(response.text("etag"), Some("W/\"1\""));
        let location = response.text("location").unwrap();
        let address = location.strip_suffix("/_history/1").unwrap();
        let address = address.strip_prefix(&format!("{}/", server.base)).unwrap_or(address);
        assert_eq!(address.split('/').next(), entry.text("resource/resourceType"));
        names.insert(entry.text("fullUrl").unwrap().to_owned(), address.to_owned());
    }
    names
}

/// The body of a resource, which is the same by every way that leads to it.
async fn read_back(server: &Server, address: &str) -> String {
    let answer = server.get(address).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("etag"), "W/\"1\"");
    assert_eq!(server.get(&format!("{address}/_history/1")).await.body, answer.body);
    let history = server.get(&format!("{address}/_history")).await.json(200);
    assert_eq!(history.all("entry/resource"), [&answer.json(200)]);
    answer.body
}

/// What the log holds, in the order of its positions: addresses and how many events each transaction has.
async fn logged(server: &Server) -> Vec<(String, i32)> {
    let database = server.database().await;
    let rows = database
        .query(
            "SELECT seq, resource_type || '/' || id, version, kind, transaction_id::text, transaction_index,
                    transaction_size FROM anamnesis.event ORDER BY seq",
            &[],
        )
        .await
        .unwrap();
    let mut transactions: BTreeMap<String, i32> = BTreeMap::new();
    let mut logged = Vec::new();
    for (row, position) in rows.iter().zip(1i64..) {
        assert_eq!(row.get::<_, i64>(0), position, "positions are dense");
        assert_eq!((row.get::<_, i32>(2), row.get::<_, i16>(3)), (1, 1), "a first version is a creation");
        let seen = transactions.entry(row.get(4)).or_default();
        assert_eq!(row.get::<_, i32>(5), *seen, "a transaction is contiguous and in order");
        *seen += 1;
        logged.push((row.get(1), row.get(6)));
    }
    assert_eq!(transactions.len(), 10);
    let sizes: BTreeSet<i32> = transactions.into_values().collect();
    assert_eq!(sizes, logged.iter().map(|(_, size)| *size).collect());
    logged
}

/// How many resources there are of each type.
fn counts(logged: &[(String, i32)]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (address, _) in logged {
        *counts.entry(address.split('/').next().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

fn counts_of(bundles: &[Document]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for resource_type in bundles.iter().flat_map(|bundle| bundle.json.texts("entry/resource/resourceType")) {
        *counts.entry(resource_type.to_owned()).or_default() += 1;
    }
    counts
}

/// A message of the stream.
struct Message {
    position: u64,
    subject: String,
    body: String,
}

/// All messages of the stream, which has as many as there are events, under the same numbers.
async fn streamed(server: &Server) -> Vec<Message> {
    let stream = server.stream().await;
    let all = pull::OrderedConfig { deliver_policy: DeliverPolicy::All, ..Default::default() };
    let messages = stream.create_consumer(all).await.unwrap().messages().await.unwrap();
    let take = messages.take(RESOURCES).map(|message| {
        let message = message.unwrap();
        let position = message.info().unwrap().stream_sequence;
        let header = |name: &str| message.headers.as_ref().unwrap().get(name).unwrap().to_string();
        assert_eq!(header("ce-sequence"), position.to_string());
        let body = String::from_utf8(message.payload.to_vec()).unwrap();
        Message { position, subject: header("ce-subject"), body }
    });
    let messages = tokio::time::timeout(Duration::from_secs(60), take.collect::<Vec<_>>()).await.unwrap();
    let state = stream.get_info().await.unwrap().state;
    assert_eq!((state.messages, state.last_sequence), (RESOURCES as u64, RESOURCES as u64));
    messages
}

/// Pages through the history of everything: newest first, each version once.
async fn history_has_each_once(server: &Server, logged: &[(String, i32)]) {
    let mut seen = Vec::new();
    let mut next = Some("_history?_count=100".to_owned());
    while let Some(address) = next {
        let page = server.get(&address).await.json(200);
        for entry in page.all("entry") {
            assert_eq!(entry.text("request/method"), Some("POST"));
            let resource = |name| entry.text(&format!("resource/{name}")).unwrap();
            seen.push(format!("{}/{}", resource("resourceType"), resource("id")));
        }
        next = server::link(&page, "next");
    }
    seen.reverse();
    assert_eq!(seen, logged.iter().map(|(address, _)| address.clone()).collect::<Vec<_>>());
}
