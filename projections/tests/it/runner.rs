//! The runner: bundles, restarts, two of it at once, and poison.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anamnesis_events::{Event, Position, ResourceKey};
use anamnesis_projections::search::{CustomParameters, SearchProjection, digest};
use anamnesis_projections::{Change, Inputs, Poison, Projection, ProjectionError, Runner, RunnerOptions};
use deadpool_postgres::Transaction;
use serde_json::{Value, json};

use crate::world::{World, run};

fn batches_of(batch_events_max: usize) -> RunnerOptions {
    RunnerOptions { batch_events_max, ..RunnerOptions::default() }
}

fn patient(id: usize, name: &str) -> Value {
    json!({"resourceType": "Patient", "id": format!("{id}"), "birthDate": format!("19{:02}-01-01", id % 100),
        "name": [{"family": name}], "identifier": [{"system": "urn:x", "value": name}]})
}

/// Creates, updates and deletes, alone and in bundles.
async fn history(world: &World) {
    for round in 0..4 {
        world.put((0..10).map(|id| patient(id, &format!("name{round}")))).await;
        world.bundle((5..25).map(|id| patient(id, &format!("bundle{round}")))).await;
        world.delete("Patient", &format!("{round}")).await;
    }
}

/// Drops everything that is in the index.
async fn forget_everything(world: &World) {
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    client
        .batch_execute(
            "TRUNCATE anamnesis.search_v1_resource, anamnesis.search_v1_superseded, anamnesis.search_v1_span,
                 anamnesis.search_v1_text, anamnesis.projection_checkpoint, anamnesis.projection_parked",
        )
        .await
        .unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn no_search_sees_half_a_bundle() {
    const SIZE: usize = 7;
    let world = World::with(batches_of(3)).await;
    let writing = async {
        for round in 0..30 {
            world.bundle((0..SIZE).map(|id| patient(round * SIZE + id, "x"))).await;
        }
        world.settle().await
    };
    let looking = async {
        let (query, _) = world.query("Patient?_summary=count&family=x").unwrap();
        loop {
            let page = world.index.search(&query).await.unwrap();
            let total = page.total.unwrap();
            assert_eq!(total % SIZE as u64, 0);
            assert_eq!(page.reached.get(), total);
            if total == 30 * SIZE as u64 {
                return;
            }
        }
    };
    tokio::join!(writing, looking);
}

#[tokio::test]
async fn the_same_events_give_the_same_rows_in_any_batches() {
    let world = World::with(batches_of(7)).await;
    history(&world).await;
    let expected = world.digest().await;
    world.runner.stop().await;
    for size in [1, 2, 1000] {
        forget_everything(&world).await;
        let runner = run(&world.database, &world.log, batches_of(size)).await;
        let head = world.log.head().await.unwrap();
        runner.progress().wait_for(head, Duration::from_secs(60)).await.unwrap();
        assert_eq!(
            digest(&world.database, world.log.number(), 1).await.unwrap(),
            expected,
            "batches of {size}"
        );
        runner.stop().await;
    }
    world.put([patient(3, "changed")]).await;
    let runner = run(&world.database, &world.log, batches_of(1000)).await;
    let head = world.log.head().await.unwrap();
    runner.progress().wait_for(head, Duration::from_secs(60)).await.unwrap();
    assert_ne!(digest(&world.database, world.log.number(), 1).await.unwrap(), expected);
}

#[tokio::test]
async fn a_restart_goes_on_where_the_rows_end() {
    let world = World::with(batches_of(3)).await;
    history(&world).await;
    let expected = world.digest().await;
    world.runner.stop().await;
    forget_everything(&world).await;
    let head = world.log.head().await.unwrap();
    for stop_at in [5, 30, 31, 60, 90] {
        let runner = run(&world.database, &world.log, batches_of(4)).await;
        let stop_at = Position::new(stop_at);
        runner.progress().wait_for(stop_at, Duration::from_secs(60)).await.unwrap();
        runner.stop().await;
    }
    let runner = run(&world.database, &world.log, batches_of(4)).await;
    runner.progress().wait_for(head, Duration::from_secs(60)).await.unwrap();
    assert_eq!(digest(&world.database, world.log.number(), 1).await.unwrap(), expected);
}

#[tokio::test]
async fn two_runners_do_not_disturb_each_other() {
    let world = World::with(batches_of(5)).await;
    let other = run(&world.database, &world.log, batches_of(3)).await;
    history(&world).await;
    let head = world.log.head().await.unwrap();
    let shared = world.digest().await;
    other.progress().wait_for(head, Duration::from_secs(60)).await.unwrap();
    assert_eq!(world.found("Patient?family=bundle3").await.split(' ').count(), 20);
    other.stop().await;
    world.runner.stop().await;
    forget_everything(&world).await;
    let alone = run(&world.database, &world.log, RunnerOptions::default()).await;
    alone.progress().wait_for(head, Duration::from_secs(60)).await.unwrap();
    assert_eq!(digest(&world.database, world.log.number(), 1).await.unwrap(), shared);
}

#[tokio::test]
async fn poison_parks_its_resource_and_nothing_else() {
    let world = World::new().await;
    world.put([patient(1, "one"), patient(2, "two")]).await;
    let poison = world.put_broken("Patient", "1").await;
    let later = world.put([patient(1, "later")]).await;
    world.put([patient(2, "three"), patient(3, "four")]).await;
    assert_eq!(world.found("Patient?family=three,four").await, "2 3");
    // What was known of it before stays.
    assert_eq!(world.found("Patient?family=one,later").await, "1");
    let parked = world.runner.parked(Position::ZERO, 100).await.unwrap();
    let positions: Vec<Position> = parked.iter().map(|parked| parked.position).collect();
    assert_eq!(positions, [poison, later]);
    assert!(parked.iter().all(|parked| parked.key == ResourceKey::new("Patient", "1")));
    assert!(!parked[0].reason.contains("not JSON"), "{}", parked[0].reason);
    // It is still poison.
    assert_eq!(world.runner.unpark(&ResourceKey::new("Patient", "1")).await.unwrap(), 0);
    assert_eq!(world.runner.parked(Position::ZERO, 100).await.unwrap().len(), 2);
}

/// How one patient is refused.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum How {
    Poison,
    Panic,
    Database,
}

/// The search projection, which refuses one patient as long as it is told to, and may pretend that its rows have another
/// form.
pub(crate) struct Refusing {
    pub(crate) inner: SearchProjection,
    pub(crate) how: How,
    pub(crate) schema: i32,
    pub(crate) refuses: Arc<AtomicBool>,
}

impl Refusing {
    fn refuses(&self, id: &str, how: How) -> bool {
        id == "1" && self.how == how && self.refuses.load(Ordering::SeqCst)
    }
}

impl Projection for Refusing {
    type Rows = <SearchProjection as Projection>::Rows;

    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn version(&self) -> i32 {
        self.inner.version()
    }

    fn inputs(&self) -> &Inputs {
        self.inner.inputs()
    }

    fn schema(&self) -> i32 {
        self.schema
    }

    fn rows(&self, event: &Event) -> Result<Self::Rows, Poison> {
        if self.refuses(&event.key.id, How::Poison) {
            return Err(Poison::new("told to"));
        }
        assert!(!self.refuses(&event.key.id, How::Panic), "told to");
        self.inner.rows(event)
    }

    async fn prepare(&self, transaction: &Transaction<'_>) -> Result<(), ProjectionError> {
        self.inner.prepare(transaction).await
    }

    async fn clear(&self, transaction: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
        self.inner.clear(transaction).await
    }

    async fn remove(&self, transaction: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
        self.inner.remove(transaction).await
    }

    async fn write(
        &self,
        transaction: &Transaction<'_>,
        changes: &[Change<Self::Rows>],
        reached: Position,
    ) -> Result<(), tokio_postgres::Error> {
        if changes.iter().any(|change| self.refuses(&change.key.id, How::Database)) {
            transaction.batch_execute("SELECT 1 / 0").await?;
        }
        self.inner.write(transaction, changes, reached).await
    }
}

async fn parks_and_unparks(how: How) {
    let world = World::new().await;
    world.runner.stop().await;
    let refuses = Arc::new(AtomicBool::new(true));
    let inner = SearchProjection::new(&CustomParameters::none(), world.log.number(), 1);
    let projection = Refusing { inner, how, schema: SearchProjection::SCHEMA, refuses: refuses.clone() };
    let log = world.log.number();
    let options = RunnerOptions::default();
    let runner =
        Runner::start(world.database.clone(), projection, world.log.clone(), log, options).await.unwrap();
    world.bundle((0..20).map(|id| patient(id, "first"))).await;
    world.put([patient(1, "second")]).await;
    world.delete("Patient", "2").await;
    let head = world.put([patient(1, "third")]).await;
    runner.progress().wait_for(head, Duration::from_secs(60)).await.unwrap();
    let find = async |query: &str| {
        let (query, _) = world.query(query).unwrap();
        world.index.search(&query).await.unwrap().matches.len()
    };
    assert_eq!(find("Patient?family=first&_count=100").await, 18);
    assert_eq!(find("Patient?_id=1").await, 0);
    assert_eq!(runner.parked(Position::ZERO, 100).await.unwrap().len(), 3);
    refuses.store(false, Ordering::SeqCst);
    assert_eq!(runner.unpark(&ResourceKey::new("Patient", "1")).await.unwrap(), 3);
    assert_eq!(runner.parked(Position::ZERO, 100).await.unwrap(), []);
    assert_eq!(find("Patient?_id=1&family=third").await, 1);
    // From now on it is taken as any other.
    let head = world.put([patient(1, "fourth")]).await;
    runner.progress().wait_for(head, Duration::from_secs(60)).await.unwrap();
    assert_eq!(find("Patient?_id=1").await, 1);
    assert_eq!(find("Patient?_id=1&family=fourth").await, 1);
    runner.stop().await;
}

#[tokio::test]
async fn what_the_projection_refuses_is_parked_and_taken_later() {
    parks_and_unparks(How::Poison).await;
}

#[tokio::test]
async fn what_the_database_refuses_is_parked_and_taken_later() {
    parks_and_unparks(How::Database).await;
}

#[tokio::test]
async fn a_panic_over_an_event_is_poison() {
    parks_and_unparks(How::Panic).await;
}

#[tokio::test]
async fn waiting_ends_when_the_position_is_reached_or_the_time_is_up() {
    let world = World::new().await;
    let progress = world.runner.progress();
    let position = world.put([patient(1, "x")]).await;
    let reached = progress.wait_for(position, Duration::from_secs(60)).await.unwrap();
    assert_eq!(reached, position);
    let late = progress.wait_for(position.next(), Duration::from_millis(1)).await.unwrap_err();
    assert_eq!((late.wanted, late.reached), (position.next(), position));
}

/// Takes everything from the index as a crash of the database may take the end of it: under a running projection.
async fn lose_everything(world: &World, checkpoint: i64) {
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let statement = format!(
        "BEGIN; UPDATE anamnesis.projection_checkpoint SET seq = {checkpoint};
         TRUNCATE anamnesis.search_v1_resource, anamnesis.search_v1_superseded, anamnesis.search_v1_span,
             anamnesis.search_v1_text; COMMIT"
    );
    client.batch_execute(&statement).await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_the_database_has_lost_is_written_again() {
    let world = World::new().await;
    history(&world).await;
    let expected = world.digest().await;
    lose_everything(&world, 0).await;
    let (query, _) = world.query("Patient?_summary=count").unwrap();
    let head = world.log.head().await.unwrap();
    assert_eq!(world.index.search(&query).await.unwrap().reached, Position::ZERO);
    let written_again = async {
        while world.index.search(&query).await.unwrap().reached < head {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), written_again).await.unwrap();
    assert_eq!(digest(&world.database, world.log.number(), 1).await.unwrap(), expected);
}

#[tokio::test]
async fn a_projection_of_a_longer_history_is_built_again() {
    let world = World::new().await;
    history(&world).await;
    let expected = world.digest().await;
    world.runner.stop().await;
    let head = world.log.head().await.unwrap();
    lose_everything(&world, i64::try_from(head.get()).unwrap() + 10).await;
    let runner = run(&world.database, &world.log, RunnerOptions::default()).await;
    assert!(runner.progress().reached() <= head);
    runner.progress().wait_for(head, Duration::from_secs(60)).await.unwrap();
    assert_eq!(digest(&world.database, world.log.number(), 1).await.unwrap(), expected);
    runner.stop().await;
}

#[tokio::test]
async fn a_checkpoint_beyond_the_log_is_noticed_by_who_runs() {
    let world = World::new().await;
    history(&world).await;
    let expected = world.digest().await;
    let head = world.log.head().await.unwrap();
    lose_everything(&world, i64::try_from(head.get()).unwrap() + 10).await;
    let built_again = async {
        while digest(&world.database, world.log.number(), 1).await.unwrap() != expected {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), built_again).await.unwrap();
    world.runner.progress().wait_for(head, Duration::from_secs(60)).await.unwrap();
    assert_eq!(world.runner.progress().reached(), head);
}
