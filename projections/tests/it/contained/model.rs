//! Random containers against the same resources standing for themselves: whatever is asked, both answer the same, in the
//! same order and on the same pages.

use std::collections::BTreeMap;

use anamnesis_events::{Event, Position};
use anamnesis_projections::RunnerOptions;
use anamnesis_projections::search::Found;
use anamnesis_projections::search::{SearchPage, Subject};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::evaluate::{criteria, observations, patients};
use crate::world::World;

const WRITES: usize = 90;
const CONTAINERS: usize = 60;
const QUERIES: usize = 120;
/// Queries that find nothing show little.
const FOUND_MIN: usize = QUERIES / 3;
const PAGES_MAX: usize = 200;

/// The worlds: one in which resources are contained, and one in which each of them stands for itself.
struct Worlds {
    contained: World,
    standing: World,
}

fn any_resource(random: &mut TestRunner) -> Value {
    prop_oneof![patients().boxed(), observations().boxed()].new_tree(random).unwrap().current()
}

impl Worlds {
    /// Containers come, change and go, and resources that stand for themselves with them.
    async fn new(random: &mut TestRunner) -> Self {
        let world = || World::with_words(RunnerOptions::default());
        let worlds = Self { contained: world().await, standing: world().await };
        let mut now: BTreeMap<usize, Vec<(String, String)>> = BTreeMap::new();
        for write in 0..WRITES {
            let (id, count) = (0..CONTAINERS, 0..5usize).new_tree(random).unwrap().current();
            for (name, id) in now.remove(&id).unwrap_or_default() {
                worlds.standing.delete(&name, &id).await;
            }
            if write % 11 == 10 {
                worlds.contained.put([json!({"resourceType": "Basic", "id": id.to_string()})]).await;
                worlds.contained.delete("Basic", &id.to_string()).await;
                continue;
            }
            let mut all = Vec::new();
            for place in 0..count {
                let mut resource = any_resource(random);
                resource["id"] = json!(format!("c{id}-{place}"));
                let name = resource["resourceType"].as_str().unwrap().to_owned();
                now.entry(id).or_default().push((name, format!("c{id}-{place}")));
                all.push(resource);
            }
            let container = json!({"resourceType": "Basic", "id": id.to_string(), "contained": all});
            worlds.contained.put([container]).await;
            worlds.standing.put(all).await;
            let mut other = any_resource(random);
            other["id"] = json!(format!("s{}", write % 40));
            worlds.contained.put([other.clone()]).await;
            worlds.standing.put([other]).await;
        }
        worlds.contained.settle().await;
        worlds.standing.settle().await;
        worlds
    }
}

/// Ids of contained resources, or of those that stand for themselves.
fn ids(page: &SearchPage) -> Vec<String> {
    let id = |found: &anamnesis_projections::search::SearchMatch| {
        found.contained.as_ref().map_or(found.id.clone(), |contained| contained.id.clone())
    };
    page.matches.iter().map(id).collect()
}

/// All results page by page, forwards, and the same read backwards from the last page on.
async fn paged(world: &World, query: &str) -> (Vec<String>, Vec<String>) {
    let mut all = Vec::new();
    let mut page = world.search(&format!("{query}&_count=3")).await;
    let mut backwards = Vec::new();
    for _ in 0..PAGES_MAX {
        all.extend(ids(&page));
        backwards = ids(&page);
        let Some(next) = page.next.clone() else { break };
        page = world.search(&format!("{query}&_count=3&ct={next}")).await;
    }
    for _ in 0..PAGES_MAX {
        let Some(previous) = page.previous.clone() else { break };
        page = world.search(&format!("{query}&_count=3&ct={previous}")).await;
        backwards.splice(0..0, ids(&page));
    }
    (all, backwards)
}

/// What [`Found`] says of everything that is there now.
async fn in_memory(world: &World, query: &str) -> Vec<String> {
    let (parsed, _) = world.query(query).unwrap();
    let mut newest: BTreeMap<_, Event> = BTreeMap::new();
    for event in world.log.read(Position::ZERO, 1000).await.unwrap() {
        newest.insert(event.key.clone(), event);
    }
    let evaluator = world.index.evaluator(&parsed).unwrap();
    let mut found = Vec::new();
    for (key, event) in newest.iter().filter(|(_, event)| !event.payload.is_empty()) {
        let (resource_type, id) = (&*key.resource_type, key.id.as_str());
        let subject = Subject { resource_type, id, payload: &event.payload, recorded_at: event.recorded_at };
        let one: Found = evaluator.take_apart(&subject).unwrap();
        let body: Value = serde_json::from_slice(&event.payload).unwrap();
        for place in one.contained_matches(&parsed) {
            found.push(body["contained"][place]["id"].as_str().unwrap().to_owned());
        }
        assert_eq!(one.matches(&parsed), !one.contained_matches(&parsed).is_empty());
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contained_resources_answer_as_if_they_stood_for_themselves() {
    let mut random = TestRunner::deterministic();
    let worlds = Worlds::new(&mut random).await;
    let orders =
        ["", "&_sort=_lastUpdated", "&_sort=-_id", "&_sort=FAMILY", "&_sort=-FAMILY", "&_sort=TEXT,-_id"];
    let mut found_something = 0;
    for case in 0..QUERIES {
        let ((name, one), (other_name, other)) =
            (criteria(), criteria()).new_tree(&mut random).unwrap().current();
        let and = if name == other_name { format!("&{other}") } else { String::new() };
        let (family, text) =
            if name == "Patient" { ("birthdate", "family") } else { ("date", "value-string") };
        let order = orders[case % orders.len()].replace("FAMILY", family).replace("TEXT", text);
        let query = format!("{name}?{one}{and}{order}");
        let alone = "_contained=true&_containedType=contained";
        let all = ids(&worlds.standing.search(&format!("{query}&_count=1000")).await);
        let of_contained: Vec<String> = all.iter().filter(|id| id.starts_with('c')).cloned().collect();
        found_something += usize::from(!of_contained.is_empty());
        let contained = &worlds.contained;
        let page = contained.search(&format!("{query}&{alone}&_count=1000&_total=accurate")).await;
        assert_eq!(ids(&page), of_contained, "{query}&{alone}");
        assert_eq!(page.total, Some(of_contained.len() as u64), "{query}");
        let both = format!("{query}&_contained=both&_containedType=contained");
        assert_eq!(paged(contained, &both).await, (all.clone(), all.clone()), "{both}");
        let standing: Vec<String> = all.iter().filter(|id| id.starts_with('s')).cloned().collect();
        assert_eq!(ids(&contained.search(&format!("{query}&_count=1000")).await), standing, "{query}");
        let mut sorted = of_contained.clone();
        sorted.sort();
        assert_eq!(in_memory(contained, &format!("{query}&{alone}")).await, sorted, "{query}");
        if !matches!(order.as_str(), "" | "&_sort=_lastUpdated") {
            continue;
        }
        // Each container once, where the first of what it contains comes.
        let mut containers: Vec<String> = Vec::new();
        for id in &all {
            let container = id.trim_start_matches('c').split('-').next().unwrap().to_owned();
            if !containers.contains(&container) {
                containers.push(container);
            }
        }
        let both = format!("{query}&_contained=both");
        assert_eq!(paged(contained, &both).await, (containers.clone(), containers.clone()), "{both}");
        let page = contained.search(&format!("{both}&_summary=count")).await;
        assert_eq!(page.total, Some(containers.len() as u64), "{both}");
    }
    assert!(found_something > FOUND_MIN, "only {found_something} of the queries found something");
    worlds.contained.runner.stop().await;
    worlds.standing.runner.stop().await;
}
