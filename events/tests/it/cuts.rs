//! The connection to Postgres cut before and after every message of an append: each is answered truthfully, and a
//! repetition under its idempotency key leaves one outcome.

use std::time::Duration;

use anamnesis_events::*;
use uuid::Uuid;

use crate::proxy::{Fault, Place, Proxy, Sent, Side, Then};
use crate::support::*;

/// The statements of an append that writes into every table, in their order.
const STATEMENTS: [&str; 14] = [
    "BEGIN",
    "FROM anamnesis.log WHERE log = $1 FOR UPDATE",
    "FROM anamnesis.event\n    WHERE log = $1 AND seq >= $2 ORDER BY seq DESC",
    "FROM anamnesis.head WHERE",
    "FROM anamnesis.identifier WHERE",
    "FROM anamnesis.idempotency WHERE",
    "INSERT INTO anamnesis.event ",
    "INSERT INTO anamnesis.head (",
    "INSERT INTO anamnesis.link ",
    "DELETE FROM anamnesis.identifier ",
    "INSERT INTO anamnesis.identifier ",
    "INSERT INTO anamnesis.idempotency\n",
    "INSERT INTO anamnesis.head AS h",
    "COMMIT",
];

/// A bundle that needs every statement: a new version of a resource that hands its identifier back and takes another
/// one, and a new resource that touches another compartment and takes the identifier that became free.
fn bundle(number: u32) -> Group {
    let named = |value: String| Identifier { system: "urn:x".into(), value };
    let mut update = write(key("shared"), number + 1, "u");
    update.identifiers = vec![named(format!("shared-{number}"))];
    let mut create = write(key(&format!("new-{number}")), 1, "n");
    create.identifiers = vec![named(format!("shared-{}", number - 1))];
    create.require_no_identifier = create.identifiers.clone();
    create.touches.push("Patient/other".into());
    let asked = Idempotency {
        key: Uuid::from_u128(number.into()),
        fingerprint: [1; 32],
        note: number.to_be_bytes().to_vec(),
    };
    Group { idempotency: Some(asked), ..group(vec![update, create]) }
}

/// A log behind a proxy and beside it, and the messages of an append that went well.
struct Bench {
    proxy: Proxy,
    log: Log,
    /// The same log, not behind the proxy.
    beside: Log,
    bundles: u32,
    messages: Vec<Sent>,
}

impl Bench {
    async fn start(retry_for: Duration) -> Bench {
        let database = database().await;
        // Makes the partitions, which takes longer than some tests have patience for.
        let beside = open(&database).await;
        let mut first = write(key("shared"), 1, "a");
        first.identifiers = vec![Identifier { system: "urn:x".into(), value: "shared-0".into() }];
        beside.append(Group::single(first)).await.unwrap();
        let proxy = Proxy::start(&database).await;
        // What the poller asks would only be in the way.
        let options =
            LogOptions { retry_for, poll_interval: Duration::from_secs(3600), ..LogOptions::default() };
        let log = Log::open(proxy.address(), "default", options).await.unwrap();
        // An appender finds out with its first append how far the partitions reach.
        let warm = || async { log.append(Group::single(write(key("warm"), 1, "a"))).await.is_ok() };
        until("the appender is ready", warm).await;
        proxy.record();
        log.append(bundle(1)).await.unwrap();
        let messages = proxy.recorded();
        assert!(!messages.is_empty());
        Bench { proxy, log, beside, bundles: 1, messages }
    }

    /// Every cut there is: before each message, and after each that the server answers to.
    fn cuts(&self) -> Vec<(usize, Side)> {
        let before = (0..self.messages.len()).map(|number| (number, Side::Before));
        let answered = self.messages.iter().enumerate().filter(|(_, sent)| sent.is_answered());
        before.chain(answered.map(|(number, _)| (number, Side::After))).collect()
    }

    fn next(&mut self) -> u32 {
        self.bundles += 1;
        self.bundles
    }

    async fn is_recorded(&self, number: u32) -> bool {
        let created = self.beside.heads(&[key(&format!("new-{number}"))]).await.unwrap().remove(0).is_some();
        let remembered = self.beside.remembered(Uuid::from_u128(number.into())).await.unwrap().is_some();
        assert_eq!(created, remembered, "the key is recorded with its events or not at all");
        created
    }

    /// The whole log, with nothing in it but the bundles, each once.
    async fn check(&self) {
        let events = check_whole(&self.beside).await;
        assert_eq!(events.len() as u32, 2 + 2 * self.bundles);
        for number in 0..=self.bundles {
            // The last one is with the resource itself, the others have been handed on.
            let value = format!("shared-{number}");
            let holder = if number == self.bundles { "shared".into() } else { format!("new-{}", number + 1) };
            let identifier = Identifier { system: "urn:x".into(), value };
            assert_eq!(self.beside.find_identifier("Observation", &identifier).await.unwrap(), [holder]);
        }
    }
}

#[tokio::test]
async fn the_append_of_the_test_has_every_statement_in_it() {
    let bench = Bench::start(Duration::from_secs(20)).await;
    let texts: Vec<&str> =
        (bench.messages.iter()).filter(|sent| !sent.text.is_empty()).map(|sent| sent.text.as_str()).collect();
    assert_eq!(texts.len(), STATEMENTS.len(), "{texts:#?}");
    for (text, statement) in texts.iter().zip(STATEMENTS) {
        assert!(text.contains(statement), "{text} is not {statement}");
    }
}

#[tokio::test]
async fn an_append_whose_connection_is_cut_anywhere_is_recorded_once() {
    let mut bench = Bench::start(Duration::from_secs(20)).await;
    for (message, side) in bench.cuts() {
        let number = bench.next();
        bench.proxy.set(Fault::Cut(Place::Message(message), side, Then::Nothing));
        let answer = bench.log.append(bundle(number)).await;
        let what = format!("cut {side:?} message {message}, {:?}", bench.messages[message]);
        assert_eq!(bench.proxy.fault(), Fault::Nothing, "not {what}");
        let first = answer.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(first.iter().all(|one| !one.replayed), "{what}");
        let again = bench.log.append(bundle(number)).await.unwrap();
        assert!(again.iter().all(|one| one.replayed), "{what}");
        let of = |recorded: &[Recorded]| -> Vec<_> {
            recorded.iter().map(|one| (one.position, one.recorded_at, one.payload.clone())).collect()
        };
        assert_eq!(of(&first), of(&again), "{what}");
        assert_eq!(bench.beside.head().await.unwrap().get(), u64::from(2 + 2 * number), "{what}");
    }
    bench.check().await;
}

#[tokio::test]
async fn an_append_whose_database_stays_away_is_answered_truthfully_and_can_be_repeated() {
    let mut bench = Bench::start(Duration::from_millis(30)).await;
    let (mut unknown, mut happened) = (0, 0);
    for (message, side) in bench.cuts() {
        let number = bench.next();
        bench.proxy.set(Fault::Cut(Place::Message(message), side, Then::StayAway));
        let answer = bench.log.append(bundle(number)).await;
        let what = format!("cut {side:?} message {message}, {:?}", bench.messages[message]);
        assert_eq!(bench.proxy.fault(), Fault::StayAway, "not {what}");
        let is_recorded = bench.is_recorded(number).await;
        match answer {
            Err(AppendError::OutcomeUnknown) => unknown += 1,
            Err(AppendError::Unavailable(_)) => assert!(!is_recorded, "{what}: recorded, and told that not"),
            other => panic!("{what}: {other:?}"),
        }
        happened += usize::from(is_recorded);
        bench.proxy.set(Fault::Nothing);
        let again = bench.log.append(bundle(number)).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(again.iter().all(|one| one.replayed == is_recorded), "{what}");
        assert!(bench.is_recorded(number).await, "{what}");
    }
    assert_eq!(happened, 1, "only one cut is behind the commit");
    assert!(unknown > happened, "what cannot be known is said to be unknown");
    bench.check().await;
}
