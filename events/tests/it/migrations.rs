//! A database that an earlier version of the program has made is brought up to date and keeps what it holds.

use anamnesis_events::codec::Encoder;
use anamnesis_events::*;
use bytes::Bytes;
use chrono::DateTime;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::support::*;

const FIRST_VERSION: &str = include_str!("../../migrations/0001_log.sql");

/// One event, as the first version of the program recorded it.
async fn record_first(client: &Client, identifier: &Identifier) {
    let draft = write(key("1"), 1, "a");
    let mut event = Event {
        position: Position::new(1),
        kind: Kind::ResourceCreated,
        kind_version: 1,
        operation: Operation::Create,
        key: draft.key,
        version: Version::new(1),
        home: draft.home.clone(),
        touches: vec![draft.home],
        transaction: None,
        recorded_at: DateTime::from_timestamp_micros(1_767_225_600_000_000).unwrap(),
        agent: draft.agent,
        source: None,
        previous: None,
        payload: Bytes::from(draft.payload),
        erased: None,
        hash: [0; 32],
    };
    event.hash = envelope::chain(&envelope::genesis("default"), &event);
    let stored = Encoder::new(1).unwrap().encode(&event.payload).unwrap();
    let event_row =
        "INSERT INTO anamnesis.event (log, seq, recorded_at, version, kind, kind_version, resource_type, id,
            home, agent, hash, payload)
        SELECT log, 1, $1, 1, 1, 1, 'Observation', '1', $2, 'test', $3, $4 FROM anamnesis.log";
    client
        .execute(event_row, &[&event.recorded_at, &event.home, &event.hash.as_slice(), &stored])
        .await
        .unwrap();
    // The key of the identifier table: a hash over type, system and value, each after its length.
    let mut hashed = Vec::new();
    for part in ["Observation", &identifier.system, &identifier.value] {
        hashed.extend((part.len() as u64).to_be_bytes());
        hashed.extend(part.as_bytes());
    }
    let heads = "WITH held AS (SELECT encode(substring(sha256($1) FOR 16), 'hex')::uuid AS key),
        kept AS (INSERT INTO anamnesis.identifier (log, key, id) SELECT log, held.key, '1' FROM anamnesis.log, held)
        INSERT INTO anamnesis.head (log, key, seq, version, deleted, identifiers)
        SELECT log, anamnesis.resource_key('Observation', '1'), 1, 1, false, ARRAY[held.key, $2::uuid]
        FROM anamnesis.log, held";
    client.execute(heads, &[&hashed, &Uuid::from_u128(u128::MAX)]).await.unwrap();
}

#[tokio::test]
async fn a_database_of_the_first_version_is_brought_up_to_date() {
    let database = database().await;
    let identifier = Identifier { system: "urn:x".to_owned(), value: "1".to_owned() };
    let (client, connection) = tokio_postgres::connect(&database, NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let schema = format!(
        "CREATE SCHEMA anamnesis;
         CREATE TABLE anamnesis.events_schema (version integer PRIMARY KEY, applied_at timestamptz DEFAULT now());
         {FIRST_VERSION}
         INSERT INTO anamnesis.events_schema VALUES (1);
         INSERT INTO anamnesis.log (workspace) VALUES ('default');
         SELECT anamnesis.add_partition(1000)"
    );
    client.batch_execute(&schema).await.unwrap();
    record_first(&client, &identifier).await;
    drop(client);
    driver.await.unwrap().unwrap();

    let log = open(&database).await;
    assert_eq!(log.broken(), None);
    assert_eq!(log.find_identifier("Observation", &identifier).await.unwrap(), ["1"]);
    // The update gives the identifier up: the head still knew that it held it.
    log.append(Group::single(write(key("1"), 2, "b"))).await.unwrap();
    assert!(log.find_identifier("Observation", &identifier).await.unwrap().is_empty());
    let taken = Draft { require_no_identifier: vec![identifier.clone()], ..write(key("2"), 1, "c") };
    let taken = Draft { identifiers: vec![identifier.clone()], ..taken };
    log.append(Group::single(taken)).await.unwrap();
    assert_eq!(log.find_identifier("Observation", &identifier).await.unwrap(), ["2"]);
    let range = HistoryRange { limit: 10, ..HistoryRange::default() };
    for scope in
        [HistoryScope::Type("Observation".to_owned()), HistoryScope::Compartment("Patient/p".to_owned())]
    {
        assert_eq!(log.history(scope, range).await.unwrap().events.len(), 3);
    }
    assert_eq!(check_whole(&log).await.len(), 3);
    // What later versions have added works too.
    let request = Idempotency { key: Uuid::from_u128(1), fingerprint: [1; 32], note: vec![] };
    for replayed in [false, true] {
        let group = Group { idempotency: Some(request.clone()), ..Group::single(write(key("3"), 1, "d")) };
        assert_eq!(log.append(group).await.unwrap()[0].replayed, replayed);
    }
}
