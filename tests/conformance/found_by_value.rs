//! Every published example is found by each value that each of its search parameters has: whatever the type of the
//! parameter, and however odd the value. What an example contains is found so with `_contained`.

use std::collections::{BTreeMap, BTreeSet};

use anamnesis_fhir::json::{Document, Limits, Value};
use reqwest::Method;

use crate::corpus;
use crate::examples::{INVALID, NOT_ALLOWED};
use crate::json::Json;
use crate::questions::questions;
use crate::server::{self, Server};

#[test]
fn every_example_is_found_by_each_of_its_values() {
    let examples = [("spec-examples", "spec-examples-dev"), ("us-core", "us-core-examples-dev")];
    let examples: Vec<_> =
        examples.into_iter().flat_map(|(folder, file)| corpus::lines(folder, file)).collect();
    server::test(|server| async move {
        let stored = store_all(&server, &examples).await;
        let (mut asked, mut composites, mut lost, mut silent) = (0, 0, Vec::new(), BTreeSet::new());
        for (address, text) in &stored {
            let document = Document::parse(text.as_bytes().to_vec(), &Limits::default()).unwrap();
            let of_one = questions(address, document.root());
            silent.extend(of_one.silent);
            for question in of_one.asked {
                asked += 1;
                composites += usize::from(question.contains("%24"));
                lost.extend(ask(&server, address, &question).await);
            }
        }
        println!("{asked} searches for {} resources, {composites} of them of composites", stored.len());
        let (mut of_contained, mut resources) = (0, 0);
        for (address, text) in &stored {
            let document = Document::parse(text.as_bytes().to_vec(), &Limits::default()).unwrap();
            for one in document.root().get("contained").into_iter().flat_map(Value::items) {
                let name = |part| one.get(part).and_then(Value::as_str).unwrap().into_owned();
                let (resource_type, id) = (name("resourceType"), name("id"));
                // R4 gives them no endpoint.
                if resource_type == "Parameters" {
                    continue;
                }
                resources += 1;
                for question in questions(&format!("{resource_type}/{id}"), one).asked {
                    of_contained += 1;
                    let contained = (resource_type.as_str(), id.as_str());
                    lost.extend(ask_contained(&server, address, contained, &question).await);
                }
            }
        }
        println!("{of_contained} searches for {resources} contained resources");
        assert!(resources > 20 && of_contained > 250, "{of_contained} searches, {resources} resources");
        assert!(lost.is_empty(), "{} of {asked} searches\n{}", lost.len(), lost.join("\n"));
        assert!(silent.is_empty(), "values that nothing asks for:\n{}", join(&silent));
        assert!(asked > 9500 && composites > 500, "{asked} searches, {composites} of composites");
    });
}

fn join(all: &BTreeSet<String>) -> String {
    all.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// Stores all examples but those that are refused, which are listed: by their ids, or under those that the server gives.
async fn store_all<'a>(server: &Server, examples: &'a [corpus::Document]) -> BTreeMap<String, &'a str> {
    let (mut stored, mut refused) = (BTreeMap::new(), Vec::new());
    for example in examples {
        let resource_type = example.json.text("resourceType").unwrap();
        let answer = match example.json.text("id") {
            Some(id) => server.send(Method::PUT, &format!("{resource_type}/{id}"), &example.text).await,
            None => server.send(Method::POST, resource_type, &example.text).await,
        };
        if answer.status < 300 {
            let id = Json::parse(&answer.body).text("id").unwrap().to_owned();
            stored.insert(format!("{resource_type}/{id}"), example.text.as_str());
        } else {
            refused.push(example.name.as_str());
        }
    }
    let listed = INVALID.iter().chain(NOT_ALLOWED).map(|(name, _)| *name);
    let parameters = |name: &&str| name.starts_with("parameters-");
    refused.retain(|name| !parameters(name));
    refused.sort_unstable();
    let mut listed: Vec<&str> = listed.collect();
    listed.sort_unstable();
    assert_eq!(refused, listed);
    stored
}

/// What is wrong with the answer to one question about a resource, if anything.
async fn ask(server: &Server, address: &str, question: &str) -> Option<String> {
    let (resource_type, id) = address.split_once('/').unwrap();
    let search = format!("{resource_type}?_id={id}&{question}");
    let answer = server.get(&search).await;
    if answer.status != 200 {
        return Some(format!("{search}: {}", answer.body));
    }
    let bundle = Json::parse(&answer.body);
    let found = bundle.texts("entry/fullUrl");
    let modes = bundle.texts("entry/search/mode");
    (found != [format!("{}/{address}", server.base)] || modes != ["match"])
        .then(|| format!("{search}: {found:?}, {modes:?}"))
}

/// The same of a question about a resource that another contains. Others may contain one with the same id and value.
async fn ask_contained(
    server: &Server,
    address: &str,
    (resource_type, id): (&str, &str),
    question: &str,
) -> Option<String> {
    let search =
        format!("{resource_type}?_contained=true&_containedType=contained&_count=1000&_id={id}&{question}");
    let answer = server.get(&search).await;
    let own = format!("{}/{address}#{id}", server.base);
    let is_found = answer.status == 200 && Json::parse(&answer.body).texts("entry/fullUrl").contains(&&*own);
    (!is_found).then(|| format!("{search}: {} {}", answer.status, answer.body))
}
