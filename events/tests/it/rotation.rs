//! Keys are wrapped anew, and bodies in clear are sealed, beside those who write and read; and both go on where they ended.

use anamnesis_events::keys::MasterKeyError;
use anamnesis_events::*;

use crate::erasure::erase;
use crate::sealed::{KEY_A, KEY_B, at_home, open_sealed, sealing};
use crate::support::*;

const IN_CLEAR: &str = "SELECT count(*) FROM anamnesis.event
    WHERE octet_length(payload) > 0 AND get_byte(payload, 0) <> 167";

async fn append(log: &Log, draft: Draft) -> Recorded {
    log.append(Group::single(draft)).await.unwrap().remove(0)
}

/// A resource of a compartment of its own.
fn patient(n: u32, version: u32) -> Draft {
    at_home(&format!("Patient/{n}"), write(key(&n.to_string()), version, "text"))
}

async fn upkeep(database: &str, keys: &str) -> Log {
    Log::open_for_upkeep(database, "default", sealing(keys)).await.unwrap()
}

#[tokio::test]
async fn all_keys_are_wrapped_anew_while_the_log_is_written_and_read() {
    let database = database().await;
    let log = open_sealed(&database, KEY_A).await;
    for n in 0..20 {
        append(&log, patient(n, 1)).await;
    }
    log.close().await;
    // The new one is known to all servers before it wraps anything.
    let (before, after) = (format!("{KEY_A}\n{KEY_B}"), format!("{KEY_B}\n{KEY_A}"));
    let nodes = futures::join!(open_sealed(&database, &before), open_sealed(&database, &after));
    let rotating = upkeep(&database, &after).await;
    let before = rotating.key_status().await.unwrap();
    assert_eq!((before.current.as_deref(), &before.wrapped[..]), (Some("b"), &[("a".to_owned(), 21)][..]));
    let rotation = async {
        let mut steps = 0;
        // The node that still wraps with the old key may make one behind us.
        while rotating.rewrap(3).await.unwrap() > 0 {
            steps += 1;
        }
        steps
    };
    let writing = async {
        for n in 0..20 {
            append(&nodes.0, patient(n, 2)).await;
            append(&nodes.1, patient(100 + n, 1)).await;
            assert!(nodes.0.current(&key(&n.to_string())).await.unwrap().is_some());
        }
    };
    let (steps, ()) = futures::join!(rotation, writing);
    assert!(steps >= 7, "{steps} steps of 3");
    let after = rotating.key_status().await.unwrap();
    assert_eq!(after.wrapped, [("b".to_owned(), 41)]);
    // The old one is needed no more.
    let opened = open_sealed(&database, KEY_B).await;
    assert_eq!(check_whole(&opened).await.len(), 60);
    check_whole(&nodes.0).await;
    let refused = Log::open(&database, "default", sealing(KEY_A)).await.unwrap_err();
    assert!(matches!(refused, LogError::MasterKey(MasterKeyError::Unknown(id)) if id == "b"));
}

#[tokio::test]
async fn a_rotation_goes_on_where_it_ended_and_brings_nothing_back() {
    let database = database().await;
    let log = open_sealed(&database, KEY_A).await;
    for n in 0..5 {
        append(&log, patient(n, 1)).await;
    }
    append(&log, Draft { ..at_home("Patient/0", erase(key("0"), 2)) }).await;
    let destroy =
        "UPDATE anamnesis.data_key SET wrapped = NULL, destroyed_at = now(), destroyed_by = 6 WHERE id =
        (SELECT min(id) FROM anamnesis.data_key WHERE compartment <> '00000000-0000-0000-0000-000000000000')";
    statement(&database, destroy).await;
    let both = format!("{KEY_B}\n{KEY_A}");
    let first = upkeep(&database, &both).await;
    assert_eq!(first.rewrap(2).await.unwrap(), 2);
    // Ended there.
    drop(first);
    check_whole(&open_sealed(&database, &both).await).await;
    let second = upkeep(&database, &both).await;
    assert_eq!(second.rewrap(100).await.unwrap(), 3);
    assert_eq!(second.rewrap(100).await.unwrap(), 0);
    let status = second.key_status().await.unwrap();
    assert_eq!((&status.wrapped[..], status.destroyed), (&[("b".to_owned(), 5)][..], 1));
    check_whole(&open_sealed(&database, KEY_B).await).await;
}

#[tokio::test]
async fn a_key_that_was_changed_stops_the_rotation_and_stays_as_it_is() {
    let database = database().await;
    append(&open_sealed(&database, KEY_A).await, patient(1, 1)).await;
    let change = "UPDATE anamnesis.data_key SET wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1)
        WHERE compartment <> '00000000-0000-0000-0000-000000000000'";
    statement(&database, change).await;
    let both = upkeep(&database, &format!("{KEY_B}\n{KEY_A}")).await;
    let refused = both.rewrap(10).await.unwrap_err();
    assert!(refused.to_string().contains("it was changed"), "{refused}");
    assert_eq!(both.key_status().await.unwrap().wrapped, [("a".to_owned(), 2)]);
}

#[tokio::test]
async fn bodies_in_clear_are_sealed_later_and_the_chain_stays() {
    let database = database().await;
    let clear = open(&database).await;
    for n in 0..10 {
        append(&clear, patient(n, 1)).await;
    }
    append(&clear, at_home("Patient/3", delete(key("3"), 2))).await;
    append(&clear, at_home("Patient/4", erase(key("4"), 2))).await;
    let hash = clear.verify(Position::ZERO, 100).await.unwrap().hash;
    let bodies: Vec<_> = all(&clear).await.into_iter().map(|event| event.payload).collect();
    clear.close().await;
    let none = Log::open_for_upkeep(&database, "default", LogOptions::default()).await.unwrap();
    assert!(none.seal_step(10).await.is_err(), "there is nothing to seal with");

    let log = open_sealed(&database, KEY_A).await;
    append(&log, patient(10, 1)).await;
    assert_eq!(
        number(&database, IN_CLEAR).await,
        9,
        "new bodies are sealed at once, old ones are as they were"
    );
    assert_eq!(check_whole(&log).await.len(), 13);
    let sealer = upkeep(&database, KEY_A).await;
    let step = sealer.seal_step(5).await.unwrap();
    assert_eq!(step, SealedStep { until: Position::new(5), sealed: 4, is_done: false });
    drop(sealer);
    // Another one goes on, while a body is taken away.
    append(&log, at_home("Patient/7", erase(key("7"), 2))).await;
    let sealer = upkeep(&database, KEY_A).await;
    let step = sealer.seal_step(100).await.unwrap();
    assert_eq!(step, SealedStep { until: Position::new(14), sealed: 4, is_done: true });
    assert_eq!(sealer.key_status().await.unwrap().sealed_until, Position::new(14));
    assert_eq!(number(&database, IN_CLEAR).await, 0);
    let events = check_whole(&log).await;
    assert_eq!(events[11].hash, hash);
    for (event, body) in events.iter().zip(&bodies).filter(|(event, _)| event.erased.is_none()) {
        assert_eq!(event.payload, *body);
    }
    check_whole(&open_sealed(&database, KEY_A).await).await;
}

#[tokio::test]
async fn a_body_can_be_sealed_in_place_and_changed_in_no_other_way() {
    let database = database().await;
    append(&open(&database).await, patient(1, 1)).await;
    let frame = "(SELECT payload FROM anamnesis.event WHERE seq = 1)";
    for payload in [
        "decode('a701', 'hex')".to_owned(),
        format!("decode('a701', 'hex') || {frame}"),
        format!("decode('a702', 'hex') || {frame} || decode(repeat('00', 36), 'hex')"),
        format!("{frame} || decode(repeat('00', 38), 'hex')"),
    ] {
        let change = format!("UPDATE anamnesis.event SET payload = {payload} WHERE seq = 1");
        assert!(refusal(&database, &change).await.contains("append-only"), "{payload}");
    }
    let sealed = format!("decode('a701', 'hex') || {frame} || decode(repeat('00', 36), 'hex')");
    let more = format!("UPDATE anamnesis.event SET payload = {sealed}, agent = 'x' WHERE seq = 1");
    assert!(refusal(&database, &more).await.contains("append-only"));
    statement(&database, &format!("UPDATE anamnesis.event SET payload = {sealed} WHERE seq = 1")).await;
    // Not twice; and that it is not the body, reading shows.
    assert!(
        refusal(&database, &format!("UPDATE anamnesis.event SET payload = {sealed}"))
            .await
            .contains("append")
    );
    let log = Log::open_existing(&database, "default", sealing(KEY_A)).await.unwrap();
    assert!(matches!(log.current(&key("1")).await, Err(LogError::Broken { .. })));
}

/// What the database says against a change.
async fn refusal(database: &str, change: &str) -> String {
    let (client, connection) = tokio_postgres::connect(database, tokio_postgres::NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let refused = client.batch_execute(change).await.expect_err(change);
    drop(client);
    driver.await.unwrap().unwrap();
    refused.as_db_error().unwrap().message().to_owned()
}
