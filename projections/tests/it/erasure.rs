//! Bodies that are taken away, also those of parked resources: the live index and one that is built again have the same.

use anamnesis_events::{Erases, Operation, Position, ResourceKey};
use anamnesis_projections::RunnerOptions;
use serde_json::json;
use tokio_postgres::NoTls;

use crate::world::{World, run_version};

const REPLACE: (Operation, Erases) = (Operation::Update, Erases::Previous);
const WITHDRAW: (Operation, Erases) = (Operation::Delete, Erases::Previous);
const ERASE: (Operation, Erases) = (Operation::Delete, Erases::Earlier);
const PURGE: (Operation, Erases) = (Operation::Purge, Erases::Earlier);
const BROKEN: &str = "not JSON";

fn key(id: &str) -> ResourceKey {
    ResourceKey::new("Patient", id)
}

fn patient(id: &str, family: &str) -> serde_json::Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": family}], "birthDate": "1970-03-01",
        "identifier": [{"system": "urn:x", "value": family}]})
}

/// The rows of the first version that are of bodies which the log no longer has: by table, how many.
async fn left(world: &World) -> Vec<(String, i64)> {
    let (client, connection) = tokio_postgres::connect(&world.url, NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut left = Vec::new();
    for table in ["resource", "superseded", "span", "text"] {
        let count = format!(
            "SELECT count(*) FROM anamnesis.search_v1_{table} AS t JOIN anamnesis.event AS e ON e.seq = t.seq
             WHERE e.erased_by IS NOT NULL"
        );
        let rows: i64 = client.query_one(&count, &[]).await.unwrap().get(0);
        if rows > 0 {
            left.push((table.to_owned(), rows));
        }
    }
    drop(client);
    driver.await.unwrap().unwrap();
    left
}

async fn parked(world: &World) -> Vec<u64> {
    world.settle().await;
    let parked = world.runner.parked(Position::ZERO, 100).await.unwrap();
    parked.iter().map(|one| one.position.get()).collect()
}

/// The index that is built again has the very rows of the live one.
async fn assert_rebuilt_the_same(world: &World, version: i32) {
    assert_eq!(left(world).await, []);
    let built = run_version(&world.database, &world.log, version, RunnerOptions::default()).await;
    let digest = world.digest_of(&built).await;
    built.stop().await;
    assert_eq!(digest, world.digest().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_is_built_after_erasures_has_the_rows_of_the_live_one() {
    // What comes in one batch and what comes alone must be the same: both ways.
    for batch_events_max in [1, 500] {
        let world = World::with(RunnerOptions { batch_events_max, ..RunnerOptions::default() }).await;
        for id in ["kept", "replaced", "withdrawn", "erased", "purged", "again"] {
            world.put([patient(id, "One"), patient(id, "Two")]).await;
        }
        world.erase(key("replaced"), REPLACE, &patient("replaced", "Three").to_string()).await;
        world.erase(key("withdrawn"), WITHDRAW, "").await;
        world.erase(key("erased"), ERASE, "").await;
        world.erase(key("purged"), PURGE, "").await;
        world.erase(key("again"), ERASE, "").await;
        world.put([patient("again", "Three")]).await;
        assert_eq!(world.found("Patient?family=Three").await, "again replaced");
        assert_eq!(world.found("Patient?family=Two").await, "kept purged");
        assert_eq!(parked(&world).await, [0; 0]);
        assert_rebuilt_the_same(&world, 2).await;
        world.runner.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_erased_while_it_is_parked_leaves_no_row() {
    let world = World::new().await;
    for id in ["erased", "withdrawn", "purged", "kept"] {
        world.put([patient(id, "One")]).await;
        world.put_broken("Patient", id).await;
    }
    world.put([patient("broken", "One")]).await;
    // Whoever reads a body after it was erased has nothing to park.
    world.settle().await;
    world.erase(key("erased"), ERASE, "").await;
    world.erase(key("purged"), PURGE, "").await;
    // Only what could not be taken goes: what was there before is still shown, with a warning.
    world.erase(key("withdrawn"), WITHDRAW, "").await;
    // The event that erases is the one that cannot be taken.
    world.erase(key("broken"), REPLACE, BROKEN).await;
    assert_eq!(parked(&world).await, [2, 4, 6, 8, 10, 12, 13]);
    assert_eq!(left(&world).await, []);
    assert_eq!(world.found("Patient?family=One").await, "kept withdrawn");
    // What was erased can be taken again, as nothing; what is broken and still there cannot.
    for (id, taken) in [("erased", 2), ("withdrawn", 2), ("purged", 0), ("kept", 0), ("broken", 0)] {
        assert_eq!(world.runner.unpark(&key(id)).await.unwrap(), taken, "{id}");
    }
    assert_eq!(world.found("Patient?family=One").await, "kept");
    assert_rebuilt_the_same(&world, 2).await;
    world.runner.stop().await;
}
