//! The search index against the log: a clean one passes while it is written, and whatever is wrong is found and named.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anamnesis_events::audit::Fault;
use anamnesis_events::{Log, LogOptions};
use anamnesis_projections::search::{AuditOptions, Audited, audit};
use anamnesis_projections::{ProjectionError, RunnerOptions};
use serde_json::{Value, json};

use crate::world::World;

fn patient(id: usize, name: &str) -> Value {
    json!({"resourceType": "Patient", "id": format!("{id}"), "birthDate": format!("19{:02}-01-01", id % 100),
        "name": [{"family": name, "given": ["Ada", "Eve"]}]})
}

fn observation(id: usize, value: f64) -> Value {
    json!({"resourceType": "Observation", "id": format!("o{id}"), "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6", "display": "Systolic pressure"}]},
        "subject": {"reference": format!("Patient/{id}")}, "effectiveDateTime": "2024-02-03",
        "valueQuantity": {"value": value, "unit": "mm[Hg]", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}})
}

/// Twenty events: 1 to 6 patients, 7 to 12 observations, 13 to 15 updates, 16 a delete, 17 to 20 more updates.
async fn history(world: &World) {
    world.put((0..6).map(|id| patient(id, "Chalmers"))).await;
    world.bundle((0..6).map(|id| observation(id, 1.5))).await;
    world.put((0..3).map(|id| patient(id, "Windsor"))).await;
    world.delete("Patient", "5").await;
    world.put((0..4).map(|id| observation(id, 2.5))).await;
    world.settle().await;
}

async fn check(world: &World, log: &Log) -> Result<Audited, ProjectionError> {
    check_with(world, log, AuditOptions::default()).await
}

async fn check_with(world: &World, log: &Log, options: AuditOptions) -> Result<Audited, ProjectionError> {
    audit(&world.database, log, options, &mut |_| {}).await
}

async fn faults(world: &World) -> Vec<String> {
    check(world, &world.log).await.unwrap().faults.kept().iter().map(Fault::to_string).collect()
}

async fn tamper(world: &World, statements: &str) {
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    client.batch_execute(statements).await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_clean_index_passes_and_has_its_digest() {
    let world = World::new().await;
    history(&world).await;
    world.put_broken("Patient", "4").await;
    world.put([patient(4, "later")]).await;
    let head = world.settle().await;
    let audited = check(&world, &world.log).await.unwrap();
    assert_eq!(audited.faults.kept(), []);
    assert_eq!((audited.reached, audited.resources, audited.parked.len()), (head, 11, 2));
    assert_eq!(audited.digest, world.digest().await);
    assert!(audited.rows > 11);
}

#[tokio::test]
async fn what_is_wrong_with_an_index_is_found_and_named() {
    let world = World::new().await;
    history(&world).await;
    let cases = [
        ("DELETE FROM anamnesis.search_v1_resource WHERE seq = 13",
            "position 13: the index does not have the resource"),
        ("UPDATE anamnesis.search_v1_resource SET tokens = tokens[2:] WHERE seq = 13",
            "position 13: the index has other tokens"),
        ("UPDATE anamnesis.search_v1_resource SET spans[2] = spans[2] + 1 WHERE seq = 14",
            "position 14: the index has other spans"),
        ("UPDATE anamnesis.search_v1_resource SET last_updated = 0 WHERE seq = 14",
            "position 14: the index has another time of the last update"),
        ("UPDATE anamnesis.search_v1_resource SET id = 'x' WHERE seq = 14",
            "position 14: the index has it under another type or id"),
        ("INSERT INTO anamnesis.search_v1_resource
              SELECT log, kind, 1, last_updated, id, tokens, spans FROM anamnesis.search_v1_resource WHERE seq = 13",
            "position 1: the index has a version that is not its resource's newest"),
        ("INSERT INTO anamnesis.search_v1_resource
              SELECT log, kind, 6, last_updated, '5', tokens, spans FROM anamnesis.search_v1_resource WHERE seq = 13",
            "position 6: the index has a version that is not its resource's newest"),
        ("INSERT INTO anamnesis.search_v1_resource
              SELECT log, kind, 999, last_updated, id, tokens, spans FROM anamnesis.search_v1_resource WHERE seq = 13",
            "position 999: the index has a resource whose event is not there"),
        ("DELETE FROM anamnesis.search_v1_span WHERE ctid = (SELECT ctid FROM anamnesis.search_v1_span WHERE seq = 17 LIMIT 1)",
            "position 17: the table of spans has other rows"),
        ("UPDATE anamnesis.search_v1_span SET low = low - 1 WHERE seq = 17",
            "position 17: the table of spans has other rows"),
        ("INSERT INTO anamnesis.search_v1_span VALUES (1, 2, 3, 17)",
            "position 17: the table of spans has other rows"),
        ("INSERT INTO anamnesis.search_v1_span VALUES (1, 2, 3, 6)",
            "position 6: the index has rows of it, but not the resource"),
        ("UPDATE anamnesis.search_v1_text SET text = text || 'x' WHERE seq = 4",
            "position 4: the table of texts has other rows"),
        ("INSERT INTO anamnesis.search_v1_text SELECT * FROM anamnesis.search_v1_text WHERE seq = 4",
            "position 4: the table of texts has other rows"),
        ("INSERT INTO anamnesis.search_v1_text SELECT key, 12345, log, text FROM anamnesis.search_v1_text WHERE seq = 4",
            "position 12345: the index has rows of it, but not the resource"),
        ("INSERT INTO anamnesis.search_v1_label VALUES (3458764513820540999, 7, 1, 'a secret');
          INSERT INTO anamnesis.search_v1_label_word VALUES
              (7, 3458764513820540999, 'a secret'), (7, 3458764513820540999, 'secret')",
            "the label 3458764513820540999 is of no resource that the index has"),
        ("INSERT INTO anamnesis.search_v1_label_word VALUES (7, 9000000000000000000, 'secret')",
            "there are words of the label 9000000000000000000, but not the label"),
        ("DELETE FROM anamnesis.search_v1_label_word WHERE text = 'pressure'",
            "has other words than its text"),
        ("UPDATE anamnesis.search_v1_label_word SET text = 'pressures' WHERE text = 'pressure'",
            "has other words than its text"),
    ];
    let tables =
        ["resource", "span", "text", "label", "label_word"].map(|name| format!("anamnesis.search_v1_{name}"));
    let keep: Vec<String> =
        tables.iter().map(|table| format!("CREATE TABLE {table}_kept AS TABLE {table};")).collect();
    let again: Vec<String> = tables
        .iter()
        .map(|table| format!("TRUNCATE {table}; INSERT INTO {table} SELECT * FROM {table}_kept;"))
        .collect();
    tamper(&world, &keep.concat()).await;
    for (statement, expected) in cases {
        tamper(&world, statement).await;
        let found = faults(&world).await;
        assert!(found.iter().any(|fault| fault.contains(expected)), "{statement}: {found:#?}");
        assert!(!found.concat().contains("secret"), "{found:#?}");
        assert!(found.len() <= 4, "{statement}: {found:#?}");
        tamper(&world, &again.concat()).await;
    }
    assert_eq!(faults(&world).await, [""; 0]);
}

#[tokio::test]
async fn an_index_that_is_being_written_passes() {
    let world =
        Arc::new(World::with(RunnerOptions { batch_events_max: 7, ..RunnerOptions::default() }).await);
    history(&world).await;
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (world, done) = (world.clone(), done.clone());
        async move {
            let mut round = 0;
            while !done.load(Ordering::SeqCst) {
                round += 1;
                world.bundle((0..20).map(|id| observation((id + round) % 50, 3.5))).await;
                world.put([patient(round % 30, "Moving")]).await;
                world.delete("Patient", &format!("{}", round % 30)).await;
            }
        }
    });
    let reader = Log::open_existing(&world.url, "default", LogOptions::default()).await.unwrap();
    let mut overtaken = 0;
    while overtaken < 10 {
        let audited = check(&world, &reader).await.unwrap();
        assert_eq!(audited.faults.kept(), []);
        overtaken += usize::from(world.runner.progress().reached() > audited.reached);
    }
    done.store(true, Ordering::SeqCst);
    writer.await.unwrap();
}

#[tokio::test]
async fn an_index_that_was_never_made_is_unknown() {
    let world = World::new().await;
    tamper(&world, "DELETE FROM anamnesis.projection").await;
    let refused = check(&world, &world.log).await;
    assert!(matches!(refused, Err(ProjectionError::Unknown { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_checkpoint_that_is_not_where_the_rows_are_is_a_fault() {
    let world = World::new().await;
    history(&world).await;
    world.runner.stop().await;
    let stands_at = |by: &str| format!("UPDATE anamnesis.projection_checkpoint SET seq = {by}");
    for (by, expected) in [
        (
            "19",
            vec![
                "position 20: the index has a resource from beyond the position that it says it has come to",
            ],
        ),
        (
            "10000000000000",
            vec!["position 10000000000000: the index says that it has come so far, but the log ends at 20"],
        ),
        ("20", vec![]),
    ] {
        tamper(&world, &stands_at(by)).await;
        assert_eq!(faults(&world).await, expected, "{by}");
    }
}
