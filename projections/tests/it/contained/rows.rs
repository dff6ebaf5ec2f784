//! What the index has of contained resources, table by table: nothing of what is gone, and what the check finds.

use std::collections::BTreeSet;

use anamnesis_events::{Erases, Operation, ResourceKey};
use anamnesis_projections::RunnerOptions;
use anamnesis_projections::search::{AuditOptions, SearchIndex, audit};
use serde_json::{Value, json};

use super::name;
use crate::world::{World, expect, run, run_version};

/// The rows that are there of contained resources, by table.
async fn rows(world: &World) -> Vec<i64> {
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut all = Vec::new();
    for table in ["contained_resource", "contained_superseded", "contained_span", "contained_text", "label"] {
        let count = format!("SELECT count(*) FROM anamnesis.search_v1_{table}");
        all.push(client.query_one(&count, &[]).await.unwrap().get(0));
    }
    drop(client);
    driver.await.unwrap().unwrap();
    all
}

async fn tamper(world: &World, statement: &str) {
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    assert!(client.execute(statement, &[]).await.unwrap() > 0, "{statement}");
    drop(client);
    driver.await.unwrap().unwrap();
}

fn patient(id: &str, families: &[&str]) -> Value {
    let contained: Vec<Value> = families
        .iter()
        .enumerate()
        .map(|(at, family)| {
            json!({"resourceType": "Patient", "id": format!("p{at}"), "birthDate": "1970-03-01",
                "name": [{"family": family}], "generalPractitioner": [{"display": family}]})
        })
        .collect();
    json!({"resourceType": "Patient", "id": id, "contained": contained})
}

/// An index that is built again from the log has the same, and the check finds nothing wrong.
async fn assert_sound(world: &World, version: i32) {
    world.settle().await;
    let audited = audit(&world.database, &world.log, AuditOptions::default(), &mut |_| {}).await.unwrap();
    assert!(audited.faults.kept().is_empty(), "{:?}", audited.faults.kept());
    assert_eq!(audited.digest, world.digest().await);
    let built = run_version(&world.database, &world.log, version, RunnerOptions::default()).await;
    let digest = world.digest_of(&built).await;
    built.stop().await;
    assert_eq!(digest, world.digest().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_container_no_longer_contains_is_not_found() {
    for batch_events_max in [1, 500] {
        let world = World::with(RunnerOptions { batch_events_max, ..RunnerOptions::default() }).await;
        for id in ["kept", "changed", "deleted", "replaced", "erased", "purged"] {
            world.put([patient(id, &["One", "Two"]), patient(id, &["Two", "Three", "Four"])]).await;
        }
        let key = |id: &str| ResourceKey::new("Patient", id);
        world.put([patient("changed", &["Five"])]).await;
        world.delete("Patient", "deleted").await;
        let body = patient("replaced", &["Five"]).to_string();
        world.erase(key("replaced"), (Operation::Update, Erases::Previous), &body).await;
        world.erase(key("erased"), (Operation::Delete, Erases::Earlier), "").await;
        world.erase(key("purged"), (Operation::Purge, Erases::Earlier), "").await;
        let table = [
            ("Patient?family=one&_contained=true", ""),
            ("Patient?family=four&_contained=true", "kept purged"),
            ("Patient?family=five&_contained=true", "changed replaced"),
            ("Patient?general-practitioner:text=three&_contained=true", "kept purged"),
            ("Patient?birthdate=1970-03-01&_contained=true", "changed kept purged replaced"),
            ("Patient?family=two", ""),
        ];
        expect(&world, &table).await;
        assert_sound(&world, 2).await;
        // Superseded are the first two versions of those that have others now or are gone, but for what was erased: of
        // that nothing is kept, also not for those who turn pages.
        assert_eq!(rows(&world).await, [8, 14, 8, 66, 5]);
        world.runner.stop().await;
    }
}

#[tokio::test]
async fn nothing_of_an_erased_body_is_left() {
    let world = World::new().await;
    world.put([patient("1", &["Secret"]), patient("1", &["Hidden"])]).await;
    assert_eq!(rows(&world).await.len(), 5);
    assert_eq!(world.found("Patient?family=hidden&_contained=true").await, "1");
    world.erase(ResourceKey::new("Patient", "1"), (Operation::Delete, Erases::Earlier), "").await;
    world.settle().await;
    assert_eq!(rows(&world).await, [0; 5]);
    world.put([patient("2", &["Secret"])]).await;
    world.put_broken("Patient", "2").await;
    world.settle().await;
    assert_eq!(rows(&world).await, [1, 0, 1, 3, 1], "what is parked stands as it was");
    world.erase(ResourceKey::new("Patient", "2"), (Operation::Delete, Erases::Earlier), "").await;
    world.settle().await;
    assert_eq!(rows(&world).await, [0; 5]);
    world.runner.stop().await;
}

#[tokio::test]
async fn what_nobody_turns_pages_over_any_more_is_dropped() {
    let mut world = World::new().await;
    world.put([patient("0", &["Secret"]), patient("1", &["Secret"])]).await;
    let query = "Patient?family=secret&_contained=true&_count=1";
    let next = format!("{query}&ct={}", world.search(query).await.next.unwrap());
    world.put([patient("0", &["Hidden"])]).await;
    let page = world.search(&next).await;
    assert_eq!((name(&page.matches[0]).as_str(), page.issues.len()), ("Patient/0", 0));
    assert_eq!(rows(&world).await, [2, 1, 2, 9, 2]);
    world.runner.stop().await;
    tamper(&world, "UPDATE anamnesis.search_v1_contained_superseded SET until_at = 0").await;
    world.runner = run(&world.database, &world.log, RunnerOptions::default()).await;
    world.index = SearchIndex::new(world.database.clone(), world.log.number(), world.runner.progress());
    world.put([patient("1", &["Hidden"])]).await;
    world.settle().await;
    assert_eq!(rows(&world).await, [2, 1, 2, 9, 2], "that of now is superseded, the older one is gone");
    let page = world.search(&next).await;
    assert!(page.matches.is_empty() && page.issues.len() == 1, "{page:?}");
    // Pages that are begun since then are whole.
    let query = "Patient?family=hidden&_contained=true&_count=1";
    let next = format!("{query}&ct={}", world.search(query).await.next.unwrap());
    world.put([patient("0", &["Secret"])]).await;
    let page = world.search(&next).await;
    assert_eq!((name(&page.matches[0]).as_str(), page.issues.len()), ("Patient/0", 0));
    world.runner.stop().await;
}

/// A version that was built in other batches than the one that made the first page shows the same on the next.
#[tokio::test]
async fn pages_go_on_in_a_version_that_was_built_in_one_batch() {
    let world = World::with(RunnerOptions { batch_events_max: 1, ..RunnerOptions::default() }).await;
    world.put([patient("0", &["Old"]), patient("1", &["Old"])]).await;
    let query = "Patient?family=old&_contained=true&_count=1";
    let next = format!("{query}&ct={}", world.search(query).await.next.unwrap());
    world.put([patient("0", &["New"])]).await;
    world.settle().await;
    let built = run_version(&world.database, &world.log, 2, RunnerOptions::default()).await;
    let _digest = world.digest_of(&built).await;
    let index = SearchIndex::new(world.database.clone(), world.log.number(), built.progress());
    let (query, _) = world.query(&next).unwrap();
    let page = index.search(&query).await.unwrap();
    assert_eq!((name(&page.matches[0]).as_str(), page.issues.len()), ("Patient/0", 0));
    built.stop().await;
    world.runner.stop().await;
}

#[tokio::test]
async fn the_check_finds_what_is_wrong_with_contained_resources() {
    let [contained, span, text] =
        ["resource", "span", "text"].map(|table| format!("anamnesis.search_v1_contained_{table}"));
    for (statement, position) in [
        (format!("DELETE FROM {contained} WHERE id LIKE 'p0#%/2'"), 2),
        (format!("UPDATE {contained} SET tokens = tokens[2:] WHERE id LIKE 'p1#%/2'"), 2),
        (format!("UPDATE {contained} SET id = 'p1#Patient/9' WHERE id LIKE 'p1#%/1'"), 1),
        (format!("DELETE FROM {text} WHERE seq >> 20 = 1"), 1),
        (format!("UPDATE {span} SET high = high + 1 WHERE seq >> 20 = 2"), 2),
        // Rows of what is not there.
        (
            format!(
                "INSERT INTO {contained} SELECT log, kind, 7 << 20, last_updated, id, tokens, spans FROM {contained} LIMIT 1"
            ),
            7,
        ),
        (
            format!(
                "INSERT INTO {contained} SELECT log, kind, (3 << 20) + 1, last_updated, id, tokens, spans FROM {contained} LIMIT 1"
            ),
            3,
        ),
        (format!("INSERT INTO {text} SELECT key, 7 << 20, log, text FROM {text} LIMIT 1"), 7),
        (format!("INSERT INTO {span} SELECT key, low, high, 7 << 20 FROM {span} LIMIT 1"), 7),
        // More rows of what is there: of a family that it has, of one that it has not, the same once more, and a beginning
        // that stands elsewhere in its row.
        (
            format!(
                "INSERT INTO {span} SELECT key, low + 1, high, seq FROM {span} WHERE seq >> 20 = 2 LIMIT 1"
            ),
            2,
        ),
        (
            format!(
                "INSERT INTO {span} SELECT key + 1, low, high, seq FROM {span} WHERE seq >> 20 = 2 LIMIT 1"
            ),
            2,
        ),
        (format!("INSERT INTO {span} SELECT key, low, high, seq FROM {span} WHERE seq >> 20 = 2 LIMIT 1"), 2),
        (
            format!("INSERT INTO {span} SELECT low, high, high, seq FROM {span} WHERE seq >> 20 = 2 LIMIT 1"),
            2,
        ),
        (format!("DELETE FROM {span} WHERE seq >> 20 = 1"), 1),
        // Nothing is left that tells of it but the container.
        (format!("WITH r AS (DELETE FROM {contained} WHERE seq >> 20 = 2), s AS (DELETE FROM {span} WHERE seq >> 20 = 2)
            DELETE FROM {text} WHERE seq >> 20 = 2"), 2),
        (
            format!(
                "INSERT INTO {text} SELECT key + 1, seq, log, text FROM {text} WHERE seq >> 20 = 2 LIMIT 1"
            ),
            2,
        ),
        (
            format!(
                "INSERT INTO {text} SELECT key, seq + 7, log, text FROM {text} WHERE seq >> 20 = 2 LIMIT 1"
            ),
            2,
        ),
        (
            format!(
                "INSERT INTO {contained} SELECT log, kind + 1, seq, last_updated, id, tokens, spans FROM {contained} WHERE seq >> 20 = 1 LIMIT 1"
            ),
            1,
        ),
        (format!("UPDATE {contained} SET last_updated = last_updated + 1 WHERE id LIKE 'p1#%/2'"), 2),
        (format!("UPDATE {contained} SET spans = spans[4:] WHERE id LIKE 'p1#%/2'"), 2),
    ] {
        assert_eq!(faults_after(&statement).await, BTreeSet::from([position]), "{statement}");
    }
}

/// The positions at which something is wrong after a statement.
async fn faults_after(statement: &str) -> BTreeSet<u64> {
    let world = World::new().await;
    world.put([patient("1", &["One", "Two"]), patient("2", &["One", "Two"]), patient("3", &[])]).await;
    assert_sound(&world, 2).await;
    tamper(&world, statement).await;
    let audited = audit(&world.database, &world.log, AuditOptions::default(), &mut |_| {}).await.unwrap();
    world.runner.stop().await;
    audited.faults.kept().iter().map(|fault| fault.position.get()).collect()
}
