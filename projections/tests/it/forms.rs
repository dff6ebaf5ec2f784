//! Programs of several versions on one database: rows of other forms, and states that only one of them knows.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anamnesis_projections::search::SearchProjection;
use anamnesis_projections::{ProjectionError, State, Supervisor, SupervisorOptions};

use crate::supervisor::{PATIENCE, index, is_alone, options, patient, supervise, supervise_as, until};
use crate::world::World;

const OLD: i32 = SearchProjection::SCHEMA;
const NEW: i32 = OLD + 1;

async fn program(world: &World, schema: i32, options: SupervisorOptions) -> Supervisor {
    supervise_as(world, &Arc::new(AtomicBool::new(false)), schema, options).await
}

async fn without_version_to_read(supervisor: &Supervisor) {
    let asked = async {
        while supervisor.active().now().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_program_leaves_the_rows_of_a_later_one_alone() {
    let world = World::new().await;
    world.put((0..20).map(|id| patient(id, "x"))).await;
    world.runner.stop().await;
    let old = program(&world, OLD, options(20)).await;
    let (query, _) = world.query("Patient?_summary=count").unwrap();
    let head = world.log.head().await.unwrap();
    let index = index(&world, &old);
    index.wait_for(head, PATIENCE).await.unwrap();
    // What the later program leaves behind the older one takes away, so that it is known to have looked.
    let new = program(&world, NEW, SupervisorOptions { grace: PATIENCE * 10, ..options(20) }).await;
    until(&new, |status| {
        status.iter().any(|one| one.version.state == State::Active && one.version.schema == NEW)
    })
    .await;
    without_version_to_read(&old).await;
    assert!(matches!(index.search(&query).await, Err(ProjectionError::NotReadable { .. })));
    until(&old, is_alone(2)).await;
    // Not by itself, and not by an order that does not mean it.
    let refused = old.rebuild(false).await;
    assert!(matches!(refused, Err(ProjectionError::OtherSchema { found: NEW, own: OLD, .. })), "{refused:?}");
    old.stop().await;
    new.stop().await;
    assert!(is_alone(2)(&new.status().await.unwrap()), "{:?}", new.status().await);
    // Back to the older program, once the later one has gone everywhere.
    let old = program(&world, OLD, options(20)).await;
    assert!(old.active().now().is_none());
    assert_eq!(old.rebuild(true).await.unwrap(), (3, true));
    until(&old, is_alone(3)).await;
    let index = crate::supervisor::index(&world, &old);
    index.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(index.search(&query).await.unwrap().total, Some(20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_older_program_was_building_never_takes_over_from_a_later_one() {
    let world = World::new().await;
    world.put((0..20).map(|id| patient(id, "x"))).await;
    world.runner.stop().await;
    let versions = world.versions().await;
    assert_eq!(versions.build(OLD, None, true).await.unwrap(), (2, true));
    let new = program(&world, NEW, options(20)).await;
    until(&new, is_alone(3)).await;
    assert_eq!(versions.build(OLD, None, false).await.unwrap().0, 4);
    let switched = versions.switch(4, false).await;
    assert!(
        matches!(
            switched,
            Err(ProjectionError::OtherSchema { found: NEW, own: OLD, .. }
                | ProjectionError::WrongState { .. })
        ),
        "{switched:?}"
    );
    until(&new, is_alone(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_later_program_has_made_of_a_version_is_left_alone() {
    let world = World::new().await;
    world.runner.stop().await;
    let versions = world.versions().await;
    let unknown = versions.scratch(OLD).await.unwrap();
    let scratch = versions.scratch(OLD).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let aged = "UPDATE anamnesis.projection_version SET changed_at = now() - interval '2 days';
        UPDATE anamnesis.projection_version SET state = 'frozen' WHERE version = ";
    client.batch_execute(&format!("{aged}{unknown}")).await.unwrap();
    let supervisor = supervise(&world, options(20)).await;
    // The scratch version that somebody has forgotten goes, in the order of the numbers.
    let status = until(&supervisor, |status| status.iter().all(|one| one.version.number != scratch)).await;
    let states: Vec<_> = status.iter().map(|one| (one.version.number, one.version.state)).collect();
    assert_eq!(states, [(1, State::Active), (unknown, State::Unknown)]);
    let removed = versions.remove(&crate::world::projection(&world.log, unknown)).await;
    assert!(matches!(removed, Err(ProjectionError::WrongState { state: State::Unknown, .. })), "{removed:?}");
    drop(client);
    driver.await.unwrap().unwrap();
}
