//! Versions of a projection: built beside the active one, switched to, taken away.

use std::time::Duration;

use anamnesis_events::Position;
use anamnesis_projections::search::{SearchIndex, SearchProjection, digest};
use anamnesis_projections::{
    Active, Database, DatabaseOptions, ProjectionError, Runner, RunnerOptions, State, Switch,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::supervisor::{is_alone, options, supervise, until};
use crate::world::{World, projection, run_version};

const SCHEMA: i32 = SearchProjection::SCHEMA;

fn batches_of(batch_events_max: usize) -> RunnerOptions {
    RunnerOptions { batch_events_max, ..RunnerOptions::default() }
}

fn patient(id: usize, name: &str) -> Value {
    json!({"resourceType": "Patient", "id": format!("{id}"), "birthDate": format!("19{:02}-01-01", id % 100),
        "name": [{"family": name}], "identifier": [{"system": "urn:x", "value": name}]})
}

/// Creates, updates and deletes, alone and in bundles.
async fn history(world: &World, round: usize) {
    world.put((0..10).map(|id| patient(id, &format!("name{round}")))).await;
    world.bundle((5..25).map(|id| patient(id, &format!("bundle{round}")))).await;
    world.delete("Patient", &format!("{round}")).await;
}

async fn tables(world: &World, version: i32) -> i64 {
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let like = format!("search\\_v{version}\\_%");
    let count = "SELECT count(*) FROM pg_class WHERE relname LIKE $1";
    let found = client.query_one(count, &[&like]).await.unwrap().get(0);
    drop(client);
    driver.await.unwrap().unwrap();
    found
}

#[tokio::test]
async fn a_scratch_version_gives_the_same_digest_and_leaves_nothing() {
    let world = World::with(batches_of(7)).await;
    for round in 0..3 {
        history(&world, round).await;
    }
    let versions = world.versions().await;
    let number = versions.scratch(SCHEMA).await.unwrap();
    assert_eq!(number, 2);
    let runner = run_version(&world.database, &world.log, number, batches_of(1000)).await;
    assert_eq!(world.digest_of(&runner).await, world.digest().await);
    // It never becomes the active one.
    let switched = versions.switch(number, true).await;
    assert!(matches!(switched, Err(ProjectionError::WrongState { state: State::Scratch, .. })));
    runner.stop().await;
    assert!(tables(&world, number).await > 0);
    versions.remove(&projection(&world.log, number)).await.unwrap();
    assert_eq!(tables(&world, number).await, 0);
    // A number is not given twice, and what is gone is not made again by accident.
    assert_eq!(versions.scratch(SCHEMA).await.unwrap(), 3);
    let projection = projection(&world.log, number);
    let (database, log) = (world.database.clone(), world.log.clone());
    let again = anamnesis_projections::Runner::start(
        database,
        projection,
        log,
        world.log.number(),
        RunnerOptions::default(),
    );
    assert!(matches!(again.await, Err(ProjectionError::Unknown { version: 2, .. })));
}

#[tokio::test]
async fn after_a_switch_in_the_middle_of_a_history_the_digest_is_the_same() {
    let world = World::with(batches_of(4)).await;
    let (sender, active) = watch::channel(Some(world.runner.progress()));
    let log = world.log.number();
    let index = SearchIndex::new(world.database.clone(), log, Active::new(active));
    history(&world, 0).await;
    let versions = world.versions().await;
    assert_eq!(versions.build(SCHEMA, None, false).await.unwrap(), (2, true));
    assert_eq!(versions.build(SCHEMA, None, false).await.unwrap(), (2, false), "it is being built already");
    let building = run_version(&world.database, &world.log, 2, batches_of(3)).await;
    history(&world, 1).await;
    let (query, _) = world.query("Patient?_summary=count").unwrap();
    let (switched, ()) = tokio::join!(versions.switch(2, false), async {
        history(&world, 2).await;
    });
    assert_eq!(switched.unwrap(), Switch::Done);
    assert_eq!(versions.active(SCHEMA).await.unwrap(), 2);
    // Somebody who waits for what is not there yet is served by the new version.
    world.runner.stop().await;
    let head = world.put([patient(99, "late")]).await;
    let (waited, ()) = tokio::join!(index.wait_for(head, Duration::from_secs(60)), async {
        sender.send_replace(Some(building.progress()));
    });
    assert_eq!(waited.unwrap(), head);
    assert_eq!(index.search(&query).await.unwrap().reached, head);
    let states: Vec<(i32, State)> =
        versions.list().await.unwrap().iter().map(|version| (version.number, version.state)).collect();
    assert_eq!(states, [(1, State::Retiring), (2, State::Active)]);
    versions.remove(&projection(&world.log, 1)).await.unwrap();
    assert_eq!(tables(&world, 1).await, 0);
    let refused = versions.remove(&projection(&world.log, 2)).await;
    assert!(matches!(refused, Err(ProjectionError::WrongState { state: State::Active, .. })));
    let other = versions.scratch(SCHEMA).await.unwrap();
    let from_nothing = run_version(&world.database, &world.log, other, RunnerOptions::default()).await;
    assert_eq!(world.digest_of(&from_nothing).await, world.digest_of(&building).await);
}

#[tokio::test]
async fn a_search_does_not_go_back_to_what_a_new_version_has_not_yet() {
    let world = World::with(batches_of(4)).await;
    let (sender, active) = watch::channel(Some(world.runner.progress()));
    let index = SearchIndex::new(world.database.clone(), world.log.number(), Active::new(active));
    history(&world, 0).await;
    let versions = world.versions().await;
    let number = versions.scratch(SCHEMA).await.unwrap();
    let behind = run_version(&world.database, &world.log, number, batches_of(3)).await;
    world.digest_of(&behind).await;
    behind.stop().await;
    history(&world, 1).await;
    let head = world.settle().await;
    let ask = async |query: &str| {
        let (query, _) = world.query(query).unwrap();
        index.search(&query).await.unwrap()
    };
    let first = ask("Patient?_sort=_id&_count=3").await;
    assert_eq!(first.reached, head);
    // Readers are sent to a version that has not all that they have seen.
    sender.send_replace(Some(behind.progress()));
    let second = format!("Patient?_sort=_id&_count=3&ct={}", first.next.unwrap());
    let page = ask(&second).await;
    assert!(page.reached < head);
    assert_eq!(page.issues.len(), 1, "it waits in vain, and says that something may be missing");
    let (page, ()) = tokio::join!(ask("Patient?_summary=count"), async {
        let running = run_version(&world.database, &world.log, number, batches_of(3)).await;
        sender.send_replace(Some(running.progress()));
        world.digest_of(&running).await;
    });
    assert_eq!(page.reached, head);
}

#[tokio::test]
async fn a_version_that_is_behind_does_not_become_the_active_one() {
    let world = World::new().await;
    history(&world, 0).await;
    let reached = world.settle().await;
    let versions = world.versions().await;
    let (number, _) = versions.build(SCHEMA, None, false).await.unwrap();
    let behind = Switch::Behind { active: reached, reached: Position::ZERO };
    assert_eq!(versions.switch(number, true).await.unwrap(), behind);
    assert_eq!(versions.active(SCHEMA).await.unwrap(), 1);
    // Held still for the switch, the active one goes on afterwards.
    history(&world, 1).await;
    world.settle().await;
    versions.cancel(number).await.unwrap();
    let switched = versions.switch(number, true).await;
    assert!(matches!(switched, Err(ProjectionError::WrongState { state: State::Cancelled, .. })));
    versions.remove(&projection(&world.log, number)).await.unwrap();
    assert_eq!(versions.build(SCHEMA, None, false).await.unwrap(), (number + 1, true));
}

#[tokio::test]
async fn a_version_that_has_parked_more_takes_the_place_only_by_force() {
    let world = World::new().await;
    world.put([patient(1, "one"), patient(2, "two")]).await;
    world.put_broken("Patient", "1").await;
    world.settle().await;
    let versions = world.versions().await;
    let (number, _) = versions.build(SCHEMA, None, false).await.unwrap();
    let building = run_version(&world.database, &world.log, number, RunnerOptions::default()).await;
    world.digest_of(&building).await;
    // Both have parked the same. The active one loses it, as if it had been un-parked by a program that could.
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    client.execute("DELETE FROM anamnesis.projection_parked WHERE version = 1", &[]).await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
    assert_eq!(versions.switch(number, false).await.unwrap(), Switch::Parked { resources: 1 });
    assert_eq!(versions.switch(number, true).await.unwrap(), Switch::Done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_knew_of_one_version_only_goes_on() {
    let world = World::new().await;
    history(&world, 0).await;
    let expected = world.digest().await;
    world.runner.stop().await;
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let dropping = "DROP TABLE anamnesis.projection_version; DROP INDEX anamnesis.projection_parked_resource";
    client.batch_execute(dropping).await.unwrap();
    let versions = world.versions().await;
    let index = "SELECT to_regclass('anamnesis.projection_parked_resource') IS NOT NULL";
    assert!(client.query_one(index, &[]).await.unwrap().get::<_, bool>(0));
    drop(client);
    driver.await.unwrap().unwrap();
    assert_eq!(versions.active(SCHEMA).await.unwrap(), 1);
    let listed = versions.list().await.unwrap();
    assert_eq!((listed.len(), listed[0].state, listed[0].schema), (1, State::Active, 1));
    // Those rows are of the first form, which this program does not read: it builds its own beside them.
    let refused = run_version_or_refuse(&world).await;
    assert!(
        matches!(refused, Err(ProjectionError::OtherSchema { found: 1, own: SCHEMA, .. })),
        "{refused:?}"
    );
    let supervisor = supervise(&world, options(20)).await;
    until(&supervisor, is_alone(2)).await;
    assert_eq!(digest(&world.database, world.log.number(), 2).await.unwrap(), expected);
}

async fn run_version_or_refuse(world: &World) -> Result<Runner, ProjectionError> {
    let (projection, log) = (projection(&world.log, 1), world.log.clone());
    let number = log.number();
    Runner::start(world.database.clone(), projection, log, number, RunnerOptions::default()).await
}

#[tokio::test]
async fn every_log_has_tables_of_its_own() {
    let world = World::new().await;
    let other = anamnesis_events::Log::open(&world.url, "other", Default::default()).await.unwrap();
    let database = Database::new(&world.url, &DatabaseOptions::default()).unwrap();
    let versions =
        anamnesis_projections::Versions::open(&database, SearchProjection::NAME, other.number()).await;
    assert_eq!(versions.unwrap().active(SCHEMA).await.unwrap(), 2);
    let runner = run_version(&database, &other, 2, RunnerOptions::default()).await;
    history(&world, 0).await;
    world.settle().await;
    let empty = digest(&database, other.number(), 2).await.unwrap();
    assert_ne!(world.digest().await, empty);
    assert_eq!(runner.progress().reached(), Position::ZERO);
}

#[tokio::test]
async fn another_process_can_start_while_a_version_is_being_written() {
    let world = World::new().await;
    history(&world, 0).await;
    world.settle().await;
    // A writer in the middle of its batch, which has not come to the narrow tables yet.
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    client.batch_execute("BEGIN; DELETE FROM anamnesis.search_v1_resource WHERE false").await.unwrap();
    let second = run_version(&world.database, &world.log, 1, RunnerOptions::default()).await;
    client.batch_execute("DELETE FROM anamnesis.search_v1_text WHERE false; COMMIT").await.unwrap();
    second.stop().await;
    drop(client);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_long_batch_of_the_new_version_does_not_hold_the_active_one_still() {
    let world = World::new().await;
    history(&world, 0).await;
    world.settle().await;
    let versions = world.versions().await;
    let (number, _) = versions.build(SCHEMA, None, false).await.unwrap();
    let building = run_version(&world.database, &world.log, number, RunnerOptions::default()).await;
    world.digest_of(&building).await;
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let batch =
        format!("BEGIN; SELECT FROM anamnesis.projection_checkpoint WHERE version = {number} FOR UPDATE");
    client.batch_execute(&batch).await.unwrap();
    let switched = tokio::time::timeout(Duration::from_secs(8), versions.switch(number, false)).await;
    assert!(matches!(switched, Ok(Ok(Switch::Behind { .. }))), "{switched:?}");
    client.batch_execute("COMMIT").await.unwrap();
    assert_eq!(versions.switch(number, false).await.unwrap(), Switch::Done);
    drop(client);
    driver.await.unwrap().unwrap();
}
