//! Tests of the moments at which actors come and go, brought about on purpose, over a real log.

use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use actix::dev::channel::channel;
use anamnesis_engines::testing;
use anamnesis_events::{Group, Log, LogOptions, Position, ResourceKey};
use anamnesis_fhir::json::{Document, Limits};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

use super::registry::Slot;
use super::resident::Gauge;
use super::*;
use crate::decide::{Candidate, Decision, Expected, decide};

/// How long a condition may take to come true; far more than it ever does.
const DEADLINE: Duration = Duration::from_secs(20);

struct Bench {
    log: Log,
    actors: Compartments,
    /// Somebody else's connection, to hold the log with.
    holder: Client,
}

impl Bench {
    async fn start(options: ActorOptions) -> Self {
        let url = testing::postgres().await.fresh_database().await;
        let log = Log::open(&url, "default", LogOptions::default()).await.unwrap();
        let actors = Compartments::start(log.clone(), Rules::default(), options).unwrap();
        let (holder, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        // Ends with its client.
        tokio::spawn(async move { connection.await.unwrap() });
        Self { log, actors, holder }
    }

    async fn hold(&self) {
        self.holder.batch_execute("BEGIN; SELECT FROM anamnesis.log FOR UPDATE").await.unwrap();
    }

    async fn release(&self) {
        self.holder.batch_execute("ROLLBACK").await.unwrap();
    }

    fn put(&self, id: &str, number: u32) -> JoinHandle<Result<u32, WriteError>> {
        let (actors, command) = (self.actors.clone(), put(id, number));
        tokio::spawn(async move {
            match actors.submit(command, provenance()).await? {
                Outcome::Written { recorded, .. } => Ok(recorded.version.get()),
                other => panic!("not written: {other:?}"),
            }
        })
    }

    fn residents(&self) -> Residents {
        self.actors.residents(10)
    }

    /// Takes an actor out of the registry whatever it does.
    fn cast_out(&self, compartment: &str) {
        assert!(self.actors.0.actors.remove(compartment).is_some());
    }

    /// Puts the address of an actor that has ended into the registry, as it is there until somebody notices.
    fn plant_dead(&self, compartment: &str) -> Arc<Gauge> {
        let (sender, receiver) = channel(4);
        drop(receiver);
        let gauge = Gauge::new();
        let slot = Slot { address: Addr::new(sender), gauge: gauge.clone() };
        self.actors.0.actors.insert(compartment.into(), slot);
        gauge
    }

    async fn memory_is_back(&self) {
        eventually("all memory is back", || self.residents().memory.bytes == 0).await;
        assert_eq!((self.residents().total, self.residents().queued), (0, 0));
    }

    async fn stop(self) {
        self.actors.stop();
        self.log.close().await;
    }
}

fn restless() -> ActorOptions {
    ActorOptions {
        idle_timeout: Duration::ZERO,
        sweep_interval: Duration::from_millis(2),
        ..ActorOptions::default()
    }
}

fn provenance() -> Provenance {
    Provenance::of(Arc::from("test"))
}

fn put(id: &str, number: u32) -> Command {
    let text = format!(r#"{{"resourceType":"Patient","id":"{id}","multipleBirthInteger":{number}}}"#);
    let document = Document::parse(text, &Limits::default()).unwrap();
    let candidate = Arc::new(Candidate::new(ResourceKey::new("Patient", id), document, &[]));
    Command::Update { candidate, expected: Expected::Anything, unless_held: Vec::new() }
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, wait).await.is_ok(), "it never came true: {what}");
}

async fn in_time<T>(work: JoinHandle<T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("it does not end").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_with_work_is_not_put_to_rest() {
    let bench = Bench::start(restless()).await;
    assert_eq!(in_time(bench.put("b", 1)).await.unwrap(), 1);
    bench.hold().await;
    let write = bench.put("a", 1);
    eventually("it waits", || bench.residents().queued == 1).await;
    let gauge =
        |bench: &Bench| bench.actors.0.actors.get("Patient/a").map(|slot| slot.gauge.clone()).unwrap();
    let before = gauge(&bench);
    eventually("others are put to rest", || bench.residents().total == 1).await;
    assert!(Arc::ptr_eq(&before, &gauge(&bench)), "it is the same actor");
    bench.release().await;
    assert_eq!(in_time(write).await.unwrap(), 1);
    bench.memory_is_back().await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_was_cast_out_finishes_beside_its_successor() {
    let bench = Bench::start(restless()).await;
    bench.hold().await;
    let first = bench.put("a", 1);
    eventually("it waits", || bench.residents().queued == 1).await;
    bench.cast_out("Patient/a");
    let second = bench.put("a", 2);
    eventually("a second actor has work", || bench.residents().queued == 1).await;
    bench.release().await;
    let mut versions = [in_time(first).await.unwrap(), in_time(second).await.unwrap()];
    versions.sort_unstable();
    assert_eq!(versions, [1, 2]);
    assert_eq!(bench.log.head().await.unwrap(), Position::new(2));
    bench.memory_is_back().await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_ended_before_it_got_its_work_is_replaced() {
    let bench = Bench::start(ActorOptions::default()).await;
    let dead = bench.plant_dead("Patient/a");
    assert_eq!(in_time(bench.put("a", 1)).await.unwrap(), 1);
    assert_eq!(dead.queued(), 0);
    let dead = bench.plant_dead("Patient/b");
    let Ok(Decision::Append(draft)) = decide(&put("b", 1), None, &Rules::default(), &provenance()) else {
        panic!("nothing to append")
    };
    let recorded = bench.actors.commit("Patient/b", Group::single(*draft), None).await.unwrap();
    assert_eq!((recorded.len(), dead.queued()), (1, 0));
    let residents = bench.residents();
    assert_eq!((residents.total, residents.queued, residents.memory.command_bytes), (2, 0, 0));
    assert_eq!(residents.memory.actor_bytes, 2 * memory::ACTOR_BYTES);
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_that_die_leave_nobody_waiting_and_are_replaced() {
    let bench = Bench::start(restless()).await;
    assert_eq!(in_time(bench.put("a", 0)).await.unwrap(), 1);
    bench.hold().await;
    let first = bench.put("a", 1);
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'";
    tokio::time::timeout(DEADLINE, async {
        while bench.holder.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
    })
    .await
    .expect("an append waits for the lock");
    let writes = [first, bench.put("a", 2), bench.put("b", 3)];
    eventually("they wait", || bench.residents().queued == 3).await;
    bench.actors.0.arbiters.kill();
    for write in writes {
        assert!(matches!(in_time(write).await, Err(WriteError::Interrupted)));
    }
    eventually("all memory is back", || bench.residents().memory.bytes == 0).await;
    bench.release().await;
    // What had been handed to the log is recorded; what waited in the actor is not.
    tokio::time::timeout(DEADLINE, async { while bench.log.head().await.unwrap() < Position::new(2) {} })
        .await
        .expect("it is recorded");
    let version = in_time(bench.put("a", 4)).await.unwrap();
    let events = bench.log.read(Position::ZERO, 10).await.unwrap();
    let of_a = events.iter().filter(|event| event.key.id == "a").count();
    assert_eq!((version, of_a), (3, 3), "the one that waited behind it is not there");
    bench.memory_is_back().await;
    assert!(bench.residents().rested.idle > 0, "actors are still put to rest");
    bench.stop().await;
}
