//! How much a check of the search index looks at again: little on a busy store, and right with any bound.

use anamnesis_events::audit::Fault;
use anamnesis_fhir::search::SearchRegistry;
use anamnesis_projections::search::{AuditOptions, Audited, audit};
use serde_json::{Value, json};

use crate::world::World;

fn patient(id: usize) -> Value {
    json!({"resourceType": "Patient", "id": format!("{id}"), "birthDate": format!("19{:02}-01-01", id % 100),
        "name": [{"family": format!("Chalmers{id}"), "given": ["Ada"]}]})
}

async fn execute(world: &World, statements: &str) {
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    client.batch_execute(statements).await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
}

async fn check(world: &World, options: AuditOptions) -> Audited {
    audit(&world.database, &world.log, SearchRegistry::r4().clone(), options, &mut |_| {}).await.unwrap()
}

fn told(audited: &Audited) -> Vec<String> {
    audited.faults.kept().iter().map(Fault::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_meanwhile_is_not_looked_at() {
    let world = World::new().await;
    world.bundle((0..300).map(patient)).await;
    // Those of superseded rows keep their texts.
    world.bundle((0..20).map(patient)).await;
    let reached = world.settle().await;
    // A row for each bucket would make every one of them differ.
    let options = AuditOptions { buckets: 16, ..AuditOptions::default() };
    let mut writes = 0;
    let mut write = |_| {
        if writes == 0 {
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(async {
                    world.bundle((1000..1100).map(patient)).await;
                    world.settle().await;
                });
            });
        }
        writes += 1;
    };
    let audited =
        audit(&world.database, &world.log, SearchRegistry::r4().clone(), options, &mut write).await.unwrap();
    assert!(writes > 1);
    assert_eq!(told(&audited), [""; 0]);
    assert_eq!((audited.reached, audited.resources, audited.again), (reached, 300, 0));
}

#[tokio::test]
async fn one_bucket_in_which_something_differs_is_looked_at() {
    let world = World::new().await;
    world.bundle((0..300).map(patient)).await;
    world.settle().await;
    // Nothing that the resource names: only the sum tells of it.
    execute(&world, "INSERT INTO anamnesis.search_v1_span VALUES (1, 2, 3, 17)").await;
    for (buckets, suspects_max, again) in
        [(1 << 20, 1 << 20, 1), (100, 1 << 20, 3), (1, 7, 300), (1, 1000, 300)]
    {
        let audited = check(&world, AuditOptions { buckets, suspects_max }).await;
        assert_eq!(
            told(&audited),
            ["position 17: the table of spans has other rows than the resource gives"],
            "{buckets} {suspects_max}"
        );
        assert_eq!(audited.again, again, "{buckets}");
    }
}

#[tokio::test]
async fn spans_of_another_log_in_the_same_table_are_no_faults() {
    let world = World::new().await;
    world.bundle((0..10).map(patient)).await;
    world.settle().await;
    execute(
        &world,
        "INSERT INTO anamnesis.projection_checkpoint (name, version, log, seq, kept_from)
             VALUES ('search', 1, 2, 900, 0);
         INSERT INTO anamnesis.search_v1_span VALUES (1, 2, 3, 7), (1, 2, 3, 800)",
    )
    .await;
    let audited = check(&world, AuditOptions::default()).await;
    assert!(audited.is_shared);
    assert_eq!(told(&audited), [""; 0]);
    execute(
        &world,
        "INSERT INTO anamnesis.search_v1_span SELECT key, low - 1, high, seq FROM anamnesis.search_v1_span
         WHERE seq = 4 LIMIT 1",
    )
    .await;
    let audited = check(&world, AuditOptions::default()).await;
    assert_eq!(told(&audited), ["position 4: the table of spans has other rows than the resource gives"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_is_taken_away_meanwhile_is_not_missed() {
    let world = World::new().await;
    world.bundle((0..10).map(patient)).await;
    world.settle().await;
    let mut is_first = true;
    let mut switch = |_| {
        if !std::mem::take(&mut is_first) {
            return;
        }
        let tables = ["resource", "superseded", "span", "text"]
            .map(|table| format!("ALTER TABLE anamnesis.search_v1_{table} RENAME TO search_v2_{table};"));
        let names = "UPDATE anamnesis.projection_checkpoint SET version = 2;
            UPDATE anamnesis.projection_version SET version = 2;
            UPDATE anamnesis.projection SET active = 2;";
        let statements = tables.concat() + names;
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(execute(&world, &statements));
        });
    };
    let options = AuditOptions::default();
    let audited =
        audit(&world.database, &world.log, SearchRegistry::r4().clone(), options, &mut switch).await.unwrap();
    assert_eq!((audited.version, audited.resources), (2, 10));
    assert_eq!(told(&audited), [""; 0]);
}
