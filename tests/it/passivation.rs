//! Actors that are put to rest under the hands of those who write: nothing is lost, doubled or left over.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anamnesis::actors::{ActorOptions, Compartments, Outcome, WriteError};
use anamnesis::decide::{Candidate, Command, Decision, Expected, Provenance, Rules, decide};
use anamnesis_events::{AppendError, Event, Group, Log, Position, ResourceKey};
use anamnesis_fhir::json::{Document, Limits};
use futures::future::join_all;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use uuid::Uuid;

use crate::support::{eventually, in_time, test};

const WRITERS: u64 = 16;
const WRITES: usize = 40;
/// Resources that all writers write.
const SHARED: u32 = 4;

/// Everything so narrow that actors come and go all the time.
fn restless(log: &Log) -> Compartments {
    let options = ActorOptions {
        queue_max: 6,
        resident_max: 4,
        memory_bytes_max: 64 << 10,
        idle_timeout: Duration::ZERO,
        sweep_interval: Duration::from_millis(1),
        ..ActorOptions::default()
    };
    Compartments::start(log.clone(), Rules::default(), options).unwrap()
}

fn provenance() -> Provenance {
    Provenance::of(Arc::from("test"))
}

/// What became of writes, by the mark that each carries.
#[derive(Default)]
struct Tally {
    /// Answered as written: mark, resource, version, position.
    written: Vec<(u64, ResourceKey, u32, Position)>,
    /// Answered as not written.
    refused: HashSet<u64>,
    /// Given up before the answer: the marks that are written together or not at all.
    unknown: Vec<Vec<u64>>,
}

struct Writer {
    node: Compartments,
    random: ChaCha8Rng,
    marks: Arc<AtomicU64>,
    number: u64,
    tally: Tally,
}

impl Writer {
    fn below(&mut self, limit: u32) -> u32 {
        self.random.next_u32() % limit
    }

    fn mark(&self) -> u64 {
        self.marks.fetch_add(1, Ordering::Relaxed)
    }

    fn candidate(id: &str, patient: &str, mark: u64) -> Arc<Candidate> {
        let text = format!(
            r#"{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"text":"{mark}"}},"subject":{{"reference":"Patient/{patient}"}}}}"#
        );
        let document = Document::parse(text, &Limits::default()).unwrap();
        Arc::new(Candidate::new(ResourceKey::new("Observation", id), document, &[]))
    }

    /// One of the resources that everybody writes; two live in each compartment.
    fn shared(&mut self, mark: u64) -> Command {
        let n = self.below(SHARED);
        let candidate = Self::candidate(&format!("shared{n}"), &format!("p{}", n / 2), mark);
        Command::Update { candidate, expected: Expected::Anything, unless_held: Vec::new() }
    }

    async fn run(mut self) -> Tally {
        for _ in 0..WRITES {
            let mark = self.mark();
            let command = match self.below(8) {
                0..=2 => self.shared(mark),
                3 => {
                    let own = format!("own{}", self.number);
                    let candidate = Self::candidate(&own, &own, mark);
                    Command::Update { candidate, expected: Expected::Anything, unless_held: Vec::new() }
                }
                4 | 5 => {
                    let patient = format!("p{}", self.below(12));
                    let candidate = Self::candidate(&format!("new{mark}"), &patient, mark);
                    Command::Create { candidate, unless_held: Vec::new() }
                }
                _ => {
                    self.group().await;
                    continue;
                }
            };
            let key = command.key().clone();
            let node = self.node.clone();
            match self.patiently(node.submit(command, provenance())).await {
                None => self.tally.unknown.push(vec![mark]),
                Some(Ok(Outcome::Written { recorded, .. })) => {
                    self.tally.written.push((mark, key, recorded.version.get(), recorded.position));
                }
                Some(Err(error)) => self.refuse(error, &[mark]),
                Some(other) => panic!("{other:?}"),
            }
        }
        self.tally
    }

    /// Three of the shared resources and a new one in one transaction, which tells other actors to forget.
    async fn group(&mut self) {
        let mut commands: Vec<Command> = Vec::new();
        let mut marks = Vec::new();
        for _ in 0..3 {
            let mark = self.mark();
            let command = self.shared(mark);
            if !commands.iter().any(|other| other.key() == command.key()) {
                marks.push(mark);
                commands.push(command);
            }
        }
        let keys: Vec<_> = commands.iter().map(|command| command.key().clone()).collect();
        let Ok(current) = self.node.current(&keys).await else { panic!("the log cannot be read") };
        let mut drafts = Vec::new();
        for (command, current) in commands.iter().zip(&current) {
            match decide(command, current.as_deref(), self.node.rules(), &provenance()) {
                Ok(Decision::Append(draft)) => drafts.push(*draft),
                other => panic!("{other:?}"),
            }
        }
        let home = drafts[0].home.clone();
        let group = Group { drafts, transaction: Some(Uuid::new_v4()), idempotency: None };
        let node = self.node.clone();
        match self.patiently(node.commit(&home, group, None)).await {
            None => self.tally.unknown.push(marks),
            Some(Ok(recorded)) => {
                assert_eq!(recorded.len(), marks.len());
                for ((mark, key), recorded) in marks.into_iter().zip(keys).zip(recorded) {
                    self.tally.written.push((mark, key, recorded.version.get(), recorded.position));
                }
            }
            Some(Err(error)) => self.refuse(error, &marks),
        }
    }

    /// Waits for the answer; now and then not for long, as a client does that goes away.
    async fn patiently<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        if self.below(8) > 0 {
            return Some(in_time("a write", work).await);
        }
        let patience = Duration::from_micros(u64::from(self.below(4000)));
        tokio::time::timeout(patience, work).await.ok()
    }

    fn refuse(&mut self, error: WriteError, marks: &[u64]) {
        match error {
            WriteError::Busy
            | WriteError::Crowded
            | WriteError::Contended { .. }
            | WriteError::Log(AppendError::Conflict { .. }) => self.tally.refused.extend(marks),
            other => panic!("{other:?}"),
        }
    }
}

fn mark_of(event: &Event) -> u64 {
    let resource: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
    resource["code"]["text"].as_str().unwrap().parse().unwrap()
}

/// Compares what was answered with what is in the log.
fn check(events: &[Event], tallies: Vec<Tally>) {
    let mut by_mark: HashMap<u64, &Event> = HashMap::new();
    let mut versions: BTreeMap<ResourceKey, Vec<u32>> = BTreeMap::new();
    for event in events {
        assert!(by_mark.insert(mark_of(event), event).is_none(), "{} was written twice", event.key);
        versions.entry(event.key.clone()).or_default().push(event.version.get());
    }
    for (key, versions) in versions {
        assert!(versions.iter().copied().eq(1..=versions.len() as u32), "{key}: {versions:?}");
    }
    let (mut written, mut given_up) = (0, 0);
    for tally in tallies {
        for (mark, key, version, position) in tally.written {
            let event = by_mark.get(&mark).unwrap_or_else(|| panic!("{key} {version} is lost"));
            assert_eq!((&event.key, event.version.get(), event.position), (&key, version, position));
            written += 1;
        }
        for mark in tally.refused {
            assert!(!by_mark.contains_key(&mark), "{mark} was refused and is there");
        }
        for marks in tally.unknown {
            let there = marks.iter().filter(|mark| by_mark.contains_key(mark)).count();
            assert!(there == 0 || there == marks.len(), "half a group is there");
            given_up += there;
        }
    }
    assert_eq!(events.len(), written + given_up, "nothing else is there");
    assert!(written > 100, "{written} written");
}

#[test]
fn writes_are_recorded_once_whoever_is_put_to_rest_meanwhile() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    println!("seed {seed}");
    test(move |server| async move {
        let nodes = [restless(&server.log), restless(&server.log)];
        let marks = Arc::new(AtomicU64::new(1));
        let writers = (0..WRITERS).map(|number| {
            let writer = Writer {
                node: nodes[number as usize % 2].clone(),
                random: ChaCha8Rng::seed_from_u64(seed ^ number << 32),
                marks: marks.clone(),
                number,
                tally: Tally::default(),
            };
            tokio::spawn(writer.run())
        });
        let tallies = in_time("the writers", join_all(writers)).await;
        let tallies: Vec<Tally> = tallies.into_iter().map(Result::unwrap).collect();
        for node in &nodes {
            eventually("nothing is left over", async || {
                let residents = node.residents(0);
                (residents.queued, residents.total, residents.memory.bytes) == (0, 0, 0)
            })
            .await;
            let residents = node.residents(0);
            assert!(residents.rested.idle > 50, "{residents:?}");
            assert!(residents.memory.bytes_peak <= 64 << 10, "{residents:?}");
        }
        let events = server.log.read(Position::ZERO, 10_000).await.unwrap();
        assert_eq!(events.last().unwrap().position.get(), events.len() as u64, "positions are dense");
        check(&events, tallies);
        for node in nodes {
            node.stop();
        }
    });
}
