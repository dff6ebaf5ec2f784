//! Parked resources while something else happens: a search, a rebuild, a version that is taken away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anamnesis_events::ResourceKey;
use anamnesis_projections::search::SearchProjection;
use anamnesis_projections::{State, Supervisor, SupervisorOptions, Switch};
use tokio_postgres::{Client, NoTls};

use crate::supervisor::{PATIENCE, index, is_alone, options, patient, supervise_as, until};
use crate::world::{World, projection};

/// A number that nobody else locks in a test's database.
const GATE: i64 = 77;

fn key() -> ResourceKey {
    ResourceKey::new("Patient", "1")
}

async fn connect(world: &World) -> Client {
    let (client, connection) = tokio_postgres::connect(&world.url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn node(world: &World, refuses: &Arc<AtomicBool>, options: SupervisorOptions) -> Supervisor {
    supervise_as(world, refuses, SearchProjection::SCHEMA, options).await
}

/// Asks until the answer is true.
async fn until_true(client: &Client, question: &str) {
    let asked = async {
        while !client.query_one(question, &[]).await.unwrap().get::<_, bool>(0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_tells_what_was_parked_when_it_began() {
    let world = World::new().await;
    world.runner.stop().await;
    let refuses = Arc::new(AtomicBool::new(true));
    let node = node(&world, &refuses, options(4)).await;
    let head = world.put([patient(1, "one"), patient(2, "two")]).await;
    let index = index(&world, &node);
    index.wait_for(head, PATIENCE).await.unwrap();
    let client = connect(&world).await;
    // A query that has its snapshot and then takes its time.
    let slow = format!(
        "CREATE OR REPLACE FUNCTION anamnesis.search_v1_first_since(of_log smallint, of_kind integer, since bigint)
         RETURNS bigint LANGUAGE plpgsql STABLE STRICT AS $$
         BEGIN PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN 0; END $$;
         SELECT pg_advisory_lock({GATE})"
    );
    client.batch_execute(&slow).await.unwrap();
    let (query, _) = world.query("Patient?_lastUpdated=ge2000-01-01").unwrap();
    let (page, ()) = tokio::join!(index.search(&query), async {
        let waits = "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database AS d ON d.oid = database
            WHERE locktype = 'advisory' AND objid = 77 AND NOT granted AND datname = current_database())";
        until_true(&client, waits).await;
        refuses.store(false, Ordering::SeqCst);
        let unparked = node.unpark(&key()).await.unwrap();
        assert_eq!((unparked.events, unparked.still_parked), (1, 0));
        assert!(node.active().now().unwrap().parked().is_empty());
        client.batch_execute(&format!("SELECT pg_advisory_unlock({GATE})")).await.unwrap();
    });
    let page = page.unwrap();
    assert_eq!(page.matches.len(), 1, "it has not seen what was un-parked since");
    assert!(page.parked.is_some_and(|parked| parked.text.contains("Patient/1")));
    assert!(page.parked_known >= head);
    let page = index.search(&query).await.unwrap();
    assert_eq!((page.matches.len(), page.parked), (2, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_waits_for_parked_resources_does_not_hold_the_active_one_still() {
    let world = World::new().await;
    world.runner.stop().await;
    let refuses = Arc::new(AtomicBool::new(false));
    let node = node(&world, &refuses, options(4)).await;
    let head = world.put([patient(1, "one"), patient(2, "two")]).await;
    node.active().wait_for(head, PATIENCE).await.unwrap();
    let client = connect(&world).await;
    // The last transaction that has locked the row.
    let held = async || -> String {
        let held = "SELECT xmax::text FROM anamnesis.projection_checkpoint WHERE version = 1";
        client.query_one(held, &[]).await.unwrap().get(0)
    };
    // The program that builds takes less than the one before.
    refuses.store(true, Ordering::SeqCst);
    assert_eq!(node.rebuild(false).await.unwrap(), (2, true));
    let waits = |refused: Option<Switch>| refused == Some(Switch::Parked { resources: 1 });
    until(&node, |status| status.iter().any(|one| waits(one.refused))).await;
    let before = held().await;
    let versions = world.versions().await;
    for _look in 0..2 {
        // What somebody has forgotten is taken away at the next look, before a switch is tried.
        let forgotten = versions.scratch(SearchProjection::SCHEMA).await.unwrap();
        let aged = "UPDATE anamnesis.projection_version SET changed_at = now() - interval '2 days'
            WHERE version = $1";
        client.execute(aged, &[&forgotten]).await.unwrap();
        until(&node, |status| status.iter().all(|one| one.version.number != forgotten)).await;
    }
    assert_eq!(held().await, before, "the active version was held still in vain");
    // As soon as something is un-parked it is tried again.
    refuses.store(false, Ordering::SeqCst);
    let since = Instant::now();
    assert_eq!(node.unpark(&key()).await.unwrap().events, 1);
    until(&node, is_alone(2)).await;
    assert!(since.elapsed() < Duration::from_secs(20), "it waited although something had changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_is_taken_away_does_not_spoil_an_order() {
    let world = World::new().await;
    world.runner.stop().await;
    let refuses = Arc::new(AtomicBool::new(true));
    let slow = SupervisorOptions { grace: PATIENCE * 10, ..options(4) };
    let first = node(&world, &refuses, slow.clone()).await;
    world.put([patient(1, "one"), patient(2, "two")]).await;
    first.rebuild(false).await.unwrap();
    let is_switched = |status: &[anamnesis_projections::VersionStatus]| {
        let states: Vec<_> = status.iter().map(|one| one.version.state).collect();
        states == [State::Retiring, State::Active]
    };
    until(&first, is_switched).await;
    first.stop().await;
    // A node that runs both, and does not look again.
    let node = node(&world, &refuses, SupervisorOptions { look_every: PATIENCE * 10, ..slow }).await;
    node.active().wait_for(world.log.head().await.unwrap(), PATIENCE).await.unwrap();
    let versions = world.versions().await;
    versions.remove(&projection(&world.log, 1)).await.unwrap();
    // A tool's version has it parked too; an operator sees the one that readers use.
    let scratch = versions.scratch(SearchProjection::SCHEMA).await.unwrap();
    let client = connect(&world).await;
    let park = format!(
        "INSERT INTO anamnesis.projection_parked SELECT name, {scratch}, log, seq, resource_type, resource_id, reason
         FROM anamnesis.projection_parked"
    );
    client.batch_execute(&park).await.unwrap();
    refuses.store(false, Ordering::SeqCst);
    let unparked = node.unpark(&key()).await.unwrap();
    assert_eq!((unparked.events, unparked.still_parked), (1, 0));
}
