//! Stream sequence = log position, whatever is killed or lost: relay, broker, the stream's tail, the whole stream.
//!
//! Real Postgres, real nats-server. The killed relay is a process of its own: this test program, started again.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anamnesis_engines::testing::{self, Nats};
use anamnesis_events::message::{MessageOptions, encode, subject};
use anamnesis_events::relay::{Relay, RelayOptions, RelayState};
use anamnesis_events::stream::{StreamOptions, open_or_create, stream_name};
use anamnesis_events::{
    Draft, Erases, Feed, Group, JetStreamFeed, Log, LogOptions, Operation, Position, ResourceKey, Version,
};
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use futures::StreamExt;

pub(crate) const WORKSPACE: &str = "default";
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    pub(crate) log: Log,
    pub(crate) nats: Nats,
    pub(crate) database: String,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(LogOptions::default()).await
    }

    pub(crate) async fn with(log: LogOptions) -> Self {
        let database = testing::postgres().await.fresh_database().await;
        let log = Log::open(&database, WORKSPACE, log).await.unwrap();
        Self { log, nats: Nats::start().await, database }
    }

    pub(crate) async fn client(&self) -> async_nats::Client {
        let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
        options.connect(self.nats.url()).await.unwrap()
    }

    pub(crate) async fn relay(&self) -> Relay {
        Relay::start(self.log.clone(), self.client().await, options())
    }

    /// Appends events `from..=to` of many patients, some as bundles.
    pub(crate) async fn append(&self, from: usize, to: usize) {
        let numbers: Vec<usize> = (from..=to).collect();
        let appends = numbers.chunks(7).map(|chunk| {
            let drafts = chunk.iter().map(|n| draft(*n)).collect();
            self.log.append(Group {
                drafts,
                transaction: (chunk.len() > 3).then(uuid::Uuid::new_v4),
                idempotency: None,
            })
        });
        for outcome in futures::stream::iter(appends).buffered(32).collect::<Vec<_>>().await {
            outcome.unwrap();
        }
    }

    async fn head(&self) -> Position {
        self.log.head().await.unwrap()
    }

    /// Every message of the stream against the log: number, hash and body.
    pub(crate) async fn assert_stream_equals_log(&self) {
        let head = self.head().await;
        let context = async_nats::jetstream::new(self.client().await);
        let stream = context.get_stream(stream_name(WORKSPACE)).await.unwrap();
        let state = stream.get_info().await.unwrap().state;
        assert_eq!(
            (state.last_sequence, state.messages),
            (head.get(), head.get()),
            "stream and log end together"
        );
        let config = OrderedConfig { deliver_policy: DeliverPolicy::All, ..OrderedConfig::default() };
        let mut messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
        let mut after = Position::ZERO;
        while after < head {
            for event in self.log.read(after, 500).await.unwrap() {
                let message =
                    tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().unwrap().unwrap();
                assert_eq!(message.info().unwrap().stream_sequence, event.position.get());
                let (headers, payload) = encode(&event, &MessageOptions::new(WORKSPACE, "fhir"));
                for (name, values) in headers.iter() {
                    assert_eq!(message.headers.as_ref().unwrap().get_all(name.clone()).count(), 1);
                    assert_eq!(message.headers.as_ref().unwrap().get(name.clone()), values.first(), "{name}");
                }
                assert_eq!(message.payload, payload);
                after = event.position;
            }
        }
    }
}

pub(crate) fn options() -> RelayOptions {
    RelayOptions {
        check_interval: Duration::from_millis(100),
        acknowledge_timeout: Duration::from_secs(1),
        ..RelayOptions::new(WORKSPACE, "fhir")
    }
}

fn draft(n: usize) -> Draft {
    let patient = format!("Patient/p{}", n % 17);
    let body = format!(
        r#"{{"resourceType":"Observation","id":"o{n}","note":[{{"text":"{}"}}]}}"#,
        "x".repeat(n % 900)
    );
    Draft {
        key: ResourceKey::new("Observation", format!("o{n}")),
        operation: Operation::Create,
        erases: Erases::Nothing,
        version: Version::new(1),
        home: patient.clone(),
        touches: vec![patient],
        payload: body.into_bytes(),
        stamp_at: None,
        identifiers: Vec::new(),
        require_no_identifier: Vec::new(),
        agent: "test".into(),
        source: None,
    }
}

pub(crate) async fn published(relay: &Relay, position: Position) {
    let mut status = relay.status();
    let reached = status.wait_for(|status| status.published >= position);
    if tokio::time::timeout(PATIENCE, reached).await.is_err() {
        panic!("the relay does not catch up: {:?}", *relay.status().borrow())
    }
}

async fn halted(relay: &Relay) -> String {
    let mut status = relay.status();
    let halted = status.wait_for(|status| matches!(status.state, RelayState::Halted(_)));
    let status = tokio::time::timeout(PATIENCE, halted).await.expect("the relay halts").unwrap();
    match &status.state {
        RelayState::Halted(reason) => reason.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_stored_under_its_position() {
    let bench = Bench::new().await;
    bench.append(1, 1000).await;
    let relay = bench.relay().await;
    bench.append(1001, 3000).await;
    published(&relay, bench.head().await).await;
    relay.stop().await;
    bench.assert_stream_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_killed_at_any_moment_leaves_no_hole_and_no_duplicate() {
    let bench = Bench::new().await;
    bench.append(1, 6000).await;
    for round in 0..6_u64 {
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "relay::relay_as_a_process_of_its_own", "--nocapture"])
            .env("ANAMNESIS_TEST_RELAY", format!("{} {}", bench.database, bench.nats.url()))
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // Killed as soon as the stream has grown by a number that differs each round, so in the middle of its work.
        let context = async_nats::jetstream::new(bench.client().await);
        let stream =
            open_or_create(&context, &bench.log, WORKSPACE, &StreamOptions::default()).await.unwrap();
        let start = stream.get_info().await.unwrap().state.last_sequence;
        let wanted = (start + 200 + 311 * round).min(bench.head().await.get());
        let grown = async { while stream.get_info().await.unwrap().state.last_sequence < wanted {} };
        tokio::time::timeout(PATIENCE, grown).await.expect("the child publishes");
        child.kill().await.unwrap();
    }
    let relay = bench.relay().await;
    published(&relay, bench.head().await).await;
    relay.stop().await;
    bench.assert_stream_equals_log().await;
}

/// Not a test by itself: the relay of the test above, which starts it with an address in the environment.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::disallowed_methods, reason = "how the parent process tells its child what to do")]
async fn relay_as_a_process_of_its_own() {
    let Ok(addresses) = std::env::var("ANAMNESIS_TEST_RELAY") else { return };
    let (database, nats) = addresses.split_once(' ').unwrap();
    let log = Log::open(database, WORKSPACE, LogOptions::default()).await.unwrap();
    let client = async_nats::connect(nats).await.unwrap();
    let relay = Relay::start(log, client, options());
    let mut status = relay.status();
    while status.changed().await.is_ok() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_while_publishing_ends_up_with_the_same_numbers() {
    let bench = Bench::new().await;
    let relay = bench.relay().await;
    for round in 0..4 {
        bench.append(round * 1500 + 1, (round + 1) * 1500).await;
        let half = Position::new((round * 1500 + 400) as u64);
        published(&relay, half).await;
        bench.nats.kill9().await;
        bench.nats.restart().await;
    }
    published(&relay, bench.head().await).await;
    relay.stop().await;
    bench.assert_stream_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_tail_is_refilled_with_the_same_numbers() {
    let bench = Bench::new().await;
    bench.append(1, 1000).await;
    let relay = bench.relay().await;
    published(&relay, Position::new(1000)).await;
    bench.nats.stop().await;
    let copy = tempfile::tempdir().unwrap();
    copy_folder(bench.nats.store_dir(), copy.path());
    bench.nats.restart().await;
    bench.append(1001, 2000).await;
    published(&relay, Position::new(2000)).await;
    // The broker comes back as it was a thousand events ago, while the relay goes on.
    bench.nats.kill9().await;
    std::fs::remove_dir_all(bench.nats.store_dir()).unwrap();
    copy_folder(copy.path(), bench.nats.store_dir());
    bench.nats.restart().await;
    bench.append(2001, 2100).await;
    let mut status = relay.status();
    let whole = status.wait_for(|status| status.published == Position::new(2100));
    tokio::time::timeout(PATIENCE, whole).await.expect("refilled").unwrap();
    relay.stop().await;
    bench.assert_stream_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_stream_is_made_again_with_the_same_numbers() {
    let bench = Bench::new().await;
    bench.append(1, 1500).await;
    let relay = bench.relay().await;
    published(&relay, Position::new(1500)).await;
    bench.nats.wipe().await;
    bench.nats.restart().await;
    bench.append(1501, 1600).await;
    published(&relay, Position::new(1600)).await;
    relay.stop().await;
    bench.assert_stream_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_stream_of_a_long_log_starts_at_the_floor() {
    let bench = Bench::new().await;
    bench.append(1, 1000).await;
    let stream = StreamOptions { refill_events_max: 300, ..StreamOptions::default() };
    let relay = Relay::start(bench.log.clone(), bench.client().await, RelayOptions { stream, ..options() });
    published(&relay, Position::new(1000)).await;
    relay.stop().await;
    let context = async_nats::jetstream::new(bench.client().await);
    let state = context.get_stream(stream_name(WORKSPACE)).await.unwrap().get_info().await.unwrap().state;
    assert_eq!((state.first_sequence, state.last_sequence), (701, 1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_relays_make_one_stream() {
    let bench = Bench::new().await;
    let relays = [bench.relay().await, bench.relay().await, bench.relay().await];
    bench.append(1, 4000).await;
    for relay in &relays {
        published(relay, bench.head().await).await;
    }
    for relay in relays {
        relay.stop().await;
    }
    bench.assert_stream_equals_log().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_another_history_is_not_touched() {
    let bench = Bench::new().await;
    bench.append(1, 10).await;
    let other = Bench::new().await;
    other.append(101, 120).await;
    // The other log's events, in the broker of this one.
    let context = async_nats::jetstream::new(bench.client().await);
    open_or_create(&context, &other.log, WORKSPACE, &StreamOptions::default()).await.unwrap();
    let foreign = MessageOptions::new(WORKSPACE, "fhir");
    let publish = async |from: u64, to: u64| {
        for event in other.log.read(Position::new(from), (to - from) as usize).await.unwrap() {
            let (headers, payload) = encode(&event, &foreign);
            let subject = subject(&event, &foreign);
            context.publish_with_headers(subject, headers, payload).await.unwrap().await.unwrap();
        }
    };
    publish(0, 5).await;
    let relay = bench.relay().await;
    assert!(halted(&relay).await.contains("another event at 5"));
    relay.stop().await;
    publish(5, 20).await;
    let relay = bench.relay().await;
    assert!(halted(&relay).await.contains("stands at 20"));
    relay.stop().await;
    let stream = context.get_stream(stream_name(WORKSPACE)).await.unwrap();
    assert_eq!(stream.get_info().await.unwrap().state.last_sequence, 20, "nothing was published over it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_is_the_log_whether_the_broker_is_there_or_not() {
    let bench = Bench::new().await;
    bench.append(1, 500).await;
    let relay = bench.relay().await;
    let context = async_nats::jetstream::new(bench.client().await);
    let mut feed = JetStreamFeed::new(bench.log.clone(), context, WORKSPACE, Position::new(42));
    let mut seen = Position::new(42);
    for (from, to, broker_runs) in [(501, 900, true), (901, 1300, false), (1301, 2000, true)] {
        if broker_runs {
            bench.nats.restart().await;
        } else {
            bench.nats.kill9().await;
        }
        let appending = bench.append(from, to);
        let reading = async {
            while seen < Position::new(to as u64) {
                for event in feed.next(100).await.unwrap() {
                    assert_eq!(event.position, seen.next(), "in order, no hole, no duplicate");
                    seen = event.position;
                }
            }
        };
        let both = async { tokio::join!(appending, reading) };
        tokio::time::timeout(PATIENCE, both).await.expect("the feed goes on");
    }
    let from_log = bench.log.read(Position::new(1999), 1).await.unwrap();
    assert_eq!(from_log.first().unwrap().position, seen);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_takes_nothing_from_a_stream_of_another_history() {
    // The log of `bench` has been set back to 5 events; its broker still has 6 to 20 of what was lost.
    let bench = Bench::new().await;
    bench.append(1, 5).await;
    let lost = Bench::new().await;
    lost.append(1, 20).await;
    let context = async_nats::jetstream::new(bench.client().await);
    open_or_create(&context, &lost.log, WORKSPACE, &StreamOptions::default()).await.unwrap();
    let messages = MessageOptions::new(WORKSPACE, "fhir");
    for event in lost.log.read(Position::ZERO, 20).await.unwrap() {
        let (headers, payload) = encode(&event, &messages);
        let stored =
            context.publish_with_headers(subject(&event, &messages), headers, payload).await.unwrap();
        stored.await.unwrap();
    }
    let mut feed = JetStreamFeed::new(bench.log.clone(), context, WORKSPACE, Position::ZERO);
    let mut seen = Vec::new();
    while seen.len() < 5 {
        seen.extend(feed.next(100).await.unwrap());
    }
    bench.append(101, 103).await;
    while seen.len() < 8 {
        seen.extend(tokio::time::timeout(PATIENCE, feed.next(100)).await.unwrap().unwrap());
    }
    assert_eq!(seen, bench.log.read(Position::ZERO, 100).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_messages_leave_out_come_from_the_log() {
    let bench = Bench::new().await;
    let mut large = draft(1);
    large.payload = format!(r#"{{"resourceType":"Binary","data":"{}"}}"#, "A".repeat(400 << 10)).into_bytes();
    let context = async_nats::jetstream::new(bench.client().await);
    let relay = bench.relay().await;
    let mut feed = JetStreamFeed::new(bench.log.clone(), context, WORKSPACE, Position::ZERO);
    bench.log.append(Group { drafts: vec![draft(0)], ..Group::default() }).await.unwrap();
    assert_eq!(feed.next(10).await.unwrap().len(), 1);
    bench.log.append(Group { drafts: vec![large.clone()], ..Group::default() }).await.unwrap();
    let events = feed.next(10).await.unwrap();
    assert_eq!(events.first().unwrap().payload, large.payload);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_messages_of_the_workspace_take_no_number_of_an_event() {
    let bench = Bench::new().await;
    let client = bench.client().await;
    let context = async_nats::jetstream::new(client.clone());
    // As an older program has made it: everything below the workspace came into it.
    let wide = async_nats::jetstream::stream::Config {
        name: stream_name(WORKSPACE),
        subjects: vec![format!("anamnesis.{WORKSPACE}.>")],
        allow_direct: true,
        ..Default::default()
    };
    context.create_stream(wide).await.unwrap();
    let relay = bench.relay().await;
    bench.append(1, 3).await;
    published(&relay, bench.head().await).await;
    for subject in ["alerts.many-patients", "audit.head"] {
        client.publish(format!("anamnesis.{WORKSPACE}.{subject}"), "x".into()).await.unwrap();
    }
    client.flush().await.unwrap();
    bench.append(4, 9).await;
    published(&relay, bench.head().await).await;
    bench.assert_stream_equals_log().await;
    // Who filters by all of the workspace still gets it.
    let stream = context.get_stream(stream_name(WORKSPACE)).await.unwrap();
    let filter_subject = format!("anamnesis.{WORKSPACE}.>");
    let config = OrderedConfig { filter_subject, ..OrderedConfig::default() };
    let messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
    assert_eq!(tokio::time::timeout(PATIENCE, messages.take(9).count()).await.unwrap(), 9);
    relay.stop().await;
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let status = std::process::Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(status.success());
}
