//! Parked resources while something else happens: a search.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anamnesis_events::ResourceKey;
use anamnesis_projections::search::SearchProjection;
use anamnesis_projections::{Supervisor, SupervisorOptions};
use tokio_postgres::{Client, NoTls};

use crate::supervisor::{PATIENCE, index, options, patient, supervise_as};
use crate::world::World;

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
