//! What users of other event stores complain about in their projections: docs/guarantees.md has the table.

use std::time::{Duration, Instant};

use anamnesis_engines::testing::postgres;
use anamnesis_events::{AppendError, Group, LogOptions, Position, ResourceKey, Version};
use anamnesis_projections::RunnerOptions;
use futures::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

use crate::world::{World, draft};

/// Longer than anything takes that is not broken.
const PATIENCE: Duration = Duration::from_secs(60);

fn patient(id: &str, name: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "name": [{"family": name}]})
}

fn group(id: &str, version: u32) -> Group {
    let payload = patient(id, "raced").to_string().into_bytes();
    let key = ResourceKey::new("Patient", id);
    Group::single(draft(key, Version::new(version), version > 1, Some(payload)))
}

/// A session of the test's own.
async fn session(url: &str) -> (Client, JoinHandle<()>) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let driver = tokio::spawn(async move {
        // A session that the server has ended is no failure of its own.
        let _ = connection.await;
    });
    (client, driver)
}

async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Projections that watch for the oldest open transaction never move again behind a session that somebody forgot.
#[tokio::test]
async fn a_session_left_in_a_transaction_stops_no_projection() {
    let world = World::new().await;
    let (forgotten, _driver) = session(&world.url).await;
    forgotten.batch_execute("CREATE TABLE elsewhere (n int)").await.unwrap();
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO elsewhere VALUES (1);
        SELECT count(*) FROM anamnesis.projection_checkpoint";
    forgotten.batch_execute(begin).await.unwrap();
    for round in 0..20 {
        world.bundle((0..10).map(|id| patient(&id.to_string(), &format!("round{round}")))).await;
    }
    assert_eq!(world.settle().await, Position::new(200));
    assert_eq!(world.found("Patient?family=round19").await.split(' ').count(), 10);
    // It still stands where it began.
    let seen =
        forgotten.query_one("SELECT max(seq) FROM anamnesis.projection_checkpoint", &[]).await.unwrap();
    assert!(seen.get::<_, Option<i64>>(0).unwrap_or(0) < 200);
}

/// After maintenance of the database some projections moved again only when they were restarted.
#[tokio::test]
async fn after_maintenance_of_the_database_the_projection_moves_on_by_itself() {
    let options = LogOptions { retry_for: Duration::from_millis(100), ..LogOptions::default() };
    let world = World::with_log(options, RunnerOptions::default()).await;
    world.put([patient("1", "before")]).await;
    assert_eq!(world.found("Patient?family=before").await, "1");
    let config: tokio_postgres::Config = world.url.parse().unwrap();
    let name = config.get_dbname().unwrap().to_owned();
    let (server, _driver) = session(postgres().await.server_url()).await;
    let allow = |yes: bool| format!(r#"ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS {yes}"#);
    server.batch_execute(&allow(false)).await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
    server.execute(end, &[&name]).await.unwrap();
    let away = world.log.append(group("2", 1)).await;
    assert!(matches!(away, Err(AppendError::Unavailable(_))), "{away:?}");
    server.batch_execute(&allow(true)).await.unwrap();
    let head = world.put([patient("1", "after")]).await;
    world.runner.progress().wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(world.found("Patient?family=after").await, "1");
}

/// A conflict that takes a number leaves a hole, and whoever waits for the projection to pass it waits for ever.
#[tokio::test]
async fn waiting_after_conflicts_ends_when_the_projection_is_there() {
    let world = World::new().await;
    for round in 0..20 {
        // Of ten writers of one version one wins; the last conflicts are behind the last event of the batch.
        let writers = (0..10).map(|_| world.log.append(group("raced", round + 1)));
        let answers = join_all(writers).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        let stale = world.log.append(group("raced", 1)).await;
        assert!(matches!(stale, Err(AppendError::Conflict { .. })), "{stale:?}");
        let head = world.log.head().await.unwrap();
        assert_eq!(head, Position::new(u64::from(round) + 1), "no conflict has taken a number");
        world.runner.progress().wait_for(head, PATIENCE).await.unwrap();
    }
    assert_eq!(world.found("Patient?family=raced").await, "raced");
}

/// A checkpoint beyond what was read loses events: it must not pass one that is not committed yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_never_passes_what_is_not_committed() {
    let world = World::new().await;
    world.put([patient("1", "first")]).await;
    world.settle().await;
    let (hand, _driver) = session(&world.url).await;
    let delay = "CREATE FUNCTION anamnesis.delay() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END $$;
        CREATE TRIGGER delay BEFORE INSERT ON anamnesis.event FOR EACH ROW EXECUTE FUNCTION anamnesis.delay();
        SELECT pg_advisory_lock(4711)";
    hand.batch_execute(delay).await.unwrap();
    let log = world.log.clone();
    let slow = tokio::spawn(async move { log.append(group("slow", 1)).await });
    let waits = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event = 'advisory'";
    until("the append is in the middle of its insert", || async {
        hand.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 1
    })
    .await;
    for _ in 0..50 {
        let checkpoint = "SELECT seq FROM anamnesis.projection_checkpoint";
        assert_eq!(hand.query_one(checkpoint, &[]).await.unwrap().get::<_, i64>(0), 1);
        let late = world.runner.progress().wait_for(Position::new(2), Duration::from_millis(1)).await;
        assert_eq!(late.unwrap_err().reached, Position::new(1));
    }
    hand.batch_execute("SELECT pg_advisory_unlock(4711)").await.unwrap();
    assert_eq!(slow.await.unwrap().unwrap()[0].position, Position::new(2));
    assert_eq!(world.found("Patient?_id=slow").await, "slow");
}
