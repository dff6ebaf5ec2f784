//! The rounds: load, faults, recovery, and the check of everything.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anamnesis_engines::Addresses;
use anamnesis_events::{Log, LogOptions};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::NoTls;

use crate::check::{Story, answers, heads, http, register, search, shape, stream};
use crate::client::{Client, Load, order_rebuild, watch_transactions};
use crate::dice::Dice;
use crate::http::Http;
use crate::plan::{self, Round};
use crate::records::{Outcome, Record};
use crate::scene::{LOOK_AGAIN, Scene};
use crate::support::folder;

/// Clients that write at a time.
const CLIENTS: usize = 6;
/// After so many rounds another server begins with an empty folder: a log is checked whole in every round.
const ROUNDS_OF_A_FOLDER: usize = 10;
/// How long it may take until all is well, on a machine that is busy with other tests; seconds, where it is not.
const RECOVERY_WITHIN: Duration = Duration::from_secs(40);
/// Writes that every client must get acknowledged once all is well again.
const WRITES_AFTERWARDS: u32 = 3;
/// How long that may take.
const WRITES_WITHIN: Duration = Duration::from_secs(60);
/// Complaints that are shown; one cause can have thousands of effects.
const SHOWN_MAX: usize = 40;

/// Runs the rounds; fails with everything that there is to know when a promise is broken.
pub(crate) fn run(seed: u64, count: u32) {
    println!("{count} rounds, ANAMNESIS_FAULT_SEED={seed}");
    let started = Instant::now();
    for rounds in plan::rounds(seed, count).chunks(ROUNDS_OF_A_FOLDER) {
        let folder = folder();
        let outcome = catch_unwind(AssertUnwindSafe(|| on_one_folder(seed, rounds, folder.path())));
        if let Err(panic) = outcome {
            let kept = folder.keep();
            println!("FAILED with ANAMNESIS_FAULT_SEED={seed}; the data folder is kept: {}", kept.display());
            resume_unwind(panic);
        }
    }
    println!("{count} rounds, every promise held; {} s", started.elapsed().as_secs());
}

fn on_one_folder(seed: u64, rounds: &[Round], data: &std::path::Path) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut records = Vec::new();
    let cut_off_after = plan::first_start(seed, rounds[0].number);
    if let Some(time) = cut_off_after {
        println!("the first start on this folder is cut off after {} ms", time.as_millis());
    }
    let mut scene = Scene::start(data, Http::new(), cut_off_after);
    for round in rounds {
        println!("{round}");
        let load = Arc::new(Load::new(CLIENTS));
        let new = under_load(&runtime, seed, round, &mut scene, &load);
        let from = records.len();
        records.extend(new);
        let is_last = Some(round) == rounds.last();
        let to_read = if is_last { &records[..] } else { &records[from..] };
        let started = Instant::now();
        let (events, violations) = runtime.block_on(checked(seed, round, &scene, &records, to_read, &load));
        scene.note_output();
        println!(
            "  {}; {events} events in the log; checked in {} ms",
            told(&records[from..], &load),
            started.elapsed().as_millis()
        );
        refuse(seed, round, &violations);
    }
    scene.stop();
}

/// Has clients write while the round's faults happen, until all is well again and writes are taken.
fn under_load(
    runtime: &Runtime,
    seed: u64,
    round: &Round,
    scene: &mut Scene,
    load: &Arc<Load>,
) -> Vec<Record> {
    let stream = |client: usize| u64::from(round.number) * 100 + client as u64;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let dice = Dice::new(seed, stream(number));
            let client = Client::new(round.number, number, dice, scene.http.clone(), load.clone());
            runtime.spawn(client.run())
        })
        .collect();
    let dice = Dice::new(seed, stream(CLIENTS));
    let watcher = runtime.spawn(watch_transactions(scene.http.clone(), load.clone(), dice));
    let rebuild = round.rebuilds.then(|| runtime.spawn(order_rebuild(scene.http.clone(), load.clone())));
    let ending = StopWhenDropped(load.clone());
    for (after, fault) in &round.faults {
        // The moment of the fault is what is drawn; nothing is waited for.
        std::thread::sleep(*after);
        scene.suffer(fault);
    }
    let recovered = scene.recover(RECOVERY_WITHIN).unwrap_or_else(|reason| {
        load.violated(format!("I0: {reason}"));
        RECOVERY_WITHIN
    });
    let counts: Vec<u32> = load.acknowledged.iter().map(read).collect();
    let since = Instant::now();
    let enough = |(count, before): (&AtomicU32, &u32)| read(count) >= before + WRITES_AFTERWARDS;
    while !load.acknowledged.iter().zip(&counts).all(enough) {
        if since.elapsed() > WRITES_WITHIN {
            load.violated(format!(
                "I0: not all clients can write {} s after the recovery",
                WRITES_WITHIN.as_secs()
            ));
            break;
        }
        std::thread::park_timeout(LOOK_AGAIN);
    }
    drop(ending);
    println!(
        "  well again after {} ms, all write after {} ms",
        recovered.as_millis(),
        since.elapsed().as_millis()
    );
    runtime.block_on(async {
        let mut records = Vec::new();
        for client in clients {
            records.extend(client.await.unwrap());
        }
        watcher.await.unwrap();
        if let Some(rebuild) = rebuild {
            rebuild.await.unwrap();
        }
        records
    })
}

/// Ends the load, also when the test fails in between.
struct StopWhenDropped(Arc<Load>);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// Compares everything with everything. Answers how many events there are, and what is wrong.
async fn checked(
    seed: u64,
    round: &Round,
    scene: &Scene,
    records: &[Record],
    to_read: &[Record],
    load: &Load,
) -> (usize, Vec<String>) {
    let Addresses { database_url, nats_url, .. } = scene.addresses();
    let (address, nats) = (database_url.unwrap(), nats_url.unwrap());
    let log = Log::open(&address, "default", LogOptions::default()).await.unwrap();
    let (database, connection) = tokio_postgres::connect(&address, NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut violations = Vec::new();
    let story = Story::read(&log, &mut violations).await;
    violations.extend(shape::check(&story.events));
    violations.extend(answers::check(&story, records));
    violations.extend(register::check(&story, records));
    violations.extend(heads::check(&story, &log, &database).await);
    violations.extend(stream::check(&story, &nats).await);
    let batch = Dice::new(seed, u64::from(round.number) * 100 + 99).between(1, 300) as usize;
    violations.extend(search::check(&log, &address, batch).await);
    violations.extend(http::check(&story, to_read, &scene.http, load).await);
    violations.extend(std::mem::take(&mut *load.violations.lock().unwrap()));
    violations.extend(scene.verify());
    log.close().await;
    drop(database);
    let _ended = driver.await;
    (story.events.len(), violations)
}

fn refuse(seed: u64, round: &Round, violations: &[String]) {
    if violations.is_empty() {
        return;
    }
    for violation in violations.iter().take(SHOWN_MAX) {
        println!("  BROKEN {violation}");
    }
    panic!("seed {seed}, {round}: {} promises broken, the first: {}", violations.len(), violations[0]);
}

/// What the clients were told in a round, in numbers.
fn told(records: &[Record], load: &Load) -> String {
    let outcomes = || records.iter().flat_map(|record| &record.entries).map(|(_, outcome)| outcome);
    let done = outcomes().filter(|outcome| matches!(outcome, Outcome::Done(_))).count();
    let unknown = outcomes().filter(|outcome| matches!(outcome, Outcome::Unknown)).count();
    let refused = outcomes().count() - done - unknown;
    let (searches, late) = (read(&load.searches), read(&load.late));
    let repeated = read(&load.repeated);
    format!(
        "{done} done ({repeated} at a repetition), {refused} refused, {unknown} unknown, {searches} searched for again ({late} late)"
    )
}

fn read(count: &AtomicU32) -> u32 {
    count.load(Ordering::Relaxed)
}
