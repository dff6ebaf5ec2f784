//! How much a check of the search index looks at again: little on a busy store, and right with any bound.

use std::time::{Duration, Instant};

use anamnesis_events::audit::Fault;
use anamnesis_projections::search::{AuditOptions, Audited, audit};
use anamnesis_projections::{Database, DatabaseOptions};
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
    audit(&world.database, &world.log, options, &mut |_| {}).await.unwrap()
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
    let audited = audit(&world.database, &world.log, options, &mut write).await.unwrap();
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

/// How many entries the connections of the check have read of an index, once they have told; they do when they end.
async fn entries_read(client: &tokio_postgres::Client, index: &str) -> i64 {
    let deadline = Instant::now() + Duration::from_secs(30);
    let open = "SELECT FROM pg_stat_activity WHERE application_name = 'the-check' LIMIT 1";
    while client.query_opt(open, &[]).await.unwrap().is_some() {
        assert!(Instant::now() < deadline, "the connections of the check do not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let read = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = $1";
    client.query_one(read, &[&index]).await.unwrap().get(0)
}

#[tokio::test]
async fn what_is_looked_at_again_is_read_through_indexes() {
    let world = World::new().await;
    world.bundle((0..1000).map(patient)).await;
    world.settle().await;
    execute(&world, "UPDATE anamnesis.search_v1_span SET high = high + 1 WHERE seq = 17").await;
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let indexes = ["search_v1_resource_pkey", "search_v1_span_low", "search_v1_text_resource"];
    let mut before = Vec::new();
    for index in indexes {
        before.push(entries_read(&client, index).await);
    }
    let separator = if world.url.contains('?') { '&' } else { '?' };
    let url = format!("{}{separator}application_name=the-check", world.url);
    let database = Database::new(&url, &DatabaseOptions::default()).unwrap();
    let options = AuditOptions::default();
    let audited = audit(&database, &world.log, options, &mut |_| {}).await.unwrap();
    assert_eq!(told(&audited), ["position 17: the table of spans has other rows than the resource gives"]);
    drop(database);
    // The rows of resources are read once, in their order. Nothing else is read as a whole.
    for ((index, before), at_most) in indexes.into_iter().zip(before).zip([1020, 20, 20]) {
        let read = entries_read(&client, index).await - before;
        assert!(read > 0 && read <= at_most, "{index}: {read} entries for one suspect of 1000");
    }
    drop(client);
    driver.await.unwrap().unwrap();
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
        let of_shelf = ["resource", "superseded", "span", "text"];
        let contained = of_shelf.map(|table| format!("contained_{table}"));
        let tables = of_shelf.into_iter().chain(["label", "label_word"]).map(str::to_owned);
        let tables: Vec<String> = tables
            .chain(contained)
            .map(|table| format!("ALTER TABLE anamnesis.search_v1_{table} RENAME TO search_v2_{table};"))
            .collect();
        let names = "UPDATE anamnesis.projection_checkpoint SET version = 2;
            UPDATE anamnesis.projection_version SET version = 2;
            UPDATE anamnesis.projection SET active = 2;";
        let statements = tables.concat() + names;
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(execute(&world, &statements));
        });
    };
    let options = AuditOptions::default();
    let audited = audit(&world.database, &world.log, options, &mut switch).await.unwrap();
    assert_eq!((audited.version, audited.resources), (2, 10));
    assert_eq!(told(&audited), [""; 0]);
}
