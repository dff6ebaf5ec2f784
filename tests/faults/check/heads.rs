//! The heads table against the newest events (I3).

use std::collections::BTreeMap;

use anamnesis_events::{Event, Log, Operation, ResourceKey};
use tokio_postgres::Client;

use super::{Story, named};

/// How many heads are read at once.
const PAGE: usize = 1_000;

pub(crate) async fn check(story: &Story, log: &Log, database: &Client) -> Vec<String> {
    let mut violations = Vec::new();
    let newest: BTreeMap<&ResourceKey, &Event> =
        story.events.iter().map(|event| (&event.key, event)).collect();
    let newest: Vec<&Event> = newest.into_values().collect();
    for page in newest.chunks(PAGE) {
        let keys: Vec<ResourceKey> = page.iter().map(|event| event.key.clone()).collect();
        for (event, head) in page.iter().zip(log.heads(&keys).await.unwrap()) {
            let is_deleted = event.operation == Operation::Delete;
            let is_same = head.as_ref().is_some_and(|head| {
                (head.version, head.position, head.deleted) == (event.version, event.position, is_deleted)
                    && head.home == event.home
            });
            if !is_same {
                violations.push(format!("I3: the head is {head:?}, the newest event the {}", named(event)));
            }
        }
    }
    let statement = "SELECT count(*) FROM anamnesis.head WHERE log = $1";
    let heads: i64 = database.query_one(statement, &[&log.number()]).await.unwrap().get(0);
    if heads != newest.len() as i64 {
        violations.push(format!("I3: {heads} heads, but {} resources in the log", newest.len()));
    }
    violations
}
