//! Bundles of results, taken apart.

use serde_json::Value;

use crate::support::Server;

/// The ids of the entries with a search mode, in their order.
pub(crate) fn ids_of(bundle: &Value, mode: &str) -> Vec<String> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let wanted = entries.iter().filter(|entry| entry["search"]["mode"] == mode);
    wanted.map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()).collect()
}

/// The ids of the matches, in their order.
pub(crate) fn ids(bundle: &Value) -> Vec<String> {
    ids_of(bundle, "match")
}

/// The ids of the included resources, sorted.
pub(crate) fn included(bundle: &Value) -> Vec<String> {
    let mut ids = ids_of(bundle, "include");
    ids.sort();
    ids
}

/// What the server has to say about a search.
pub(crate) fn outcomes(bundle: &Value) -> Vec<Value> {
    let entries = bundle["entry"].as_array().cloned().unwrap_or_default();
    let outcomes = entries.iter().filter(|entry| entry["search"]["mode"] == "outcome");
    outcomes.map(|entry| entry["resource"].clone()).collect()
}

pub(crate) fn link(bundle: &Value, relation: &str) -> Option<String> {
    let links = bundle["link"].as_array()?;
    links
        .iter()
        .find(|link| link["relation"] == relation)
        .map(|link| link["url"].as_str().unwrap().to_owned())
}

pub(crate) async fn follow(server: &Server, bundle: &Value, relation: &str) -> Value {
    let url = link(bundle, relation).unwrap();
    server.get(url.strip_prefix(&server.base).unwrap()).await.json()
}

/// Writes a resource under its own type and id.
pub(crate) async fn put(server: &Server, resource: &Value) {
    let (name, id) = (resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
    let answer = server.put(&format!("/{name}/{id}"), resource.to_string()).await;
    assert!(answer.status.is_success(), "{}", answer.text());
}
