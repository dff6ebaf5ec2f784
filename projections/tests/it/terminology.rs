//! Stored terminology: nothing of what was erased is left, and what is built again is the same.

use anamnesis_events::{Erases, Operation, ResourceKey};
use anamnesis_projections::terminology::{Places, TerminologyIndex};
use anamnesis_projections::{RunnerOptions, State, Supervisor};
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use crate::supervisor::{PATIENCE, is_alone, until};
use crate::world::World;

/// In no code and display but those of one fragment.
const MARKER: &str = "Quxxzymborski";
const ERASE: (Operation, Erases) = (Operation::Delete, Erases::Earlier);
const PURGE: (Operation, Erases) = (Operation::Purge, Erases::Earlier);
const REPLACE: (Operation, Erases) = (Operation::Update, Erases::Previous);

fn fragment(id: &str, codes: &[&str]) -> Value {
    let concept = |code: &&str| {
        json!({"code": code, "display": format!("Display of {code}"),
            "property": [{"code": "parent", "valueCode": codes[0]}]})
    };
    let concepts: Vec<Value> = codes.iter().map(concept).collect();
    json!({"resourceType": "CodeSystem", "id": id, "url": "urn:c", "version": "1", "status": "active",
        "content": "fragment", "concept": concepts})
}

fn key(id: &str) -> ResourceKey {
    ResourceKey::new("CodeSystem", id)
}

async fn connect(world: &World) -> Client {
    let (client, connection) = tokio_postgres::connect(&world.url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn settle(world: &World, supervisor: &Supervisor) {
    supervisor.active().wait_for(world.log.head().await.unwrap(), PATIENCE).await.unwrap();
}

/// All rows of a version as texts.
async fn rows(client: &Client, version: i32) -> Vec<String> {
    let mut all = Vec::new();
    for table in ["definition", "concept", "edge"] {
        let select = format!("SELECT t::text FROM anamnesis.terminology_v{version}_{table} AS t ORDER BY 1");
        all.extend(
            client
                .query(&select, &[])
                .await
                .unwrap()
                .iter()
                .map(|row| format!("{table} {}", row.get::<_, String>(0))),
        );
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_erased_while_it_is_parked_leaves_nothing_behind() {
    let world = World::new().await;
    let (supervisor, index) =
        TerminologyIndex::start(&world.database, &world.log, RunnerOptions::default()).await.unwrap();
    let client = connect(&world).await;
    for id in ["erased", "purged", "kept"] {
        let word = if id == "kept" { "word" } else { MARKER };
        world.put([fragment(id, &["root", &format!("{word}-{id}")])]).await;
        settle(&world, &supervisor).await;
        world.put_broken("CodeSystem", id).await;
    }
    world.put([fragment("replaced", &["root", MARKER])]).await;
    settle(&world, &supervisor).await;
    assert_eq!(rows(&client, 1).await.iter().filter(|row| row.contains(MARKER)).count(), 6);
    world.erase(key("erased"), ERASE, "").await;
    world.erase(key("purged"), PURGE, "").await;
    world.erase(key("replaced"), REPLACE, "{").await;
    settle(&world, &supervisor).await;
    let left = rows(&client, 1).await;
    assert!(!left.iter().any(|row| row.contains(MARKER)), "{left:#?}");
    assert!(left.iter().any(|row| row.contains("word-kept")), "what was not erased is there");
    let Places { resources, codes, .. } =
        index.places("urn:c", None, &["word-kept".to_owned()]).await.unwrap();
    assert_eq!((resources.len(), codes.len()), (1, 1));
    assert_eq!(supervisor.active().now().unwrap().parked().of("CodeSystem").unwrap().resources, 4);
    supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_built_again_is_the_same_also_after_erasures() {
    let world = World::new().await;
    let (supervisor, index) =
        TerminologyIndex::start(&world.database, &world.log, RunnerOptions::default()).await.unwrap();
    let client = connect(&world).await;
    for id in ["a", "b", "c", "d"] {
        world.put([fragment(id, &["root", MARKER, id]), fragment(id, &["root", id])]).await;
    }
    world.erase(key("a"), ERASE, "").await;
    world.erase(key("b"), PURGE, "").await;
    let again = fragment("c", &["root", "c", "new"]).to_string();
    world.erase(key("c"), REPLACE, &again).await;
    world.put([json!({"resourceType": "ValueSet", "id": "v", "url": "urn:v", "status": "active"})]).await;
    settle(&world, &supervisor).await;
    let live = rows(&client, 1).await;
    assert!(live.len() > 10 && !live.iter().any(|row| row.contains(MARKER)), "{live:#?}");
    assert_eq!(supervisor.rebuild(false).await.unwrap(), (2, true));
    let is_there = |status: &[anamnesis_projections::VersionStatus]| {
        status.iter().any(|one| one.version.number == 2 && one.version.state == State::Active)
    };
    until(&supervisor, is_there).await;
    assert_eq!(rows(&client, 2).await, live);
    // Questions go on being answered, by the version that has taken over.
    world.put([fragment("e", &["root", "e"])]).await;
    let places = index.places("urn:c", None, &["e".to_owned(), "a".to_owned()]).await.unwrap();
    assert_eq!((places.resources.len(), places.codes.len(), places.concepts), (4, 1, 9));
    until(&supervisor, is_alone(2)).await;
    supervisor.stop().await;
}
