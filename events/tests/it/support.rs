//! What the tests share: fresh logs, short ways to drafts, and checks of a whole log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anamnesis_engines::testing::postgres;
use anamnesis_events::{
    Draft, Erases, Event, Group, Log, LogOptions, Operation, Position, ResourceKey, STAMP_PLACEHOLDER,
    Version,
};
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;

/// The address of an empty database, for tests that look into it or break it.
pub(crate) async fn database() -> String {
    postgres().await.fresh_database().await
}

/// A new log in the database that most tests share: making and dropping one for each would take longer
/// than the tests.
pub(crate) async fn fresh_log() -> Log {
    fresh_log_with(LogOptions::default()).await
}

pub(crate) async fn fresh_log_with(options: LogOptions) -> Log {
    static SHARED: OnceCell<String> = OnceCell::const_new();
    let database = SHARED.get_or_init(database).await;
    let workspace = uuid::Uuid::new_v4().to_string();
    Log::open(database, &workspace, options).await.unwrap()
}

/// A log in this database; a second one is a second appender.
pub(crate) async fn open(database: &str) -> Log {
    Log::open(database, "default", LogOptions::default()).await.unwrap()
}

pub(crate) fn key(id: &str) -> ResourceKey {
    ResourceKey::new("Observation", id)
}

/// A draft of a small resource with its time of recording to be stamped.
pub(crate) fn write(key: ResourceKey, version: u32, note: &str) -> Draft {
    let before = format!(
        r#"{{"resourceType":"{}","id":"{}","meta":{{"versionId":"{version}","lastUpdated":""#,
        key.resource_type, key.id
    );
    let stamp_at = Some(before.len());
    let payload = format!(r#"{before}{STAMP_PLACEHOLDER}"}},"note":"{note}"}}"#);
    Draft {
        key,
        erases: Erases::Nothing,
        operation: if version == 1 { Operation::Create } else { Operation::Update },
        version: Version::new(version),
        home: "Patient/p".into(),
        touches: vec!["Patient/p".into()],
        payload: payload.into_bytes(),
        stamp_at,
        identifiers: vec![],
        require_no_identifier: vec![],
        agent: Arc::from("test"),
        source: None,
    }
}

pub(crate) fn delete(key: ResourceKey, version: u32) -> Draft {
    Draft { operation: Operation::Delete, payload: vec![], stamp_at: None, ..write(key, version, "") }
}

pub(crate) fn group(drafts: Vec<Draft>) -> Group {
    Group { drafts, transaction: Some(uuid::Uuid::new_v4()), idempotency: None }
}

/// Every event of the log, read page by page.
pub(crate) async fn all(log: &Log) -> Vec<Event> {
    let mut events: Vec<Event> = vec![];
    loop {
        let after = events.last().map_or(Position::ZERO, |event| event.position);
        let page = log.read(after, 500).await.unwrap();
        if page.is_empty() {
            return events;
        }
        events.extend(page);
    }
}

/// Checks what holds for every log: the chain, strictly increasing times, dense versions that point to
/// the ones before, whole bundles; returns its events.
pub(crate) async fn check_whole(log: &Log) -> Vec<Event> {
    let events = all(log).await;
    let mut verified = log.verify(Position::ZERO, 1).await.unwrap();
    while verified.position < log.head().await.unwrap() {
        verified = log.verify(verified.position, 1000).await.unwrap();
    }
    assert_eq!(verified.position, Position::new(events.len() as u64));
    let mut newest = std::collections::HashMap::new();
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event.position.get(), index as u64 + 1);
        assert!(index == 0 || events[index - 1].recorded_at < event.recorded_at);
        if event.operation.makes_version() {
            let before = newest.insert(event.key.clone(), (event.version, event.position));
            assert_eq!(event.version, before.map_or(Version::new(1), |(version, _)| version.next()));
            assert_eq!(event.previous, before.map(|(_, position)| position));
        } else {
            assert_eq!(newest.get(&event.key).copied(), event.previous.map(|at| (event.version, at)));
        }
        if let Some(transaction) = event.transaction {
            let first = index - transaction.index as usize;
            let bundle = &events[first..first + transaction.size as usize];
            assert!(bundle.iter().all(|other| other.transaction.unwrap().id == transaction.id));
        }
    }
    for (key, (version, position)) in newest {
        let head = log.heads(&[key]).await.unwrap().remove(0).unwrap();
        assert_eq!((head.version, head.position), (version, position));
    }
    events
}

/// Ends all connections to the database, appenders' and pools', whatever they are doing.
pub(crate) async fn kill_connections(database: &str) {
    let config: tokio_postgres::Config = database.parse().unwrap();
    let name = config.get_dbname().unwrap().to_owned();
    let (client, connection) = tokio_postgres::connect(postgres().await.server_url(), NoTls).await.unwrap();
    let kill = async {
        let statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        let killed = client.execute(statement, &[&name]).await;
        drop(client);
        killed.unwrap();
    };
    let ((), ended) = futures::join!(kill, connection);
    ended.unwrap();
}

/// Runs statements that give nothing back.
pub(crate) async fn statement(database: &str, statement: &str) {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await.unwrap();
    let work = async {
        let done = client.batch_execute(statement).await;
        drop(client);
        done.unwrap();
    };
    let ((), ended) = futures::join!(work, connection);
    ended.unwrap();
}

/// The number that a query gives.
pub(crate) async fn number(database: &str, query: &str) -> i64 {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await.unwrap();
    let work = async {
        let row = client.query_one(query, &[]).await;
        drop(client);
        row.unwrap().get(0)
    };
    let (number, ended) = futures::join!(work, connection);
    ended.unwrap();
    number
}

/// How long a condition may take to come true: far longer than it does on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until the condition holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
