//! Rebuilding beside the live version: while others write, over restarts, on two nodes, and given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anamnesis_events::{Position, ResourceKey};
use anamnesis_projections::search::{SearchIndex, SearchProjection};
use anamnesis_projections::{
    Inputs, ProjectionError, RunnerOptions, State, Supervisor, SupervisorOptions, VersionStatus,
};
use serde_json::{Value, json};

use crate::runner::{How, Refusing};
use crate::world::{World, run_version};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Resources in a bundle.
const SIZE: usize = 5;

pub(crate) fn options(building_batch_max: usize) -> SupervisorOptions {
    SupervisorOptions {
        runner: RunnerOptions { batch_events_max: building_batch_max, ..RunnerOptions::default() },
        building_batch_max,
        grace: Duration::from_millis(100),
        look_every: Duration::from_millis(20),
        ..SupervisorOptions::default()
    }
}

/// A node whose projection refuses the patient 1 as long as it is told to.
async fn supervise_refusing(world: &World, refuses: &Arc<AtomicBool>) -> Supervisor {
    supervise_as(world, refuses, SearchProjection::SCHEMA, options(4)).await
}

/// The same with rows that pretend to have this form.
pub(crate) async fn supervise_as(
    world: &World,
    refuses: &Arc<AtomicBool>,
    schema: i32,
    options: SupervisorOptions,
) -> Supervisor {
    let (log, refuses) = (world.log.number(), refuses.clone());
    let inner = SearchProjection::maker(log);
    let make = move |version, inputs: &Inputs| {
        let inner = inner(version, inputs)?;
        Ok(Refusing { inner, how: How::Poison, schema, refuses: refuses.clone() })
    };
    Supervisor::start(&world.database, make, world.log.clone(), log, options).await.unwrap()
}

pub(crate) async fn supervise(world: &World, options: SupervisorOptions) -> Supervisor {
    let log = world.log.number();
    Supervisor::start(&world.database, SearchProjection::maker(log), world.log.clone(), log, options)
        .await
        .unwrap()
}

pub(crate) fn index(world: &World, supervisor: &Supervisor) -> SearchIndex {
    let index = SearchIndex::new(world.database.clone(), world.log.number(), supervisor.active());
    index.with_building(supervisor.building())
}

pub(crate) fn patient(id: usize, name: &str) -> Value {
    json!({"resourceType": "Patient", "id": format!("{id}"), "birthDate": format!("19{:02}-01-01", id % 100),
        "name": [{"family": name}]})
}

async fn write(world: &World, bundles: std::ops::Range<usize>) -> Position {
    let mut last = Position::ZERO;
    for bundle in bundles {
        last = world.bundle((0..SIZE).map(|id| patient(bundle * SIZE + id, "x"))).await;
    }
    last
}

/// Asks until the states are these.
pub(crate) async fn until(
    supervisor: &Supervisor,
    what: impl Fn(&[VersionStatus]) -> bool,
) -> Vec<VersionStatus> {
    let asked = async {
        loop {
            let status = supervisor.status().await.unwrap();
            if what(&status) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap()
}

/// There is one version, this one, and readers use it.
pub(crate) fn is_alone(number: i32) -> impl Fn(&[VersionStatus]) -> bool {
    move |status| {
        let [only] = status else { return false };
        only.version.number == number && only.version.state == State::Active
    }
}

/// The digest of a version that is built from nothing, apart from all others.
async fn from_nothing(world: &World) -> [u8; 32] {
    let versions = world.versions().await;
    let number = versions.scratch(SearchProjection::SCHEMA).await.unwrap();
    let runner = run_version(&world.database, &world.log, number, RunnerOptions::default()).await;
    let digest = world.digest_of(&runner).await;
    runner.stop().await;
    versions.remove(&crate::world::projection(&world.log, number)).await.unwrap();
    digest
}

async fn digest(world: &World, version: i32) -> [u8; 32] {
    anamnesis_projections::search::digest(&world.database, world.log.number(), version).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_miss_nothing_while_another_version_takes_over() {
    let world = World::new().await;
    world.runner.stop().await;
    // Two nodes: the second is told nothing and has to notice.
    let (supervisor, other) = (supervise(&world, options(20)).await, supervise(&world, options(15)).await);
    write(&world, 0..40).await;
    let written = AtomicU64::new(world.log.head().await.unwrap().get());
    let is_done = AtomicBool::new(false);
    let (query, _) = world.query("Patient?_summary=count&family=x").unwrap();
    let writing = async {
        let mut bundle = 40;
        while !is_done.load(Ordering::SeqCst) {
            let last = write(&world, bundle..bundle + 1).await;
            written.store(last.get(), Ordering::SeqCst);
            bundle += 1;
        }
    };
    let looking = async |supervisor: &Supervisor| {
        let index = index(&world, supervisor);
        let mut versions = Vec::new();
        while !is_done.load(Ordering::SeqCst) {
            let wanted = Position::new(written.load(Ordering::SeqCst));
            index.wait_for(wanted, PATIENCE).await.unwrap();
            let page = index.search(&query).await.unwrap();
            assert!(page.reached >= wanted, "a search is behind what was acknowledged");
            assert_eq!(page.total.unwrap(), page.reached.get(), "every event made one patient");
            assert_eq!(page.reached.get() % SIZE as u64, 0, "a search has seen half a bundle");
            versions.push(index.progress().unwrap().version());
        }
        versions.dedup();
        versions
    };
    // Somebody who does not wait for what was written, and must not go back in time all the same.
    let glancing = async |supervisor: &Supervisor| {
        let index = index(&world, supervisor);
        let mut reached = Position::ZERO;
        while !is_done.load(Ordering::SeqCst) {
            let page = index.search(&query).await.unwrap();
            assert!(page.reached >= reached, "from {reached} back to {}", page.reached);
            reached = page.reached;
        }
    };
    let rebuilding = async {
        for number in 2..4 {
            assert_eq!(supervisor.rebuild(false).await.unwrap(), (number, true));
            until(&supervisor, is_alone(number)).await;
        }
        is_done.store(true, Ordering::SeqCst);
    };
    let ((), ours, theirs, (), (), ()) = tokio::join!(
        writing,
        looking(&supervisor),
        looking(&other),
        glancing(&supervisor),
        glancing(&other),
        rebuilding
    );
    assert_eq!(ours.last(), Some(&3));
    assert!(ours.is_sorted() && theirs.is_sorted(), "{ours:?} {theirs:?}");
    let head = world.log.head().await.unwrap();
    supervisor.active().wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(digest(&world, 3).await, from_nothing(&world).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_goes_on_after_a_stop_at_any_batch() {
    let world = World::new().await;
    write(&world, 0..20).await;
    world.settle().await;
    world.runner.stop().await;
    let first = supervise(&world, options(SIZE)).await;
    assert_eq!(first.rebuild(false).await.unwrap(), (2, true));
    first.stop().await;
    let mut reached = Position::ZERO;
    let mut stops = 0;
    loop {
        // A server that ends after its next batch.
        let supervisor = supervise(&world, options(SIZE)).await;
        let progress = until(&supervisor, |status| {
            status.iter().any(|one| one.version.number == 2 && one.version.reached > reached)
                || is_alone(2)(status)
        });
        let status = progress.await;
        supervisor.stop().await;
        stops += 1;
        let Some(two) = status.iter().find(|one| one.version.number == 2) else { panic!("{status:?}") };
        assert!(two.version.reached >= reached, "it has begun again");
        reached = two.version.reached;
        if two.version.state == State::Active {
            break;
        }
        assert!(stops < 1000);
    }
    let last = supervise(&world, options(SIZE)).await;
    until(&last, is_alone(2)).await;
    assert_eq!(digest(&world, 2).await, from_nothing(&world).await);
    last.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_request_is_the_same_job_and_a_cancelled_one_leaves_nothing() {
    let world = World::new().await;
    write(&world, 0..20).await;
    world.runner.stop().await;
    // Nobody reconciles: the job stays where it is.
    let idle = SupervisorOptions { look_every: Duration::from_secs(3600), ..options(3) };
    let supervisor = supervise(&world, idle).await;
    assert_eq!(supervisor.cancel().await.unwrap(), None);
    let versions = world.versions().await;
    assert_eq!(versions.build(SearchProjection::SCHEMA, None, false).await.unwrap(), (2, true));
    assert_eq!(versions.build(SearchProjection::SCHEMA, None, true).await.unwrap(), (2, false));
    assert!(versions.list().await.unwrap()[1].force);
    assert_eq!(supervisor.cancel().await.unwrap(), Some(2));
    until(&supervisor, |status| {
        supervisor.look();
        is_alone(1)(status)
    })
    .await;
    assert_eq!(supervisor.cancel().await.unwrap(), None);
    assert_eq!(supervisor.rebuild(false).await.unwrap(), (3, true), "a number is not given twice");
    supervisor.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_another_form_are_not_read_and_are_built_again() {
    let world = World::new().await;
    write(&world, 0..5).await;
    world.settle().await;
    world.runner.stop().await;
    let (client, connection) = tokio_postgres::connect(&world.url, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    client.execute("UPDATE anamnesis.projection_version SET schema = 0", &[]).await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
    // A log that ends before the old version: the new one cannot take its place yet.
    let supervisor = supervise(&world, options(2)).await;
    let index = index(&world, &supervisor);
    let (query, _) = world.query("Patient?_summary=count").unwrap();
    if supervisor.active().now().is_none() {
        assert!(matches!(index.search(&query).await, Err(ProjectionError::NotReadable { .. })));
    }
    let head = world.log.head().await.unwrap();
    index.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(index.search(&query).await.unwrap().total, Some(25));
    assert_eq!(index.progress().unwrap().version(), 2);
    until(&supervisor, is_alone(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_go_on_over_a_switch() {
    let world = World::new().await;
    world.runner.stop().await;
    let supervisor = supervise(&world, options(1)).await;
    let index = index(&world, &supervisor);
    write(&world, 0..2).await;
    let before = world.put([patient(3, "y")]).await;
    index.wait_for(before, PATIENCE).await.unwrap();
    let page = async |query: &str| {
        let (query, _) = world.query(query).unwrap();
        index.search(&query).await.unwrap()
    };
    let whole = page("Patient?_sort=birthdate&_count=100").await;
    let first = page("Patient?_sort=birthdate&_count=2").await;
    // The version that is built takes all of this in one batch; the one that made the first page did not.
    for round in 0..3 {
        world.put((0..8).map(|id| patient(id, &format!("later{round}")))).await;
        world.delete("Patient", "5").await;
    }
    let batch_of_all = SupervisorOptions { building_batch_max: 1000, ..options(1000) };
    supervisor.stop().await;
    let supervisor = supervise(&world, batch_of_all).await;
    let index = self::index(&world, &supervisor);
    supervisor.rebuild(false).await.unwrap();
    until(&supervisor, is_alone(2)).await;
    let mut matches = first.matches;
    let mut next = first.next;
    while let Some(token) = next {
        let (query, _) = world.query(&format!("Patient?_sort=birthdate&_count=2&ct={token}")).unwrap();
        let page = index.search(&query).await.unwrap();
        assert_eq!(page.issues, []);
        matches.extend(page.matches);
        next = page.next;
        assert!(matches.len() < 100);
    }
    assert_eq!(matches, whole.matches);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_finds_its_way_when_its_version_was_taken_away() {
    let world = World::new().await;
    world.runner.stop().await;
    let supervisor = supervise(&world, options(10)).await;
    // A node that has not noticed anything: it still reads version 1.
    let slow = SupervisorOptions { look_every: Duration::from_millis(700), ..options(10) };
    let slow = supervise(&world, slow).await;
    let head = write(&world, 0..3).await;
    let index = index(&world, &slow);
    index.wait_for(head, PATIENCE).await.unwrap();
    slow.status().await.unwrap();
    supervisor.rebuild(false).await.unwrap();
    until(&supervisor, is_alone(2)).await;
    let (query, _) = world.query("Patient?_summary=count").unwrap();
    assert_eq!(index.search(&query).await.unwrap().total, Some(15));
    assert_eq!(index.progress().unwrap().version(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unparking_keeps_the_order_while_new_events_arrive() {
    const EVENTS: usize = 150;
    let world = World::new().await;
    world.runner.stop().await;
    let refuses = Arc::new(AtomicBool::new(true));
    let (one, two) = (supervise_refusing(&world, &refuses).await, supervise_refusing(&world, &refuses).await);
    let writing = async {
        for event in 0..EVENTS {
            world.put([patient(1, &format!("n{event}")), patient(2, "other")]).await;
            if event % 40 == 39 {
                world.delete("Patient", "1").await;
            }
        }
    };
    let unparking = async {
        until(&one, |status| status[0].version.parked_events > 20).await;
        refuses.store(false, Ordering::SeqCst);
        let unparked = two.unpark_all(Position::ZERO, 10).await.unwrap();
        assert_eq!((unparked.resources, unparked.still_parked), (1, 0));
        assert!(unparked.events > 20);
    };
    tokio::join!(writing, unparking);
    let head = world.log.head().await.unwrap();
    for node in [&one, &two] {
        node.active().wait_for(head, PATIENCE).await.unwrap();
        assert_eq!(node.status().await.unwrap()[0].version.parked_events, 0);
    }
    let index = index(&world, &one);
    let (query, _) = world.query(&format!("Patient?_id=1&family:exact=n{}", EVENTS - 1)).unwrap();
    assert_eq!(index.search(&query).await.unwrap().matches.len(), 1);
    assert_eq!(digest(&world, 1).await, from_nothing(&world).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unparking_on_one_node_is_known_to_the_other() {
    let world = World::new().await;
    world.runner.stop().await;
    let refuses = Arc::new(AtomicBool::new(true));
    let (one, two) = (supervise_refusing(&world, &refuses).await, supervise_refusing(&world, &refuses).await);
    world.put([patient(2, "two")]).await;
    let broken = world.put([patient(1, "one")]).await;
    let head = world.put([patient(1, "two"), patient(3, "three")]).await;
    for node in [&one, &two] {
        node.active().wait_for(head, PATIENCE).await.unwrap();
        let marks = node.active().now().unwrap().parked();
        assert_eq!(marks.of("Patient").unwrap().resources, 1);
        let parked = node.parked(1, Position::ZERO, 1).await.unwrap();
        assert_eq!((parked.len(), parked[0].position), (1, broken));
        assert_eq!(node.parked(1, broken, 10).await.unwrap().len(), 1);
    }
    let index = index(&world, &two);
    let warned = async |query: &str| {
        let (query, _) = world.query(query).unwrap();
        Vec::from_iter(index.search(&query).await.unwrap().parked)
    };
    let issues = warned("Patient?family=two").await;
    assert!(issues[0].text.ends_with("Patient/1"), "{issues:?}");
    assert_eq!(warned("Observation?code=x").await, []);
    assert_eq!(warned("?_summary=count").await.len(), 1);
    let still = two.unpark(&ResourceKey::new("Patient", "1")).await.unwrap();
    assert_eq!((still.events, still.still_parked), (0, 1));
    assert_eq!(two.status().await.unwrap()[0].version.unparked, 0, "nothing has changed for the others");
    refuses.store(false, Ordering::SeqCst);
    let unparked = two.unpark_all(Position::ZERO, 10).await.unwrap();
    assert_eq!((unparked.resources, unparked.events, unparked.still_parked, unparked.next), (1, 2, 0, None));
    assert_eq!(two.status().await.unwrap()[0].version.unparked, 1);
    assert_eq!(warned("Patient?family=two").await, []);
    // The other node writes what comes next, and parks it not behind what is there no more.
    two.stop().await;
    let head = world.put([patient(1, "again")]).await;
    one.active().wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(one.status().await.unwrap()[0].version.parked_events, 0);
    assert!(one.active().now().unwrap().parked().is_empty());
    assert_eq!(digest(&world, 1).await, from_nothing(&world).await);
}
